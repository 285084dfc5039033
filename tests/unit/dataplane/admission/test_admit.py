"""Admission, without a socket: each check stands once and is made for every request, memo hits included."""

import asyncio
import time
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest

from tests.wire.stage import definition
from tieline.access import appkey
from tieline.access.permissions import Permissions
from tieline.core.errors import NotReady
from tieline.dataplane.admission.admit import Admission, Admitted, Memo, NeedsStore, Rejected
from tieline.dataplane.admission.fields import NOTABLE
from tieline.dataplane.snapshot.plan import Api
from tieline.dataplane.snapshot.view import AppKey, Snapshot
from tieline.testing.dataplane import MemorySource
from tieline.testing.requests import FakeClient
from tieline.testing.vault import memory_keyring
from tieline.wire.deadlines import Deadlines
from tieline.wire.guard import Guard
from tieline.wire.pool import Pool
from tieline.wire.request import Request
from tieline.wire.tls import Trust

PEPPER = b"pepper"
DOOR = b"/relay/"
SECRET = appkey.mint("live").reveal_bytes()
HASH = appkey.keyed_hash(PEPPER, SECRET)
BEARER = (b"Authorization", b"Bearer " + SECRET)
ASKER = FakeClient().request(b"GET", DOOR)


async def compiled(**changes: Any) -> Api:
    """The API called ``api``, compiled as a worker would."""
    source = MemorySource(await memory_keyring())
    source.put_api(definition(9, **changes))
    source.put_credential("api", {"key": "a-secret-of-the-provider"})
    guard = Guard(["127.0.0.1"])
    snapshot = Snapshot(source, source.keyring, guard, Pool(guard, Deadlines(), Trust()))
    await snapshot.load()
    api = snapshot.apis.get(b"api")
    assert api is not None
    return api


def key(**changes: Any) -> AppKey:
    """A key of an app that uses the API."""
    made = AppKey(
        HASH,
        "key_1",
        "app_1",
        "An app",
        frozenset({"api_api"}),
        "live",
        Permissions.from_json({"mode": "all"}),
        (),
        None,
        revoked=False,
        allowed={},
    )
    return replace(made, **changes)


class Known:
    """What the snapshot knows, and what a look into the store would show."""

    def __init__(self, api: Api | None, *keys: AppKey) -> None:
        self.apis = {b"api": api} if api is not None else {}
        self.keys = {each.keyed_hash: each for each in keys}
        self.version = 1
        self.fresh_until = float("inf")
        self.stored: list[tuple[Api | None, tuple[AppKey, ...]]] = []
        self.looks: list[str] = []
        self.error: NotReady | None = None
        self.go = asyncio.Event()
        self.go.set()

    async def find_key(self, keyed_hash: bytes) -> AppKey | None:
        self.looks.append("key")
        if self.error is not None:
            raise self.error
        return self.keys.setdefault(keyed_hash, key()) if keyed_hash == HASH else None

    async def freshen(self) -> bool:
        self.looks.append("change")
        await self.go.wait()
        if self.error is not None:
            raise self.error
        return False


def asked(client: FakeClient, *fields: tuple[bytes, bytes], path: bytes = b"/api/x", **changes: Any) -> Request:
    """A GET with the app key and ``fields``."""
    return client.request(b"GET", DOOR + path[1:], BEARER, *fields, noted=tuple(NOTABLE), **changes)


@pytest.fixture
async def known() -> Known:
    """The API and the key are known."""
    return Known(await compiled(), key())


def code(outcome: object) -> str:
    """What an outcome comes to: ``admitted``, or its error's code, with a question mark where the store is asked."""
    if isinstance(outcome, Rejected):
        return outcome.error.code
    if isinstance(outcome, NeedsStore):
        return outcome.otherwise.error.code + "?" if outcome.otherwise is not None else "key?"
    assert isinstance(outcome, Admitted)
    return "admitted"


async def test_a_known_key_is_admitted_and_what_was_found_out_stays_with_its_connection(known: Known) -> None:
    """The same words again are the same outcome, with what the door left in it; other words are another."""
    admission, client = Admission(known, PEPPER), FakeClient()
    first = admission.admit(asked(client), DOOR)
    assert isinstance(first, Admitted)
    assert (first.plan.environment, first.words.rest, first.way) == ("live", b"/x", None)
    assert admission.admit(asked(client), DOOR) is first
    assert admission.admit(asked(client, (b"Accept", b"*/*")), DOOR) is not first
    assert admission.admit(client.request(b"PUT", DOOR + b"api/x", BEARER), DOOR) is not first


