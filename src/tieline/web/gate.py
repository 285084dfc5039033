"""What a request must pass before any route sees it: the host it names, the token it carries, the size of its body.

Plain ASGI layers, so that they hold for every path and nothing of a body is read for a caller that is not known.
"""

import asyncio
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tieline.controlplane import tokens
from tieline.controlplane.services import Services
from tieline.controlplane.signins import CALLBACK, START
from tieline.core.errors import BodyTooLarge, InvalidRequest, InvalidToken
from tieline.core.urls import canonical_host, host_field, is_address
from tieline.web.json_bounds import MEMBERS_MOST, WIDTH_MOST, has_too_many_members

BODY_MOST = 8 * 1024 * 1024
API = "/api/v1"
HEALTH = frozenset({"/healthz", "/readyz"})

_TOO_LARGE = f"The body is too large. At most {BODY_MOST // 1024**2} MiB are accepted."
_TOO_MANY = (
    f"The body has more than {MEMBERS_MOST} members, or more than {WIDTH_MOST} in one list or object. Send less at "
    "once; a definition may also be sent as YAML."
)
_OPENED_OTHERWISE = frozenset({START, CALLBACK})  # by a link, or a state and the browser's mark
_DIGITS_MOST = 15
_LOCAL = ("localhost", "127.0.0.1", "::1")
_UNSPECIFIED = frozenset({"0.0.0.0", "::"})  # noqa: S104 -- named, not bound


class HostGate:
    """Refuses requests for names that are not ours.

    A page on a hostile site can point its own name at this machine (DNS rebinding) and would then be of our origin. It
    cannot change the name it asks for. Health checks pass, as probes ask by address and learn nothing.
    """

    def __init__(self, app: ASGIApp, allowed: Iterable[str]) -> None:
        self._app = app
        self._allowed = {canonical_host(host) for host in (*_LOCAL, *allowed)}
        self._any_address = not self._allowed.isdisjoint(_UNSPECIFIED)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in HEALTH and not self._is_ours(scope):
            msg = (
                "Tieline does not answer under this host name. Open it by the address it listens on, or start it "
                "with --console-host and this name."
            )
            raise InvalidRequest(msg, param="Host")
        await self._app(scope, receive, send)

    def _is_ours(self, scope: Scope) -> bool:
        given = Headers(scope=scope).getlist("host")
        name = host_name(given[0]) if len(given) == 1 else None
        return name is not None and (name in self._allowed or (self._any_address and is_address(name)))


class TokenGate:
    """Finds out who calls the admin API; below it, ``request.state.caller`` is a ``Caller``."""

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self._app = app
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] if scope["type"] == "http" else ""
        if (path == API or path.startswith(f"{API}/")) and path not in _OPENED_OTHERWISE:
            scope["state"]["caller"] = await tokens.authenticate(self._services, presented(scope))
        await self._app(scope, receive, send)


class BodyGate:
    """Refuses bodies over 8 MiB, by their announced length at once, and JSON with more members than anybody needs.

    A body is collected when a route first asks for it, and looked at before the framework makes anything of it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        announced = headers.get("content-length", "0")
        if len(announced) > _DIGITS_MOST or not announced.isdecimal() or int(announced) > BODY_MOST:
            raise BodyTooLarge(_TOO_LARGE)
        is_yaml = "yaml" in headers.get("content-type", "")
        collected = False

        async def receive_whole() -> Message:
            nonlocal collected
            if collected:
                return await receive()
            collected = True
            body = await _body(receive)
            if body is None:
                return {"type": "http.disconnect"}
            if not is_yaml and await asyncio.to_thread(has_too_many_members, body):
                raise HTTPException(413, _TOO_MANY)
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, receive_whole, send)


async def _body(receive: Receive) -> bytes | None:
    """The whole body, None where the client left. Raises the one exception that the framework lets through here."""
    pieces: list[bytes] = []
    size = 0
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return None
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > BODY_MOST:
            raise HTTPException(413, _TOO_LARGE)
        more = message.get("more_body", False)
    return b"".join(pieces)


def host_name(host: str) -> str | None:
    """The host in a ``Host`` field, in its one form; None where it is none."""
    try:
        return host_field(host)
    except ValueError:
        return None


def presented(scope: Scope) -> bytes:
    """The token in ``Authorization: Bearer`` (RFC 6750 section 2.1). Raises ``InvalidToken`` where there is none."""
    given = [value for name, value in scope["headers"] if name == b"authorization"]
    scheme, _, token = given[0].partition(b" ") if len(given) == 1 else (b"", b"", b"")
    if scheme.lower() != b"bearer":
        msg = 'The admin API needs an admin token. Send one "Authorization: Bearer tla_…" with the request.'
        raise InvalidToken(msg)
    return bytes(token.strip())
