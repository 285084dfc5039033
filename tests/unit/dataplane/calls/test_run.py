"""One run of a call, without sockets: what is sent, what is given, whose answer it is, and what is kept of it."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.dataplane.calls.runs import ANN, BOB, Given, Upstream, app_key, arguments, stage
from tests.unit.dataplane.test_plan import compiled
from tieline.core.errors import (
    CredentialMissing,
    IdempotencyInProgress,
    IdempotencyMismatch,
    MissingPermission,
    TielineError,
    UpstreamFailed,
    UpstreamProtocolError,
    UpstreamUnreachable,
)
from tieline.dataplane.calls.arguments import Arguments
from tieline.dataplane.calls.reading import LARGE
from tieline.dataplane.calls.recording import RECORDED_MOST

KEY = b"order-1"
STREAM = {"path": "/it", "response": {"type": "stream", "stream": {"preset": "openai_chat"}}}
EVENTS = [(b"content-type", b"text/event-stream")]
GOOD = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\ndata: [DONE]\n\n'
CUT = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
CACHED = {"path": "/it", "cache": {"ttl": "5m"}, "parameters": {"n": {"in": "query", "optional": True}}}
PAGED = {
    "path": "/it",
    "parameters": {"page": {"in": "query", "type": "integer", "default": 1}},
    "pagination": {"kind": "page", "parameter": "page", "items": "items"},
}


def numbered(*numbers: int) -> list[Upstream]:
    """Answers that can be told apart."""
    return [Upstream(b'{"n":%d}' % number) for number in numbers]


# -- what is sent, and given


async def test_an_answer_is_given_with_its_facts() -> None:
    """What a record is made of is known afterwards."""
    found = await stage(Upstream(b'{"a": 1}', 201))
    run, given = found.run(), Given()
    await run.run(arguments(), given)
    assert given.wholes == [b'{"a": 1}']
    assert (run.path, run.status, run.sent_at, run.answered_at) == ("/it", 201, 1.0, 2.0)


async def test_what_a_key_may_not_is_not_sent() -> None:
    """Nothing leaves, once a look into the store found nothing else."""
    areas = [{"area": "x", "title": "X", "levels": ["read"], "match": ["* /it"]}]
    api = await compiled({"key": "sk-unit-provider-key"}, areas=areas, calls={"it": {"path": "/it"}})
    found = await stage(permissions={"mode": "restricted", "grants": {}})
    found.plan = api.plans["live"]
    with pytest.raises(MissingPermission):
        await found.ran()
    assert (found.way.orders, found.looked) == ([], 1)


async def test_what_has_just_been_granted_is_sent() -> None:
    """The second look's target is the one that is run."""
    found = await stage(permissions={"mode": "restricted", "grants": {}})
    run = found.run()
    found.again = replace(run.target, key=app_key())
    given = Given()
    await run.run(arguments(), given)
    assert given.wholes == [b"{}"]
    assert run.target.key is found.again.key


async def test_a_plan_that_cannot_be_used_is_not_sent() -> None:
    """It says why."""
    api = await compiled(None, calls={"it": {"path": "/it"}})
    found = await stage()
    with pytest.raises(CredentialMissing):
        await found.ran(plan=api.plans["live"], call="it")
    assert found.way.orders == []


async def test_a_refusal_is_raised_and_its_answer_closed() -> None:
    """With the upstream's words."""
    found = await stage(Upstream(b'{"message": "No."}', 404))
    with pytest.raises(UpstreamFailed, match="404: No"):
        await found.ran()


async def test_a_stream_is_given_item_by_item() -> None:
    """To its end."""
    found = await stage(Upstream(GOOD, headers=EVENTS), it=STREAM)
    given = await found.ran()
    assert (given.says, given.ended) == (["a", "done"], True)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (b"application/json", b'{"error": {"message": "Insufficient balance"}}'),
        (b"text/html", b"<h1>Insufficient balance</h1>"),
        (b"text/plain", b' \n{"detail": [{"loc": ["body"], "msg": "Insufficient balance"}]}'),
        (b"", b'{"error": "Insufficient balance"}'),
    ],
)
async def test_a_document_where_a_stream_was_asked_is_an_error(kind: bytes, body: bytes) -> None:
    """In its own words, though the status was good; nothing was given by then."""
    found = await stage(Upstream(body, headers=[(b"content-type", kind)]), it=STREAM)
    given = Given()
    with pytest.raises(UpstreamFailed, match="Insufficient balance"):
        await found.run().run(arguments(), given)
    assert given == Given()


