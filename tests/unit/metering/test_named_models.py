"""Which models a request names, however an upstream may read it."""

import pytest

from tieline.metering.named_models import BODY_MOST, UnreadableError, in_body, in_target

JSON = b"application/json"
FORM = b"multipart/form-data; boundary=edge"


def form(*parts: bytes) -> bytes:
    """A form of parts: what follows ``form-data; `` in their heads, an empty line, and their values."""
    return (
        b"".join([b"--edge\r\nContent-Disposition: form-data; " + part + b"\r\n" for part in parts]) + b"--edge--\r\n"
    )


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b'{"model":"a"}', ["a"]),
        (b'{"model":"a","model":"b"}', ["a", "b"]),
        (b'{"\\u006dodel":"a"}', ["a"]),
        (b'{"model":"a","Model":"b","MODEL":"c"}', ["a", "b", "c"]),
        (b'\xef\xbb\xbf{"model":"a"}', ["a"]),
        (b'{"models":["a","b"]}', ["a", "b"]),
        (b'{"session":{"model":"a"},"response":{"model":"b"}}', ["b", "a"]),
        (b'{"tools":[{"type":"image_generation","model":"a"}]}', ["a"]),
        (b'{"requests":[{"params":{"model":"a"}}]}', ["a"]),
        (b'[{"model":"a"}]', ["a"]),
        (b'{"model":7}', ["7"]),
        (b'{"model":null}', []),
        (b'{"metadata":{"model":"Golf"},"messages":[{"content":[{"input":{"model":"x"}}]}]}', []),
        (b'{"tools":[{"function":{"parameters":{"properties":{"model":{"type":"string"}}}}}]}', []),
        (b"", []),
        (b" ", []),
        (b'{"model":"a","text":"\\ud83d"}', ["a"]),
    ],
)
def test_json_names_every_model_that_it_may_be_read_to_name(body: bytes, named: list[str]) -> None:
    """Members that come twice, in escapes, in other letters; not what users and tools say."""
    assert in_body(JSON, body) == named


@pytest.mark.parametrize(
    "body",
    [
        '{"model":"a"}'.encode("utf-16"),
        '{"model":"a"}'.encode("utf-16-le"),
        '{"model":"a"}'.encode("utf-32"),
        b'{"model":"a"}{"model":"b"}',
        b'{"model":"a"} trailing',
        b'{"model":"a"',
        b'{"model":"\xff"}',
        b'{"x":' + b"[" * 100_000,
        b'{"models":[' + b'"a",' * 2000 + b'"a"]}',
    ],
)
@pytest.mark.parametrize("kind", [JSON, b"", b"text/plain"])
def test_what_cannot_be_told_is_said(body: bytes, kind: bytes) -> None:
    """Whatever it is called."""
    with pytest.raises(UnreadableError):
        in_body(kind, body)


def test_bytes_that_are_no_json_name_nothing() -> None:
    """A file that is uploaded as it is."""
    assert in_body(b"application/octet-stream", b"\x89PNG") == []


@pytest.mark.parametrize(
    ("parts", "named"),
    [
        ((b'name="model"\r\n\r\na', b'name="file"; filename="x"\r\n\r\n\0'), ["a"]),
        ((b'name="model"\r\n\r\na', b'name="model"\r\n\r\nb'), ["a", "b"]),
        ((b"name=model\r\n\r\na",), ["a"]),
        ((b'name="model[]"\r\n\r\na',), ["a"]),
        ((b'name="session"\r\n\r\n{"model":"a"}',), ["a"]),
        ((b'name="prompt"\r\n\r\n{model',), []),
    ],
)
def test_forms_name_models_in_fields(parts: tuple[bytes, ...], named: list[str]) -> None:
    """Each of two, and those in JSON."""
    assert in_body(FORM, form(*parts)) == named


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (FORM, form(b'name="model"; filename="x"\r\n\r\na')),
        (FORM, form(b'name="x"; name="model"; name="y"\r\n\r\na')),
        (FORM, form(b'name="model"\r\n\r\na')[:-4]),
        (FORM + b"; boundary=other", form(b'name="model"\r\n\r\na')),
        (b"multipart/mixed; boundary=edge", form(b'name="model"\r\n\r\na')),
    ],
)
def test_forms_that_can_be_read_in_two_ways_are_unreadable(kind: bytes, body: bytes) -> None:
    """A file as the model, two names of one part, two boundaries, a cut."""
    with pytest.raises(UnreadableError):
        in_body(kind, body)


def test_fields_of_a_urlencoded_form_count() -> None:
    """Each of two."""
    assert in_body(b"application/x-www-form-urlencoded", b"model=a&x=y&%6dodel=b") == ["a", "b"]


@pytest.mark.parametrize(
    ("path", "query", "named"),
    [
        (b"/realtime", b"model=a&Model=b", ["a", "b"]),
        (b"/models/gemini-3-pro:streamGenerateContent", b"", ["gemini-3-pro"]),
        (b"/models/%67pt-5", b"", ["gpt-5"]),
        (b"/models/ft:gpt-4o:org", b"", ["ft:gpt-4o:org"]),
        (b"/openai/deployments/mine/chat/completions", b"", ["mine"]),
        (b"/model/anthropic.claude-v2%3A1/invoke", b"", ["anthropic.claude-v2:1"]),
        (b"/models", b"limit=1", []),
    ],
)
def test_paths_and_queries_name_models(path: bytes, query: bytes, named: list[str]) -> None:
    """Gemini's, Azure's and Bedrock's too."""
    assert list(in_target(path, query)) == named


def test_bodies_are_read_up_to_a_size() -> None:
    """Pictures in a chat fit."""
    assert in_body(JSON, b'{"input":"' + b"x" * (BODY_MOST - 40) + b'","model":"a"}') == ["a"]
