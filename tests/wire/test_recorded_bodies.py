"""``record_bodies``: what is kept of bodies, that it is sealed, masked and bounded, and sending a request again."""

import gzip
from typing import Any

import orjson
import pytest

from tests.wire import calling
from tests.wire.calling import json_answer
from tests.wire.conftest import StartStage
from tests.wire.raw import answer, saying, until
from tests.wire.stage import PROVIDER_KEY, Stage
from tieline.audit.events import VaultOpened
from tieline.core.errors import AlreadyExists, InvalidInput
from tieline.dataplane.openings import Openings
from tieline.dataplane.operator.opening import Opening
from tieline.dataplane.operator.replay import Replays
from tieline.dataplane.records import bodies as module
from tieline.ports.operator import OpenedBodies
from tieline.testing.connections import MemoryConnections
from tieline.wire.guard import Guard
from tieline.wire.tls import Trust

ON = {"record_bodies": {"most": "1KiB", "keep": "1h"}}
PROMPT = b'{"prompt": "a word that nobody else may read"}'


class Told:
    """Where openings are told."""

    def __init__(self) -> None:
        self.events: list[VaultOpened] = []

    async def add_openings(self, events: Any) -> None:
        self.events += events


def replays(stage: Stage, told: Told | None = None) -> Replays:
    """What an operator's process has."""
    source = stage.worker.source
    openings = Openings(told or Told())
    guard = Guard(["127.0.0.1"])
    return Replays(Opening(source, MemoryConnections(), source.keyring, guard, Trust(), openings))


async def kept(stage: Stage, count: int = 1) -> list[OpenedBodies]:
    """The bodies of the first ``count`` requests, opened."""
    records = await stage.worker.recorded(count)
    await until(lambda: len(stage.worker.source.bodies) == count)
    found = [await replays(stage).open_bodies(record) for record in records]
    assert None not in found
    return [each for each in found if each is not None]


async def nothing() -> None:
    """Before a request is sent again."""


async def test_bodies_are_sealed_apart_from_the_record(start_stage: StartStage) -> None:
    """Neither record nor stored row shows a word of them; opened, both are there, and the opening is told."""
    stage = await start_stage(saying(json_answer({"said": "an answer that nobody else may read"})), **ON)
    await stage.ask(stage.request(b"POST", b"/chat?n=1", b"Content-Type: application/json", body=PROMPT))
    (record,) = await stage.worker.recorded(1)
    assert record.bodies_until is not None
    assert 3_590 < record.bodies_until - record.at <= 3_600
    await until(lambda: len(stage.worker.source.bodies) == 1)
    told = Told()
    found = await replays(stage, told).open_bodies(record)
    assert found is not None
    assert found.request is not None
    assert found.answer is not None
    assert (found.request.body, found.request.facts["query"]) == (PROMPT, "n=1")
    assert (found.request.facts["target"], found.request.facts["exact"]) == ("/chat", True)
    assert b"an answer that" in found.answer.body
    assert found.answer.facts["status"] == 200
    for hidden in (repr(record), repr(stage.worker.source.bodies)):
        assert "nobody else" not in hidden
    (event,) = told.events
    assert (event.why, list(event.opened)) == ("bodies", [record.id])
    assert event.opened[record.id]["fields"] == ["answer", "request"]


async def test_nothing_is_kept_unless_it_is_turned_on(start_stage: StartStage) -> None:
    """For an API, in an environment; records say that there is nothing."""
    stage = await start_stage(environments={"development": ON})
    await stage.ask(stage.request(b"POST", b"/chat", body=PROMPT))
    (record,) = await stage.worker.recorded(1)
    assert record.bodies_until is None
    assert stage.worker.source.bodies == {}


async def test_what_is_larger_is_cut_and_counted(start_stage: StartStage) -> None:
    """The first bytes are kept of each, and how many there were."""
    stage = await start_stage(saying(answer(b"y" * 70_000)), **ON)
    await stage.ask(stage.request(b"POST", b"/up", body=b"x" * 50_000))
    (found,) = await kept(stage)
    assert found.request is not None
    assert found.answer is not None
    assert len(found.request.body) <= 1024
    assert len(found.answer.body) <= 1024
    assert (found.request.facts["size"], found.request.facts["exact"]) == (50_000, False)
    assert (found.answer.facts["size"], found.answer.facts["whole"]) == (70_000, False)