async def test_a_connection_that_asks_for_something_of_its_own_is_not_remembered(known: Known) -> None:
    """Fields that ``Connection`` names, and an upgrade, are those of one request."""
    admission, client = Admission(known, PEPPER), FakeClient()
    admission.admit(asked(client, connection_field=b"x-own"), DOOR)
    admission.admit(asked(client, upgrade=True), DOOR)
    assert client.memo is None
    first = admission.admit(asked(client), DOOR)
    assert admission.admit(asked(client, connection_field=b"x-own"), DOOR) is not first


AGAINST: dict[str, tuple[dict[str, Any], str]] = {
    "expired": ({"expires_at": time.time() - 1}, "expired_app_key?"),
    "revoked": ({"revoked": True}, "revoked_app_key"),
    "network": ({"networks": (ip_network("10.0.0.0/8"),)}, "address_not_allowed?"),
    "not of the app": ({"api_ids": frozenset({"api_other"})}, "missing_permission?"),
}


@pytest.mark.parametrize(("change", "expected"), AGAINST.values(), ids=AGAINST)
@pytest.mark.parametrize("remembered", [False, True], ids=["first", "memo"])
async def test_each_check_of_a_key_is_made_also_for_a_memo(
    known: Known, change: dict[str, Any], expected: str, *, remembered: bool
) -> None:
    """The very key object that was remembered does not stand for a check: here its fields change under the memo."""
    admission, client = Admission(known, PEPPER), FakeClient()
    if remembered:
        first = admission.admit(asked(client), DOOR)
        assert isinstance(first, Admitted)
        for name, value in change.items():
            object.__setattr__(first.key, name, value)
    else:
        known.keys[HASH] = key(**change)
    assert code(admission.admit(asked(client), DOOR)) == expected


async def test_a_key_that_ends_is_refused_on_a_connection_that_remembers_it(known: Known) -> None:
    """Nothing changes but the time."""
    known.keys[HASH] = ending = key(expires_at=time.time() + 1000)
    admission, client = Admission(known, PEPPER), FakeClient()
    assert code(admission.admit(asked(client), DOOR)) == "admitted"
    object.__setattr__(ending, "expires_at", time.time() - 0.001)
    assert code(admission.admit(asked(client), DOOR)) == "expired_app_key?"


@pytest.mark.parametrize("remembered", [False, True], ids=["first", "memo"])
async def test_nobody_is_admitted_by_a_stale_snapshot(known: Known, *, remembered: bool) -> None:
    """A key may have been revoked since the store was last reached."""
    admission, client = Admission(known, PEPPER), FakeClient()
    if remembered:
        admission.admit(asked(client), DOOR)
    known.fresh_until = 0.0
    assert code(admission.admit(asked(client), DOOR)) == "not_ready"


async def test_a_memo_does_not_outlive_key_or_api(known: Known) -> None:
    """Another object of either is another decision; where the key is gone it is asked for."""
    admission, client = Admission(known, PEPPER), FakeClient()
    first = admission.admit(asked(client), DOOR)
    known.keys[HASH] = key()
    second = admission.admit(asked(client), DOOR)
    known.apis[b"api"] = await compiled()
    third = admission.admit(asked(client), DOOR)
    assert first is not second
    assert second is not third
    assert isinstance(third, Admitted)
    assert third.plan is known.apis[b"api"].plans["live"]
    known.keys.clear()
    assert code(admission.admit(asked(client), DOOR)) == "key?"
    known.keys[HASH] = key()
    known.apis.clear()
    assert code(admission.admit(asked(client), DOOR)) == "unknown_api?"


async def test_what_is_served_no_more_is_forgotten_at_once(known: Known) -> None:
    """An idle connection keeps no replaced API, and so none of its secrets, in memory; a key neither."""
    admission, client = Admission(known, PEPPER), FakeClient()
    first = admission.admit(asked(client), DOOR)
    assert isinstance(first, Admitted)
    admission.changed()
    assert admission.admit(asked(client), DOOR) is first
    known.apis[b"api"] = await compiled()
    admission.changed()
    assert isinstance(client.memo, Memo)
    assert client.memo.admitted is None
    admission.admit(asked(client), DOOR)
    known.keys.clear()
    admission.changed()
    assert client.memo.admitted is None


