"""The relay door: which API, whose key, may it, and how it goes out.

``/relay/{api}/{rest}`` stands for the API's base URL (contract section 4). Owns admission; what happens afterwards is
``exchange``'s.
"""

import asyncio
import time
from collections.abc import Callable
from ipaddress import ip_address
from typing import Protocol

from tieline.access import appkey
from tieline.access.decide import Allowed, Denied, decide
from tieline.access.overrides import OVERRIDE_FIELDS, check_override
from tieline.access.paths import normalise
from tieline.core.errors import (
    AddressNotAllowed,
    CredentialMissing,
    EnvironmentNotAllowed,
    ExpiredAppKey,
    InvalidAppKey,
    InvalidRequest,
    MissingPermission,
    NotReady,
    RevokedAppKey,
    TielineError,
    UnknownApi,
)
from tieline.core.names import is_api_name
from tieline.core.secret import Secret
from tieline.dataplane.exchange import Admitted, Exchange, Ledger
from tieline.dataplane.plan import Api, Plan
from tieline.dataplane.snapshot import AppKey, Snapshot
from tieline.schemes.base import Outgoing
from tieline.wire import framing
from tieline.wire.request import Request

PREFIX = b"/relay/"
_NO_PLACES = appkey.KeyPlaces()
_HELD_MOST = 64 * 1024
_LASTING = frozenset({b"", b"keep-alive"})
_PERHAPS_GRANTED = (UnknownApi, CredentialMissing, MissingPermission)
_REMEMBERED = 256
NOTABLE = OVERRIDE_FIELDS | {b"tieline-environment", b"idempotency-key"}
_BODY_METHODS = frozenset({b"POST", b"PUT", b"PATCH"})


class RefusalLedger(Ledger, Protocol):
    """Who is told how requests end, admitted or not."""

    def refused(self, request: Request, request_id: str, key: AppKey | None, error: TielineError) -> None: ...


class Relay:
    """Admits requests to ``/relay/`` and sends them on. ``pepper`` keys the hash that app keys are found by."""

    def __init__(
        self, snapshot: Snapshot, pepper: bytes, ledger: RefusalLedger, new_request_id: Callable[[], str]
    ) -> None:
        self._snapshot = snapshot
        self._pepper = pepper
        self._ledger = ledger
        self._new_request_id = new_request_id

    def open(self, request: Request) -> None:
        """Serve a request whose target begins with ``/relay/``."""
        request_id = self._new_request_id()
        key: AppKey | None = None
        try:
            memo = request.connection.memo
            if isinstance(memo, _Memo) and memo.is_for(request) and memo.holds(self._snapshot):
                key = memo.key
                self._send(request, request_id, memo)
                return
            asked = _Asked(request, self._snapshot)
            keyed_hash = self._keyed_hash(asked.found.key)
            key = self._snapshot.known_key(keyed_hash)
            if key is None:
                _SecondLook(self, request, request_id, keyed_hash).begin()
                return
            try:
                self.admit(request, request_id, asked, key)
            except _PERHAPS_GRANTED:
                _SecondLook(self, request, request_id, keyed_hash).begin()
        except TielineError as error:
            self.refuse(request, request_id, key, error)

    def _keyed_hash(self, key: bytes) -> bytes:
        """What ``key`` is found by."""
        appkey.check(key)
        return appkey.keyed_hash(self._pepper, key)

    def _send(self, request: Request, request_id: str, memo: "_Memo") -> None:
        head = memo.head.reveal_bytes() + _framing(request)
        admitted = Admitted(memo.plan, memo.lane, memo.key, memo.path, memo.area, memo.level, head)
        Exchange(request, request_id, admitted, self._ledger).open()

    async def look_again(self, request: Request, request_id: str, keyed_hash: bytes) -> None:
        """Serve a request whose key is not known yet, or that would be refused for what may just have been granted.

        So an operator's change works at once for whoever asks next, though workers hear of it a little later.
        """
        key: AppKey | None = None
        try:
            key = await self._look_up(keyed_hash)
            try:
                self.admit(request, request_id, _Asked(request, self._snapshot), key)
            except _PERHAPS_GRANTED:
                if not await self._snapshot.freshen():
                    raise
                key = await self._look_up(keyed_hash)
                self.admit(request, request_id, _Asked(request, self._snapshot), key)
        except TielineError as error:
            self.refuse(request, request_id, key, error)

    async def _look_up(self, keyed_hash: bytes) -> AppKey:
        key = self._snapshot.known_key(keyed_hash) or await self._snapshot.find_key(keyed_hash)
        if key is None:
            raise InvalidAppKey("No such app key exists here. Check that it was copied whole and from this Tieline.")
        return key

    def admit(self, request: Request, request_id: str, asked: "_Asked", key: AppKey) -> None:
        """Decide, and send the request on its way."""
        if not self._snapshot.fresh:
            raise NotReady("Tieline cannot reach its store, so keys cannot be checked. Try again.", retry_after=2)
        _check_key(key, request.peer)
        api = asked.api
        if api is None:
            raise _unknown_api(asked.name)
        if api.row.id not in key.api_ids:
            raise MissingPermission(
                f'The app "{key.app_name}" does not use {api.row.name}. An operator can add the API to the app.',
                param=api.row.name,
            )
        plan = api.plans[key.environment]
        if request.noted:
            _check_noted(request, key)
        if asked.query:
            check_override((), asked.query)
        path, verdict = self._decide(request, plan, key, asked.rest)
        if plan.problem is not None:
            raise plan.problem
        memo = _Memo(request, asked, key, plan, path, verdict)
        if request.connection_field in _LASTING and not request.upgrade:
            request.connection.memo = memo
        self._send(request, request_id, memo)

    def _decide(self, request: Request, plan: Plan, key: AppKey, rest: bytes) -> tuple[bytes, Allowed]:
        """The path in its normal form, and what it is allowed as; raises where it is not."""
        asked = (plan, request.method, rest, request.upgrade)
        known = key.allowed.get(asked)
        if known is not None:
            return known
        path = normalise(rest)
        verdict = decide(
            key.permissions, plan.name, plan.table, plan.title, request.method, path, upgrade=request.upgrade
        )
        if isinstance(verdict, Denied):
            raise MissingPermission(verdict.reason, param=verdict.param)
        if len(key.allowed) < _REMEMBERED and len(rest) < _REMEMBERED:
            key.allowed[asked] = path, verdict
        return path, verdict

    def refuse(self, request: Request, request_id: str, key: AppKey | None, error: TielineError) -> None:
        """Answer with ``error`` and note it."""
        self._ledger.refused(request, request_id, key, error)
        request.refuse(error, request_id)


