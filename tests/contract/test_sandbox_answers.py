"""The sandbox answers the official SDK as OpenAI would: text, tools, shapes, pictures, sound, files, batches."""

import base64
import json
import struct
import wave
import zlib
from io import BytesIO
from typing import Any

import openai
import pytest
from pydantic import BaseModel

ASK: list[Any] = [{"role": "user", "content": "What is the weather in Paris?"}]
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


class Step(BaseModel):
    title: str
    seconds: int


class Recipe(BaseModel):
    name: str
    tags: list[str]
    steps: list[Step]
    vegan: bool | None


def test_models_are_listed_and_found(client: openai.OpenAI) -> None:
    """A listed model can be retrieved, an unknown one raises NotFoundError."""
    assert "gpt-4.1" in [model.id for model in client.models.list()]
    assert client.models.retrieve("gpt-4.1").owned_by == "tieline-sandbox"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-unheard-of")


def test_chat_echoes_and_counts(client: openai.OpenAI) -> None:
    """The assistant repeats the last words, and the counts of tokens add up."""
    answer = client.chat.completions.create(model="gpt-4.1", messages=[{"role": "user", "content": "Hello"}])
    assert answer.choices[0].message.content == "You said: Hello"
    assert answer.usage
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_equal_questions_get_equal_answers(client: openai.OpenAI) -> None:
    """Text, counts and vectors depend on the input alone."""
    first, second = (client.chat.completions.create(model="m", messages=ASK) for _ in range(2))
    assert (first.choices, first.usage) == (second.choices, second.usage)


def test_a_streamed_chat_is_the_plain_one_in_pieces(client: openai.OpenAI) -> None:
    """The pieces joined are the plain answer, the last chunk carries the usage."""
    plain = client.chat.completions.create(model="gpt-4.1", messages=ASK)
    chunks = list(
        client.chat.completions.create(
            model="gpt-4.1", messages=ASK, stream=True, stream_options={"include_usage": True}
        )
    )
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert text == plain.choices[0].message.content
    assert chunks[-1].usage == plain.usage


async def test_a_streamed_chat_reaches_the_async_client(async_client: openai.AsyncOpenAI) -> None:
    """The asynchronous SDK reads the same stream."""
    stream = await async_client.chat.completions.create(model="gpt-4.1", messages=ASK, stream=True)
    text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    assert text == "You said: What is the weather in Paris?"


def test_chat_obeys_n_stop_and_max_tokens(client: openai.OpenAI) -> None:
    """Several choices differ, a stop word ends the text, a limit cuts it and says so."""
    choices = client.chat.completions.create(model="m", messages=ASK, n=3).choices
    assert len({choice.message.content for choice in choices}) == 3
    stopped = client.chat.completions.create(model="m", messages=ASK, stop=[" weather"]).choices[0]
    assert (stopped.message.content, stopped.finish_reason) == ("You said: What is the", "stop")
    cut = client.chat.completions.create(model="m", messages=ASK, max_completion_tokens=2).choices[0]
    assert (cut.message.content, cut.finish_reason) == ("You said", "length")


def test_a_tool_is_called_when_the_question_is_about_it(client: openai.OpenAI) -> None:
    """With ``auto`` a tool whose name the user's words share is called with fitting arguments."""
    choice = client.chat.completions.create(model="m", messages=ASK, tools=[TOOL]).choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls
    call: Any = choice.message.tool_calls[0]
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments) == {"city": "What is the weather in Paris?"}


def test_a_tool_is_left_alone_when_it_is_not_asked_for(client: openai.OpenAI) -> None:
    """``none``, or words that have nothing to do with the tool, give a text."""
    other: Any = [{"role": "user", "content": "Good morning"}]
    asked: list[tuple[Any, Any]] = [(other, "auto"), (ASK, "none")]
    for messages, choice in asked:
        answer = client.chat.completions.create(model="m", messages=messages, tools=[TOOL], tool_choice=choice)
        assert answer.choices[0].finish_reason == "stop"
    forced = client.chat.completions.create(model="m", messages=other, tools=[TOOL], tool_choice="required")
    assert forced.choices[0].finish_reason == "tool_calls"


def test_a_tools_result_is_answered(client: openai.OpenAI) -> None:
    """After the tool's message the assistant says what the tool said."""
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    told = {"role": "tool", "tool_call_id": "call_1", "content": "Rain"}
    messages: Any = [*ASK, {"role": "assistant", "tool_calls": [call]}, told]
    answer = client.chat.completions.create(model="m", messages=messages, tools=[TOOL])
    assert answer.choices[0].message.content == "The tool answered: Rain"


