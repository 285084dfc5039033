"""The sandbox's answers fit the schemas that OpenAI publishes."""

import io
import json
from typing import Any

import openai
import pytest
from starlette.routing import Route

from tests.contract.published import DOCUMENT, Published
from tieline.sandbox.app import create_app

pytestmark = pytest.mark.skipif(not DOCUMENT.exists(), reason="OpenAI's document is not beside this checkout")

SAY = [{"role": "user", "content": "What is the weather in Paris?"}]
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
CHAT_TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}}
CUSTOM_CHAT_TOOL = {"type": "custom", "custom": {"name": "weather_notes"}}
TOOL = {"type": "function", "name": "get_weather", "parameters": WEATHER, "strict": True}
SHAPE = {"type": "json_schema", "name": "Place", "schema": WEATHER}


@pytest.fixture(scope="module")
def published() -> Published:
    """The document."""
    return Published()


@pytest.fixture
def speech(client: openai.OpenAI) -> bytes:
    """A sound file of the sandbox's own."""
    return client.audio.speech.create(model="tts-1", voice="alloy", input="one two three").read()


def post(client: openai.OpenAI, path: str, body: dict[str, Any]) -> Any:
    """The JSON that a POST answers."""
    return client.post(path, cast_to=object, body=body)


def get(client: openai.OpenAI, path: str) -> Any:
    """The JSON that a GET answers."""
    return client.get(path, cast_to=object)


def events(client: openai.OpenAI, path: str, body: dict[str, Any]) -> list[Any]:
    """The events that a streamed POST answers."""
    return list(client.post(path, cast_to=object, body=body, stream=True, stream_cls=openai.Stream[object]))


def upload(client: openai.OpenAI, content: bytes, purpose: str) -> str:
    """The id of an uploaded file."""
    return client.files.create(file=("lines.jsonl", content), purpose=purpose).id  # type: ignore[arg-type]


POSTED: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/chat/completions", {"model": "gpt-4.1", "messages": SAY}),
    "chat with two choices": ("/chat/completions", {"model": "gpt-4.1", "messages": SAY, "n": 2}),
    "chat cut short": ("/chat/completions", {"model": "gpt-4.1", "messages": SAY, "max_tokens": 2}),
    "chat with logprobs": ("/chat/completions", {"model": "m", "messages": SAY, "logprobs": True, "top_logprobs": 2}),
    "chat with a tool": ("/chat/completions", {"model": "gpt-4.1", "messages": SAY, "tools": [CHAT_TOOL]}),
    "chat with a custom tool": ("/chat/completions", {"model": "m", "messages": SAY, "tools": [CUSTOM_CHAT_TOOL]}),
    "completion": ("/completions", {"model": "gpt-3.5-turbo-instruct", "prompt": ["One", "Two"], "n": 2}),
    "response": ("/responses", {"model": "gpt-4.1", "input": "Hello"}),
    "response with settings": (
        "/responses",
        {"model": "gpt-5", "input": SAY, "instructions": "Be brief", "metadata": {"a": "b"}, "temperature": 0.5},
    ),
    "response cut short": ("/responses", {"model": "gpt-4.1", "input": "word " * 40, "max_output_tokens": 16}),
    "response with a tool": ("/responses", {"model": "gpt-4.1", "input": SAY, "tools": [TOOL]}),
    "response with a shape": ("/responses", {"model": "gpt-4.1", "input": SAY, "text": {"format": SHAPE}}),
    "response in the background": ("/responses", {"model": "gpt-4.1", "input": "Hello", "background": True}),
    "count of input": ("/responses/input_tokens", {"model": "gpt-4.1", "input": "Hello"}),
    "embedding": ("/embeddings", {"model": "text-embedding-3-small", "input": ["a", "b"], "dimensions": 8}),
    "moderation": ("/moderations", {"input": ["hello", "I will kill you"]}),
    "image": ("/images/generations", {"prompt": "A tie line", "model": "gpt-image-1"}),
    "image by address": ("/images/generations", {"prompt": "A tie line", "model": "dall-e-3", "n": 1}),
    "conversation": ("/conversations", {"metadata": {"a": "b"}}),
    "vector store": ("/vector_stores", {"name": "books"}),
    "upload": ("/uploads", {"filename": "a.jsonl", "purpose": "batch", "bytes": 3, "mime_type": "text/plain"}),
    "realtime secret": ("/realtime/client_secrets", {"session": {"type": "realtime", "model": "gpt-realtime"}}),
}