BY_WORDS: dict[str, tuple[tuple[bytes, bytes], bytes, str]] = {
    "method override": ((b"X-HTTP-Method-Override", b"DELETE"), b"/api/x", "invalid_request"),
    "method override in the query": ((b"Accept", b"*/*"), b"/api/x?_method=DELETE", "invalid_request"),
    "no environment": ((b"Tieline-Environment", b"test"), b"/api/x", "invalid_request"),
    "the other environment": ((b"Tieline-Environment", b"development"), b"/api/x", "environment_not_allowed"),
    "its own environment": ((b"Tieline-Environment", b"live"), b"/api/x", "admitted"),
    "no such API": ((b"Accept", b"*/*"), b"/nothing/x", "unknown_api?"),
}


@pytest.mark.parametrize(("field", "path", "expected"), BY_WORDS.values(), ids=BY_WORDS)
async def test_what_the_words_say_is_checked_each_time(
    known: Known, field: tuple[bytes, bytes], path: bytes, expected: str
) -> None:
    """The second request is the same again, on the same connection."""
    admission, client = Admission(known, PEPPER), FakeClient()
    assert code(admission.admit(asked(client, field, path=path), DOOR)) == expected
    assert code(admission.admit(asked(client, field, path=path), DOOR)) == expected


async def test_a_key_is_told_what_is_wrong_with_it_before_what_is_wrong_with_its_request(known: Known) -> None:
    """A revoked key learns nothing of which APIs there are."""
    known.keys[HASH] = key(revoked=True)
    admission = Admission(known, PEPPER)
    fields = (b"X-HTTP-Method", b"DELETE")
    outcome = admission.admit(asked(FakeClient(), fields, path=b"/nothing/x"), DOOR)
    assert isinstance(outcome, Rejected)
    assert outcome.error.code == "revoked_app_key"
    assert outcome.error.public == "This app key was revoked. Ask an operator for a new one."


async def test_a_key_that_is_not_found_or_has_no_form_may_stand_as_a_new_api_says(known: Known) -> None:
    """As AWS's clients write it, with a scope behind it; several keys are several whatever the store says."""
    admission, client = Admission(known, PEPPER), FakeClient()
    scoped = (b"Authorization", b"AWS4-HMAC-SHA256 Credential=" + SECRET + b"/20261130/eu/s3/aws4_request")
    assert code(admission.admit(client.request(b"GET", b"/relay/new/x", scoped), DOOR)) == "invalid_app_key?"
    assert code(admission.admit(client.request(b"GET", b"/relay/new/x"), DOOR)) == "missing_app_key?"
    two = client.request(b"GET", b"/relay/api/x", BEARER, (b"X-Api-Key", b"tl_live_other"))
    assert code(admission.admit(two, DOOR)) == "invalid_request"


async def test_a_name_that_cannot_be_one_is_not_repeated(known: Known) -> None:
    """It may be a secret that somebody put in the wrong place."""
    outcome = Admission(known, PEPPER).admit(asked(FakeClient(), path=b"/sk-Secret_1/x"), DOOR)
    assert isinstance(outcome, NeedsStore)
    assert outcome.otherwise is not None
    assert "Secret" not in outcome.otherwise.error.public


async def test_a_look_for_a_key_finds_it_or_is_final(known: Known) -> None:
    """One question to the store for a key that is unknown."""
    known.keys.clear()
    admission, client = Admission(known, PEPPER), FakeClient()
    needed = admission.admit(asked(client), DOOR)
    assert isinstance(needed, NeedsStore)
    assert await admission.look(needed, ASKER) is None
    assert code(admission.admit(asked(client), DOOR, needed.words)) == "admitted"
    rejected = await admission.look(replace(needed, keyed_hash=b"another"), ASKER)
    assert code(rejected) == "invalid_app_key"
    assert known.looks == ["key", "key"]


async def test_a_look_for_a_change_is_over_when_the_snapshot_is_newer(known: Known) -> None:
    """Also where another request, or the worker itself, caught up meanwhile; and it is made once for each request."""
    admission = Admission(known, PEPPER)
    needed = admission.admit(asked(FakeClient(), path=b"/nothing/x"), DOOR)
    assert isinstance(needed, NeedsStore)
    assert await admission.look(needed, ASKER) is needed.otherwise
    known.version = 2
    assert await admission.look(needed, ASKER) is None
    assert await admission.look(needed, ASKER, again=True) is needed.otherwise
    assert known.looks == ["change", "change"]


async def test_a_store_that_is_away_is_said(known: Known) -> None:
    """The request is not refused for what could not be looked up."""
    admission = Admission(known, PEPPER)
    needed = admission.admit(asked(FakeClient(), path=b"/nothing/x"), DOOR)
    known.error = NotReady("away")
    assert isinstance(needed, NeedsStore)
    assert await admission.look(needed, ASKER) == Rejected(known.error, known.keys[HASH])
    assert await admission.look(NeedsStore(None, 1, b"another"), ASKER) == Rejected(known.error)


