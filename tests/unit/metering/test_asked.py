"""What requests ask for, in every place where they can say it."""

import json
from typing import Any

import pytest

from tests.steps import steps
from tieline.metering.asked import UNCLEAR, AskedOfModel, asked_in_form, asked_in_frame, asked_in_json, model_in_path


def asked(**body: Any) -> AskedOfModel:
    """What a body of JSON asks for."""
    found = asked_in_json(json.dumps(body).encode())
    assert found is not None
    return found


def test_a_chat_says_model_stream_and_limits() -> None:
    """With all that it is to read."""
    found = asked(model="gpt-5", stream=True, max_completion_tokens=50, n=3, service_tier="flex", messages=[])
    assert found == AskedOfModel(("gpt-5",), True, 50, 3, 1, "flex", is_whole=True)
    assert found.model == "gpt-5"


@pytest.mark.parametrize(
    ("body", "most"),
    [
        ({"max_tokens": 5}, 5),
        ({"max_output_tokens": 5, "max_tokens": 9}, 9),
        ({"generationConfig": {"maxOutputTokens": 7}}, 7),
        ({"max_tokens": None}, None),
        ({"max_tokens": -1}, None),
        ({"max_tokens": 5, "max_completion_tokens": "many"}, None),
        ({}, None),
    ],
)
def test_the_most_that_is_written_is_the_highest_that_is_said(body: dict[str, Any], most: int | None) -> None:
    """Where one of them is no count, nothing is known."""
    assert asked(model="m", **body).most_output == most


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"a","model":"b"}',
        b'{"model":"a","mod\\u0065l":"b"}',
        b'{"model":"a", "x":[{"model":"c"}],"model":"b"}',
        b'\xef\xbb\xbf{"model":"a","model":"b"}',
    ],
)
def test_every_model_that_is_named_is_told(body: bytes) -> None:
    """Upstreams take the first or the last; a list of allowed models has to allow both, and there is no bound."""
    found = asked_in_json(body)
    assert found is not None
    assert found.models == ("a", "b")
    assert found.model is None
    assert found.tools == {UNCLEAR: None}


def test_a_second_member_of_another_name_leaves_no_bound() -> None:
    """Which limit holds is the upstream's choice."""
    found = asked_in_json(b'{"model":"a","max_tokens":1,"max_tokens":100000}')
    assert found is not None
    assert (found.model, found.tools, found.is_whole) == ("a", {UNCLEAR: None}, False)


@pytest.mark.parametrize("model", [3, ["a"], "", "x" * 300, "a\nb", False])
def test_what_is_no_name_of_a_model_is_told_as_an_empty_one(model: Any) -> None:
    """Which no list allows; a model that is missing or null is none."""
    assert asked(model=model).models == ("",)
    assert asked(model=None).models == ()


@pytest.mark.parametrize(
    "body",
    [
        {"previous_response_id": "r"},
        {"conversation": "c"},
        {"prompt": {"id": "p"}},
        {"cachedContent": "cachedContents/x"},
    ],
)
def test_stored_state_is_not_in_the_body(body: dict[str, Any]) -> None:
    """The model reads more than was sent."""
    found = asked(model="m", **body)
    assert found.is_stored
    assert not found.is_whole


@pytest.mark.parametrize(
    "part",
    [
        {"type": "input_file", "file_id": "f"},
        {"type": "image_url", "image_url": {"url": "data:"}},
        {"type": "input_audio", "input_audio": {}},
        {"type": "image", "source": {}},
        {"inlineData": {}},
        {"fileData": {}},
        {"type": "item_reference", "id": "i"},
    ],
)
def test_what_is_no_text_is_not_bounded_by_its_bytes(part: dict[str, Any]) -> None:
    """Pictures, sound, files."""
    assert not asked(model="m", input=[{"role": "user", "content": [part]}]).is_whole


@pytest.mark.parametrize("text", ["model", "messages", '"model": "gpt-9"'])
def test_a_text_that_reads_like_a_member_is_none(text: str) -> None:
    """Nor does a member of an object within take the place of the one outside."""
    within = {"type": "function", "function": {"name": "f", "parameters": {"model": text, "n": 7}}}
    found = asked(model="gpt-5", n=2, tools=[within], messages=[{"role": text, "content": text}])
    assert (found.models, found.choices, found.is_whole, found.tools) == (("gpt-5",), 2, True, {})


