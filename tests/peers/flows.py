"""Runs a scheme's flow against real servers, one blocking request after another, as ``dataplane.sessions`` would.

``run(scheme.renew(options, secrets, None, now))`` is the token, or raises what the flow raises. ``asked`` collects the
requests that were made. ``scripted`` answers from a list instead, for the examples that standards print.
"""

from collections.abc import Iterable, Mapping
from http.client import HTTPConnection, HTTPSConnection
from typing import TypeVar
from urllib.parse import urlsplit

from tieline.schemes.flow import Flow, IssuerAnswer, IssuerRequest

PATIENCE = 20.0
_Result = TypeVar("_Result")


def run(flow: Flow[_Result], asked: list[IssuerRequest] | None = None) -> _Result:
    """What the flow returns, each of its requests sent for real."""
    answer: IssuerAnswer | None = None
    while True:
        try:
            ask = next(flow) if answer is None else flow.send(answer)
        except StopIteration as stop:
            result: _Result = stop.value
            return result
        if asked is not None:
            asked.append(ask)
        answer = send(ask)


def send(ask: IssuerRequest) -> IssuerAnswer:
    """The answer to one request, on a connection of its own."""
    parts = urlsplit(ask.url)
    make = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = make(parts.hostname or "", parts.port, timeout=PATIENCE)
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.putrequest(ask.method, target, skip_accept_encoding=True)
        for name, value in ask.headers:
            connection.putheader(name, value)
        if ask.body or ask.method in {"POST", "PUT", "PATCH"}:
            connection.putheader("Content-Length", str(len(ask.body)))
        connection.endheaders(ask.body or None)
        got = connection.getresponse()
        return IssuerAnswer(got.status, tuple((name.lower(), value) for name, value in got.getheaders()), got.read())
    finally:
        connection.close()


def told(body: bytes | str, status: int = 200, headers: Mapping[str, str] | None = None) -> IssuerAnswer:
    """An answer as a standard prints it."""
    pairs = tuple((name.lower(), value) for name, value in (headers or {"Content-Type": "application/json"}).items())
    return IssuerAnswer(status, pairs, body.encode() if isinstance(body, str) else body)


def scripted(flow: Flow[_Result], answers: Iterable[IssuerAnswer], asked: list[IssuerRequest] | None = None) -> _Result:
    """What the flow returns when it is given ``answers`` in turn; every one of them must be asked for."""
    waiting = list(answers)
    try:
        ask = next(flow)
        while True:
            if asked is not None:
                asked.append(ask)
            assert waiting, f"an answer too few: the flow asks {ask.method} {ask.url}"
            ask = flow.send(waiting.pop(0))
    except StopIteration as stop:
        assert not waiting, "the flow asked less than there are answers"
        result: _Result = stop.value
        return result