class _Asked:
    """What a request's target and headers ask for: the API, the rest of the path, the query, the app key."""

    __slots__ = ("api", "found", "name", "query", "rest")

    def __init__(self, request: Request, snapshot: Snapshot) -> None:
        path, _, query = request.target.partition(b"?")
        name, slash, rest = path[len(PREFIX) :].partition(b"/")
        self.name = name[:64].decode("ascii", "replace")
        self.rest = slash + rest
        self.query = query
        self.api: Api | None = snapshot.api(name)
        places = self.api.places if self.api is not None else _NO_PLACES
        self.found = appkey.find(request.headers, query, places)


class _Memo:
    """An admitted request, kept with its connection: clients mostly ask the same again, with another body.

    It saves working out the same thing anew, and decides nothing: it holds only while the key and the API are the very
    objects that it was made from, and any change of either makes a new one.
    """

    __slots__ = (
        "_api",
        "_headers",
        "_keyed_hash",
        "_method",
        "_name",
        "_target",
        "area",
        "head",
        "key",
        "lane",
        "level",
        "path",
        "plan",
    )

    def __init__(self, request: Request, asked: _Asked, key: AppKey, plan: Plan, path: bytes, verdict: Allowed) -> None:
        assert plan.lane is not None  # there is one where there is no problem
        self._method = request.method
        self._target = request.target
        self._headers = request.headers
        self._name = plan.name.encode()
        self._api = asked.api
        self._keyed_hash = key.keyed_hash
        self.key = key
        self.plan = plan
        self.lane = plan.lane
        self.path = path
        self.area = verdict.area
        self.level = verdict.level
        self.head = Secret(_head(request, plan, asked.found, path))

    def is_for(self, request: Request) -> bool:
        """Whether ``request`` asks for the same in the same words; its body may be another."""
        return (
            self._target == request.target
            and self._headers == request.headers
            and self._method == request.method
            and not request.upgrade
            and request.connection_field in _LASTING
        )

    def holds(self, snapshot: Snapshot) -> bool:
        """Whether nothing has changed that the decision rests on."""
        key = self.key
        return (
            snapshot.known_key(self._keyed_hash) is key
            and snapshot.api(self._name) is self._api
            and snapshot.fresh
            and (key.expires_at is None or key.expires_at > time.time())
        )