@pytest.mark.parametrize("kind", [b"application/json", b"text/plain", b""])
async def test_a_stream_is_one_whatever_it_is_called(kind: bytes) -> None:
    """What came decides."""
    found = await stage(Upstream(GOOD, headers=[(b"content-type", kind)]), it=STREAM)
    assert (await found.ran()).says == ["a", "done"]


async def test_a_file_is_given_in_pieces() -> None:
    """With what is known of it first; to be saved where it has no name."""
    found = await stage(Upstream(b"bytes", headers=[(b"content-type", b"a/b"), (b"etag", b"1")]), it={
        "path": "/it", "response": {"type": "file"}})  # fmt: skip
    given = await found.ran()
    assert (given.data, given.ended) == (b"bytes", True)
    assert given.files[0].fields == ((b"etag", b"1"),)
    assert given.files[0].attachment


async def test_a_large_answer_is_read_in_a_thread() -> None:
    """And is the same; what is wrong with it is raised as ever."""
    found = await stage(Upstream(b'{"a":"' + b"x" * 300_000 + b'"}'), Upstream(b"{" + b"x" * 300_000))
    assert len((await found.ran()).wholes[0] or b"") == 300_008
    with pytest.raises(UpstreamProtocolError):
        await found.ran()


# -- an idempotency key


async def test_a_key_runs_once() -> None:
    """The second is given what the first was, and says so."""
    found = await stage(*numbered(1, 2))
    first = await found.ran(key=KEY)
    run, again = found.run(key=KEY), Given()
    await run.run(arguments(), again)
    assert first.wholes == again.wholes == [b'{"n":1}']
    assert run.replayed
    assert len(found.way.orders) == 1


@pytest.mark.parametrize(
    "other",
    [{"user": BOB}, {"user": None}, {"values": {"n": "2"}}, {"call": "that"}],
    ids=["user", "nobody", "arguments", "call"],
)
async def test_a_key_is_for_all_that_decides_whose_answer_it_is(other: dict[str, Any]) -> None:
    """Anything else under it is a mistake, and is not run."""
    call = {"path": "/it", "parameters": {"n": {"in": "query", "optional": True}}}
    found = await stage(it=call, that=call)
    asked: dict[str, Any] = {"call": "it", "values": {"n": "1"}, "user": ANN, "key": KEY}
    await found.ran(**asked)
    with pytest.raises(IdempotencyMismatch):
        await found.ran(**{**asked, **other})
    assert len(found.way.orders) == 1


async def test_a_key_is_for_one_plan() -> None:
    """Another credential, environment or revision is another plan."""
    found = await stage()
    await found.ran(key=KEY)
    api = await compiled({"key": "sk-unit-another-key"}, calls={"it": {"path": "/it"}})
    found.plan = api.plans["live"]
    with pytest.raises(IdempotencyMismatch):
        await found.ran(key=KEY)


async def test_a_key_is_for_one_page_or_all() -> None:
    """A walk is no page."""
    found = await stage(Upstream(b'{"items":[1]}'), Upstream(b'{"items":[]}'), it=PAGED)
    assert (await found.ran(key=KEY, walks=True)).says == [1, False]
    with pytest.raises(IdempotencyMismatch):
        await found.ran(key=KEY)
    assert (await found.ran(key=KEY, walks=True)).says == [1, False]


async def test_another_app_keys_word_is_its_own() -> None:
    """Though it is the same."""
    found = await stage(*numbered(1, 2))
    await found.ran(key=KEY)
    found.key = app_key(key_id="key_2")
    assert (await found.ran(key=KEY)).wholes == [b'{"n":2}']


async def test_a_key_in_use_is_told_and_free_afterwards() -> None:
    """However the run ended."""
    go = asyncio.Event()
    found = await stage(Upstream(b"{", go=go), Upstream(b"{}"))
    running = asyncio.create_task(found.ran(key=KEY))
    await asyncio.sleep(0)
    with pytest.raises(IdempotencyInProgress):
        await found.ran(key=KEY)
    go.set()
    with pytest.raises(UpstreamProtocolError):
        await running
    assert (await found.ran(key=KEY)).wholes == [b"{}"]


@pytest.mark.parametrize(
    "failing",
    [Upstream(CUT, headers=EVENTS), Upstream(b"", 500), UpstreamUnreachable("gone")],
    ids=["half a stream", "refused", "lost"],
)
async def test_what_failed_is_run_anew(failing: Upstream | TielineError) -> None:
    """A stream that was cut is no success to be given again."""
    found = await stage(failing, Upstream(GOOD, headers=EVENTS), it=STREAM)
    with suppress(TielineError):
        assert "done" not in (await found.ran(key=KEY)).says
    assert (await found.ran(key=KEY)).says == ["a", "done"]
    assert (await found.ran(key=KEY)).says == ["a", "done"]
    assert len(found.way.orders) == 2


