"""The official Python SDK, base URL and key changed and nothing else, has the whole API through the relay."""

import hashlib
import io
import json
import struct
import wave
from base64 import b64decode
from typing import Any

import openai
import pytest

from tests.e2e.conftest import PROVIDER_KEY
from tests.e2e.sdk.cases import MODEL
from tests.e2e.sdk.conftest import Both, Stage, pieces, settled

HELLO: Any = [{"role": "user", "content": "Hello you"}]
WEATHER: Any = [{"role": "user", "content": "What is the weather in Paris?"}]
TOOL: Any = {
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


async def test_models_are_listed(client: Any) -> None:
    """The list comes whole, as the SDK's page."""
    assert "gpt-4.1" in [model.id for model in await pieces(client.models.list())]


async def test_a_model_is_retrieved(client: Any) -> None:
    """A path with a name in it arrives."""
    assert (await settled(client.models.retrieve("gpt-4.1"))).id == "gpt-4.1"


async def test_chat_is_answered(client: Any) -> None:
    """A plain completion."""
    answer = await settled(client.chat.completions.create(model=MODEL, messages=HELLO))
    assert answer.choices[0].message.content == "You said: Hello you"


async def test_chat_is_streamed(client: Any) -> None:
    """Chunks make the same text, then the usage that was asked for."""
    chunks = await pieces(
        client.chat.completions.create(model=MODEL, messages=HELLO, stream=True, stream_options={"include_usage": True})
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "You said: Hello you"
    assert chunks[-1].usage.total_tokens > 0


async def test_a_stream_comes_as_it_is_made(client: Any) -> None:
    """The first chunk is there while the upstream still makes the rest."""
    stream = await settled(client.chat.completions.create(model="sandbox-stream-100x50", messages=HELLO, stream=True))
    first = await anext(aiter(stream)) if hasattr(stream, "__aiter__") else next(stream)
    assert first.choices[0].delta.role == "assistant"
    await settled(stream.close())


async def test_chat_calls_a_tool_and_hears_its_answer(client: Any) -> None:
    """A function is called, its result goes back, the model speaks of it."""
    tools = [{"type": "function", "function": TOOL}]
    asked = await settled(client.chat.completions.create(model=MODEL, messages=WEATHER, tools=tools))
    call = asked.choices[0].message.tool_calls[0]
    assert call.function.name == "get_weather"
    assert "Paris" in json.loads(call.function.arguments)["city"]
    result = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
    said: Any = [*WEATHER, asked.choices[0].message, result]
    answer = await settled(client.chat.completions.create(model=MODEL, messages=said, tools=tools))
    assert answer.choices[0].message.content == "The tool answered: sunny"


async def test_a_tool_is_called_in_a_stream(client: Any) -> None:
    """The arguments come in pieces that make one JSON object."""
    tools = [{"type": "function", "function": TOOL}]
    chunks = await pieces(client.chat.completions.create(model=MODEL, messages=WEATHER, tools=tools, stream=True))
    calls = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or ()]
    assert "city" in json.loads("".join(call.function.arguments or "" for call in calls))


async def test_a_response_is_made(client: Any) -> None:
    """The Responses API, plainly."""
    answer = await settled(client.responses.create(model=MODEL, input="Hello you"))
    assert answer.output_text == "You said: Hello you"


async def test_a_response_is_streamed(client: Any) -> None:
    """Named events from the first to the last."""
    events = await pieces(client.responses.create(model=MODEL, input="Hello you", stream=True))
    assert (events[0].type, events[-1].type) == ("response.created", "response.completed")
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == (
        "You said: Hello you"
    )


async def test_a_response_is_kept_retrieved_and_deleted(client: Any) -> None:
    """GET and DELETE with an id; the second GET finds nothing."""
    made = await settled(client.responses.create(model=MODEL, input="Hello you", store=True))
    assert (await settled(client.responses.retrieve(made.id))).output_text == made.output_text
    await settled(client.responses.delete(made.id))
    with pytest.raises(openai.NotFoundError):
        await settled(client.responses.retrieve(made.id))


async def test_texts_are_embedded(client: Any) -> None:
    """Vectors come in base64 and the SDK unpacks them."""
    answer = await settled(client.embeddings.create(model="text-embedding-3-small", input=["one", "two"]))
    assert [len(item.embedding) for item in answer.data] == [1536, 1536]


async def test_an_image_is_made(client: Any) -> None:
    """The base64 in the answer is a PNG of the size asked for."""
    answer = await settled(client.images.generate(model="gpt-image-1", prompt="a tie line", size="1024x1024"))
    picture = b64decode(answer.data[0].b64_json)
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", picture[16:24]) == (1024, 1024)


async def test_an_image_is_edited(client: Any) -> None:
    """A picture goes up as multipart."""
    made = await settled(client.images.generate(model="gpt-image-1", prompt="a tie line"))
    picture = ("line.png", b64decode(made.data[0].b64_json), "image/png")
    answer = await settled(client.images.edit(model="gpt-image-1", image=picture, prompt="in red"))
    assert b64decode(answer.data[0].b64_json).startswith(b"\x89PNG")


async def test_speech_is_made_and_transcribed(client: Any) -> None:
    """A WAV comes back, byte for byte, and is understood when it goes up again."""
    speech = await settled(
        client.audio.speech.create(model="gpt-4o-mini-tts", voice="alloy", input="Hello you", response_format="wav")
    )
    with wave.open(io.BytesIO(speech.content)) as sound:
        assert sound.getnframes() > 0
    file = ("said.wav", speech.content, "audio/wav")
    heard = await settled(client.audio.transcriptions.create(model="whisper-1", file=file))
    assert heard.text == "Hello you"


async def test_speech_is_streamed_to_a_file(client: Any, tmp_path: Any) -> None:
    """Through with_streaming_response, as the SDK's documentation does it."""
    target = tmp_path / "said.wav"
    options = {"model": "gpt-4o-mini-tts", "voice": "alloy", "input": "Hello you", "response_format": "wav"}
    streaming = client.audio.speech.with_streaming_response.create(**options)
    if hasattr(streaming, "__aenter__"):
        async with streaming as answer:
            await answer.stream_to_file(target)
    else:
        with streaming as answer:
            answer.stream_to_file(target)
    assert target.read_bytes().startswith(b"RIFF")


async def test_a_file_is_uploaded_listed_read_and_deleted(client: Any) -> None:
    """The life of a file, 300 KB of every byte value."""
    content = bytes(range(256)) * 1200
    made = await settled(client.files.create(file=("bytes.bin", content), purpose="user_data"))
    assert made.bytes == len(content)
    assert made.id in [file.id for file in await pieces(client.files.list(purpose="user_data"))]
    assert (await settled(client.files.content(made.id))).content == content
    assert (await settled(client.files.delete(made.id))).deleted
    assert made.id not in [file.id for file in await pieces(client.files.list(purpose="user_data"))]


async def test_a_text_is_moderated(client: Any) -> None:
    """A harmless text is not flagged."""
    answer = await settled(client.moderations.create(model="omni-moderation-latest", input="Hello you"))
    assert answer.results[0].flagged is False


async def test_a_batch_runs(client: Any) -> None:
    """Lines go up as a file, and their answers come back as one."""
    body = {"model": MODEL, "messages": HELLO}
    line = {"custom_id": "one", "method": "POST", "url": "/v1/chat/completions", "body": body}
    file = await settled(client.files.create(file=("lines.jsonl", json.dumps(line).encode()), purpose="batch"))
    batch = await settled(
        client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    )
    for _ in range(5):
        batch = await settled(client.batches.retrieve(batch.id))
        if batch.status == "completed":
            break
    assert batch.id in [each.id for each in await pieces(client.batches.list())]
    answers = (await settled(client.files.content(batch.output_file_id))).text
    said = json.loads(answers)["response"]["body"]["choices"][0]["message"]["content"]
    assert said == "You said: Hello you"


async def test_the_programs_environment_is_enough(both: Both, stage: Stage, monkeypatch: Any, client: Any) -> None:
    """A program that names neither address nor key is led here by OPENAI_BASE_URL and OPENAI_API_KEY."""
    monkeypatch.setenv("OPENAI_BASE_URL", stage.base())
    monkeypatch.setenv("OPENAI_API_KEY", stage.key)
    unaware: Any = both.kind()
    assert (await settled(unaware.models.retrieve("gpt-4.1"))).id == "gpt-4.1"
    await settled(unaware.close())


async def test_the_upstream_sees_its_own_key_and_all_else_as_it_was(client: Any, stage: Stage) -> None:
    """The SDK's headers arrive, with the provider's key in place of the app's."""
    echo = client.chat.completions.with_raw_response.create(model="sandbox-echo-headers", messages=HELLO)
    seen = json.loads((await settled(echo)).text)
    headers = dict(seen["headers"])
    assert headers["x-stainless-lang"] == "python"
    assert headers["content-type"] == "application/json"
    assert stage.key not in json.dumps(seen)
    assert seen["authorization"]["sha256"] == hashlib.sha256(PROVIDER_KEY.encode()).hexdigest()
