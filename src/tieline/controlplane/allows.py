"""What a key may do, explained: the very decision that the data plane makes, without sending anything."""

import re
from dataclasses import dataclass

from tieline.access.caller import Caller, Role, require
from tieline.access.decide import Denied, decide
from tieline.access.levels import Level
from tieline.access.overrides import check_override
from tieline.access.paths import check
from tieline.access.permissions import Permissions
from tieline.controlplane.grants import tables_of
from tieline.controlplane.keys import find_key, state_of
from tieline.controlplane.services import Services
from tieline.core.errors import InvalidInput, InvalidRequest

PATH_MOST = 8192

_METHOD = re.compile(r"[A-Za-z]{1,32}")
_STATES = {
    "revoked": "This key is revoked, so it may do nothing. Mint another key.",
    "expired": "This key has expired, so it may do nothing. Give it a later expiry or mint another key.",
}


@dataclass(frozen=True, slots=True)
class Question:
    """An operation: ``path``, from its slash on, is below the base URL; ``api`` None means the app's only one."""

    method: str
    path: str
    api: str | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Whether the key may; the area and level the operation counts as, None where no area covers it; if not, why."""

    allowed: bool
    area: str | None
    level: Level | None
    reason: str | None = None


async def explain(services: Services, caller: Caller, key_id: str, question: Question) -> Explanation:
    """Whether a key may send this operation now, and why not. Needs the role viewer.

    The key's networks, limits and the state of the API's credential are not looked at: they depend on the moment.

    Raises:
        NotFound: there is no such key.
        InvalidInput: the method or path cannot be, or ``api`` is missing and the app has not exactly one.
    """
    require(caller, Role.VIEWER)
    method, path, query = _checked(question)
    async with services.store.read() as rx:
        key, app = await find_key(rx, key_id)
        apis = await tables_of(rx, app)
    state = state_of(key, services.clock.now())
    if question.api is None and len(apis) != 1:
        msg = f"Say which API with api. This key's app may use: {', '.join(apis) or 'none'}."
        raise InvalidInput(msg, param="api")
    api = next(iter(apis)) if question.api is None else question.api
    if api not in apis:
        reason = f"This key's app may not use that API, only: {', '.join(apis) or 'none'}. Add the API to the app."
        return Explanation(False, None, None, reason)
    title, table = apis[api]
    try:
        check_override((), query)
        check(path, literal=table.literal)
    except InvalidRequest as error:
        return Explanation(False, None, None, error.public)
    match = table.find(method, path)
    area, level = (None, None) if match is None else (match.area.name, match.level)
    if state != "active":
        return Explanation(False, area, level, _STATES[state])
    verdict = decide(Permissions.from_json(key.permissions), api, table, title, method, path)
    if isinstance(verdict, Denied):
        return Explanation(False, area, level, verdict.reason)
    return Explanation(True, verdict.area, verdict.level)


def _checked(question: Question) -> tuple[bytes, bytes, bytes]:
    """The method in capitals, the path without its query, and the query."""
    if _METHOD.fullmatch(question.method) is None:
        msg = "method must be an HTTP method such as GET."
        raise InvalidInput(msg, param="method")
    if not question.path.startswith("/") or len(question.path) > PATH_MOST or not question.path.isascii():
        msg = f"path must begin with a slash and be at most {PATH_MOST} ASCII characters; percent-encode all others."
        raise InvalidInput(msg, param="path")
    path, _, query = question.path.encode().partition(b"?")
    return question.method.upper().encode(), path, query