async def test_streams_are_cut_alike(start_stage: StartStage) -> None:
    """A stream of events that came in many pieces; the client has all of it."""
    events = b"".join(b"data: %04d\n\n" % number for number in range(500))
    stage = await start_stage(saying(answer(events, b"Content-Type: text/event-stream")), **ON)
    assert len((await stage.get()).body) == len(events)
    (found,) = await kept(stage)
    assert found.answer is not None
    assert found.answer.body == events[: len(found.answer.body)]
    assert 700 < len(found.answer.body) <= 1024  # what may be the beginning of a secret is left out at the cut


@pytest.mark.parametrize("coded", [False, True])
async def test_secrets_are_hidden_in_what_is_kept(start_stage: StartStage, coded: bool) -> None:
    """The provider's key that an upstream echoes, escaped and within a coding; an app key that a client sends."""
    echo = orjson.dumps({"key": PROVIDER_KEY, "split": PROVIDER_KEY}).replace(b"-", b"\\u002d")
    body = gzip.compress(echo) if coded else echo
    fields = [b"Content-Type: application/json", *([b"Content-Encoding: gzip"] if coded else [])]
    stage = await start_stage(saying(answer(body, *fields)), **ON)
    sent = b'{"mine": "%b"}' % stage.key.encode()
    await stage.ask(stage.request(b"POST", b"/echo", b"X-Other: " + stage.key.encode(), b"Cookie: s=1", body=sent))
    (found,) = await kept(stage)
    assert found.request is not None
    assert found.answer is not None
    whole = repr(found)
    assert PROVIDER_KEY not in whole
    assert PROVIDER_KEY not in found.answer.body.decode().replace("\\u002d", "-")
    assert b"***" in found.answer.body
    assert stage.key not in whole
    assert "cookie" not in whole.lower()
    assert found.request.facts["exact"] is False


async def test_calls_keep_their_arguments_and_typed_answers(start_stage: StartStage) -> None:
    """As the client sent and got them."""
    calls = {"it": {"path": "/x", "parameters": {"n": {"in": "query"}}}}
    stage = await start_stage(saying(json_answer({"id": 7})), calls=calls, **ON)
    await calling.run(stage, "it", {"n": "3"})
    (found,) = await kept(stage)
    assert found.request is not None
    assert found.answer is not None
    assert (found.request.facts["target"], orjson.loads(found.request.body)) == ("it", {"n": "3"})
    assert orjson.loads(found.answer.body) == {"id": 7}