@pytest.mark.parametrize("name", POSTED)
def test_an_answer_fits_the_published_schema(name: str, client: openai.OpenAI, published: Published) -> None:
    """What a POST answers has every field that the document requires, with the right types."""
    path, body = POSTED[name]
    assert published.problems(published.answer("post", path), post(client, path, body)) == []


STREAMED: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/chat/completions", {"model": "m", "messages": SAY, "stream_options": {"include_usage": True}}),
    "chat with logprobs": ("/chat/completions", {"model": "m", "messages": SAY, "logprobs": True}),
    "chat with a tool": ("/chat/completions", {"model": "gpt-4.1", "messages": SAY, "tools": [CHAT_TOOL]}),
    "response": ("/responses", {"model": "gpt-4.1", "input": "Hello"}),
    "response cut short": ("/responses", {"model": "gpt-4.1", "input": "word " * 40, "max_output_tokens": 16}),
    "response with a tool": ("/responses", {"model": "gpt-4.1", "input": SAY, "tools": [TOOL]}),
    "image": ("/images/generations", {"prompt": "A tie line", "model": "gpt-image-1", "partial_images": 2}),
}


@pytest.mark.parametrize("name", STREAMED)
def test_every_event_fits_the_published_schema(name: str, client: openai.OpenAI, published: Published) -> None:
    """Each event of a stream has every field that the document requires, with the right types."""
    path, body = STREAMED[name]
    schema = published.answer("post", path, "text/event-stream")
    found = events(client, path, {**body, "stream": True})
    assert len(found) >= 3
    assert [problem for event in found for problem in published.problems(schema, event)] == []


def test_streamed_speech_and_transcription_fit_the_published_schemas(
    client: openai.OpenAI, published: Published, speech: bytes
) -> None:
    """The events of the audio endpoints have what the document requires."""
    body = {"model": "gpt-4o-mini-tts", "voice": "alloy", "input": "one two", "stream_format": "sse"}
    schema = published.answer("post", "/audio/speech", "text/event-stream")
    for event in events(client, "/audio/speech", body):
        assert published.problems(schema, event) == []
    schema = published.answer("post", "/audio/transcriptions", "text/event-stream")
    file = ("a.wav", speech)
    for told in client.audio.transcriptions.create(model="gpt-4o-transcribe", file=file, stream=True):
        assert published.problems(schema, told.model_dump(exclude_unset=True)) == []


def test_audio_answers_fit_the_published_schemas(client: openai.OpenAI, published: Published, speech: bytes) -> None:
    """Transcriptions and translations have what the document requires, in every JSON format."""
    for path in ("/audio/transcriptions", "/audio/translations"):
        for shape in ("json", "verbose_json"):
            answer = client.post(
                path,
                cast_to=object,
                body={"model": "whisper-1", "response_format": shape},
                files={"file": ("a.wav", speech)},
                options={"headers": {"Content-Type": "multipart/form-data"}},
            )
            assert published.problems(published.answer("post", path), answer) == []


