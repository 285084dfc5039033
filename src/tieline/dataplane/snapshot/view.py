"""The view that requests are served from: compiled APIs and the app keys seen so far, kept true by the change log.

A compiled API or key is never altered, only replaced or dropped. Owns how changes reach a worker; does not know what a
request is.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Any, TypeAlias, TypeVar

import orjson

from tieline.access.limits import RequestLimits
from tieline.access.permissions import Mode, Permissions
from tieline.access.verdict import Allowed
from tieline.core.errors import CredentialMissing, NotReady, Overloaded, TielineError
from tieline.core.names import Environment
from tieline.core.secret import Secret
from tieline.dataplane.limits.bounds import Bounds, bounds_of, joined
from tieline.dataplane.openings import Openings
from tieline.dataplane.snapshot.compiler import Compiler, OpenedCredential, Priced, read_definition
from tieline.dataplane.snapshot.minted import MintedKeys
from tieline.dataplane.snapshot.plan import Api
from tieline.dataplane.snapshot.prices import Prices
from tieline.ports.apis import ApiRow
from tieline.ports.budgets import BudgetRow
from tieline.ports.credentials import SealedCredential
from tieline.ports.keys import ResolvedKey
from tieline.ports.snapshot import Change, SnapshotSource, TooOld
from tieline.vault.envelope import Place
from tieline.vault.keyring import Keyring
from tieline.vault.reveal import Revealer, Witness
from tieline.wire.guard import Guard
from tieline.wire.pool import Pool

log = logging.getLogger("tieline.dataplane.snapshot.view")

Verdicts: TypeAlias = dict[tuple[int, bytes, bytes, bool], Allowed]
_Value = TypeVar("_Value", bound=Hashable)
Tell: TypeAlias = Callable[[Sequence[Change] | None], None]
TellBudgets: TypeAlias = Callable[[Sequence[BudgetRow]], None]

POLL_SECONDS = 1.0
STALE_SECONDS = 5.0
KEYS_MOST = 200_000
_LOOK_SECONDS = 0.02
_LOOKUPS_AT_ONCE = 16
_LOOKUPS_WAITING = 2_000
_HASHES_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True, eq=False)
class AppKey:
    """An app key as requests are judged by it. ``expires_at`` is seconds since the epoch.

    ``allowed`` remembers what these permissions allow, for all keys that have them: by the plan's serial, method, path
    and upgrade. Any change of a key or an API makes a new key or plan, with entries of its own. ``bounds`` are the
    limits of the key and of its app, None where there are none; ``models`` are patterns of ``access.limits``, none for
    any; ``restricted`` says that there is anything that the key may not do.
    """

    keyed_hash: bytes
    key_id: str
    app_id: str
    app_name: str
    api_ids: frozenset[str]
    environment: Environment
    permissions: Permissions
    networks: tuple[IPv4Network | IPv6Network, ...]
    expires_at: float | None
    revoked: bool
    allowed: Verdicts
    bounds: Bounds | None = None
    models: tuple[str, ...] = ()
    restricted: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "restricted", self.permissions.mode is not Mode.ALL)

    def may_call_from(self, address: IPv4Address | IPv6Address) -> bool:
        """Whether a client at ``address`` may use the key."""
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return not self.networks or any(address in network for network in self.networks)


class AppKeys:
    """Makes app keys of rows, and keeps once what many of them have in common."""

    def __init__(self) -> None:
        self._rights: dict[bytes, tuple[Permissions, Verdicts]] = {}
        self._same: dict[Hashable, Any] = {}

    def key(self, keyed_hash: bytes, row: ResolvedKey) -> AppKey:
        """The app key of ``row``."""
        permissions, allowed = self._rights_of(row.permissions)
        return AppKey(
            keyed_hash=keyed_hash,
            key_id=row.key_id,
            app_id=self._one(row.app_id),
            app_name=self._one(row.app_name),
            api_ids=self._one(row.api_ids),
            environment=self._one(row.environment),
            permissions=permissions,
            networks=tuple(ip_network(text) for text in row.from_ip),
            expires_at=row.expires_at,
            revoked=row.revoked,
            allowed=allowed,
            bounds=_bounds(row),
            models=self._one(row.models),
        )

    def clear(self) -> None:
        """Forget what was in common; keys that were made keep it."""
        self._rights.clear()
        self._same.clear()

    def _rights_of(self, given: Mapping[str, Any]) -> tuple[Permissions, Verdicts]:
        text = orjson.dumps(dict(given), option=orjson.OPT_SORT_KEYS)
        found = self._rights.get(text)
        if found is None:
            found = self._rights[text] = Permissions.from_json(dict(given)), {}
        return found

    def _one(self, value: _Value) -> _Value:
        found: _Value = self._same.setdefault(value, value)
        return found


def _bounds(row: ResolvedKey) -> Bounds | None:
    if not row.limits and not row.app_limits:
        return None
    limits, of_app = RequestLimits.from_json(dict(row.limits)), RequestLimits.from_json(dict(row.app_limits))
    return joined(bounds_of(limits, "key", row.key_id), bounds_of(of_app, "app", row.app_id))


def _too_many_lookups() -> Overloaded:
    return Overloaded("Too many unknown app keys are being looked up. Try again shortly.", retry_after=1)


class Snapshot:
    """What a worker knows: ``apis`` by name, ``keys`` by the hash of the key, those that were looked up so far.

    ``fresh_until`` is five seconds after it was last compared with the store, on the clock of ``time.monotonic``.
    ``tell`` hears of every change once it is served, and of None where everything was read anew; ``witness`` hears of
    what was opened in the vault.
    """

    def __init__(
        self,
        source: SnapshotSource,
        keyring: Keyring,
        guard: Guard,
        pool: Pool,
        tell: Tell = lambda _: None,
        witness: Witness | None = None,
    ) -> None:
        self._source = source
        self._tell = tell
        self._budgets: TellBudgets = lambda _: None
        self._keyring = keyring
        self._revealer = Revealer(keyring, witness or Openings().witness("serve"))
        self._pool = pool
        self._compiler = Compiler(guard, pool.lane)
        self._prices = Prices(source)
        self._version = -1
        self._epoch = 0
        self.apis: dict[bytes, Api] = {}
        self._by_id: dict[str, Api] = {}
        self.keys: dict[bytes, AppKey] = {}
        self._app_keys = AppKeys()
        self._lookups = asyncio.Semaphore(_LOOKUPS_AT_ONCE)
        self._waiting = 0
        self._minted: MintedKeys | None = None  # None where keys are not served
        self._strangers = 0
        self._catching_up = asyncio.Lock()
        self._looked = 0.0
        self.fresh_until = 0.0

    def tell_budgets(self, tell: TellBudgets) -> None:
        """``tell`` hears of all budgets, whenever one of them has changed."""
        self._budgets = tell

    def name_of(self, api_id: str) -> str:
        """The name of the API with this id; empty where it is gone."""
        found = self._by_id.get(api_id)
        return found.row.name if found is not None else ""

    @property
    def version(self) -> int:
        """The version of the latest change that is served, -1 before the first load."""
        return self._version

    @property
    def fresh(self) -> bool:
        """Whether what it knows may still be relied on."""
        return time.monotonic() < self.fresh_until

    async def find_key(self, keyed_hash: bytes) -> AppKey | None:
        """The key of this hash from the store, or None where there is none.

        The store is asked for keys that exist. For others it is only asked whether anything has changed, once for all
        who wait; they hold up nobody whose key exists. A key that changes while it is looked up is looked up again, so
        that nothing older than the snapshot is kept.

        Raises:
            Overloaded: too many wait already.
            NotReady: the store cannot be reached, or does not answer within five seconds.
        """
        try:
            async with asyncio.timeout(STALE_SECONDS):
                return await self._look_up(keyed_hash) if await self._may_exist(keyed_hash) else None
        except TimeoutError:
            raise NotReady("Tieline's store is too slow to check the app key. Try again.", retry_after=2) from None

    async def _may_exist(self, keyed_hash: bytes) -> bool:
        """Whether the store may have a key of this hash now. Raises Overloaded, NotReady."""
        minted = self._minted
        if minted is None or keyed_hash in minted:
            return True
        if self._strangers >= _LOOKUPS_WAITING:
            raise _too_many_lookups()
        self._strangers += 1
        try:
            await self.freshen()  # it may have been made a moment ago
        finally:
            self._strangers -= 1
        return self._minted is None or keyed_hash in self._minted

    async def _look_up(self, keyed_hash: bytes) -> AppKey | None:
        if self._waiting >= _LOOKUPS_WAITING:
            raise _too_many_lookups()
        self._waiting += 1
        try:
            async with self._lookups:
                while True:
                    epoch = self._epoch
                    row = await self._source.key_by_hash(keyed_hash)
                    if epoch == self._epoch:
                        return self._remember(keyed_hash, row)
        finally:
            self._waiting -= 1

    def _remember(self, keyed_hash: bytes, row: ResolvedKey | None) -> AppKey | None:
        if row is None:
            if self._minted is not None:
                self._minted.discard(keyed_hash)
            return None
        key = self._app_keys.key(keyed_hash, row)
        if len(self.keys) >= KEYS_MOST:
            self.keys.clear()
            self._app_keys.clear()
        self.keys[keyed_hash] = key
        return key

    async def load(self, *, only: str | None = None) -> None:
        """Read everything, or the one API named ``only``."""
        version = await self._source.version()
        await self._prices.refresh()
        self._epoch += 1
        self.keys.clear()
        self._app_keys.clear()
        if only is None:
            self._minted = await self._all_minted()
        credentials: dict[str, list[SealedCredential]] = {}
        for credential in await self._source.credentials():
            credentials.setdefault(credential.api_id, []).append(credential)
        rows = [row for row in await self._source.apis() if only is None or row.name == only]
        compiled = [await self._compiled(row, credentials.get(row.id, [])) for row in rows]
        self._by_id.clear()
        self.apis.clear()
        for api in compiled:
            self._put(api)
        self._forget_lanes()
        self._budgets(await self._source.budgets())
        self._tell(None)
        self._version = version
        self.fresh_until = time.monotonic() + STALE_SECONDS

    async def _all_minted(self) -> MintedKeys:
        minted, after = MintedKeys(), b""
        while hashes := await self._source.key_hashes(after, _HASHES_AT_ONCE):
            minted.add(hashes)
            after = hashes[-1]
        return minted

    async def freshen(self) -> bool:
        """Look for changes now instead of waiting to be told; whether there were any.

        For a request that is about to be refused: what it asks for may have been granted a moment ago. However many
        ask, the store is asked at most fifty times a second.
        """
        before, arrived = self._version, time.monotonic()
        async with self._catching_up:
            if self._looked <= arrived:  # else somebody has looked since
                await asyncio.sleep(self._looked + _LOOK_SECONDS - arrived)
                began = time.monotonic()
                await self._catch_up()
                self._looked = began  # only now: whoever looked may have been cancelled, and the next looks instead
        return self._version != before

    async def follow(self) -> None:
        """Keep up with the store until cancelled."""
        while True:
            try:
                await self._source.wait_for_change(POLL_SECONDS)
                async with self._catching_up:
                    await self._catch_up()
            except NotReady as error:
                log.warning("the store cannot be reached: %s", error.explained)
                await asyncio.sleep(0.2)
            else:
                self.fresh_until = time.monotonic() + STALE_SECONDS

    async def _catch_up(self) -> None:
        try:
            changes = await self._source.changes_since(self._version)
        except TooOld:
            await self.load()
            return
        if not changes:
            return
        apis = {change.ref for change in changes if change.kind in {"api", "credential"}}
        owners = {change.ref for change in changes if change.kind in {"app", "key"}}
        if owners:  # first: a revocation does not wait for a definition to be compiled
            self._epoch += 1
            stale = [held for held, key in self.keys.items() if key.key_id in owners or key.app_id in owners]
            for held in stale:
                del self.keys[held]
            if self._minted is not None:
                keys = [change.ref for change in changes if change.kind == "key"]
                self._minted.add(await self._source.hashes_of_keys(list(dict.fromkeys(keys))) if keys else ())
        if apis:
            await self._prices.refresh()
        for api_id in apis:
            await self._refresh(api_id)
        if apis:
            self._forget_lanes()
        if any(change.kind == "budget" for change in changes):
            self._budgets(await self._source.budgets())
        self._tell(changes)
        self._version = changes[-1].version

    async def _refresh(self, api_id: str) -> None:
        row = await self._source.api(api_id)
        credentials = await self._source.credentials(api_id) if row is not None else []
        compiled = await self._compiled(row, credentials) if row is not None else None
        old = self._by_id.pop(api_id, None)
        if old is not None:
            self.apis.pop(old.row.name.encode(), None)
        if compiled is not None:
            self._put(compiled)

    def _put(self, api: Api) -> None:
        self._by_id[api.row.id] = api
        self.apis[api.row.name.encode()] = api

    async def _compiled(self, row: ApiRow, credentials: Sequence[SealedCredential]) -> Api:
        """The API; the one that is served already where nothing has changed. What cannot be used says so in its plans.

        A definition is read in a thread, and again only where it changed: not for another credential.
        """
        before = self._by_id.get(row.id)
        if before is not None and before.row == row:
            if before.credentials == tuple(credentials) and before.price_state is self._prices.state:
                return before
            read = before.read
        else:
            read = await asyncio.to_thread(read_definition, row)
        priced = Priced(await self._prices.tables(read), self._prices.state)
        return self._compiler.compile(row, read, [await self._opened(row, each) for each in credentials], priced)

    async def _opened(self, row: ApiRow, credential: SealedCredential) -> OpenedCredential:
        """A credential of ``row`` with its values, or with what is wrong with it."""
        try:
            return OpenedCredential(credential, await self._revealer.opened(lambda: self._reveal(credential)))
        except (TielineError, ValueError, LookupError) as error:
            why = error.detail or error.public if isinstance(error, TielineError) else repr(error)
            log.warning("the %s credential of %s cannot be opened: %s", credential.environment, row.name, why)
            problem = CredentialMissing(
                f"The {credential.environment} credential of {row.name} cannot be opened: it was altered, or sealed "
                "under another root key. An operator sets it again."
            )
            return OpenedCredential(credential, {}, problem)

    def _reveal(self, credential: SealedCredential) -> dict[str, Secret]:
        return {
            field: self._revealer.reveal(
                Place("secrets", credential.id, field, credential.version, credential.environment), sealed
            )
            for field, sealed in credential.secrets.items()
        }

    def _forget_lanes(self) -> None:
        self._pool.keep_only({key for api in self._by_id.values() for key in api.lanes})