async def test_a_look_that_takes_too_long_is_given_up(known: Known, monkeypatch: pytest.MonkeyPatch) -> None:
    """The request is told to try again; whoever comes next may look once more."""
    monkeypatch.setattr("tieline.dataplane.admission.admit.STALE_SECONDS", 0)
    admission = Admission(known, PEPPER)
    needed = admission.admit(asked(FakeClient(), path=b"/nothing/x"), DOOR)
    assert isinstance(needed, NeedsStore)
    known.go.clear()
    outcome = await admission.look(needed, ASKER)
    assert isinstance(outcome, Rejected)
    assert (outcome.error.code, outcome.error.retry_after, outcome.key) == ("not_ready", 2, known.keys[HASH])
    assert admission.looking == 0


async def test_so_many_wait_for_a_look_and_no_more(known: Known, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next is told what the snapshot knows; one that was served makes room."""
    monkeypatch.setattr("tieline.dataplane.admission.admit.LOOKING_MOST", 2)
    admission = Admission(known, PEPPER)
    needed = admission.admit(asked(FakeClient(), path=b"/nothing/x"), DOOR)
    assert isinstance(needed, NeedsStore)
    known.go.clear()
    waiting = [asyncio.create_task(admission.look(needed, ASKER)) for _ in range(2)]
    await asyncio.sleep(0)
    assert admission.looking == 2
    assert await admission.look(needed, ASKER) is needed.otherwise
    assert known.looks == ["change", "change"]
    known.go.set()
    await asyncio.gather(*waiting)
    await admission.look(needed, ASKER)
    assert known.looks == ["change"] * 3
    assert admission.looking == 0


async def test_a_door_may_ask_whether_an_operator_has_just_changed_what_it_refuses(known: Known) -> None:
    """What stands otherwise names the key, and the words are not read again."""
    admission, error = Admission(known, PEPPER), NotReady("no")
    admitted = admission.admit(asked(FakeClient()), DOOR)
    assert isinstance(admitted, Admitted)
    known.version = 7
    needed = admission.unless_changed(error, admitted)
    assert needed == NeedsStore(Rejected(error, admitted.key), 7, None, admitted.words)


@pytest.mark.parametrize(
    ("target", "shape"),
    [
        (b"/relay/api", "openai"),
        (b"/relay/api/x/y?a=/b", "openai"),
        (b"/relay/api?a=1?b", "openai"),
        (b"/relay/other/x", "tieline"),
        (b"/relay/", "tieline"),
    ],
)
async def test_errors_have_the_shape_of_the_api_that_was_asked_for(target: bytes, shape: str) -> None:
    """Whoever asks; Tieline's own where there is no such API."""
    admission = Admission(Known(await compiled(errors="openai")), PEPPER)
    assert admission.error_shape(FakeClient().request(b"GET", target), DOOR) == shape


async def test_each_connection_forgets_for_itself(known: Known) -> None:
    """One that has nothing to forget holds up no other."""
    admission, clients = Admission(known, PEPPER), [FakeClient() for _ in range(12)]
    for client in clients:
        admission.admit(asked(client), DOOR)
    memos = [client.memo for client in clients if isinstance(client.memo, Memo)]
    for memo in memos[::2]:
        memo.forget()
    known.keys.clear()
    admission.changed()
    assert [memo.admitted for memo in memos] == [None] * 12


async def test_what_is_missing_is_named(known: Known) -> None:
    """The API, and who may not use it; an API that there is not, where it could be one's name."""
    known.keys[HASH] = key(api_ids=frozenset({"api_other"}))
    admission = Admission(known, PEPPER)
    told = []
    for path in (b"/api/x", b"/nothing/x"):
        outcome = admission.admit(asked(FakeClient(), path=path), DOOR)
        assert isinstance(outcome, NeedsStore)
        assert outcome.otherwise is not None
        assert outcome.otherwise.key is known.keys[HASH]
        told.append((outcome.otherwise.error.param, outcome.otherwise.error.public))
    assert [param for param, _ in told] == ["api", "nothing"]
    assert "An app" in told[0][1]
    assert "/relay/" in told[1][1]


async def test_a_key_may_be_used_from_its_networks(known: Known) -> None:
    """Also where the client's address has a zone, or is an IPv4 address as IPv6 writes it."""
    networks = (ip_network("10.0.0.0/8"), ip_network("fe80::/10"))
    known.keys[HASH] = key(networks=networks)
    admission = Admission(known, PEPPER)
    outcomes = [
        code(admission.admit(asked(FakeClient(peer)), DOOR))
        for peer in ("10.1.2.3", "::ffff:10.1.2.3", "fe80::1%eth0", "11.1.2.3")
    ]
    assert outcomes == ["admitted", "admitted", "admitted", "address_not_allowed?"]


REFUSED_KNOWING_THE_KEY: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "stale": ({}, {"fresh_until": 0.0}, "not_ready"),
    "revoked": ({"revoked": True}, {}, "revoked_app_key"),
    "the words": ({}, {"field": (b"Tieline-Environment", b"test")}, "invalid_request"),
    "the environment": ({}, {"field": (b"Tieline-Environment", b"development")}, "environment_not_allowed"),
}


