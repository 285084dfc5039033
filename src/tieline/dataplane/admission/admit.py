"""Who asks, and may they ask at all: a request becomes a value that says admitted, rejected, or ask the store.

The one place where an app key is checked: known, not revoked, not expired, from its network, for its environment, and
of an app that uses the API. Every check is made for every request, also where its words were read before (a memo hit).
Nothing is sent and nothing is waited for here: a door looks at the outcome, and asks again once the store was asked.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, Protocol
from weakref import WeakSet

from tieline.access import appkey
from tieline.core.errors import (
    AddressNotAllowed,
    AppKeyError,
    EnvironmentNotAllowed,
    ExpiredAppKey,
    MissingPermission,
    NotReady,
    RevokedAppKey,
    TielineError,
    UnknownApi,
)
from tieline.core.names import is_plain_name
from tieline.dataplane.admission.strangers import Strangers
from tieline.dataplane.admission.words import Words
from tieline.dataplane.snapshot.plan import Api, Plan
from tieline.dataplane.snapshot.view import STALE_SECONDS, AppKey
from tieline.wire.request import Request

_LASTING = frozenset({b"", b"keep-alive"})
"""Values of ``Connection`` that ask for nothing that holds for one request only."""
LOOKING_MOST: Final = 2_000
"""How many requests may wait for a look into the store at once; the next are answered by what the snapshot knows."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why a request is not served. ``key`` is the app key it came with, where it is known: then it is recorded."""

    error: TielineError
    key: AppKey | None = None


@dataclass(frozen=True, slots=True)
class NeedsStore:
    """What the snapshot knows speaks against a request, but the store may know better: ask it, then admit again.

    ``keyed_hash`` is a key to be looked up. Where it is None, a change is looked for that came after ``version`` of the
    snapshot, and ``otherwise`` is what stands if there is none. ``words`` need not be read again.
    """

    otherwise: Rejected | None
    version: int
    keyed_hash: bytes | None = None
    words: Words | None = None


class Admitted:
    """A request whose key may ask this API, as ``plan`` says; what it may ask for is the door's to decide.

    It holds while key and API are the very objects that it was made from: any change of either makes a new one.
    ``way`` is what the door decided on for these words, None before.
    """

    __slots__ = ("key", "plan", "way", "words")

    def __init__(self, words: Words, key: AppKey, plan: Plan) -> None:
        self.words = words
        self.key = key
        self.plan = plan
        self.way: object = None


class Memo:
    """What a client's connection remembers of its last request, as clients mostly ask the same with another body."""

    __slots__ = ("__weakref__", "_headers", "_method", "_target", "admitted")

    def __init__(self) -> None:
        self.admitted: Admitted | None = None
        self._method = b""
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []

    def keep(self, request: Request, admitted: Admitted) -> None:
        """Remember how ``request`` was admitted."""
        self._method = request.method
        self._target = request.target
        self._headers = request.headers
        self.admitted = admitted

    def forget(self) -> None:
        """Hold nothing any more."""
        self.admitted = None
        self._headers = []

    def recall(self, request: Request) -> Admitted | None:
        """How an earlier request in the same words was admitted, its body may have been another; None where none is."""
        if (
            self._target == request.target
            and self._headers == request.headers
            and self._method == request.method
            and not request.upgrade
            and request.connection_field in _LASTING
        ):
            return self.admitted
        return None


class Asker(Protocol):
    """Who asks, by the IP address; a ``Request``."""

    @property
    def peer(self) -> str: ...


class Known(Protocol):
    """What is known of APIs and keys; a ``Snapshot``, which says what all this is."""

    @property
    def apis(self) -> Mapping[bytes, Api]: ...

    @property
    def keys(self) -> Mapping[bytes, AppKey]: ...

    @property
    def version(self) -> int: ...

    @property
    def fresh_until(self) -> float: ...

    async def find_key(self, keyed_hash: bytes) -> AppKey | None: ...

    async def freshen(self) -> bool: ...