def test_a_streamed_tool_call_is_put_together_by_the_sdk(client: openai.OpenAI) -> None:
    """The SDK's own accumulator makes the call from the chunks."""
    strict: Any = {**TOOL, "function": {**TOOL["function"], "strict": True}}
    strict["function"]["parameters"] = {**TOOL["function"]["parameters"], "additionalProperties": False}
    with client.chat.completions.stream(model="m", messages=ASK, tools=[strict]) as stream:
        call = stream.get_final_completion().choices[0].message.tool_calls
    assert call
    assert json.loads(call[0].function.arguments) == {"city": "What is the weather in Paris?"}


def test_structured_outputs_fit_their_model(client: openai.OpenAI) -> None:
    """A Pydantic model as format comes back filled, from chat and from responses."""
    chat = client.chat.completions.parse(model="m", messages=ASK, response_format=Recipe).choices[0].message.parsed
    response = client.responses.parse(model="m", input="Soup", text_format=Recipe).output_parsed
    assert chat
    assert response
    assert len(chat.steps) == len(response.steps) == 1


def test_a_json_object_is_one(client: openai.OpenAI) -> None:
    """``json_object`` gives an object in JSON."""
    answer = client.chat.completions.create(model="m", messages=ASK, response_format={"type": "json_object"})
    assert json.loads(answer.choices[0].message.content or "") == {"answer": "What is the weather in Paris?"}


def test_stored_chats_can_be_read_changed_and_deleted(client: openai.OpenAI) -> None:
    """``store`` keeps a completion until it is deleted."""
    kept = client.chat.completions.create(model="m", messages=ASK, store=True, metadata={"a": "1"})
    assert client.chat.completions.update(kept.id, metadata={"a": "2"}).metadata == {"a": "2"}
    assert [message.content for message in client.chat.completions.messages.list(kept.id)] == [ASK[0]["content"]]
    client.chat.completions.delete(kept.id)
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.retrieve(kept.id)


def test_legacy_completions_answer_and_stream(client: openai.OpenAI) -> None:
    """A prompt is echoed, whole or in pieces."""
    plain = client.completions.create(model="gpt-3.5-turbo-instruct", prompt="Hello", max_tokens=50)
    pieces = client.completions.create(model="gpt-3.5-turbo-instruct", prompt="Hello", max_tokens=50, stream=True)
    assert "".join(piece.choices[0].text for piece in pieces) == plain.choices[0].text == "You said: Hello"


def test_a_streamed_response_has_every_event_in_order(client: openai.OpenAI) -> None:
    """Created, in progress, item, part, text, part, item, completed; numbered without a gap."""
    events = list(client.responses.create(model="gpt-4.1", input="Hi you", stream=True))
    names = [event.type.removeprefix("response.") for event in events]
    deltas = names.count("output_text.delta")
    assert names == [
        *("created", "in_progress", "output_item.added", "content_part.added"),
        *(["output_text.delta"] * deltas),
        *("output_text.done", "content_part.done", "output_item.done", "completed"),
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))


def test_the_sdk_puts_a_streamed_response_together(client: openai.OpenAI) -> None:
    """The SDK's own accumulator ends with the whole response."""
    with client.responses.stream(model="gpt-4.1", input="Hi you") as stream:
        final = stream.get_final_response()
    assert final.output_text == "You said: Hi you"
    assert final.usage


def test_a_response_calls_a_function_and_takes_its_output(client: openai.OpenAI) -> None:
    """A function call, and the next response that follows it by id."""
    tool: Any = {"type": "function", **TOOL["function"], "strict": False}
    events = list(client.responses.create(model="m", input=ASK, tools=[tool], stream=True))
    done: Any = next(event for event in events if event.type == "response.function_call_arguments.done")
    assert json.loads(done.arguments) == {"city": "What is the weather in Paris?"}
    first: Any = events[-1]
    output: Any = [{"type": "function_call_output", "call_id": first.response.output[0].call_id, "output": "Rain"}]
    second = client.responses.create(model="m", input=output, previous_response_id=first.response.id)
    assert second.output_text == "The tool answered: Rain"


