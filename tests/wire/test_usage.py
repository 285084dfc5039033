"""Chat streams are asked for usage, and the client sees what it would have seen."""

import json

import pytest

from tests.wire.conftest import StartStage
from tests.wire.raw import chunked, saying
from tests.wire.stage import Stage

EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
USED = b'{"prompt_tokens":1,"completion_tokens":1}'
CHUNKS = [
    b'data: {"choices":[],"prompt_filter_results":[],"usage":null}\n\n',
    b'data: {"choices":[{"delta":{"content":"Hi"}}],"usage":%b}\n\n' % USED,
]
LAST = b'data: {"choices":[],"usage":%b}\n\n' % USED
DONE = b"data: [DONE]\n\n"
JSON = b"Content-Type: application/json"
ASKED = b'{"stream_options":{"include_usage":true},"model": "m", "stream":true}'


async def told(stage: Stage, body: bytes, path: bytes = b"/chat/completions") -> bytes:
    """The body of the answer to a question."""
    return (await stage.ask(stage.request(b"POST", path, JSON, body=body), method=b"POST")).body


@pytest.mark.parametrize("cut", [1, 7, 40, 1000])
async def test_the_chunk_that_nobody_asked_for_is_taken_out(start_stage: StartStage, cut: int) -> None:
    """However the stream is cut; a chunk with content stays, whatever else it tells, and so does one about filters."""
    whole = b"".join([*CHUNKS, LAST, DONE])
    pieces = [whole[at : at + cut] for at in range(0, len(whole), cut)]
    stage = await start_stage(saying(EVENTS + chunked(*pieces)), usage={"kind": "openai"})
    assert await told(stage, b'{"model": "m", "stream":true}') == b"".join([*CHUNKS, DONE])
    assert stage.upstream.seen[0].body == ASKED


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b'{"stream":true,"stream_options":{"include_usage":true}}', True),
        (b'{"stream":true,"stream_options":{"include_usage":false}}', False),
        (b'{"stream":false}', True),
    ],
)
async def test_what_the_client_says_of_usage_stands(start_stage: StartStage, body: bytes, shown: bool) -> None:
    """Who asks sees it; who says that it wants none does not, though the upstream is asked."""
    stage = await start_stage(saying(EVENTS + chunked(LAST, DONE)), usage={"kind": "openai"})
    assert await told(stage, body) == (LAST + DONE if shown else DONE)
    asked = json.loads(stage.upstream.seen[0].body)
    assert asked.get("stream_options") == ({"include_usage": True} if asked["stream"] else None)


async def test_a_body_that_comes_in_pieces_is_asked_for_usage_too(start_stage: StartStage) -> None:
    """It is held until it is whole; what the connection carries next is untouched."""
    stage = await start_stage(saying(EVENTS + chunked(LAST, DONE)), usage={"kind": "openai"})
    client = await stage.connect()
    raw = stage.request(b"POST", b"/chat/completions", JSON, body=b'{"model": "m", "stream":true}')
    for _ in range(2):
        await client.send(raw[:-9])
        await client.send(raw[-9:])
        assert (await client.message(method=b"POST")).body == DONE
    assert [each.body for each in stage.upstream.seen] == [ASKED, ASKED]


@pytest.mark.parametrize("usage", [None, {"kind": "openai", "include_usage": False}, {"kind": "anthropic"}])
async def test_nobody_is_asked_where_the_definition_does_not_say_so(
    start_stage: StartStage, usage: dict[str, object] | None
) -> None:
    """The request and the stream pass as they come."""
    stage = await start_stage(saying(EVENTS + chunked(LAST, DONE)), **({"usage": usage} if usage else {}))
    assert await told(stage, b'{"stream":true}') == LAST + DONE
    assert stage.upstream.seen[0].body == b'{"stream":true}'


async def test_other_paths_are_not_asked(start_stage: StartStage) -> None:
    """Only completions know the member."""
    stage = await start_stage(saying(EVENTS + chunked(LAST, DONE)), usage={"kind": "openai"})
    assert await told(stage, b'{"stream":true}', b"/responses") == LAST + DONE
    assert stage.upstream.seen[0].body == b'{"stream":true}'