async def test_half_a_walk_is_run_anew() -> None:
    """Its second page could not be fetched."""
    pages = [Upstream(b'{"items":[1]}'), Upstream(b"", 500), Upstream(b'{"items":[2]}'), Upstream(b'{"items":[]}')]
    found = await stage(*pages, it=PAGED)
    assert (await found.ran(key=KEY, walks=True)).says == [1, "upstream_error"]
    assert (await found.ran(key=KEY, walks=True)).says == [2, False]


async def test_a_file_is_given_again_too() -> None:
    """Head and bytes."""
    found = await stage(Upstream(b"bytes"), it={"path": "/it", "response": {"type": "file"}})
    first, again = await found.ran(key=KEY), await found.ran(key=KEY)
    assert first == again
    assert len(found.way.orders) == 1


@pytest.mark.parametrize("kind", ["file", "json"])
async def test_what_is_too_large_to_keep_is_not_done_twice(kind: str) -> None:
    """It was given once; again, it is said why it is not."""
    body = b'"' + b"x" * RECORDED_MOST + b'"'
    found = await stage(Upstream(body), it={"path": "/it", "response": {"type": kind}})
    await found.ran(key=KEY)
    with pytest.raises(IdempotencyMismatch, match="too large"):
        await found.ran(key=KEY)
    assert len(found.way.orders) == 1


async def test_a_run_whose_client_left_goes_on_under_its_key() -> None:
    """Nothing more is given to it, and all of it to who asks again; without a key it is to be cancelled."""
    go = asyncio.Event()
    found = await stage(Upstream(b'{"n":1}', go=go))
    run, gone = found.run(key=KEY), Given()
    running = asyncio.create_task(run.run(arguments(), gone))
    await asyncio.sleep(0)
    assert run.leave()
    go.set()
    await running
    assert gone.wholes == []
    assert (await found.ran(key=KEY)).wholes == [b'{"n":1}']
    assert not found.run().leave()


async def test_an_old_accounts_answer_is_not_given_under_a_key() -> None:
    """Nor is the call run again: that it was done stays known."""
    found = await stage()
    found.way.users["ann"] = "conn_1"
    await found.ran(key=KEY, user=ANN)
    found.runner.changed({"conn_2"})
    assert (await found.ran(key=KEY, user=ANN)).wholes == [b"{}"]
    found.runner.changed({"conn_1"})
    with pytest.raises(IdempotencyMismatch, match="connection"):
        await found.ran(key=KEY, user=ANN)
    assert len(found.way.orders) == 1


# -- the cache


async def test_an_answer_is_kept_and_has_an_age() -> None:
    """For the same values."""
    found = await stage(*numbered(1, 2), it=CACHED)
    assert (await found.ran(values={"n": "1"})).wholes == [b'{"n":1}']
    run, again = found.run(), Given()
    await run.run(arguments({"n": "1"}), again)
    assert (again.wholes, run.age, run.status) == ([b'{"n":1}'], 0, 200)
    assert (await found.ran(values={"n": "2"})).wholes == [b'{"n":2}']


@pytest.mark.parametrize("other", [{"user": BOB}, {"user": None}], ids=["another", "nobody"])
async def test_a_kept_answer_is_its_users_own(other: dict[str, Any]) -> None:
    """Whoever else asks is given another one."""
    found = await stage(*numbered(1, 2), it=CACHED)
    await found.ran(user=ANN)
    assert (await found.ran(**other)).wholes == [b'{"n":2}']
    assert (await found.ran(user=ANN)).wholes == [b'{"n":1}']


async def test_a_user_who_signs_in_is_not_given_the_shared_accounts_answer() -> None:
    """Where they had no connection of their own before."""
    found = await stage(*numbered(1, 2), it=CACHED)
    await found.ran(user=ANN)
    found.way.users["ann"] = "conn_1"
    assert (await found.ran(user=ANN)).wholes == [b'{"n":2}']


