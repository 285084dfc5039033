"""The sandbox converses over the realtime WebSocket as OpenAI does."""

import base64
import json
from typing import Any

import openai
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus
from websockets.typing import Subprotocol

from tests.contract.conftest import KEY
from tests.contract.published import DOCUMENT, Published

HELLO: Any = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello you"}]}
TEXT: Any = {"type": "realtime", "output_modalities": ["text"]}


async def reply(connection: Any) -> list[Any]:
    """The events up to the end of a response."""
    events = []
    async for event in connection:
        events.append(event)
        if event.type in ("response.done", "error"):
            break
    return events


async def test_the_official_client_has_a_conversation_in_text(async_client: openai.AsyncOpenAI) -> None:
    """Session, item, response: the events come in OpenAI's order and the text is an echo."""
    async with async_client.realtime.connect(model="gpt-realtime") as connection:
        assert (await connection.recv()).type == "session.created"
        await connection.session.update(session=TEXT)
        assert (await connection.recv()).type == "session.updated"
        await connection.conversation.item.create(item=HELLO)
        await connection.response.create()
        events = await reply(connection)
    names = [event.type for event in events if event.type != "response.output_text.delta"]
    assert names == [
        *("conversation.item.added", "conversation.item.done", "response.created", "response.output_item.added"),
        *("response.content_part.added", "response.output_text.done", "response.content_part.done"),
        *("conversation.item.added", "conversation.item.done", "response.output_item.done", "response.done"),
    ]
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == "You said: Hello you"


async def test_every_event_fits_the_published_schema(async_client: openai.AsyncOpenAI) -> None:
    """What the server sends in sound, after spoken input, is in the document."""
    if not DOCUMENT.exists():
        pytest.skip("OpenAI's document is not beside this checkout")
    published = Published()
    async with async_client.realtime.connect(model="gpt-realtime") as connection:
        await connection.input_audio_buffer.append(audio=base64.b64encode(b"\0" * 48_000).decode())
        await connection.input_audio_buffer.commit()
        await connection.response.create()
        events: list[Any] = []
        while not events or events[-1]["type"] != "rate_limits.updated":
            events.append(json.loads(await connection.recv_bytes()))
    problems = [
        problem for event in events for problem in published.problems(published.schema("RealtimeServerEvent"), event)
    ]
    assert problems == []
    assert "response.output_audio.delta" in [event["type"] for event in events]
    done = next(event for event in events if event["type"] == "response.output_audio_transcript.done")
    assert done["transcript"] == "You said: 1000 milliseconds of sound"


async def test_a_function_is_called(async_client: openai.AsyncOpenAI) -> None:
    """A required function is called and its output answered."""
    tool: Any = {"type": "function", "name": "get_time", "parameters": {"type": "object", "properties": {}}}
    async with async_client.realtime.connect(model="gpt-realtime") as connection:
        wanted: Any = {**TEXT, "tools": [tool], "tool_choice": "required"}
        await connection.session.update(session=wanted)
        await connection.conversation.item.create(item=HELLO)
        await connection.response.create()
        call = next(event for event in await reply(connection) if event.type == "response.function_call_arguments.done")
        output: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "Noon"}
        await connection.conversation.item.create(item=output)
        await connection.response.create(response={"tool_choice": "none"})
        events = await reply(connection)
    assert call.name == "get_time"
    assert (
        next(event for event in events if event.type == "response.output_text.done").text == "The tool answered: Noon"
    )


async def test_a_response_is_cancelled_on_request(async_client: openai.AsyncOpenAI) -> None:
    """A long response stops and says why."""
    async with async_client.realtime.connect(model="sandbox-stream-10000x5") as connection:
        await connection.response.create()
        async for event in connection:
            if event.type == "response.output_audio_transcript.delta":
                break
        await connection.response.cancel()
        done = (await reply(connection))[-1]
    assert done.response.status == "cancelled"


async def test_mistakes_are_answered_with_error_events(async_client: openai.AsyncOpenAI) -> None:
    """An unknown event, broken JSON and an empty commit are errors; the conversation goes on."""
    async with async_client.realtime.connect(model="gpt-realtime") as connection:
        for text in ('{"type":"unheard.of","event_id":"mine"}', "{", '{"type":"input_audio_buffer.commit"}'):
            await connection.send_raw(text)
        await connection.recv()
        errors: Any = [await connection.recv() for _ in range(3)]
    assert [error.error.code for error in errors] == [
        "invalid_value",
        "invalid_json",
        "input_audio_buffer_commit_empty",
    ]
    assert errors[0].error.event_id == "mine"


def address(sandbox: str, model: str = "gpt-realtime") -> str:
    """The WebSocket's address."""
    return f"{sandbox.replace('http', 'ws', 1)}/v1/realtime?model={model}"


async def test_the_key_may_come_as_a_subprotocol(sandbox: str) -> None:
    """A browser's way: the key among the subprotocols; ``realtime`` is selected."""
    offered = [Subprotocol("realtime"), Subprotocol(f"openai-insecure-api-key.{KEY}")]
    async with connect(address(sandbox), subprotocols=offered, proxy=None) as socket:
        assert socket.subprotocol == "realtime"
        assert json.loads(await socket.recv())["type"] == "session.created"


async def test_a_client_secret_opens_the_socket(sandbox: str, client: openai.OpenAI) -> None:
    """The short-lived key that a server asks for is good for a browser."""
    secret = client.realtime.client_secrets.create().value
    offered = [Subprotocol("realtime"), Subprotocol(f"openai-insecure-api-key.{secret}")]
    async with connect(address(sandbox), subprotocols=offered, proxy=None) as socket:
        assert json.loads(await socket.recv())["type"] == "session.created"


@pytest.mark.parametrize(("key", "model", "status"), [("sk-other", "gpt-realtime", 401), (KEY, "sandbox-429", 429)])
async def test_a_handshake_is_refused_with_a_status(key: str, model: str, status: int, sandbox: str) -> None:
    """A wrong key, or a switch, refuses the upgrade with an ordinary answer in OpenAI's shape."""
    with pytest.raises(InvalidStatus) as refused:
        async with connect(address(sandbox, model), additional_headers={"Authorization": f"Bearer {key}"}, proxy=None):
            pass
    assert refused.value.response.status_code == status
    assert json.loads(refused.value.response.body)["error"]["message"]


async def test_the_echo_hides_the_key_in_the_subprotocol(sandbox: str) -> None:
    """What reached the sandbox is shown with digests only."""
    offered = [Subprotocol("realtime"), Subprotocol(f"openai-insecure-api-key.{KEY}")]
    async with connect(address(sandbox, "sandbox-echo-headers"), subprotocols=offered, proxy=None) as socket:
        await socket.recv()
        text = str(await socket.recv())
    assert json.loads(text)["type"] == "sandbox.echo"
    assert KEY not in text
    assert "openai-insecure-api-key.sha256:" in text


async def test_a_cut_conversation_ends_without_a_close_frame(async_client: openai.AsyncOpenAI) -> None:
    """The connection drops in the middle of a response."""
    async with async_client.realtime.connect(model="sandbox-cut", max_retries=0) as connection:
        await connection.conversation.item.create(item=HELLO)
        await connection.response.create()
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                await connection.recv()
    assert closed.value.rcvd is None


async def test_a_malformed_handshake_is_no_http(sandbox: str) -> None:
    """The switch answers the upgrade with bytes that are no HTTP."""
    headers = {"Authorization": f"Bearer {KEY}"}
    with pytest.raises(InvalidMessage):
        async with connect(address(sandbox, "sandbox-malformed-http"), additional_headers=headers, proxy=None):
            pass
