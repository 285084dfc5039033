"""Answers that break off: nobody takes them for whole, and the SDK says in Tieline's words what happened."""

from typing import Any

import openai
import pytest

from tests.e2e.sdk.cases import MODEL
from tests.e2e.sdk.conftest import Both, Stage, eventually, settled

HELLO: Any = [{"role": "user", "content": "Hello you"}]


async def until_broken(stream: Any) -> tuple[list[Any], openai.APIError]:
    """What came before the break, and the break."""
    stream = await settled(stream)
    came: list[Any] = []
    with pytest.raises(openai.APIError) as caught:
        if hasattr(stream, "__aiter__"):
            async for piece in stream:
                came.append(piece)  # noqa: PERF401  # kept although the loop is broken off
        else:
            for piece in stream:
                came.append(piece)  # noqa: PERF402  # as above
    return came, caught.value


async def test_a_chat_stream_that_is_cut_raises_api_error(client: Any) -> None:
    """The upstream hangs up midway: the chunks so far, then our message, code and request id."""
    came, error = await until_broken(client.chat.completions.create(model="sandbox-cut", messages=HELLO, stream=True))
    assert came[0].choices[0].delta.role == "assistant"
    assert type(error) is openai.APIError
    assert "in the middle of its answer" in error.message
    assert (error.code, error.type) == ("upstream_protocol_error", "tieline_error")
    assert isinstance(error.body, dict)
    assert error.body["request_id"].startswith("req_")


async def test_a_response_stream_that_is_cut_raises_api_error(client: Any) -> None:
    """The same with the named events of the Responses API."""
    came, error = await until_broken(client.responses.create(model="sandbox-cut", input="Hello you", stream=True))
    assert came[0].type == "response.created"
    assert type(error) is openai.APIError
    assert "in the middle of its answer" in error.message


async def test_an_event_that_is_torn_raises_api_error(both: Both, stage: Stage, torn: str) -> None:
    """The upstream hangs up in the middle of an event: the whole events so far, then an error of the SDK's own tree."""
    client = await both.open(stage.base(torn), stage.key)
    came, _ = await until_broken(client.chat.completions.create(model=MODEL, messages=HELLO, stream=True))
    assert [chunk.id for chunk in came] == ["whole"]


async def test_a_stream_that_stalls_raises_api_error(both: Both, stage: Stage, quick: str) -> None:
    """Silence beyond the API's idle time ends the stream with what to raise."""
    client = await both.open(stage.base(quick), stage.key)
    came, error = await until_broken(client.chat.completions.create(model="sandbox-stall", messages=HELLO, stream=True))
    assert came
    assert error.code == "upstream_timeout"
    assert "raise the API's timeout" in error.message


async def test_a_plain_answer_that_is_cut_is_no_answer(both: Both, stage: Stage) -> None:
    """Its end is missing on the wire too, so the SDK cannot take half for whole."""
    client = await both.open(stage.base(), stage.key, max_retries=0)
    with pytest.raises(openai.APIConnectionError):
        await settled(client.chat.completions.create(model="sandbox-cut", messages=HELLO))


async def test_a_plain_answer_that_stalls_is_no_answer(both: Both, stage: Stage, quick: str) -> None:
    """Nor when the upstream falls silent midway: the SDK is told long before its own ten minutes are over."""
    client = await both.open(stage.base(quick), stage.key, max_retries=0)
    with pytest.raises(openai.APIConnectionError):
        await settled(client.chat.completions.create(model="sandbox-stall", messages=HELLO))


async def test_after_a_cut_the_same_client_goes_on(client: Any) -> None:
    """A broken stream leaves nothing behind in the connection."""
    await until_broken(client.chat.completions.create(model="sandbox-cut", messages=HELLO, stream=True))
    answer = await settled(client.chat.completions.create(model=MODEL, messages=HELLO))
    assert answer.choices[0].message.content == "You said: Hello you"


async def test_a_client_that_leaves_stops_the_upstream(client: Any, stage: Stage) -> None:
    """Closing a stream early ends the upstream's work as well."""
    before = stage.stats()["cancelled_streams"]
    stream = await settled(client.chat.completions.create(model="sandbox-stream-2000x20", messages=HELLO, stream=True))
    await settled(stream.close())
    assert await eventually(lambda: stage.stats()["cancelled_streams"] == before + 1)
