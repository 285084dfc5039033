"""The snapshot keeps up with the store, and what changes while it is looked at is never kept as it was."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from tests.wire.raw import until
from tests.wire.stage import PROVIDER_KEY, definition
from tieline.access import appkey
from tieline.core.errors import NotReady, Overloaded
from tieline.dataplane.snapshot import view as module
from tieline.dataplane.snapshot.view import AppKey, AppKeys, Snapshot, Tell
from tieline.ports.keys import ResolvedKey
from tieline.ports.snapshot import Change
from tieline.testing.dataplane import MemorySource
from tieline.testing.vault import MemoryDataKeyStore, fake_root_key, memory_keyring
from tieline.vault.keyring import Keyring
from tieline.wire.deadlines import Deadlines
from tieline.wire.guard import Guard
from tieline.wire.pool import Pool
from tieline.wire.tls import Trust


@pytest.fixture
async def source() -> MemorySource:
    """A store with one API, its credential and no key."""
    source = MemorySource(await memory_keyring())
    source.put_api(definition(9))
    source.put_credential("api", {"key": PROVIDER_KEY})
    return source


@pytest.fixture
async def snapshot(source: MemorySource, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Snapshot]:
    """A loaded snapshot that follows the store, with short naps."""
    monkeypatch.setattr(module, "POLL_SECONDS", 0.05)
    made = make(source)
    await made.load()
    following = asyncio.create_task(made.follow())
    yield made
    following.cancel()
    await asyncio.wait([following])


def make(source: MemorySource, keyring: Keyring | None = None, tell: Tell = lambda _: None) -> Snapshot:
    """A snapshot of ``source``, not loaded."""
    pool = Pool(Guard(["127.0.0.1"]), Deadlines(), Trust())
    return Snapshot(source, keyring or source.keyring, Guard(["127.0.0.1"]), pool, tell)


async def seen(snapshot: Snapshot, source: MemorySource) -> None:
    """Wait until every change is seen."""
    await until(lambda: snapshot.version >= len(source.log))


def hashed(source: MemorySource, secret: str) -> bytes:
    """What a key is found by."""
    return appkey.keyed_hash(source.keyring.derive("app-key"), secret.encode())


class SlowLookup:
    """Lets a test change the store between the moment a row is read and the moment it arrives."""

    def __init__(self, source: MemorySource) -> None:
        self.read = asyncio.Event()
        self.go = asyncio.Event()
        self.count = 0
        self._key_by_hash = source.key_by_hash
        source.key_by_hash = self  # type: ignore[method-assign]

    async def __call__(self, keyed_hash: bytes) -> ResolvedKey | None:
        row = await self._key_by_hash(keyed_hash)
        self.count += 1
        self.read.set()
        if self.count == 1:
            await self.go.wait()
        return row


async def test_a_key_is_looked_up_once(snapshot: Snapshot, source: MemorySource) -> None:
    """After that it is known, until it changes."""
    keyed_hash = hashed(source, source.put_key("api"))
    assert snapshot.keys.get(keyed_hash) is None
    found = await snapshot.find_key(keyed_hash)
    assert found is not None
    assert snapshot.keys.get(keyed_hash) is found


async def test_a_key_that_nobody_has_is_not_remembered(snapshot: Snapshot) -> None:
    """It may be made in the next moment, and strangers do not fill the memory."""
    assert await snapshot.find_key(b"x" * 32) is None
    assert snapshot.keys.get(b"x" * 32) is None


async def test_a_key_that_changes_while_it_is_looked_up_is_looked_up_again(
    snapshot: Snapshot, source: MemorySource
) -> None:
    """What was read before the change is thrown away, even though it arrives after it."""
    secret = source.put_key("api")
    await seen(snapshot, source)
    lookup = SlowLookup(source)
    finding = asyncio.create_task(snapshot.find_key(hashed(source, secret)))
    await lookup.read.wait()
    source.change_key(secret, revoked=True)
    await seen(snapshot, source)
    lookup.go.set()
    found = await finding
    assert found is not None
    assert found.revoked
    assert lookup.count == 2


async def test_a_change_seen_after_the_lookup_drops_the_key(snapshot: Snapshot, source: MemorySource) -> None:
    """The other order: the old row is kept for a moment, and dropped with the change."""
    secret = source.put_key("api")
    keyed_hash = hashed(source, secret)
    await seen(snapshot, source)
    await snapshot.find_key(keyed_hash)
    source.change_key(secret, revoked=True)
    await seen(snapshot, source)
    assert snapshot.keys.get(keyed_hash) is None


async def test_a_change_of_the_app_drops_its_keys(snapshot: Snapshot, source: MemorySource) -> None:
    """Which APIs a key opens belongs to its app."""
    keyed_hash = hashed(source, source.put_key("api"))
    await seen(snapshot, source)
    await snapshot.find_key(keyed_hash)
    source._note("app", "app_1")
    await seen(snapshot, source)
    assert snapshot.keys.get(keyed_hash) is None


async def test_other_keys_stay(snapshot: Snapshot, source: MemorySource) -> None:
    """A change concerns whom it names; a busy store does not make a lookup start over and over."""
    one, two = source.put_key("api"), source.put_key("api")
    await seen(snapshot, source)
    known = [await snapshot.find_key(hashed(source, secret)) for secret in (one, two)]
    source.change_key(one, revoked=True)
    source.put_credential("api", {"key": "sk-sandbox-" + "rotated"})
    await seen(snapshot, source)
    assert snapshot.keys.get(hashed(source, one)) is None
    assert snapshot.keys.get(hashed(source, two)) is known[1]


async def test_a_log_that_was_cut_loads_everything_again(snapshot: Snapshot, source: MemorySource) -> None:
    """TooOld: nothing that was known is trusted any more."""
    secret = source.put_key("api")
    await seen(snapshot, source)
    await snapshot.find_key(hashed(source, secret))
    source.reach = 0
    source.change_key(secret, revoked=True)
    source.put_api(definition(9, title="Another title"))
    source.put_api(definition(9, api="new"))
    await seen(snapshot, source)
    assert snapshot.keys.get(hashed(source, secret)) is None
    assert snapshot.apis.get(b"new") is not None
    api = snapshot.apis.get(b"api")
    assert api is not None
    assert api.plans["live"].title == "Another title"


async def test_whoever_holds_tokens_hears_of_every_change(source: MemorySource) -> None:
    """Of each by kind and id once it is served, and that anything may have changed where the log was cut."""
    told: list[Any] = []
    snapshot = make(source, tell=told.append)
    await snapshot.load()
    key = source.put_key("api")
    await snapshot.freshen()
    assert [told[0], [(each.kind, each.ref) for each in told[1]]] == [None, [("key", source.log[-1].ref)]]
    source.reach = 0
    source.change_key(key, revoked=True)
    await snapshot.freshen()
    assert told[2:] == [None]


async def test_a_lookup_across_a_full_load_is_made_again(snapshot: Snapshot, source: MemorySource) -> None:
    """A load counts as a change of every key."""
    secret = source.put_key("api")
    await seen(snapshot, source)
    lookup = SlowLookup(source)
    finding = asyncio.create_task(snapshot.find_key(hashed(source, secret)))
    await lookup.read.wait()
    source.reach = 0
    source.change_key(secret, revoked=True)
    await seen(snapshot, source)
    lookup.go.set()
    found = await finding
    assert found is not None
    assert found.revoked


async def test_a_secret_sealed_with_a_newer_data_key_opens(source: MemorySource) -> None:
    """Another process made a data key after this one had opened the vault: it is fetched."""
    store = MemoryDataKeyStore()
    ours = await Keyring.open(fake_root_key(), store)
    source.keyring = ours
    made = make(source, ours)
    for data_key in list(store.keys.values()):
        retired = data_key.created_at
        store.keys[data_key.id] = type(data_key)(
            data_key.id, data_key.root_key_id, data_key.wrapped, data_key.created_at, retired
        )
    theirs = await Keyring.open(fake_root_key(), store)
    assert theirs.current[0] != ours.current[0]
    source.put_credential("api", {"key": PROVIDER_KEY}, keyring=theirs)
    await made.load()
    api = made.apis.get(b"api")
    assert api is not None
    assert api.plans["live"].problem is None


async def test_a_secret_that_does_not_open_is_told_by_its_environment_alone(
    snapshot: Snapshot, source: MemorySource, caplog: pytest.LogCaptureFixture
) -> None:
    """An API whose credential was altered is not served with an old one; the others are."""
    source.put_api(definition(9, api="other"))
    row = source.sealed[("api_api", "live")]
    sealed = row.secrets["key"]
    broken = type(sealed)(sealed.data_key_id, sealed.nonce, b"x" + sealed.ciphertext[1:])
    source.sealed[("api_api", "live")] = type(row)(row.id, row.api_id, "live", row.version, (), {"key": broken})
    source._note("credential", "api_api")
    await seen(snapshot, source)
    api, other = snapshot.apis.get(b"api"), snapshot.apis.get(b"other")
    assert api is not None
    assert other is not None
    assert (api.plans["live"].problem, api.plans["live"].lane) != (None, None)
    assert "cannot be opened" in str(api.plans["live"].problem)
    assert PROVIDER_KEY not in caplog.text


async def test_an_api_that_did_not_change_keeps_its_plans(snapshot: Snapshot, source: MemorySource) -> None:
    """What is remembered about a plan stays true."""
    before = snapshot.apis.get(b"api")
    source._note("api", "api_api")
    await seen(snapshot, source)
    assert snapshot.apis.get(b"api") is before


async def test_a_renamed_api_is_found_by_its_new_name_only(snapshot: Snapshot, source: MemorySource) -> None:
    """The old name leads nowhere."""
    row = source.rows["api_api"]
    text = row.definition.replace('"api":"api"', '"api":"renamed"')
    source.rows["api_api"] = replace(row, name="renamed", definition=text, revision=row.revision + 1)
    source._note("api", "api_api")
    await seen(snapshot, source)
    assert snapshot.apis.get(b"api") is None
    assert snapshot.apis.get(b"renamed") is not None


async def test_a_store_that_comes_back_is_followed_on(
    snapshot: Snapshot, source: MemorySource, caplog: pytest.LogCaptureFixture
) -> None:
    """Changes made while it was away are seen at once."""
    secret = source.put_key("api")
    keyed_hash = hashed(source, secret)
    await seen(snapshot, source)
    await snapshot.find_key(keyed_hash)
    source.away = True
    await asyncio.sleep(0.3)
    source.change_key(secret, revoked=True)
    source.away = False
    await seen(snapshot, source)
    assert snapshot.keys.get(keyed_hash) is None
    assert "cannot be reached" in caplog.text


async def test_a_change_that_could_not_be_read_to_its_end_is_read_again(
    snapshot: Snapshot, source: MemorySource, caplog: pytest.LogCaptureFixture
) -> None:
    """The store fails between the log and the row: the change is not lost."""
    api = source.api
    failures = 0

    async def failing(api_id: str) -> Any:
        nonlocal failures
        failures += 1
        if failures < 3:
            raise NotReady("away")
        return await api(api_id)

    source.api = failing  # type: ignore[method-assign]
    source.put_api(definition(9, title="Another title"))
    await seen(snapshot, source)
    found = snapshot.apis.get(b"api")
    assert found is not None
    assert found.plans["live"].title == "Another title"


async def test_freshness_ends(snapshot: Snapshot, source: MemorySource, monkeypatch: pytest.MonkeyPatch) -> None:
    """A snapshot that was not compared with its store for so long is not fresh."""
    monkeypatch.setattr(module, "STALE_SECONDS", 1.0)
    await until(lambda: snapshot.fresh)
    source.away = True
    await until(lambda: not snapshot.fresh)


async def test_lookups_that_wait_are_bounded(
    snapshot: Snapshot, source: MemorySource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A storm of keys that were not seen before is turned away; what the store never answers ends as not ready."""
    monkeypatch.setattr(module, "_LOOKUPS_WAITING", 40)
    monkeypatch.setattr(module, "STALE_SECONDS", 0.2)
    at_once = most = 0

    async def stuck(keyed_hash: bytes) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        try:
            await asyncio.sleep(60)
        finally:
            at_once -= 1

    hashes = [hashed(source, source.put_key("api")) for _ in range(60)]
    await seen(snapshot, source)
    source.key_by_hash = stuck  # type: ignore[method-assign]
    looks = [asyncio.create_task(snapshot.find_key(each)) for each in hashes]
    got = await asyncio.gather(*looks, return_exceptions=True)
    assert sum(isinstance(each, Overloaded) for each in got) == 20
    assert sum(isinstance(each, NotReady) for each in got) == 40
    assert most == 16
    assert snapshot._waiting == 0