@pytest.mark.parametrize("refs", [{"conn_1"}, {"api_api"}, None], ids=["connection", "api", "everything"])
async def test_what_rests_on_something_that_changed_is_gone(refs: set[str] | None) -> None:
    """A connection that was removed or signed in anew, an API, a credential; from memory too."""
    found = await stage(*numbered(1, 2), it=CACHED)
    found.way.users["ann"] = "conn_1"
    await found.ran(user=ANN)
    found.runner.changed(refs)
    assert len(found.runner.cache._answers) == 0
    assert (await found.ran(user=ANN)).wholes == [b'{"n":2}']


async def test_what_changed_elsewhere_is_kept() -> None:
    """Another user's connection is not this one's."""
    found = await stage(*numbered(1, 2), it=CACHED)
    found.way.users["ann"] = "conn_1"
    await found.ran(user=ANN)
    found.runner.changed({"conn_2"})
    assert (await found.ran(user=ANN)).wholes == [b'{"n":1}']


async def test_what_was_fetched_while_something_changed_is_not_kept() -> None:
    """It may be the old account's."""
    go = asyncio.Event()
    found = await stage(Upstream(b'{"n":1}', go=go), *numbered(2), it=CACHED)
    running = asyncio.create_task(found.ran(user=ANN))
    await asyncio.sleep(0)
    found.runner.changed({"conn_1"})
    go.set()
    await running
    assert (await found.ran(user=ANN)).wholes == [b'{"n":2}']


async def test_errors_are_not_kept() -> None:
    """Though they are handed out as data."""
    call = {**CACHED, "response": {"type": "json", "include_errors": True}}
    found = await stage(Upstream(b'{"message":"x"}', 500), Upstream(b"1"), it=call)
    assert b'"status":500' in ((await found.ran()).wholes[0] or b"")
    assert b'"status":200' in ((await found.ran()).wholes[0] or b"")


async def test_another_plan_has_its_own_answers() -> None:
    """Another credential is another account."""
    found = await stage(*numbered(1, 2), it=CACHED)
    await found.ran()
    api = await compiled({"key": "sk-unit-another-key"}, calls={"it": CACHED})
    found.plan = api.plans["live"]
    assert (await found.ran()).wholes == [b'{"n":2}']


# -- drift


async def test_drift_is_counted() -> None:
    """Of documents, and of the events of a stream."""
    fields = [{"path": "n", "type": "text"}]
    found = await stage(*numbered(1), it={"path": "/it", "response": {"type": "json", "fields": fields}})
    await found.ran()
    assert [(each.path, each.kind, each.api) for each in found.runner.drifts.taken()] == [("n", "type", "api")]


async def test_a_refusal_that_is_data_is_not_kept_under_a_key() -> None:
    """It was handed out, and the next one may go better."""
    found = await stage(Upstream(b"{}", 500), Upstream(b"1"), it={"path": "/it", "response": {"include_errors": True}})
    assert b'"status":500' in ((await found.ran(key=KEY)).wholes[0] or b"")
    assert b'"status":200' in ((await found.ran(key=KEY)).wholes[0] or b"")


async def test_a_large_answer_is_not_kept() -> None:
    """One MiB is the most."""
    found = await stage(Upstream(b'"' + b"x" * RECORDED_MOST + b'"'), *numbered(2), it=CACHED)
    await found.ran()
    assert (await found.ran()).wholes == [b'{"n":2}']


async def test_an_error_in_the_first_event_is_raised() -> None:
    """Nothing was given by then."""
    found = await stage(Upstream(b'data: {"error": {"message": "No."}}\n\n', headers=EVENTS), it=STREAM)
    given = Given()
    with pytest.raises(UpstreamFailed, match="No"):
        await found.run().run(arguments(), given)
    assert given == Given()


@pytest.mark.parametrize(("data", "is_error"), [(b"null", True), (b'{"x":1}', False)])
async def test_errors_beside_data_are_an_answer(data: bytes, is_error: bool) -> None:
    """GraphQL may answer a part; without any it has refused."""
    found = await stage(Upstream(b'{"data":%b,"errors":[{"message":"No."}]}' % data))
    if is_error:
        with pytest.raises(UpstreamFailed, match="No"):
            await found.ran()
    else:
        assert b"No." in ((await found.ran()).wholes[0] or b"")


async def test_large_arguments_are_put_in_place_beside_others_and_kept_for_nobody() -> None:
    """The request is the same; to compare such values would take longer than to ask."""
    found = await stage(*numbered(1, 2), it=CACHED)
    large = Arguments({"n": "x" * 1_000}, size=LARGE + 1)
    for number in (b'{"n":1}', b'{"n":2}'):
        given = Given()
        await found.run().run(large, given)
        assert given.wholes == [number]
    assert found.way.orders[0].filled.query == b"n=" + b"x" * 1_000