async def test_no_more_than_some_wait(start_stage: StartStage, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the store is away: what does not fit is not recorded, its record names none, and nothing else suffers."""
    monkeypatch.setattr(module, "WAITING_BYTES_MOST", 6_000)
    stage = await start_stage(saying(answer(b"z" * 1_000)), **ON)
    source = stage.worker.source

    async def away(_rows: Any) -> None:
        source.away = True
        try:
            source._reached()
        finally:
            source.away = False  # records are kept meanwhile

    source.add_bodies = away  # type: ignore[method-assign, assignment]
    for _ in range(5):
        assert (await stage.ask(stage.request(b"POST", b"/up", body=b"x" * 900))).status == 200
    records = await stage.worker.recorded(5)
    assert [record.bodies_until is not None for record in records].count(True) == 1
    saver = stage.worker.service.records.bodies
    assert saver is not None
    assert saver.given_up == 4


async def test_an_expired_body_opens_nowhere(start_stage: StartStage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether or not its row was deleted yet; and the end is sealed with it, so that nobody moves it."""
    stage = await start_stage(**ON)
    await stage.ask(stage.request(b"POST", b"/chat", body=PROMPT))
    (record,) = await stage.worker.recorded(1)
    await until(lambda: bool(stage.worker.source.bodies))
    assert record.bodies_until is not None
    row = stage.worker.source.bodies[record.id]
    later = record.bodies_until + 86_400
    stage.worker.source.bodies[record.id] = row._replace(expires=later)
    with pytest.raises(Exception, match="altered"):
        await replays(stage).open_bodies(record._replace(bodies_until=later))
    stage.worker.source.bodies[record.id] = row
    monkeypatch.setattr("tieline.dataplane.operator.replay.time.time", lambda: float(record.bodies_until or 0))
    assert await replays(stage).open_bodies(record) is None


async def test_a_request_is_sent_again_as_it_was(start_stage: StartStage) -> None:
    """Method, path, query, headers and body, the client's idempotency key too; the credential is the API's."""
    stage = await start_stage(saying(json_answer({"id": 1}), json_answer({"key": PROVIDER_KEY})), **ON)
    fields = (b"Content-Type: application/json", b"X-Trace: 1", b"Idempotency-Key: once")
    await stage.ask(stage.request(b"POST", b"/chat?a=%20b", *fields, body=PROMPT))
    (record,) = await stage.worker.recorded(1)
    await until(lambda: bool(stage.worker.source.bodies))
    found = await replays(stage).replay(record, nothing)
    first, second = stage.upstream.seen
    assert (second.line, second.body) == (first.line, first.body)
    for name in (b"authorization", b"x-trace", b"idempotency-key", b"content-type"):
        assert second.one(name) == first.one(name)
    assert found.status == 200
    assert PROVIDER_KEY.encode() not in found.body


async def test_a_call_is_run_again_with_its_arguments(start_stage: StartStage) -> None:
    """In JSON, in a query and in a form with a file."""
    upload = {
        "method": "POST", "path": "/up", "parameters": {"file": {"type": "file"}, "note": {}},
        "body": {"type": "multipart", "fields": [{"name": "f", "value": "<file>"}, {"name": "n", "value": "<note>"}]},
    }  # fmt: skip
    calls = {"read": {"use_as": "data", "path": "/x", "parameters": {"n": {"in": "query"}}}, "up": upload}
    stage = await start_stage(saying(json_answer({"id": 7})), calls=calls, **ON)
    form = (
        b'--b\r\nContent-Disposition: form-data; name="note"\r\n\r\nhi\r\n'
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\nContent-Type: text/plain\r\n\r\nDATA'
        b"\r\n--b--\r\n"
    )
    await calling.run(stage, "read", {"n": "3"})
    await calling.run(stage, "read", method=b"GET", query=b"n=4")
    await calling.run(stage, "up", None, b"Content-Type: multipart/form-data; boundary=b", body=form)
    records = await stage.worker.recorded(3)
    await until(lambda: len(stage.worker.source.bodies) == 3)
    for record in records:
        assert (await replays(stage).replay(record, nothing)).status == 200
    seen = [(each.target, b"DATA" in each.body) for each in stage.upstream.seen]
    assert seen[3:] == seen[:3] == [(b"/v1/x?n=3", False), (b"/v1/x?n=4", False), (b"/v1/up", True)]


async def test_without_bodies_only_what_had_none_is_sent_again(start_stage: StartStage) -> None:
    """A plain GET; else nothing is sent, and the error says what to turn on."""
    stage = await start_stage()
    await stage.get(b"/models")
    await stage.get(b"/models?page=2")
    await stage.ask(stage.request(b"POST", b"/chat", body=PROMPT))
    plain, asked, posted = await stage.worker.recorded(3)
    assert (await replays(stage).replay(plain, nothing)).body == b"hello"
    for record in (asked, posted, plain._replace(has_query=None), plain._replace(path="/" + "x" * 511)):
        with pytest.raises(InvalidInput):
            await replays(stage).replay(record, nothing)
    with pytest.raises(InvalidInput, match="record_bodies"):
        await replays(stage).replay(posted, nothing)
    assert [each.target for each in stage.upstream.seen] == [
        b"/v1/models",
        b"/v1/models?page=2",
        b"/v1/chat",
        b"/v1/models",
    ]


async def test_what_stands_before_keeps_it_from_being_sent(start_stage: StartStage) -> None:
    """And an upstream that hangs up is not asked twice."""
    stage = await start_stage(saying(answer()), **ON)
    await stage.ask(stage.request(b"POST", b"/chat", body=PROMPT))
    (record,) = await stage.worker.recorded(1)
    await until(lambda: bool(stage.worker.source.bodies))

    async def refused() -> None:
        raise AlreadyExists("It was sent again already.")

    with pytest.raises(AlreadyExists):
        await replays(stage).replay(record, refused)
    assert len(stage.upstream.seen) == 1