class Admission:
    """Admits requests. ``pepper`` keys the hash that app keys are found by; ``looking`` counts who waits for a look."""

    def __init__(self, snapshot: Known, pepper: bytes) -> None:
        self._snapshot = snapshot
        self._pepper = pepper
        self._memos: WeakSet[Memo] = WeakSet()
        self._strangers = Strangers()
        self.looking = 0

    def admit(self, request: Request, door: bytes, read: Words | None = None) -> Admitted | Rejected | NeedsStore:
        """Decide on ``request``, whose target begins with ``door``, by what the snapshot knows now.

        ``read`` are the words of this very request, where it is admitted again. The outcome ``Admitted`` may be that
        of an earlier request in the same words: then its ``way`` holds too.
        """
        snapshot = self._snapshot
        memo = request.connection.memo
        known = memo.recall(request) if isinstance(memo, Memo) else None
        words = known.words if known is not None else read
        if words is None or snapshot.apis.get(words.name) is not words.api:
            found = self._read(request, door)
            if not isinstance(found, Words):
                return found
            words = found
        key = snapshot.keys.get(words.keyed_hash)
        if key is None:
            return NeedsStore(None, snapshot.version, words.keyed_hash, words)
        plan = self._checked(words, key, request)
        if not isinstance(plan, Plan):
            return plan
        if known is not None and known.words is words and known.key is key:
            return known
        admitted = Admitted(words, key, plan)
        if not request.upgrade and request.connection_field in _LASTING:
            self._remember(request, admitted)
        return admitted

    async def holder(self, request: Request) -> AppKey:
        """The app key that ``request`` came with, where no API is asked for.

        Raises what is wrong with it: an AppKeyError, AddressNotAllowed, or NotReady where the store cannot be asked.
        """
        found = appkey.find(request.headers, request.target.partition(b"?")[2], appkey.KeyPlaces())
        appkey.check(found.key)
        keyed_hash = appkey.keyed_hash(self._pepper, found.key)
        key = self._snapshot.keys.get(keyed_hash) or await self._snapshot.find_key(keyed_hash)
        if key is None:
            raise self._strangers.refusal(request.peer)
        error = self._unusable(key, request)
        if error is not None:
            raise error
        return key

    def error_shape(self, request: Request, door: bytes) -> str:
        """The shape of errors that the API has which ``request`` asks for; Tieline's own where there is none."""
        plan = self.plan_asked(request, door, None)
        return plan.errors if plan is not None else "tieline"

    def plan_asked(self, request: Request, door: bytes, key: AppKey | None) -> Plan | None:
        """What the API that ``request`` asks for is in the environment of ``key``, live without one; None: no API."""
        api = self._snapshot.apis.get(request.target.partition(b"?")[0][len(door) :].partition(b"/")[0])
        return api.plans[key.environment if key is not None else "live"] if api is not None else None

    def unless_changed(self, error: TielineError, admitted: Admitted) -> NeedsStore:
        """``error`` is what an admitted request fails with, unless an operator has just changed that."""
        return NeedsStore(Rejected(error, admitted.key), self._snapshot.version, None, admitted.words)

    def changed(self) -> None:
        """Forget the memos of what is served no more, so that no idle connection keeps a replaced secret in memory."""
        snapshot = self._snapshot
        for memo in self._memos:
            admitted = memo.admitted
            if admitted is None:
                continue
            words = admitted.words
            if (
                snapshot.apis.get(words.name) is not words.api
                or snapshot.keys.get(words.keyed_hash) is not admitted.key
            ):
                memo.forget()

    async def look(self, needed: NeedsStore, asker: Asker, *, again: bool = False) -> Rejected | None:
        """Ask the store; None where it knows more than the snapshot did, so that the request may be admitted now.

        ``again``: for this request of ``asker``'s a change was looked for already, and what was found did not help.
        """
        snapshot = self._snapshot
        try:
            if needed.otherwise is None:
                keyed_hash = needed.keyed_hash or b""
                found = keyed_hash in snapshot.keys or await snapshot.find_key(keyed_hash) is not None
                return None if found else Rejected(self._strangers.refusal(asker.peer))
            if again or self.looking >= LOOKING_MOST:
                return needed.otherwise
            await self._freshen()
        except TielineError as error:
            return Rejected(error, needed.otherwise.key if needed.otherwise is not None else None)
        return None if snapshot.version != needed.version else needed.otherwise

    def _remember(self, request: Request, admitted: Admitted) -> None:
        memo = request.connection.memo
        if not isinstance(memo, Memo):
            memo = request.connection.memo = Memo()
            self._memos.add(memo)
        memo.keep(request, admitted)

    async def _freshen(self) -> None:
        """Have the snapshot compared with the store. Raises NotReady where that cannot be done within five seconds."""
        self.looking += 1
        try:
            async with asyncio.timeout(STALE_SECONDS):
                await self._snapshot.freshen()
        except TimeoutError:
            raise _not_fresh() from None
        finally:
            self.looking -= 1

    def _read(self, request: Request, door: bytes) -> Words | Rejected | NeedsStore:
        try:
            words = Words(request, door, self._snapshot.apis, self._pepper)
        except AppKeyError as error:  # where and how a key stands is said by the API, which may have come just now
            return NeedsStore(Rejected(error), self._snapshot.version)
        except TielineError as error:
            return Rejected(error)
        return words

    def _checked(self, words: Words, key: AppKey, request: Request) -> Plan | Rejected | NeedsStore:
        """The plan that ``key`` uses, or what speaks against it: first what is wrong with the key itself."""
        api = words.api
        error = self._unusable(key, request)
        if error is not None:
            if isinstance(error, (NotReady, RevokedAppKey)):
                return Rejected(error, key)
        elif api is None:
            error = _unknown_api(words)
        elif api.row.id not in key.api_ids:
            error = _not_of_app(api, key)
        elif words.fault is not None:
            return Rejected(words.fault, key)
        elif words.environment is not None and words.environment != key.environment.encode():
            return Rejected(_other_environment(key), key)
        else:
            return api.plans[key.environment]
        return NeedsStore(Rejected(error, key), self._snapshot.version, None, words)

    def _unusable(self, key: AppKey, request: Request) -> TielineError | None:
        """What is wrong with ``key`` itself, whatever is asked for with it."""
        if time.monotonic() >= self._snapshot.fresh_until:
            return _not_fresh()
        if key.revoked:
            return RevokedAppKey("This app key was revoked. Ask an operator for a new one.")
        if key.expires_at is not None and key.expires_at <= time.time():
            return ExpiredAppKey("This app key has expired. Ask an operator for a new one.")
        if key.networks and not key.may_call_from(ip_address(request.peer.partition("%")[0])):
            return _wrong_network(request.peer)
        return None