class Asked:
    """Counts how often the store is asked for a key, and for changes."""

    def __init__(self, source: MemorySource) -> None:
        self.keys = self.changes = 0
        self._key, self._since = source.key_by_hash, source.changes_since
        source.key_by_hash = self.key  # type: ignore[method-assign]
        source.changes_since = self.since  # type: ignore[method-assign]

    async def key(self, keyed_hash: bytes) -> ResolvedKey | None:
        self.keys += 1
        return await self._key(keyed_hash)

    async def since(self, version: int) -> list[Change]:
        self.changes += 1
        return await self._since(version)


async def test_unknown_keys_cost_no_look_up_and_hold_up_no_known_one(
    source: MemorySource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many come at once, the store is asked once for all whether anything has changed; the rest is refused."""
    monkeypatch.setattr(module, "_LOOKUPS_WAITING", 500)
    known = [hashed(source, source.put_key("api")) for _ in range(20)]
    snapshot = make(source)
    await snapshot.load()
    asked = Asked(source)
    strangers = [asyncio.create_task(snapshot.find_key(b"%032d" % number)) for number in range(2000)]
    found = [asyncio.create_task(snapshot.find_key(each)) for each in known]
    got = await asyncio.gather(*strangers, return_exceptions=True)
    assert all([await each is not None for each in found])
    assert got.count(None) == 500
    assert sum(isinstance(each, Overloaded) for each in got) == 1500
    assert (asked.keys, asked.changes) == (20, 1)
    assert snapshot._strangers == 0


async def test_a_key_is_found_the_moment_it_was_made(source: MemorySource) -> None:
    """A snapshot that has not heard of the key asks what has changed; one that is gone is looked for once."""
    snapshot = make(source)
    await snapshot.load()
    asked = Asked(source)
    made = hashed(source, source.put_key("api"))
    assert await snapshot.find_key(made) is not None
    del source.keys[made]
    snapshot.keys.clear()
    assert [await snapshot.find_key(made) for _ in range(3)] == [None] * 3
    assert asked.keys == 2


async def test_the_memory_of_keys_is_bounded(
    snapshot: Snapshot, source: MemorySource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond its size it begins anew rather than grow."""
    monkeypatch.setattr(module, "KEYS_MOST", 10)
    secrets = [source.put_key("api") for _ in range(25)]
    await seen(snapshot, source)
    for secret in secrets:
        assert await snapshot.find_key(hashed(source, secret)) is not None
    assert len(snapshot.keys) <= 10


@pytest.mark.parametrize(
    ("networks", "address", "allowed"),
    [
        ([], "203.0.113.9", True),
        (["203.0.113.0/24"], "203.0.113.9", True),
        (["203.0.113.0/24"], "::ffff:203.0.113.9", True),
        (["203.0.113.0/24"], "203.0.114.9", False),
        (["2001:db8::/32"], "2001:db8::1", True),
        (["2001:db8::/32"], "203.0.113.9", False),
        (["203.0.113.9/32", "2001:db8::/32"], "2001:db9::", False),
    ],
)
def test_a_keys_networks(networks: list[str], address: str, *, allowed: bool) -> None:
    """An IPv4 client of a dual-stack listener is an IPv4 client."""
    row = ResolvedKey(
        "key_1", "sec_1", "app_1", "App", frozenset(), "live", {"mode": "all"}, tuple(networks), None, False
    )
    assert AppKeys().key(bytes(32), row).may_call_from(ip_address(address)) is allowed


def test_keys_with_the_same_permissions_share_what_they_may() -> None:
    """In whatever order their grants are written; another key's permissions are another matter."""
    made = AppKeys()

    def key(number: int, permissions: Mapping[str, Any]) -> AppKey:
        row = ResolvedKey(f"key_{number}", "s", "app", "App", frozenset(), "live", permissions, (), None, False)
        return made.key(bytes(32), row)

    one = key(1, {"mode": "restricted", "grants": {"a": {"x": "read", "y": "write"}}})
    same = key(2, {"grants": {"a": {"y": "write", "x": "read"}}, "mode": "restricted"})
    other = key(3, {"mode": "restricted", "grants": {"a": {"x": "write", "y": "write"}}})
    assert one.allowed is same.allowed
    assert one.permissions is same.permissions
    assert other.allowed is not one.allowed
