"""Who asks, and may they ask at all: the app key of a request, and whether it is good for the API named in the path.

Shared by the doors ``/relay/{api}/…`` and ``/call/{api}/…``. Owns the second look: a request that is about to be
refused for what may just have been granted waits until the store was asked. What a door serves is its own matter.
"""

import asyncio
import time
from collections.abc import Callable
from ipaddress import ip_address
from typing import Protocol

from tieline.access import appkey
from tieline.access.overrides import OVERRIDE_FIELDS, check_override
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
    UnknownCall,
)
from tieline.core.names import is_api_name
from tieline.dataplane.relaying.exchange import Ledger
from tieline.dataplane.snapshot.plan import Api, Plan
from tieline.dataplane.snapshot.view import AppKey, Snapshot
from tieline.wire.request import Request

CONNECTION = b"tieline-connection"
IDEMPOTENCY_KEY = b"idempotency-key"
PAGES = b"tieline-pages"
NOTABLE = OVERRIDE_FIELDS | {b"tieline-environment", CONNECTION, IDEMPOTENCY_KEY, PAGES}
_NO_PLACES = appkey.KeyPlaces()
_HELD_MOST = 64 * 1024
_LASTING = frozenset({b"", b"keep-alive"})
_PERHAPS_GRANTED = (UnknownApi, UnknownCall, CredentialMissing, MissingPermission)


class RefusalLedger(Ledger, Protocol):
    """Who is told how requests end, admitted or not."""

    def refused(self, request: Request, request_id: str, key: AppKey | None, error: TielineError) -> None: ...


class Asked:
    """What a request's target and headers ask for: the API, the rest of the path, the query, the app key.

    ``rest`` begins with a slash, or is empty. ``door`` is the path before the API's name. Raises an ``AppKeyError``
    where no app key is found, or several.
    """

    __slots__ = ("api", "door", "found", "name", "query", "rest")

    def __init__(self, request: Request, door: bytes, snapshot: Snapshot) -> None:
        path, _, query = request.target.partition(b"?")
        name, slash, rest = path[len(door) :].partition(b"/")
        self.door = door
        self.name = name[:64].decode("ascii", "replace")
        self.rest = slash + rest
        self.query = query
        self.api: Api | None = snapshot.api(name)
        places = self.api.places if self.api is not None else _NO_PLACES
        self.found = appkey.find(request.headers, query, places)


Serve = Callable[[Request, str, Asked, AppKey], None]


class Admission:
    """Finds the key of a request. ``pepper`` keys the hash that app keys are found by."""

    def __init__(self, snapshot: Snapshot, pepper: bytes, ledger: RefusalLedger) -> None:
        self.snapshot = snapshot
        self._pepper = pepper
        self._ledger = ledger

    def open(self, request: Request, request_id: str, door: bytes, serve: Serve) -> None:
        """Give ``request``, whose target begins with ``door``, to ``serve`` once its key is known, or refuse it.

        ``serve`` raises a TielineError to refuse; it may be called twice, the second time with fresh knowledge.
        """
        key: AppKey | None = None
        try:
            asked = Asked(request, door, self.snapshot)
            appkey.check(asked.found.key)
            keyed_hash = appkey.keyed_hash(self._pepper, asked.found.key)
            key = self.snapshot.known_key(keyed_hash)
            if key is None:
                _SecondLook(self, request, request_id, door, serve).begin(keyed_hash)
                return
            try:
                serve(request, request_id, asked, key)
            except _PERHAPS_GRANTED:
                _SecondLook(self, request, request_id, door, serve).begin(keyed_hash)
        except TielineError as error:
            self.refuse(request, request_id, key, error)

    async def look_up(self, keyed_hash: bytes) -> AppKey:
        """The key of this hash, from the store if need be. Raises InvalidAppKey where there is none."""
        key = self.snapshot.known_key(keyed_hash) or await self.snapshot.find_key(keyed_hash)
        if key is None:
            raise InvalidAppKey("No such app key exists here. Check that it was copied whole and from this Tieline.")
        return key

    def plan(self, request: Request, asked: Asked, key: AppKey) -> Plan:
        """The API that is asked for as ``key`` may use it, if it may at all.

        The plan may have a ``problem``: whoever sends looks at it last, after whatever else speaks against the request.
        Raises NotReady, an ``AppKeyError``, UnknownApi, MissingPermission, EnvironmentNotAllowed, InvalidRequest.
        """
        if not self.snapshot.fresh:
            raise NotReady("Tieline cannot reach its store, so keys cannot be checked. Try again.", retry_after=2)
        _check_key(key, request.peer)
        api = asked.api
        if api is None:
            raise _unknown_api(asked)
        if api.row.id not in key.api_ids:
            raise MissingPermission(
                f'The app "{key.app_name}" does not use {api.row.name}. An operator can add the API to the app.',
                param=api.row.name,
            )
        if request.noted:
            _check_noted(request, key)
        if asked.query:
            check_override((), asked.query)
        return api.plans[key.environment]

    def refuse(self, request: Request, request_id: str, key: AppKey | None, error: TielineError) -> None:
        """Answer with ``error`` and note it."""
        self._ledger.refused(request, request_id, key, error)
        request.refuse(error, request_id)