def test_edited_images_fit_the_published_schema(client: openai.OpenAI, published: Published) -> None:
    """An edit answers as the document says."""
    image = io.BytesIO(b"picture")
    edited = client.images.edit(model="gpt-image-1", image=("a.png", image), prompt="Bluer").model_dump(
        exclude_unset=True
    )
    assert published.problems(published.answer("post", "/images/edits"), edited) == []


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("/models", None),
        ("/models/{model}", "gpt-4.1"),
        ("/files", "file"),
        ("/files/{file_id}", "file"),
        ("/batches", "batch"),
        ("/batches/{batch_id}", "batch"),
        ("/chat/completions", "chat"),
        ("/chat/completions/{completion_id}", "chat"),
        ("/responses/{response_id}", "response"),
        ("/responses/{response_id}/input_items", "response"),
        ("/conversations/{conversation_id}", "conversation"),
        ("/conversations/{conversation_id}/items", "conversation"),
        ("/vector_stores", "store"),
        ("/vector_stores/{vector_store_id}", "store"),
        ("/vector_stores/{vector_store_id}/files", "store"),
    ],
)
def test_what_is_kept_is_read_as_published(
    path: str, kept: str | None, client: openai.OpenAI, published: Published
) -> None:
    """Lists and retrievals fit the document."""
    identity = KEPT[kept](client) if kept in KEPT else kept
    before, brace, after = path.partition("{")
    real = f"{before}{identity}{after.partition('}')[2]}" if brace else path
    assert published.problems(published.answer("get", path), get(client, real)) == []


def _batch(client: openai.OpenAI) -> str:
    line = {"custom_id": "1", "method": "POST", "url": "/v1/responses", "body": {"model": "gpt-4.1", "input": "Hi"}}
    source = upload(client, json.dumps(line).encode(), "batch")
    body: dict[str, Any] = {"input_file_id": source, "endpoint": "/v1/responses", "completion_window": "24h"}
    return client.batches.create(**body).id


def _conversation(client: openai.OpenAI) -> str:
    identity = client.conversations.create().id
    client.responses.create(model="gpt-4.1", input="Hello", conversation=identity)
    return identity


KEPT: dict[str | None, Any] = {
    "file": lambda client: upload(client, b"{}", "batch"),
    "batch": _batch,
    "chat": lambda client: post(client, "/chat/completions", {"model": "m", "messages": SAY, "store": True})["id"],
    "response": lambda client: client.responses.create(model="gpt-4.1", input="Hello").id,
    "conversation": _conversation,
    "store": lambda client: client.vector_stores.create(file_ids=[upload(client, b"text", "assistants")]).id,
}


def test_stored_messages_fit_but_for_the_role(client: openai.OpenAI, published: Published) -> None:
    """The document wants ``assistant`` for every stored message, though it lists what users sent: users stay users."""
    path = "/chat/completions/{completion_id}/messages"
    answer = get(client, path.replace("{completion_id}", KEPT["chat"](client)))
    problems = published.problems(published.answer("get", path), answer)
    assert problems == [".data[0].role: 'user' is not what the document names"]


def test_a_search_fits_the_published_schema(client: openai.OpenAI, published: Published) -> None:
    """A search answers as the document says."""
    store = KEPT["store"](client)
    answer = post(client, f"/vector_stores/{store}/search", {"query": "text"})
    assert answer["data"]
    assert published.problems(published.answer("post", "/vector_stores/{vector_store_id}/search"), answer) == []


def test_errors_fit_the_published_schema(client: openai.OpenAI, published: Published) -> None:
    """A refusal has the document's shape of an error."""
    with pytest.raises(openai.BadRequestError) as refused:
        post(client, "/chat/completions", {"model": "gpt-4.1"})
    assert published.problems(published.schema("ErrorResponse"), refused.value.response.json()) == []


def test_every_route_is_an_operation_of_the_document(published: Published) -> None:
    """The sandbox invents no path or method of the API."""
    known = {
        (method.upper(), _nameless(path)) for path, found in published.document["paths"].items() for method in found
    }
    for route in create_app().routes:
        if isinstance(route, Route) and route.path.startswith("/v1"):
            for method in (route.methods or set()) - {"HEAD"}:
                assert (method, _nameless(route.path.removeprefix("/v1"))) in known


def _nameless(path: str) -> str:
    return "/".join("{}" if step.startswith("{") else step for step in path.split("/"))
