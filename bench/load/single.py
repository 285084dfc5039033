"""One call after the other on one connection, each timed; nothing else runs meanwhile. Also single calls, to check."""

import http.client
import json
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from bench.load.request import BODY
from bench.process import BenchError
from bench.systems.system import Door, System

_SECONDS = 20.0


class Caller:
    """A connection to ``url`` that sends the same request again and again, but for the key."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self._socket = socket.create_connection((parts.hostname, parts.port or 80), timeout=_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._start = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n"

    def request(self, headers: Mapping[str, str]) -> bytes:
        """The request with ``headers``, ready to be sent."""
        fields = {"Content-Type": "application/json", "Content-Length": str(len(BODY)), **headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"{self._start}{lines}\r\n".encode("ascii") + BODY

    def call(self, request: bytes) -> float:
        """Send ``request``; returns the seconds until the last byte of its answer was here."""
        begun = time.perf_counter()
        self._socket.sendall(request)
        answer = self._socket.recv(65536)
        while len(answer) < _whole(answer):
            piece = self._socket.recv(65536)
            if not piece:
                raise BenchError("the connection was closed in the middle of an answer")
            answer += piece
        taken = time.perf_counter() - begun
        if not answer.startswith(b"HTTP/1.1 200"):
            raise BenchError(f"a call was answered: {answer[:300].decode('latin-1')}")
        return taken

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


@contextmanager
def calling(url: str) -> Iterator[Caller]:
    """A connection to ``url`` while the block lasts."""
    caller = Caller(url)
    try:
        yield caller
    finally:
        caller.close()


def _whole(answer: bytes) -> int:
    """How many bytes the answer that begins with ``answer`` has, as far as can be told."""
    end = answer.find(b"\r\n\r\n")
    if end < 0:
        return len(answer) + 1
    head = answer[:end].lower()
    at = head.find(b"\r\ncontent-length:")
    if at < 0:
        raise BenchError("an answer has no Content-Length")
    return end + 4 + int(head[at + 17 :].split(b"\r\n", 1)[0])


def check(system: System, door: Door, expected: str) -> None:
    """Make one call with the key and one without; raise BenchError unless only the first gets ``expected``."""
    status, text = _post(system.door(door), system.headers)
    if status != 200 or _relevant(system, text) != _relevant(system, expected):
        raise BenchError(f"{system.name} answered {status} to a call that it should relay: {text[:200]}")
    if not system.checks_key:
        return
    status, _ = _post(system.door(door), {name: value + "x" for name, value in system.headers.items()})
    if status == 200:
        raise BenchError(f"{system.name} relayed a call with a wrong key")


def _relevant(system: System, answer: str) -> Any:
    """What of an answer must be as the upstream made it: all of it, or the text where a system rewrites answers."""
    parsed = json.loads(answer)
    return parsed["choices"][0]["message"]["content"] if system.rewrites else parsed


def _post(url: str, headers: Mapping[str, str]) -> tuple[int, str]:
    parts = urlsplit(url)
    assert parts.hostname is not None
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=_SECONDS)
    try:
        connection.request("POST", parts.path, BODY, {"Content-Type": "application/json", **headers})
        answer: Any = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")
    finally:
        connection.close()