@pytest.mark.parametrize(("change", "how", "expected"), REFUSED_KNOWING_THE_KEY.values(), ids=REFUSED_KNOWING_THE_KEY)
async def test_a_refusal_names_the_key_where_it_is_known(
    known: Known, change: dict[str, Any], how: dict[str, Any], expected: str
) -> None:
    """It is recorded as that key's."""
    known.keys[HASH] = key(**change)
    known.fresh_until = how.get("fresh_until", known.fresh_until)
    fields = (how["field"],) if "field" in how else ()
    outcome = Admission(known, PEPPER).admit(asked(FakeClient(), *fields), DOOR)
    assert isinstance(outcome, Rejected)
    assert (outcome.error.code, outcome.key) == (expected, known.keys[HASH])


async def test_what_the_store_is_asked_for_belongs_to_the_snapshot_it_was_missed_in(known: Known) -> None:
    """Its version, so that a newer one is no reason to ask; and the words, so that they are not read again."""
    known.version = 7
    admission = Admission(known, PEPPER)
    known.keys[HASH] = key(api_ids=frozenset())
    no_right = admission.admit(asked(FakeClient()), DOOR)
    no_key_at_all = admission.admit(FakeClient().request(b"GET", b"/relay/new/x"), DOOR)
    known.keys.clear()
    no_such_key = admission.admit(asked(FakeClient()), DOOR)
    for outcome in (no_right, no_key_at_all, no_such_key):
        assert isinstance(outcome, NeedsStore)
        assert outcome.version == 7
    assert isinstance(no_right, NeedsStore)
    assert isinstance(no_such_key, NeedsStore)
    assert (no_right.keyed_hash, no_such_key.keyed_hash) == (None, HASH)
    for outcome in (no_right, no_such_key):
        assert outcome.words is not None
        assert outcome.words.name == b"api"


async def test_a_connection_has_one_memo(known: Known) -> None:
    """The next words take the place of the last."""
    admission, client = Admission(known, PEPPER), FakeClient()
    admission.admit(asked(client), DOOR)
    memo = client.memo
    admission.admit(asked(client, path=b"/api/y"), DOOR)
    assert client.memo is memo
    assert admission.admit(asked(client, path=b"/api/y"), DOOR) is admission.admit(asked(client, path=b"/api/y"), DOOR)


async def test_the_address_that_a_network_does_not_hold_is_told(known: Known) -> None:
    """As Tieline sees it."""
    known.keys[HASH] = key(networks=(ip_network("10.0.0.0/8"),))
    outcome = Admission(known, PEPPER).admit(asked(FakeClient("11.1.2.3")), DOOR)
    assert isinstance(outcome, NeedsStore)
    assert outcome.otherwise is not None
    assert "11.1.2.3" in outcome.otherwise.error.public


async def test_what_follows_the_name_is_the_rest(known: Known) -> None:
    """With every slash in it; a query and a control field without an environment are no fault."""
    outcome = Admission(known, PEPPER).admit(
        asked(FakeClient(), (b"Idempotency-Key", b"k"), path=b"/api/x/y?a=/b"), DOOR
    )
    assert isinstance(outcome, Admitted)
    assert (outcome.words.name, outcome.words.rest, outcome.words.query) == (b"api", b"/x/y", b"a=/b")


async def test_the_key_is_looked_for_where_the_api_says() -> None:
    """A header of its own scheme."""
    api = await compiled(auth={"scheme": "api_key", "name": "X-Own-Key"})
    request = FakeClient().request(b"GET", b"/relay/api/x", (b"X-Own-Key", SECRET))
    assert code(Admission(Known(api, key()), PEPPER).admit(request, DOOR)) == "admitted"