class Remembered:
    """An admitted request, kept with its connection: clients mostly ask the same again, with another body.

    It saves working out the same thing anew, and decides nothing: it holds only while the key and the API are the very
    objects that it was made from, and any change of either makes a new one.
    """

    __slots__ = ("_api", "_headers", "_keyed_hash", "_method", "_name", "_target", "key", "plan")

    def __init__(self, request: Request, asked: Asked, key: AppKey, plan: Plan) -> None:
        self._method = request.method
        self._target = request.target
        self._headers = request.headers
        self._name = plan.name.encode()
        self._api = asked.api
        self._keyed_hash = key.keyed_hash
        self.key = key
        self.plan = plan

    def is_for(self, request: Request) -> bool:
        """Whether ``request`` asks for the same in the same words; its body may be another."""
        return (
            self._target == request.target
            and self._headers == request.headers
            and self._method == request.method
            and is_lasting(request)
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


def is_lasting(request: Request) -> bool:
    """Whether what is found out of a request holds for others like it: its connection asks for nothing of its own."""
    return not request.upgrade and request.connection_field in _LASTING


class Held:
    """The sink of a request that cannot be served yet: its body waits, up to 64 KiB of it, and its client may leave."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.task: asyncio.Task[None] | None = None
        request.sink = self

    def body_arrived(self) -> None:
        if sum([len(piece) for piece in self.request.pieces]) > _HELD_MOST:
            self.request.pause()

    def client_gone(self) -> None:
        if self.task is not None:
            self.task.cancel()

    def client_paused(self) -> None:
        """Nothing was written yet."""

    def client_resumed(self) -> None:
        """Nothing was written yet."""

    def client_bytes(self, data: bytes) -> None:
        """There is no tunnel yet."""

    def client_ended(self) -> None:
        """There is no tunnel yet."""


class _SecondLook(Held):
    """A request that waits until the store was asked.

    Its key is not known yet, or it would be refused for what may just have been granted: so an operator's change works
    at once for whoever asks next, though workers hear of it a little later.
    """

    def __init__(self, admission: Admission, request: Request, request_id: str, door: bytes, serve: Serve) -> None:
        super().__init__(request)
        self._admission = admission
        self._id = request_id
        self._door = door
        self._serve = serve

    def begin(self, keyed_hash: bytes) -> None:
        """Ask the store; the request goes on afterwards."""
        self.task = self.request.run(self._go_on(keyed_hash))

    async def _go_on(self, keyed_hash: bytes) -> None:
        admission = self._admission
        key: AppKey | None = None
        try:
            key = await admission.look_up(keyed_hash)
            try:
                self._offer(key)
            except _PERHAPS_GRANTED:
                if not await admission.snapshot.freshen():
                    raise
                key = await admission.look_up(keyed_hash)
                self._offer(key)
        except TielineError as error:
            admission.refuse(self.request, self._id, key, error)

    def _offer(self, key: AppKey) -> None:
        asked = Asked(self.request, self._door, self._admission.snapshot)
        self._serve(self.request, self._id, asked, key)


def _unknown_api(asked: Asked) -> UnknownApi:
    """The error for an API that is not there; what cannot be a name is not repeated, it may be a secret."""
    door = asked.door.decode()
    if not is_api_name(asked.name):
        return UnknownApi(
            f"What follows {door} in the path is no name of an API. Write {door}{{api}}/ and what follows."
        )
    return UnknownApi(f"There is no API named {asked.name!r} here. Check the path after {door}.", param=asked.name)


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