def test_a_kept_response_is_retrieved_replayed_and_deleted(client: openai.OpenAI) -> None:
    """Retrieval, the events again from a number on, the input, deletion."""
    kept = client.responses.create(model="m", input="Hello")
    assert client.responses.retrieve(kept.id).output_text == kept.output_text
    replayed = list(client.responses.retrieve(kept.id, stream=True, starting_after=3))
    assert replayed[0].sequence_number == 4
    assert replayed[-1].type == "response.completed"
    item: Any = client.responses.input_items.list(kept.id).data[0]
    assert item.content[0].text == "Hello"
    client.responses.delete(kept.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(kept.id)


def test_a_response_in_the_background_moves_on_or_is_cancelled(client: openai.OpenAI) -> None:
    """Queued, in progress, completed with each reading; cancelled where asked."""
    kept = client.responses.create(model="m", input="Hello", background=True)
    assert kept.status == "queued"
    assert [client.responses.retrieve(kept.id).status for _ in range(2)] == ["in_progress", "completed"]
    other = client.responses.create(model="m", input="Hello", background=True)
    assert client.responses.cancel(other.id).status == "cancelled"
    assert client.responses.retrieve(other.id).status == "cancelled"


def test_a_conversation_grows_with_its_responses(client: openai.OpenAI) -> None:
    """What was asked and answered in a conversation is listed in it."""
    conversation = client.conversations.create(items=[{"role": "user", "content": "First"}])
    client.responses.create(model="m", input="Second", conversation=conversation.id)
    items: Any = list(client.conversations.items.list(conversation.id, order="asc"))
    assert [item.content[0].text for item in items] == ["First", "Second", "You said: Second"]
    client.conversations.items.delete(items[0].id, conversation_id=conversation.id)
    assert len(list(client.conversations.items.list(conversation.id))) == 2


def test_input_is_counted(client: openai.OpenAI) -> None:
    """More input, more tokens."""
    short, long = (client.responses.input_tokens.count(model="m", input=text) for text in ("Hi", "Hi there you"))
    assert short.input_tokens < long.input_tokens


def test_embeddings_are_unit_vectors_that_know_likeness(client: openai.OpenAI) -> None:
    """Base64 and plain numbers agree; texts with words in common are closer."""
    texts = ["the red fox", "the red dog", "quantum money"]
    coded = client.embeddings.create(model="text-embedding-3-small", input=texts)  # the SDK asks for base64
    plain = client.embeddings.create(model="text-embedding-3-small", input=texts, encoding_format="float")
    a, b, c = (item.embedding for item in plain.data)
    assert coded.data[0].embedding == pytest.approx(a, abs=1e-6)
    assert len(a) == 1536
    assert sum(x * x for x in a) == pytest.approx(1)
    assert sum(x * y for x, y in zip(a, b, strict=True)) > sum(x * y for x, y in zip(a, c, strict=True))
    small = client.embeddings.create(model="text-embedding-3-large", input="x", dimensions=12)
    assert len(small.data[0].embedding) == 12


def test_a_moderation_flags_threats_only(client: openai.OpenAI) -> None:
    """One result for each text."""
    kind, threat = client.moderations.create(input=["Good morning", "I will kill you"]).results
    assert not kind.flagged
    assert threat.flagged
    assert threat.categories.violence


def test_a_generated_image_is_a_real_png(client: openai.OpenAI) -> None:
    """The picture decodes: signature, size, checksums, pixels."""
    answer = client.images.generate(model="gpt-image-1", prompt="A tie line", size="1536x1024")
    assert answer.data
    png = base64.b64decode(answer.data[0].b64_json or "")
    chunks, at = {}, 8
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        chunks[kind] = png[at + 8 : at + 8 + length]
        assert struct.unpack(">I", png[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + chunks[kind])
        at += 12 + length
    assert struct.unpack(">II", chunks[b"IHDR"][:8]) == (1536, 1024)
    assert len(zlib.decompress(chunks[b"IDAT"])) == 1024 * 1537


def test_images_are_edited_and_streamed(client: openai.OpenAI) -> None:
    """An edit takes a file; a stream brings partial images and then the whole."""
    edited = client.images.edit(model="gpt-image-1", image=("a.png", b"x" * 3_000_000), prompt="Bluer", n=2)
    assert len(edited.data or []) == 2
    stream = client.images.generate(model="gpt-image-1", prompt="A line", stream=True, partial_images=2)
    assert [event.type for event in stream] == [
        *["image_generation.partial_image"] * 2,
        "image_generation.completed",
    ]


def test_an_images_address_leads_to_the_picture(client: openai.OpenAI) -> None:
    """Where an address is asked for it leads to the same picture."""
    by_address = client.images.generate(model="dall-e-3", prompt="A tie line").data
    as_bytes = client.images.generate(model="dall-e-3", prompt="A tie line", response_format="b64_json").data
    assert by_address
    assert as_bytes
    png = client.get(by_address[0].url or "", cast_to=openai.HttpxBinaryResponseContent).read()
    assert png == base64.b64decode(as_bytes[0].b64_json or "")


def test_speech_is_a_real_wav_and_is_understood_again(client: openai.OpenAI) -> None:
    """The sound opens as WAV, and its transcription is the text."""
    sound = client.audio.speech.create(model="tts-1", voice="alloy", input="Good morning, dear friends").read()
    with wave.open(BytesIO(sound)) as opened:
        assert (opened.getframerate(), opened.getsampwidth()) == (24_000, 2)
        assert opened.getnframes() == 4 * 2880
    told = client.audio.transcriptions.create(model="whisper-1", file=("speech.wav", sound))
    assert told.text == "Good morning, dear friends"


def test_speech_arrives_in_pieces(client: openai.OpenAI) -> None:
    """Streamed sound is the whole sound."""
    whole = client.audio.speech.create(model="tts-1", voice="alloy", input="One two").read()
    with client.audio.speech.with_streaming_response.create(model="tts-1", voice="alloy", input="One two") as stream:
        assert "content-length" not in stream.headers
        assert b"".join(stream.iter_bytes()) == whole


@pytest.mark.parametrize(
    ("shape", "start"),
    [("text", "one two"), ("srt", "1\n00:00:00,000 --> 00:00:00,240\none two"), ("vtt", "WEBVTT\n\n00:00:00.000 --> ")],
)
def test_a_transcription_comes_in_the_format_asked_for(shape: Any, start: str, client: openai.OpenAI) -> None:
    """Text and subtitles."""
    sound = client.audio.speech.create(model="tts-1", voice="alloy", input="one two").read()
    told: Any = client.audio.transcriptions.create(model="whisper-1", file=("a.wav", sound), response_format=shape)
    assert told.startswith(start)


def test_a_transcription_has_words_and_streams(client: openai.OpenAI) -> None:
    """Word times where asked for; the pieces of a stream joined are the text."""
    sound = client.audio.speech.create(model="tts-1", voice="alloy", input="one two").read()
    told = client.audio.transcriptions.create(
        model="whisper-1", file=("a.wav", sound), response_format="verbose_json", timestamp_granularities=["word"]
    )
    assert [word.word for word in told.words or []] == ["one", "two"]
    events: Any = client.audio.transcriptions.create(model="gpt-4o-transcribe", file=("a.wav", sound), stream=True)
    assert "".join(event.delta for event in events if event.type == "transcript.text.delta") == "one two"


def test_a_file_comes_back_byte_for_byte(client: openai.OpenAI) -> None:
    """Upload, list, retrieve, content, delete."""
    content = bytes(range(256)) * 20_000
    kept = client.files.create(file=("bytes.bin", content), purpose="user_data")
    assert (kept.bytes, kept.filename) == (len(content), "bytes.bin")
    assert kept.id in [file.id for file in client.files.list(purpose="user_data")]
    assert client.files.content(kept.id).read() == content
    client.files.delete(kept.id)
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(kept.id)


def test_an_upload_in_parts_becomes_a_file(client: openai.OpenAI) -> None:
    """The parts are joined in the order that is asked for."""
    upload = client.uploads.create(filename="a.txt", purpose="assistants", bytes=6, mime_type="text/plain")
    first, second = (client.uploads.parts.create(upload.id, data=("part", data)) for data in (b"abc", b"def"))
    done = client.uploads.complete(upload.id, part_ids=[second.id, first.id])
    assert done.file
    assert client.files.content(done.file.id).read() == b"defabc"


def test_a_batch_moves_on_and_answers_each_line(client: openai.OpenAI) -> None:
    """Good and refused lines end in the two files of a completed batch."""
    lines = [
        {"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": {"model": model, "messages": ASK}}
        for name, model in (("good", "gpt-4.1"), ("bad", "sandbox-500"))
    ]
    source = client.files.create(file=("in.jsonl", "\n".join(map(json.dumps, lines)).encode()), purpose="batch")
    batch = client.batches.create(
        input_file_id=source.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"a": "b"}
    )
    seen = [client.batches.retrieve(batch.id) for _ in range(3)]
    assert [one.status for one in seen] == ["in_progress", "finalizing", "completed"]
    final = seen[-1]
    good = json.loads(client.files.content(final.output_file_id or "").read())
    bad = json.loads(client.files.content(final.error_file_id or "").read())
    assert good["response"]["body"]["choices"][0]["message"]["content"].startswith("You said")
    assert (bad["custom_id"], bad["response"]["status_code"]) == ("bad", 500)


def test_a_batch_can_be_cancelled_and_a_broken_one_fails(client: openai.OpenAI) -> None:
    """Cancelling ends in ``cancelled``; a line that is no JSON fails the batch with its number."""
    source = client.files.create(file=("in.jsonl", b"no json"), purpose="batch").id
    settings: Any = {"input_file_id": source, "endpoint": "/v1/embeddings", "completion_window": "24h"}
    first, second = (client.batches.create(**settings).id for _ in range(2))
    client.batches.cancel(first)
    assert client.batches.retrieve(first).status == "cancelled"
    failed = client.batches.retrieve(second)
    assert failed.status == "failed"
    assert failed.errors
    assert (failed.errors.data or [])[0].line == 1


def test_a_vector_store_finds_the_closest_text(client: openai.OpenAI) -> None:
    """The file with the query's words comes first."""
    files = [
        client.files.create(file=(name, text), purpose="assistants").id
        for name, text in (("a.txt", b"apples and pears"), ("b.txt", b"motor cars and lorries"))
    ]
    store = client.vector_stores.create(name="shop", file_ids=files)
    assert store.file_counts.completed == 2
    found = client.vector_stores.search(store.id, query="motor cars").data
    assert found[0].filename == "b.txt"
    client.vector_stores.files.delete(files[1], vector_store_id=store.id)
    assert client.vector_stores.retrieve(store.id).file_counts.total == 1


def test_every_answer_has_openais_headers(client: openai.OpenAI) -> None:
    """Request id, organisation, version, time and rate limits."""
    headers = client.chat.completions.with_raw_response.create(model="m", messages=ASK).headers
    assert headers["x-request-id"].startswith("req_")
    assert headers["openai-version"] == "2020-10-01"
    assert {"openai-organization", "openai-processing-ms", "x-ratelimit-remaining-requests"} <= set(headers)


def test_a_vector_store_and_its_files_are_changed_and_deleted(client: openai.OpenAI) -> None:
    """Rename, add a file, read its text, delete."""
    file = client.files.create(file=("a.txt", b"apples"), purpose="assistants").id
    store = client.vector_stores.create(name="shop").id
    assert client.vector_stores.update(store, name="market").name == "market"
    assert client.vector_stores.files.create(store, file_id=file).status == "completed"
    assert client.vector_stores.files.retrieve(file, vector_store_id=store).usage_bytes == 6
    assert [part.text for part in client.vector_stores.files.content(file, vector_store_id=store)] == ["apples"]
    assert client.vector_stores.delete(store).deleted
    with pytest.raises(openai.NotFoundError):
        client.vector_stores.files.list(store)


def test_a_conversation_is_changed_and_deleted(client: openai.OpenAI) -> None:
    """New metadata, an item more, an item read, then gone."""
    conversation = client.conversations.create(metadata={"a": "1"}).id
    assert client.conversations.update(conversation, metadata={"a": "2"}).metadata == {"a": "2"}
    item = client.conversations.items.create(conversation, items=[{"role": "user", "content": "x"}]).data[0]
    found: Any = client.conversations.items.retrieve(item.id or "", conversation_id=conversation)
    assert found.content[0].text == "x"
    client.conversations.delete(conversation)
    with pytest.raises(openai.NotFoundError):
        client.conversations.retrieve(conversation)


def test_token_numbers_are_taken_for_words(client: openai.OpenAI) -> None:
    """Completions and embeddings take arrays of token numbers."""
    answer = client.completions.create(model="m", prompt=[[1, 2], [3]], max_tokens=50, echo=True)
    assert [choice.text for choice in answer.choices] == ["1 2You said: 1 2", "3You said: 3"]
    assert client.embeddings.create(model="m", input=[1, 2, 3]).usage.prompt_tokens == 3


def test_lists_are_read_page_by_page(client: openai.OpenAI) -> None:
    """The SDK's own paging finds everything, newest first, in either direction."""
    made = [client.vector_stores.create(name=f"page {number}").id for number in range(5)]
    found = [store.id for store in client.vector_stores.list(limit=2) if store.id in made]
    assert found == made[::-1]
    oldest = [store.id for store in client.vector_stores.list(limit=2, order="asc") if store.id in made]
    assert oldest == made


def test_an_edit_may_name_its_images_in_json(client: openai.OpenAI) -> None:
    """References in place of files."""
    body = {"model": "gpt-image-1", "prompt": "Bluer", "images": [{"file_id": "file-1"}]}
    answer: Any = client.post("/images/edits", cast_to=object, body=body)
    assert base64.b64decode(answer["data"][0]["b64_json"]).startswith(b"\x89PNG")
