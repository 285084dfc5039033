"""Who asks the control plane for something. Always a parameter, never ambient."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from tieline.core.errors import Forbidden


class Role(StrEnum):
    """What an operator or admin token may do: an owner all, an editor all but people and tokens, a viewer look."""

    OWNER = "owner"
    EDITOR = "editor"
    VIEWER = "viewer"


_ORDER = {Role.VIEWER: 0, Role.EDITOR: 1, Role.OWNER: 2}


@dataclass(frozen=True, slots=True)
class Caller:
    """An admin token, a signed-in operator, the local command line or the browser of somebody who signs in to an API.

    ``name`` is what the audit shows.
    """

    kind: Literal["token", "operator", "local", "browser"]
    id: str
    name: str
    role: Role


def require(caller: Caller, role: Role) -> None:
    """Let ``caller`` pass if its role is ``role`` or above.

    Raises:
        Forbidden: the caller's role is below ``role``.
    """
    if _ORDER[caller.role] < _ORDER[role]:
        msg = (
            f'This needs the role "{role}"; {caller.name} has "{caller.role}". Ask an owner to do it or raise the role.'
        )
        raise Forbidden(msg, param="role")