def _not_fresh() -> NotReady:
    return NotReady("Tieline cannot reach its store, so keys cannot be checked. Try again.", retry_after=2)


def _wrong_network(peer: str) -> AddressNotAllowed:
    return AddressNotAllowed(
        f"This app key may not be used from your address, which is {peer} as Tieline sees it. Ask an operator to add "
        "your network to the key, or to name the proxy in between with --trusted-proxy."
    )


def _not_of_app(api: Api, key: AppKey) -> MissingPermission:
    return MissingPermission(
        f'The app "{key.app_name}" does not use {api.row.name}. An operator can add the API to the app.',
        param=api.row.name,
    )


def _other_environment(key: AppKey) -> EnvironmentNotAllowed:
    return EnvironmentNotAllowed(
        f"This app key belongs to the {key.environment} environment. Use a key of the other one."
    )


def _unknown_api(words: Words) -> UnknownApi:
    """The error for an API that is not there; what cannot be a name is not repeated, it may be a secret."""
    door, name = words.door.decode(), words.shown_name
    if not is_plain_name(name):
        return UnknownApi(
            f"What follows {door} in the path is no name of an API. Write {door}{{api}}/ and what follows."
        )
    return UnknownApi(f"There is no API named {name!r} here. Check the path after {door}.", param=name)