def test_a_member_spelt_with_escapes_is_seen() -> None:
    """Escapes of plain letters are for those who have something to hide."""
    found = asked_in_json(b'{"model":"m","previous_respons\\u0065_id":"r"}')
    assert found is not None
    assert found.is_stored


@pytest.mark.parametrize(
    ("body", "tools"),
    [
        ({"tools": [{"type": "function", "function": {"name": "web_search"}}]}, {}),
        ({"tools": [{"name": "look", "input_schema": {}}]}, {}),
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, {}),
        ({"tools": [{"functionDeclarations": []}]}, {}),
        ({"tools": [{"type": "web_search_preview"}]}, {"searches": None}),
        ({"tools": [{"type": "web_search"}], "max_tool_calls": 3}, {"searches": 3}),
        ({"tools": [{"type": "web_search_20250305", "max_uses": 5}]}, {"searches": 5}),
        ({"tools": [{"type": "web_search", "max_uses": 5}, {"type": "web_search", "max_uses": 5}]}, {"searches": None}),
        ({"tools": [{"google_search": {}}, {"code_execution": {}}]}, {"searches": None, "code_executions": None}),
        ({"tools": [{"type": "file_search", "vector_store_ids": ["v"]}]}, {"file_searches": None}),
        ({"tools": [{"type": "mcp"}]}, {"mcp": None}),
        ({"tools": [3]}, {UNCLEAR: None}),
        ({"web_search_options": {}}, {"searches": None}),
    ],
)
def test_tools_of_the_provider_are_told_by_what_they_are_charged_as(
    body: dict[str, Any], tools: dict[str, int | None]
) -> None:
    """Those that the client runs cost nothing; one that nobody knows stands under its own name."""
    assert asked(model="m", **body).tools == tools


def test_texts_pictures_and_speech_are_counted() -> None:
    """As far as the request settles them."""
    assert asked(model="m", input=["a", "b", "c"]).inputs == 3
    assert asked(model="m", input=[1, 2, 3]).inputs == 1
    assert asked(model="m", input=[[1], [2]]).inputs == 2
    assert asked(model="m", prompt="a cat", n=2).most == {"images": 2}
    assert asked(model="tts-1", input="Hello", voice="alloy").most == {"characters": 5}


def test_forms_name_their_model_too() -> None:
    """Each field of that name; a form's files are no plain text."""
    found = asked_in_form([("model", "whisper-1"), ("stream", "true"), ("language", "en")])
    assert (found.models, found.is_stream, found.is_whole) == (("whisper-1",), True, False)
    assert asked_in_form([("model", "a"), ("model", "b")]).models == ("a", "b")


def test_frames_of_a_session_name_models() -> None:
    """In the session, in an answer that is asked for, or beside the type."""
    for frame in ({"session": {"model": "a"}}, {"response": {"model": "a"}}, {"model": "a"}):
        found = asked_in_frame(json.dumps({"type": "x", **frame}).encode())
        assert found is not None
        assert found.models == ("a",)
    unclear = asked_in_frame(b'{"session":{"model":"a","model":"b"}}')
    assert unclear is not None
    assert unclear.tools == {UNCLEAR: None}
    assert asked_in_frame(b"\x00\x01") is None


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/v1beta/models/gemini-3-pro:generateContent", "gemini-3-pro"),
        ("/v1/projects/p/locations/l/publishers/google/models/gemini-3-pro:streamGenerateContent", "gemini-3-pro"),
        ("/models/gpt-5", "gpt-5"),
        ("/models", None),
        ("/chat/completions", None),
    ],
)
def test_paths_name_models(path: str, model: str | None) -> None:
    """As Gemini's do."""
    assert model_in_path(path) == model


@pytest.mark.parametrize("body", [b"", b"[]", b"3", b'{"model":', b"model=gpt-5", b'{"model":"m"}x', b" " * 1048577])
def test_what_is_no_json_object_asks_for_nothing_that_is_known(body: bytes) -> None:
    """Or is too long to be read at once."""
    assert asked_in_json(body) is None


def test_a_body_is_read_in_steps_that_grow_with_its_members_alone() -> None:
    """Also where members have to be looked at one by one."""

    def work(count: int) -> int:
        many = b",".join(b'"m%d":"\\u0041"' % each for each in range(count))
        return steps(lambda: asked_in_json(b"{" + many + b"}"))

    assert work(4000) < 11 * work(400)
