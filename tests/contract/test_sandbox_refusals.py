"""The sandbox refuses what OpenAI would refuse, in OpenAI's shape, so that the SDK raises its own exceptions."""

import json
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import openai
import pytest

from tests.contract.conftest import KEY

PART = b'--x\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch'
ASK: list[Any] = [{"role": "user", "content": "Hello"}]


def refusal(client: openai.OpenAI, path: str, body: Any) -> openai.APIStatusError:
    """The exception that the SDK raises for this POST."""
    with pytest.raises(openai.APIStatusError) as raised:
        client.post(path, cast_to=object, body=body)
    return raised.value


@pytest.mark.parametrize("key", ["sk-other-key", "", "tl_live_sk-sandbox"])
def test_a_key_that_is_not_the_sandboxs_is_refused(key: str, client: openai.OpenAI) -> None:
    """Only keys that begin with sk-sandbox pass; the answer does not repeat the key."""
    with pytest.raises(openai.AuthenticationError) as raised:
        client.with_options(api_key="x").models.list(extra_headers={"Authorization": f"Bearer {key}".strip()})
    assert raised.value.type == "invalid_request_error"
    assert not key or key not in raised.value.response.text


@pytest.mark.parametrize(
    ("path", "body", "param", "code"),
    [
        ("/chat/completions", {"messages": ASK}, "model", "missing_required_parameter"),
        ("/chat/completions", {"model": "m"}, "messages", "missing_required_parameter"),
        ("/chat/completions", {"model": 7, "messages": ASK}, "model", "invalid_type"),
        ("/chat/completions", {"model": "m", "messages": "Hello"}, "messages", "invalid_type"),
        ("/chat/completions", {"model": "m", "messages": []}, "messages", "empty_array"),
        ("/chat/completions", {"model": "m", "messages": ["Hello"]}, "messages[0]", "invalid_type"),
        ("/chat/completions", {"model": "m", "messages": [{"role": "cat"}]}, "messages[0].role", "invalid_value"),
        ("/chat/completions", {"model": "m", "messages": [{"role": "user"}]}, "messages[0].content", "invalid_type"),
        (
            "/chat/completions",
            {"model": "m", "messages": ASK, "temperature": 3},
            "temperature",
            "decimal_above_max_value",
        ),
        ("/chat/completions", {"model": "m", "messages": ASK, "n": 0}, "n", "integer_below_min_value"),
        ("/chat/completions", {"model": "m", "messages": ASK, "stream": "yes"}, "stream", "invalid_type"),
        (
            "/chat/completions",
            {"model": "m", "messages": ASK, "tools": [{"type": "x"}]},
            "tools[0].type",
            "invalid_value",
        ),
        ("/chat/completions", {"model": "m", "messages": ASK, "metadata": {"a": 1}}, "metadata.a", "invalid_type"),
        ("/responses", {"model": "m"}, "input", "missing_required_parameter"),
        (
            "/responses",
            {"model": "m", "input": "x", "max_output_tokens": 1},
            "max_output_tokens",
            "integer_below_min_value",
        ),
        (
            "/responses",
            {"model": "m", "input": "x", "previous_response_id": "resp_0"},
            "previous_response_id",
            "previous_response_not_found",
        ),
        ("/embeddings", {"model": "m", "input": ""}, "input", "invalid_value"),
        ("/embeddings", {"model": "m", "input": "x", "colour": 1}, "colour", "unknown_parameter"),
        ("/images/generations", {"prompt": "x", "size": "9999999x1"}, "size", "invalid_value"),
        ("/audio/speech", {"model": "m", "input": "x"}, "voice", "missing_required_parameter"),
        ("/batches", {"endpoint": "/v1/other", "completion_window": "24h"}, "endpoint", "invalid_value"),
        ("/moderations", {"input": 7}, "input", "invalid_type"),
    ],
)
def test_bad_parameters_are_named(path: str, body: Any, param: str, code: str, client: openai.OpenAI) -> None:
    """A 400 names the parameter and what is wrong with it."""
    refused = refusal(client, path, body)
    assert (refused.status_code, refused.param, refused.code) == (400, param, code)


def test_a_body_that_is_no_json_is_refused(client: openai.OpenAI) -> None:
    """Broken JSON, and JSON that is no object, are 400."""
    for content in (b"{", b"[1]", b""):
        with pytest.raises(openai.BadRequestError):
            client.post("/chat/completions", cast_to=object, content=content)


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("text/plain", b"batch"),
        ("multipart/form-data", b"--x--"),
        ("multipart/form-data; boundary=x", b"--y\r\n"),
        ("multipart/form-data; boundary=x", PART),
        ("multipart/form-data; boundary=x", PART + b"\r\n--x--\r\n"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Type: text/plain\r\n\r\nbatch\r\n--x--\r\n"),
    ],
)
def test_a_form_that_is_none_or_broken_is_refused(kind: str, content: bytes, sandbox: str) -> None:
    """No form, no boundary, another boundary, no end, no file, no name: 400."""
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": kind}
    request = Request(f"{sandbox}/v1/files", content, headers)  # noqa: S310 (the sandbox's own address)
    with pytest.raises(HTTPError) as refused, urlopen(request):  # noqa: S310 (as above)
        pass
    with refused.value as answer:
        assert answer.code == 400
        assert json.load(answer)["error"]["type"] == "invalid_request_error"


def test_a_shape_that_nothing_fits_is_refused(client: openai.OpenAI) -> None:
    """A schema that cannot be met is a 400 rather than a wrong answer."""
    schema = {"type": "integer", "minimum": 3, "maximum": 2}
    shape = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    refused = refusal(client, "/chat/completions", {"model": "m", "messages": ASK, "response_format": shape})
    assert refused.code == "invalid_json_schema"


def test_unknown_paths_and_methods_have_openais_shape(client: openai.OpenAI) -> None:
    """A 404 and a 405 are errors that the SDK understands."""
    assert refusal(client, "/unheard-of", {}).status_code == 404
    assert refusal(client, "/models", {}).code == "method_not_supported"


def test_things_that_do_not_exist_are_not_found(client: openai.OpenAI) -> None:
    """Ids of nothing raise NotFoundError."""
    for read in (
        client.files.retrieve,
        client.batches.retrieve,
        client.vector_stores.retrieve,
        client.responses.retrieve,
    ):
        with pytest.raises(openai.NotFoundError):
            read("nothing")
