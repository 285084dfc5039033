"""Whose token a request uses: an end user's of an app, or the one that an API's requests share.

Follows the option ``connections`` of a scheme (docs/connections.md). Knows no tokens.
"""

from dataclasses import dataclass
from typing import Final

from tieline.core.errors import ConnectionRequired, InvalidRequest
from tieline.dataplane.snapshot.plan import Plan
from tieline.schemes.connections import mode_of
from tieline.schemes.flow import Renewal

USER_MOST: Final = 200


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose token a request uses: an end user of an app, or (``user`` empty) the API's shared one."""

    app_id: str = ""
    user: str = ""


SHARED = Holder()


def holder_of(plan: Plan, renewal: Renewal, holder: Holder | None) -> Holder:
    """Whose token a scheme uses for a request of ``holder``: option ``connections`` says it.

    ``shared`` (unless said), ``per_user``, or ``per_user_or_shared``: the user's where there is one. Raises
    ConnectionRequired where a user has to be named and is not.
    """
    mode = mode_of(renewal.options)
    if mode == "shared":
        return SHARED
    if holder is None:
        if mode == "per_user":
            raise ConnectionRequired(
                f"{plan.title} is used in the name of an end user. Say whose connection to use: "
                "Tieline-Connection: <end user>, or --connection USER on the command line.",
                param="Tieline-Connection",
            )
        return SHARED
    return holder


def named_holder(app_id: str, user: bytes | None) -> Holder | None:
    """The end user that ``Tieline-Connection`` names. Raises InvalidRequest where it cannot be one's name."""
    if user is None:
        return None
    try:
        name = user.decode().strip()
    except UnicodeDecodeError:
        name = ""
    if not 0 < len(name) <= USER_MOST or not name.isprintable():
        raise InvalidRequest(f"Tieline-Connection names an end user in 1 to {USER_MOST} printable characters (UTF-8).")
    return Holder(app_id, name)
