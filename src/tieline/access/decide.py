"""The decision whether a key may do something on an API.

Made once per request, on every reading of the path that an upstream may take; the path is then sent as it came.
Follows permissions.md section 2. Knows nothing of how the request came in or how a denial is answered.
"""

import re
from typing import TypedDict, Unpack

from tieline.access.appkey import hidden
from tieline.access.areas import AreaTable, Match
from tieline.access.levels import Level, covers
from tieline.access.paths import check, readings
from tieline.access.permissions import Mode, Permissions
from tieline.access.rules import NEVER_ALLOWED
from tieline.access.verdict import Allowed, Denied

__all__ = ["Allowed", "Denied", "decide"]

_METHOD = re.compile(rb"[A-Z][A-Z-]*+")
_SEVERAL_READINGS = re.compile(rb"[A-Z%;]|//")
_ORDINARY = frozenset({b"GET", b"HEAD", b"OPTIONS", b"POST", b"PUT", b"PATCH", b"DELETE"})
_SAFE = (b"GET", b"HEAD")
_UNMATCHED = Allowed(None, None)
_SHOWN = 100  # characters of a path that a denial repeats


class Traits(TypedDict, total=False):
    """What else a request may ask for.

    ``upgrade``: to leave HTTP (a WebSocket). ``level``: what it does by somebody's word, in place of what its method
    implies; read for a data call, write for an action. ``elsewhere``: it goes to another place than the API's base URL,
    so that no area covers it. None and False when absent.
    """

    upgrade: bool
    level: Level | None
    elsewhere: bool


def decide(
    permissions: Permissions,
    api: str,
    table: AreaTable,
    title: str,
    method: bytes,
    path: bytes,
    **asked: Unpack[Traits],
) -> Allowed | Denied:
    """Whether a key with ``permissions`` may send ``method`` on ``path`` to the API ``api``.

    ``path`` is as it came, without its query; ``table`` and ``title`` are the API's areas and name for people. Whether
    the key's app uses the API at all has been checked. Every way in which an upstream may read the path (escapes,
    empty segments, path parameters, case) must be allowed; the answer tells the first that is not.

    Raises:
        InvalidRequest: the path must not be sent to this API, whatever the key may do (``paths.check``).
    """
    check(path, literal=table.literal)
    if method not in _ORDINARY and (method in NEVER_ALLOWED or _METHOD.fullmatch(method) is None):
        return _never(method)
    upgrade, level = asked.get("upgrade", False), asked.get("level")
    changes = upgrade or level is Level.WRITE
    if asked.get("elsewhere", False):
        return _judge(permissions, api, title, None, (method, path, changes))
    match = table.as_asked(table.find(method, path, upgrade=upgrade), level)
    verdict = _judge(permissions, api, title, match, (method, path, changes))
    if isinstance(verdict, Denied) or (not table.has_capitals and _SEVERAL_READINGS.search(path) is None):
        return verdict
    for reading in readings(path):
        exact = match if reading is path else table.as_asked(table.find(method, reading, upgrade=upgrade), level)
        for other in (exact, table.as_asked(table.find_any_case(method, reading, upgrade=upgrade), level)):
            again = verdict if other is match else _judge(permissions, api, title, other, (method, reading, changes))
            if isinstance(again, Denied):
                return again
    return verdict


def _judge(
    permissions: Permissions, api: str, title: str, match: Match | None, request: tuple[bytes, bytes, bool]
) -> Allowed | Denied:
    """The answer for one reading of the request: its method, path and whether it changes more than the method says."""
    mode = permissions.mode
    if mode is Mode.ALL:
        return _UNMATCHED if match is None else match.allowed
    if match is None:
        method, path, changes = request
        if mode is Mode.READ_ONLY and method in _SAFE and not changes:
            return _UNMATCHED
        return _uncovered(mode, title, method, path)
    if mode is Mode.READ_ONLY:
        return match.allowed if match.level is Level.READ else _lacking(mode, api, title, match)
    grants = permissions.grants.get(api)
    if grants is not None and covers(grants.get(match.area.name, Level.NONE), match.level):
        return match.allowed
    return _lacking(mode, api, title, match)


def _lacking(mode: Mode, api: str, title: str, match: Match) -> Denied:
    area, level = match.area, match.level
    need = f'This key needs "{area.title}: {level.capitalize()}" on {title}'
    if level not in area.levels:
        reason = f"{need}, which a restricted or read-only key cannot be given. Use a key with all permissions."
        return Denied(reason, None)
    param = f"{api}:{area.name}={level}"
    if mode is Mode.READ_ONLY:
        reason = f"{need}, and it is read only. Use a key that has it, or make this key restricted and tick it."
    else:
        reason = f"{need}. An operator can tick it among the key's permissions; or use a key that has it."
    return Denied(reason, param)


def _uncovered(mode: Mode, title: str, method: bytes, path: bytes) -> Denied:
    kind = "a restricted key may not use it" if mode is Mode.RESTRICTED else "a read-only key may only GET it"
    text = hidden(path.decode())
    shown = text[:_SHOWN] + ("…" if len(text) > _SHOWN else "")
    reason = (
        f"No area of {title} covers {method.decode()} {shown}, so {kind}. "
        "Check the path, or use a key with all permissions."
    )
    return Denied(reason, None)


def _never(method: bytes) -> Denied:
    if method in NEVER_ALLOWED:
        return Denied(f"{method.decode()} is never passed on, whatever the key may do. Use another method.", None)
    return Denied("The method must be written in capital letters, such as GET. Send it so.", None)
