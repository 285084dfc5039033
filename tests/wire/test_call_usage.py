"""What runs of calls used, in their records: of whole answers, streams, pages, and of what came from no upstream."""

import asyncio
import json
from typing import Any

from tests.wire import calling
from tests.wire.calling import json_answer
from tests.wire.conftest import StartStage
from tests.wire.raw import Peer, Upstream, chunked, saying
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


def chat_call(stream: dict[str, Any], **body: Any) -> dict[str, Any]:
    """A call of a chat whose answer streams; ``body`` are further members of what it sends."""
    sent = {"model": "m", "stream": True, "messages": [], **body}
    return POST | {
        "body": {"type": "json", "template": sent},
        "response": {"type": "stream", "stream": stream},
    }


PIECE = b'data: {"choices":[{"delta":{"content":"Hi"}}],"usage":null}\n\n'
LAST = b"data: " + json.dumps(CHAT | {"choices": []}).encode() + b"\n\n"
OWN = {"text": {"path": "choices[].delta.content"}, "end": "[DONE]"}


async def test_a_chat_stream_of_a_call_is_asked_for_its_usage(start_stage: StartStage) -> None:
    """By the same bytes as in a relay; the chunk that comes for it is no event, and its figures come with the end."""
    answer = EVENTS + chunked(PIECE, LAST, b"data: [DONE]\n\n")
    calls = {"preset": chat_call({"preset": "openai_chat"}), "own": chat_call(OWN)}
    for name, shown in (("preset", {"input": 7, "output": 3}), ("own", None)):
        stage = await start_stage(saying(answer), usage=OPENAI, calls=calls)
        found = await calling.run(stage, name)
        sent = json.loads(stage.upstream.seen[0].body)
        assert sent["stream_options"] == {"include_usage": True}
        names = [line for line in found.body.splitlines() if line.startswith(b"event:")]
        assert names == [b"event: delta", b"event: done"], found.body
        (done,) = [json.loads(line[6:]) for line in found.body.splitlines() if b'"usage"' in line]
        assert done["usage"] == shown
        (told,) = await used(stage)
        assert (told.quantities, told.estimated) == (COUNTS, False)


async def test_who_asked_for_usage_gets_the_chunk(start_stage: StartStage) -> None:
    """Nothing is spliced, and nothing taken out."""
    call = chat_call(OWN, stream_options={"include_usage": True})
    answer = EVENTS + chunked(PIECE, LAST, b"data: [DONE]\n\n")
    stage = await start_stage(saying(answer), usage=OPENAI, calls={"chat": call})
    found = await calling.run(stage, "chat")
    assert found.body.count(b"event: event") == 1
    assert b'"prompt_tokens":7' in found.body.replace(b" ", b"")


async def test_what_is_no_chat_stream_is_sent_as_its_template_says(start_stage: StartStage) -> None:
    """No stream, another path, an API that refuses the option, one without usage."""
    stream = chat_call({"preset": "openai_chat"})
    answer = EVENTS + chunked(PIECE, b"data: [DONE]\n\n")
    for call, usage in (
        (stream | {"body": {"type": "json", "template": {"model": "m", "stream": False}}}, OPENAI),
        (stream | {"path": "/responses"}, OPENAI),
        (stream, OPENAI | {"include_usage": False}),
        (stream, None),
    ):
        more = {} if usage is None else {"usage": usage}
        stage = await start_stage(saying(answer), calls={"chat": call}, **more)
        await calling.run(stage, "chat")
        assert b"stream_options" not in stage.upstream.seen[0].body


async def test_who_hangs_up_has_used_what_came(start_stage: StartStage) -> None:
    """BerriAI/litellm#14457: with the last chunk all usage of a stream was lost. Here it is an estimate, and marked."""
    gate = asyncio.Event()
    pieces = b"".join(b"%x\r\n%b\r\n" % (len(PIECE), PIECE) for _ in range(5))

    async def five_and_no_end(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        await peer.send(EVENTS + pieces)
        await gate.wait()

    stage = await start_stage(five_and_no_end, usage=OPENAI)
    client = await stage.connect()
    kind = b"Content-Type: application/json"
    await client.send(stage.request(b"POST", b"/chat/completions", kind, body=b'{"stream":true}'))
    await client.head()
    came = b""
    while came.count(b'"Hi"') < 5:
        came += await client.some(1)
    client.close()
    (told,) = await used(stage)
    gate.set()
    assert (told.quantities, told.estimated) == ({"input_tokens": 4, "output_tokens": 5}, True)
