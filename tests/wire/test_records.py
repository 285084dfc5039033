"""What a record says of a request that has ended, and who hears of it."""

import io
import json

import pytest

from tests.wire import calling
from tests.wire.calling import json_answer
from tests.wire.conftest import StartStage
from tests.wire.raw import Peer, Upstream, answer, saying
from tests.wire.stage import Stage
from tieline.dataplane.records.failures import FailureLog
from tieline.ports.requests import RequestRecord
from tieline.telemetry.logs import Log


async def test_a_record_says_how_long_each_part_took(stage: Stage) -> None:
    """The first request opens a connection, the second uses it again; there is no TLS on loopback."""
    client = await stage.connect()
    for _ in range(2):
        await client.send(stage.request())
        await client.message()
    first, second = await stage.worker.recorded(2)
    for record in (first, second):
        assert 0 < (record.admission_ms or 0) < record.duration_ms
        assert (record.sending.retries, record.worker, record.sending.tls_ms, record.sending.queue_ms) == (
            0,
            0,
            None,
            None,
        )
    assert 0 < (first.sending.connect_ms or 0) < first.duration_ms
    assert second.sending.connect_ms is None


async def test_a_record_says_how_often_it_was_sent(start_stage: StartStage) -> None:
    """A connection that was idle and is lost before its answer is one retry."""

    async def once_each(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        await peer.send(answer())
        await upstream.read(peer)

    stage = await start_stage(once_each)
    for _ in range(2):
        await stage.get()
    first, second = await stage.worker.recorded(2)
    assert (first.sending.retries, second.sending.retries, second.status) == (0, 1, 200)
    assert second.sending.connect_ms is not None


async def test_a_refusal_says_why(stage: Stage) -> None:
    """In the words that the client got, without the app key in them."""
    found = await stage.ask(stage.request(b"GET", b"/a%00", b"X-Other: " + stage.key.encode()))
    (record,) = await stage.worker.recorded(1)
    assert record.reason is not None
    assert record.reason.encode() in found.body
    assert stage.key not in repr(record)


async def test_a_record_has_the_tag_and_the_end_user(stage: Stage) -> None:
    """As the app named them, for the relay and for calls that are refused; an upstream hears nothing of it."""
    await stage.ask(stage.request(b"GET", b"/x", b"Tieline-Tag: job:nightly", "Tieline-Connection: änn".encode()))
    (record,) = await stage.worker.recorded(1)
    assert record.named == ("änn", "job:nightly")
    assert not {b"tieline-tag", b"tieline-connection"} & set(stage.upstream.seen[0].names)


@pytest.mark.parametrize("tag", [b"", b"a b", b"x" * 65, "ä".encode(), b"-a", b'=1+1"'])
async def test_what_is_no_tag_is_refused(stage: Stage, tag: bytes) -> None:
    """Nothing is quietly left out of what somebody counts by."""
    found = await stage.ask(stage.request(b"GET", b"/x", b"Tieline-Tag: " + tag))
    assert found.status == 400
    assert b"Tieline-Tag is a name of" in found.body


async def test_a_record_says_where_an_answer_came_from(start_stage: StartStage) -> None:
    """Fetched, kept, or given again under the same idempotency key; nothing where the call keeps none."""
    calls = {"kept": {"path": "/kept", "cache": {"ttl": "1m"}}, "plain": {"path": "/plain"}}
    stage = await start_stage(saying(*[json_answer({"n": 1})] * 4), calls=calls)
    for call in ("kept", "kept", "plain"):
        await calling.run(stage, call)
    for _ in range(2):
        await calling.run(stage, "plain", {}, b"Idempotency-Key: once")
    records = await stage.worker.recorded(5)
    assert [record.cache for record in records] == ["miss", "hit", None, None, "replay"]
    assert all(0 < (record.admission_ms or 0) <= record.duration_ms for record in records)


async def test_strangers_are_counted_and_leave_no_record(stage: Stage) -> None:
    """By the code of what they were told."""
    for _ in range(3):
        await stage.ask(stage.request(key=False))
    await stage.ask(stage.request(key=False, path=b"/x").replace(b"Host", b"Tieline-Key: tl_live_no\r\nHost", 1))
    await stage.get()
    assert len(await stage.worker.recorded(1)) == 1
    assert stage.worker.service.records.strangers == {"missing_app_key": 3, "invalid_app_key": 1}


async def test_whoever_listens_hears_of_each_end_once(stage: Stage) -> None:
    """The same value that is kept."""
    heard: list[RequestRecord] = []
    stage.worker.service.records.listen(heard.append)
    await stage.get()
    await stage.get(b"/a%00")
    assert heard == await stage.worker.recorded(2)


async def test_a_failure_is_told_in_the_log(stage: Stage) -> None:
    """Request, app, code and reason stand in one line; what went well has none."""
    stream = io.StringIO()
    stage.worker.service.records.listen(FailureLog(Log(stream=stream)), to_failures=True)
    await stage.get()
    found = await stage.get(b"/a%00")
    (line,) = stream.getvalue().splitlines()
    (_, record) = await stage.worker.recorded(2)
    assert f"request_id={found.one(b'tieline-request-id').decode()} " in line
    for words in (
        "request.failed",
        f"app_id={record.app_id}",
        "code=invalid_request",
        "status=400",
        record.reason or "-",
    ):
        assert words in line


async def test_an_upstreams_error_is_told_by_its_word(start_stage: StartStage) -> None:
    """With what it was allowed as; its message, which may repeat what was sent, is told nowhere."""
    error = {"error": {"message": "You sent my-private-prompt.", "type": "insufficient_quota", "code": None}}
    body = json.dumps(error).encode()
    head = b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    stage = await start_stage(saying(head % len(body) + body))
    stream = io.StringIO()
    stage.worker.service.records.listen(FailureLog(Log(stream=stream)), to_failures=True)
    found = await stage.get()
    (record,) = await stage.worker.recorded(1)
    (line,) = stream.getvalue().splitlines()
    assert (record.reason, record.code, record.status) == ("insufficient_quota", None, 429)
    assert 'problem="The upstream answered 429: insufficient_quota."' in line
    assert f"request_id={found.one(b'tieline-request-id').decode()}" in line
    assert " api=api " in line
    assert " decision=" in line
    assert "my-private-prompt" not in line
    assert "my-private-prompt" not in repr(record)


async def test_a_record_says_what_was_used_and_cost(start_stage: StartStage) -> None:
    """By the provider's own figures and the definition's prices; what has none is named, never taken for 0."""
    rates = {"input_tokens": {"usd": "2.00", "per": "1M"}}
    prices = {"m-1": {"date": "2026-08-21", "source": "https://provider.example", "rates": rates}}
    told = {"model": "m-1", "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}}
    stage = await start_stage(saying(json_answer(told)), usage={"kind": "openai"}, prices=prices)
    await stage.ask(stage.request(b"POST", b"/chat/completions", b"Content-Type: application/json", body=b"{}"))
    (record,) = await stage.worker.recorded(1)
    assert record.used.model == "m-1"
    assert dict(record.used.quantities or {}) == {"input_tokens": 7, "output_tokens": 3}
    assert (record.used.cost_nano, record.used.unpriced) == (14_000, frozenset({"output_tokens"}))