class _SecondLook:
    """A request that waits until the store was asked; its body waits with it."""

    def __init__(self, relay: Relay, request: Request, request_id: str, keyed_hash: bytes) -> None:
        self._relay = relay
        self._request = request
        self._id = request_id
        self._hash = keyed_hash
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Ask the store; the request goes on afterwards."""
        self._request.sink = self
        self._task = self._request.run(self._go_on())

    async def _go_on(self) -> None:
        await self._relay.look_again(self._request, self._id, self._hash)

    def body_arrived(self) -> None:
        if sum([len(piece) for piece in self._request.pieces]) > _HELD_MOST:
            self._request.pause()

    def client_gone(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def client_paused(self) -> None:
        """Nothing was written yet."""

    def client_resumed(self) -> None:
        """Nothing was written yet."""

    def client_bytes(self, data: bytes) -> None:
        """There is no tunnel yet."""

    def client_ended(self) -> None:
        """There is no tunnel yet."""


def _unknown_api(name: str) -> UnknownApi:
    """The error for an API that is not there; what cannot be a name is not repeated, it may be a secret."""
    if not is_api_name(name):
        return UnknownApi(
            "What follows /relay/ in the path is no name of an API. Write /relay/{api}/ and the API's path."
        )
    return UnknownApi(f"There is no API named {name!r} here. Check the path after /relay/.", param=name)


def _check_key(key: AppKey, peer: str) -> None:
    if key.revoked:
        raise RevokedAppKey("This app key was revoked. Ask an operator for a new one.")
    if key.expires_at is not None and key.expires_at <= time.time():
        raise ExpiredAppKey("This app key has expired. Ask an operator for a new one.")
    if key.networks and not key.may_call_from(ip_address(peer.partition("%")[0])):
        raise AddressNotAllowed("This app key may not be used from your address. Ask an operator to add your network.")


def _check_noted(request: Request, key: AppKey) -> None:
    """The fields among ``NOTABLE`` that a request has."""
    check_override(tuple(request.noted.items()), b"")
    environment = request.noted.get(b"tieline-environment")
    if environment is None:
        return
    if environment not in {b"live", b"development"}:
        raise InvalidRequest("Tieline-Environment must be live or development.")
    if environment != key.environment.encode():
        raise EnvironmentNotAllowed(
            f"This app key belongs to the {key.environment} environment. Use a key of the other one."
        )


def _head(request: Request, plan: Plan, found: appkey.Found, path: bytes) -> bytes:
    """The head for the upstream, without its end: what came, less what must not go on, with the secret added."""
    fates = plan.request_fate
    dropped = found.drop
    if request.connection_field:
        dropped = dropped | framing.named_by_connection(request.connection_field)
    headers = [pair for pair in request.headers if fates[pair[0]] and pair[0].lower() not in dropped]
    if found.protocol_without:
        headers.append((b"Sec-WebSocket-Protocol", found.protocol_without))
    if found.cookie_without:
        headers.append((b"Cookie", found.cookie_without))
    return outgoing_head(plan, request.method, path, found.query_without, headers)


def _framing(request: Request) -> bytes:
    """The end of a head: what frames the body, and the empty line."""
    lines = []
    if request.chunked:
        lines.append(b"transfer-encoding: chunked\r\n")
    elif request.length or request.method in _BODY_METHODS:
        lines.append(b"content-length: %d\r\n" % (request.length or 0))
    if request.upgrade:
        lines.append(b"connection: upgrade\r\nupgrade: websocket\r\n")
    lines.append(b"\r\n")
    return b"".join(lines)


def outgoing_head(plan: Plan, method: bytes, path: bytes, query: bytes, headers: list[tuple[bytes, bytes]]) -> bytes:
    """Request line and header fields, each line ended, without what frames the body and without the empty line."""
    outgoing = Outgoing(method, plan.base_path + path or b"/", query, headers, plan.origin)
    if query and plan.replaced_query:
        outgoing.drop_query(plan.replaced_query)
    plan.apply(outgoing, path)
    target = outgoing.path + b"?" + outgoing.query if outgoing.query else outgoing.path
    lines = [b"%b %b HTTP/1.1\r\nhost: %b\r\n" % (method, target, plan.origin.authority)]
    for name, value in outgoing.headers:
        lines += (name, b": ", value, b"\r\n")
    return b"".join(lines)
