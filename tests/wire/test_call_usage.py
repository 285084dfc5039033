"""What runs of calls used, in their records: of whole answers, streams, pages, and of what came from no upstream."""

import json
from typing import Any

from tests.wire import calling
from tests.wire.calling import json_answer
from tests.wire.conftest import StartStage
from tests.wire.raw import chunked, saying
from tests.wire.stage import Stage

USED = {"prompt_tokens": 7, "completion_tokens": 3}
COUNTS = {"input_tokens": 7, "output_tokens": 3}
CHAT = {"model": "m", "choices": [{"message": {"content": "Hi"}}], "usage": USED}
OPENAI = {"kind": "openai"}
POST = {"path": "/chat/completions", "method": "POST", "use_as": "action"}
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


async def used(stage: Stage, count: int = 1) -> list[Any]:
    """What the records of as many requests say was used."""
    return [record.used for record in await stage.worker.recorded(count)]


async def test_a_whole_answer_tells_what_it_used(start_stage: StartStage) -> None:
    """However little of it the call hands out."""
    fields = [{"path": "choices", "type": "json"}]
    call = POST | {"response": {"type": "json", "fields": fields, "unknown": "drop"}}
    stage = await start_stage(saying(json_answer(CHAT)), usage=OPENAI, calls={"chat": call})
    assert "usage" not in calling.result(await calling.run(stage, "chat"))
    (found,) = await used(stage)
    assert (found.model, found.quantities) == ("m", COUNTS)


async def test_a_stream_tells_what_it_used(start_stage: StartStage) -> None:
    """To its end, or as far as it came, which is an estimate."""
    piece = b'data: {"model":"m","choices":[{"delta":{"content":"Hi"}}]}\n\n'
    end = b"data: " + json.dumps(CHAT | {"choices": []}).encode() + b"\n\n"
    call = POST | {"response": {"type": "stream", "stream": {"preset": "openai_chat"}}}
    stage = await start_stage(
        saying(EVENTS + chunked(piece, end, b"data: [DONE]\n\n")), usage=OPENAI, calls={"chat": call}
    )
    assert (await calling.run(stage, "chat")).status == 200
    (found,) = await used(stage)
    assert (found.quantities, found.estimated) == (COUNTS, False)


async def test_pages_are_added_up(start_stage: StartStage) -> None:
    """Each is an answer of its own."""
    pages = [{"items": [1], "next": "b", "cost": 2}, {"items": [2], "next": None, "cost": 3}]
    call = {
        "path": "/list",
        "parameters": {"cursor": {"in": "query", "optional": True}},
        "pagination": {"kind": "cursor", "parameter": "cursor", "next": "next", "items": "items"},
    }
    usage = {"kind": "declared", "quantities": {"credits": {"path": "cost"}}}
    stage = await start_stage(saying(*[json_answer(page) for page in pages]), usage=usage, calls={"list": call})
    found = await calling.run(stage, "list", {}, b"Tieline-Pages: all")
    assert found.body.count(b"event: item") == 2, found.body
    (told,) = await used(stage)
    assert told.quantities == {"credits": 5}


async def test_what_was_kept_or_given_before_used_nothing(start_stage: StartStage) -> None:
    """A cached answer and one that is given again under its key came from no upstream."""
    usage = {"kind": "declared", "quantities": {"credits": {"path": "cost"}}}
    calls = {"get": {"path": "/x", "cache": {"ttl": "60s"}}, "do": POST | {"path": "/y"}}
    stage = await start_stage(saying(*[json_answer({"cost": 2})] * 2), usage=usage, calls=calls)
    for _ in range(2):
        calling.result(await calling.run(stage, "get"))
    for _ in range(2):
        calling.result(await calling.run(stage, "do", {}, b"Idempotency-Key: k1"))
    told = await used(stage, 4)
    assert [each.quantities for each in told] == [{"credits": 2}, None, {"credits": 2}, None]


async def test_tokens_of_a_call_count_against_its_limit(start_stage: StartStage) -> None:
    """As those of a relayed request do."""
    stage = await start_stage(saying(*[json_answer(CHAT)] * 2), usage=OPENAI, calls={"chat": POST})
    stage.worker.source.change_key(stage.key, limits={"tokens_per_minute": 9})
    await stage.worker.caught_up()
    calling.result(await calling.run(stage, "chat"))
    assert calling.error(await calling.run(stage, "chat"))["code"] == "rate_limited"
