"""Situations that people reported of other gateways and connectors, rebuilt: what their callers were told, or given."""

import gzip
from typing import Any

import pytest

from tests.wire import calling
from tests.wire.calling import error, json_answer, result
from tests.wire.conftest import StartStage
from tests.wire.raw import answer, chunked, saying

SSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
CHAT = {"path": "/it", "response": {"type": "stream", "stream": {"preset": "openai_chat"}}}
POST = {"method": "POST", "path": "/it"}
ONCE = b"Idempotency-Key: order-1"


def call(**response: Any) -> dict[str, Any]:
    """A definition's calls: ``it``."""
    return {"it": {"path": "/it", "response": {"type": "json", **response}}}


@pytest.mark.parametrize(
    "body",
    [
        SSE + chunked(b'{"error": {"message": "context is too small", "code": 400}}'),
        SSE + chunked(b'event: error\ndata: {"error": {"message": "context is too small"}}\n\n'),
        SSE + chunked(b'data: {"error": {"message": "context is too small"}}\n\n', b"data: [DONE]\n\n"),
        answer(b'{"error": {"message": "context is too small"}}', b"Content-Type: application/json"),
    ],
    ids=["no framing", "named event", "first event", "document"],
)
async def test_a_stream_that_never_began_is_an_error(start_stage: StartStage, body: bytes) -> None:
    """A backend's error inside a 200 of events was an empty stream to compliant readers; it is an answer of its own."""
    stage = await start_stage(saying(body), calls={"it": CHAT})
    found = await calling.run(stage, "it")
    assert (found.status, error(found)["code"]) == (502, "upstream_error")
    assert "context is too small" in error(found)["message"]


async def test_an_error_after_the_first_event_stays_in_the_stream(start_stage: StartStage) -> None:
    """What came so far stands."""
    events = [b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n', b'data: {"error": {"message": "x"}}\n\n']
    stage = await start_stage(saying(SSE + chunked(*events)), calls={"it": CHAT})
    found = await calling.run(stage, "it")
    assert found.status == 200
    assert b"event: delta" in found.body
    assert b"event: error" in found.body


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"errors": {"email": ["is invalid"]}}', "is invalid"),
        (b'{"errors": [{"detail": "Out of range", "source": {"pointer": "/data"}}]}', "Out of range"),
        (b'{"status": "error", "messages": ["Quota reached"]}', "Quota reached"),
        (b'{"Fault": {"Error": [{"Message": "Stale object", "code": "5010"}], "type": "X"}}', "Stale object"),
        (b'{"ok": false, "error": "channel_not_found"}', "channel_not_found"),
        (b"", "did not say why"),
        (b"<html><body><h1>429</h1>Too many requests</body></html>", "Too many requests"),
    ],
)
async def test_the_words_of_a_refusal_are_told(start_stage: StartStage, body: bytes, said: str) -> None:
    """Connectors showed "undefined", the status alone, or an error of their own JSON parser."""
    stage = await start_stage(saying(answer(body, status=b"422 No")), calls=call())
    found = await calling.run(stage, "it")
    assert found.status == 422
    assert said in error(found)["message"]


@pytest.mark.parametrize("number", ["616581622363398142", "9007199254740993", "1285704473650888702", "1e21", "0.10"])
async def test_an_id_is_not_rounded_on_its_way(start_stage: StartStage, number: str) -> None:
    """Through fields, lists and the next page's cursor."""
    body = f'{{"data":[{{"id":{number}}}]}}'.encode()
    stage = await start_stage(saying(answer(body)), calls=call(fields=[{"path": "data[].id", "type": "number"}]))
    assert number.encode() in (await calling.run(stage, "it")).body


async def test_a_kept_answer_is_not_sent_as_it_was_encoded(start_stage: StartStage) -> None:
    """A cached gzip body under a head that no longer says so could not be read."""
    body = answer(gzip.compress(b'{"a": 1}'), b"Content-Encoding: gzip")
    stage = await start_stage(saying(body), calls={"it": {"path": "/it", "cache": {"ttl": "5m"}}})
    for _ in range(2):
        found = await calling.run(stage, "it")
        assert result(found) == {"a": 1}
        assert b"content-encoding" not in found.names
    assert len(stage.upstream.seen) == 1


async def test_a_refusal_is_not_kept_under_a_key(start_stage: StartStage) -> None:
    """Whoever corrects what was wrong and asks again is not given yesterday's refusal."""
    stage = await start_stage(saying(json_answer({}, status=b"400 No"), json_answer({"a": 1})), calls={"it": POST})
    assert (await calling.run(stage, "it", {}, ONCE)).status == 400
    assert result(await calling.run(stage, "it", {}, ONCE)) == {"a": 1}


async def test_a_key_is_not_shared_by_two_calls(start_stage: StartStage) -> None:
    """A cancellation under an order's key was answered with the order."""
    calls = {"order": POST, "cancel": {"method": "POST", "path": "/it/cancel"}}
    stage = await start_stage(saying(json_answer({"a": 1})), calls=calls)
    await calling.run(stage, "order", {}, ONCE)
    found = await calling.run(stage, "cancel", {}, ONCE)
    assert (found.status, error(found)["code"]) == (422, "idempotency_mismatch")


async def test_what_changes_drops_what_was_kept(start_stage: StartStage) -> None:
    """A new credential may be another account's: its answers are others, and the old ones leave memory at once."""
    stage = await start_stage(saying(json_answer({"a": 1})), calls={"it": {"path": "/it", "cache": {"ttl": "5m"}}})
    await calling.run(stage, "it")
    answers = stage.worker.service.calls.runner.cache._answers
    assert len(answers) == 1
    stage.worker.source.put_credential("api", {"key": "sk-another-key-of-the-provider"})
    await stage.worker.caught_up()
    assert len(answers) == 0
