"""The sandbox fails, breaks and paces as its switches ask, and notices clients that leave."""

import asyncio
import hashlib
import json
import re
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import openai
import pytest

from tests.contract.conftest import KEY
from tieline.sandbox.app import NOT_IMITATED
from tieline.sandbox.malformed import MESSAGES
from tieline.sandbox.switches import SWITCHES

ASK: list[Any] = [{"role": "user", "content": "One two three four five six"}]
PAGE = Path(__file__).resolve().parents[2] / "docs" / "sandbox.md"


def stats(address: str) -> Any:
    """What the sandbox counts."""
    with urlopen(f"{address}/sandbox/stats") as answer:  # noqa: S310 (the sandbox's own address)
        return json.load(answer)


def eventually(holds: Callable[[], bool]) -> None:
    """Wait up to five seconds for something to hold."""
    end = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < end, "it never came to hold"
        time.sleep(0.02)


def talk(address: str, model: str, *, stream: bool = False) -> socket.socket:
    """A socket on which a chat completion was asked for."""
    body = json.dumps({"model": model, "messages": ASK, "stream": stream}).encode()
    parts = urlsplit(address)
    assert parts.hostname
    assert parts.port
    connection = socket.create_connection((parts.hostname, parts.port), timeout=5)
    key = f"Authorization: Bearer {KEY}"
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n{key}\r\nContent-Length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body)
    return connection


def heard(connection: socket.socket) -> bytes:
    """Everything until the other side closes."""
    answer = b""
    while piece := connection.recv(65_536):
        answer += piece
    return answer


@pytest.mark.parametrize(
    ("model", "error"),
    [
        ("sandbox-401", openai.AuthenticationError),
        ("sandbox-403", openai.PermissionDeniedError),
        ("sandbox-404", openai.NotFoundError),
        ("sandbox-429", openai.RateLimitError),
        ("sandbox-500", openai.InternalServerError),
        ("sandbox-503", openai.InternalServerError),
        ("sandbox-unheard-of", openai.NotFoundError),
    ],
)
def test_a_status_is_raised_by_the_sdk(model: str, error: type[Exception], client: openai.OpenAI) -> None:
    """Each switch raises the SDK's own exception, for every kind of request that names a model."""
    with pytest.raises(error):
        client.chat.completions.create(model=model, messages=ASK)
    with pytest.raises(error):
        client.responses.create(model=model, input="x", stream=True)
    with pytest.raises(error):
        client.audio.transcriptions.create(model=model, file=("a.wav", b"x"))


def test_429_says_when_to_come_back(client: openai.OpenAI) -> None:
    """Retry-After and retry-after-ms say one second."""
    with pytest.raises(openai.RateLimitError) as raised:
        client.embeddings.create(model="sandbox-429", input="x")
    headers = raised.value.response.headers
    assert (headers["retry-after"], headers["retry-after-ms"]) == ("1", "1000")


def test_a_flaky_model_recovers(client: openai.OpenAI) -> None:
    """The first two requests fail, the SDK's second retry is answered."""
    name = f"sandbox-flaky-2-{time.monotonic_ns()}"
    answer = client.with_options(max_retries=2).chat.completions.create(model=name, messages=ASK)
    assert answer.choices[0].message.content


def test_the_first_byte_can_be_slow(client: openai.OpenAI) -> None:
    """The wait is as long as the name says."""
    began = time.monotonic()
    client.embeddings.create(model="sandbox-slow-first-byte-200ms", input="x")
    assert time.monotonic() - began >= 0.2


def test_a_stream_has_the_events_and_the_pace_of_its_name(client: openai.OpenAI) -> None:
    """Forty events with 5 ms before each."""
    began = time.monotonic()
    chunks = list(client.chat.completions.create(model="sandbox-stream-40x5", messages=ASK, stream=True))
    assert sum(bool(chunk.choices[0].delta.content) for chunk in chunks) == 40
    assert time.monotonic() - began >= 0.2


def test_a_stall_sends_half_and_keeps_the_connection(sandbox: str) -> None:
    """Some events arrive, then nothing, and nobody closes."""
    with talk(sandbox, "sandbox-stall", stream=True) as connection:
        connection.settimeout(0.3)
        got = b""
        with pytest.raises(TimeoutError):
            while piece := connection.recv(65_536):
                got += piece
        assert got.count(b"data: ") >= 2
        assert b"[DONE]" not in got


@pytest.mark.parametrize("stream", [True, False])
def test_a_cut_ends_without_the_end_of_the_framing(stream: bool, sandbox: str) -> None:
    """The connection closes in the middle: no last chunk, fewer bytes than promised."""
    with talk(sandbox, "sandbox-cut", stream=stream) as connection:
        head, _, body = heard(connection).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    if stream:
        assert body
        assert not body.endswith(b"0\r\n\r\n")
    else:
        promised = re.search(rb"content-length: (\d+)", head)
        assert promised
        assert len(body) < int(promised[1])


def test_a_malformed_answer_is_no_json(client: openai.OpenAI) -> None:
    """Plain and streamed answers break where they are parsed."""
    with pytest.raises(json.JSONDecodeError):
        client.chat.completions.create(model="sandbox-malformed", messages=ASK)
    with pytest.raises(json.JSONDecodeError):
        list(client.chat.completions.create(model="sandbox-malformed", messages=ASK, stream=True))


@pytest.mark.parametrize("kind", MESSAGES)
def test_malformed_http_is_sent_byte_for_byte(kind: str, sandbox: str) -> None:
    """The very bytes of the table arrive, and the connection closes."""
    with talk(sandbox, f"sandbox-malformed-http-{kind}") as connection:
        assert heard(connection) == MESSAGES[kind]


def test_the_echo_shows_headers_but_no_key(client: openai.OpenAI) -> None:
    """The key appears as SHA-256 only; other fields and the body's digest as they came."""
    answer = client.chat.completions.with_raw_response.create(
        model="sandbox-echo-headers", messages=ASK, extra_headers={"X-Seen": "yes"}, extra_query={"a": "b"}
    )
    text = answer.http_response.text
    shown = json.loads(text)
    assert KEY not in text
    assert shown["authorization"] == {"scheme": "Bearer", "sha256": hashlib.sha256(KEY.encode()).hexdigest()}
    assert ["x-seen", "yes"] in shown["headers"]
    assert (shown["method"], shown["path"], shown["query"]) == ("POST", "/v1/chat/completions", "a=b")
    assert shown["body_sha256"] == hashlib.sha256(answer.http_request.content).hexdigest()


def test_a_switch_works_on_a_request_without_a_body(client: openai.OpenAI) -> None:
    """``GET /v1/models/{model}`` obeys too."""
    with pytest.raises(openai.RateLimitError):
        client.models.retrieve("sandbox-429")


def test_a_client_that_leaves_a_stream_is_noticed(sandbox: str) -> None:
    """The stream is stopped and counted, the connection is gone."""
    before = stats(sandbox)
    with talk(sandbox, "sandbox-stream-100000x5", stream=True) as connection:
        connection.recv(100)
        eventually(lambda: stats(sandbox)["open_streams"] == before["open_streams"] + 1)
    eventually(lambda: stats(sandbox)["cancelled_streams"] == before["cancelled_streams"] + 1)
    assert stats(sandbox)["open_streams"] == before["open_streams"]


def test_a_client_that_leaves_a_slow_answer_is_noticed(sandbox: str) -> None:
    """Waiting for the first byte ends when nobody waits for it."""
    before = stats(sandbox)["cancelled_requests"]
    talk(sandbox, "sandbox-slow-first-byte-60s").close()
    eventually(lambda: bool(stats(sandbox)["cancelled_requests"] == before + 1))


def test_requests_are_counted_by_path(sandbox: str, client: openai.OpenAI) -> None:
    """The counter of the path goes up by one, whatever the id in it."""
    before = stats(sandbox)["requests"].get("/v1/files/{file_id}", 0)
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve("file-0")
    assert stats(sandbox)["requests"]["/v1/files/{file_id}"] == before + 1


async def test_many_streams_at_once_are_all_whole(async_client: openai.AsyncOpenAI, soak: bool) -> None:
    """Two hundred streams side by side bring every event."""

    async def one() -> int:
        stream = await async_client.chat.completions.create(model="sandbox-stream-20x10", messages=ASK, stream=True)
        return sum([bool(chunk.choices[0].delta.content) async for chunk in stream])

    assert await asyncio.gather(*[one() for _ in range(200 if soak else 30)]) == [20] * (200 if soak else 30)


def test_the_front_page_says_what_is_not_imitated(sandbox: str) -> None:
    """``GET /`` names the key, the switches and the gaps."""
    with urlopen(sandbox) as answer:  # noqa: S310 (the sandbox's own address)
        page = json.load(answer)
    assert page["base_url"] == f"{sandbox}/v1"
    assert page["not_imitated"] == list(NOT_IMITATED)
    assert set(page["switches"]) == set(SWITCHES)


def test_the_documentation_lists_every_switch_and_gap() -> None:
    """``docs/sandbox.md`` and the code name the same switches and the same things that are not imitated."""
    text = PAGE.read_text()
    assert set(re.findall(r"^\| `(sandbox-[^`]+)`", text, re.MULTILINE)) == set(SWITCHES)
    assert set(re.findall(r"^- (.+)$", text.split("## What it does not imitate")[1], re.MULTILINE)) == set(NOT_IMITATED)
    assert set(MESSAGES) <= set(re.findall(r"`([a-z-]+)`", text))
