"""What a well-formed message is, rule by rule, without a socket."""

from typing import Any

import pytest

from tieline.core.errors import HeadersTooLarge, InvalidRequest, MethodNotAllowed, UpstreamProtocolError
from tieline.testing.requests import FakeClient
from tieline.wire import framing
from tieline.wire.egress import Answer
from tieline.wire.request import Request

HOST = (b"Host", b"h")
NOTABLE = frozenset({b"tieline-environment", b"x-http-method"})


def taken(*headers: tuple[bytes, bytes], line: tuple[bytes, bytes, str] = (b"POST", b"/", "1.1")) -> Request:
    """The request with these fields as the rules note it."""
    method, target, version = line
    request = Request(FakeClient(), method, target, 1)
    framing.read_request(request, method, version, list(headers), NOTABLE)
    return request


def test_a_head_says_how_its_body_is_framed() -> None:
    """And nothing of that is left among the fields that go on."""
    sized = taken(HOST, (b"Content-LENGTH", b"5 "), (b"Expect", b"100-Continue"), (b"X-One", b"1"))
    assert (sized.length, sized.sized, sized.chunked, sized.expects) == (5, True, False, True)
    assert sized.headers == [(b"X-One", b"1")]
    chunked = taken(HOST, (b"transfer-encoding", b"Chunked "))
    assert (chunked.length, chunked.sized, chunked.chunked, chunked.expects) == (None, False, True, False)
    bare = taken(HOST)
    assert (bare.length, bare.sized, bare.chunked, bare.expects) == (0, False, False, False)


def test_a_head_says_what_becomes_of_its_connection() -> None:
    """In lower case, several fields as one; control fields are noted and stay among the others."""
    fields = [(b"Connection", b"Close"), (b"connection", b"X-Hop "), (b"Upgrade", b"WebSocket ")]
    request = taken(HOST, *fields, (b"Tieline-Environment", b"live"))
    assert (request.connection_field, request.protocol) == (b"close,x-hop", b"websocket")
    assert request.noted == {b"tieline-environment": b"live"}
    assert request.headers == [(b"Tieline-Environment", b"live")]


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ([], "exactly one Host"),
        ([HOST, HOST], "exactly one Host"),
        ([(b"Host", b"a b")], "no host name"),
        ([HOST, (b"Transfer-Encoding", b"gzip")], "only Transfer-Encoding"),
        ([HOST, (b"Transfer-Encoding", b"gzip, chunked")], "only Transfer-Encoding"),
        ([HOST, (b"Expect", b"something")], "only Expect"),
        ([HOST, (b"X_HTTP_Method", b"GET")], "'x_http_method' imitates"),
        ([HOST, (b"Content_Length", b"1")], "imitates"),
        ([HOST, (b"Tieline_Anything", b"1")], "imitates"),
        ([HOST, (b"X-HTTP-Method", b"A"), (b"x-http-method", b"A")], "'x-http-method' stands in the request twice"),
    ],
)
def test_a_head_that_could_be_read_in_two_ways_is_refused(headers: list[tuple[bytes, bytes]], words: str) -> None:
    """The refusal says what is wrong."""
    with pytest.raises(InvalidRequest, match=words):
        taken(*headers)


def test_an_old_version_needs_no_host_but_cannot_be_chunked_or_wait() -> None:
    """HTTP/1.0: two hosts are still two, and what it expects is not heard."""
    line = (b"POST", b"/", "1.0")
    assert taken(line=line).authority == b""
    assert taken(HOST, (b"Expect", b"100-continue"), line=line).expects is False
    for headers in ([HOST, HOST], [(b"Transfer-Encoding", b"chunked")]):
        with pytest.raises(InvalidRequest):
            taken(*headers, line=line)


@pytest.mark.parametrize("version", ["0.9", "1.2", "2.0"])
def test_no_other_version_is_spoken(version: str) -> None:
    """Neither way."""
    with pytest.raises(InvalidRequest, match=r"HTTP/1\.0 and HTTP/1\.1"):
        taken(HOST, line=(b"GET", b"/", version))
    with pytest.raises(UpstreamProtocolError, match=r"HTTP/1\.0 or HTTP/1\.1"):
        framing.read_answer(Answer(200, b"", []), version, [])


def test_some_methods_and_too_many_fields_are_refused() -> None:
    """A hundred fields are taken, one more is not."""
    for method in (b"TRACE", b"CONNECT"):
        with pytest.raises(MethodNotAllowed, match=method.decode()):
            taken(HOST, line=(method, b"/", "1.1"))
    assert len(taken(HOST, *[(b"X", b"1")] * 99).headers) == 99
    with pytest.raises(HeadersTooLarge, match="100"):
        taken(HOST, *[(b"X", b"1")] * 100)


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        (b"OPTIONS", b"*", b"*"),
        (b"OPTIONS", b"http://h", b"*"),
        (b"OPTIONS", b"http://h?x", b"/?x"),
        (b"GET", b"http://h", b"/"),
    ],
)
def test_a_target_is_a_path_or_the_whole_server(method: bytes, target: bytes, expected: bytes) -> None:
    """RFC 9112 section 3.2."""
    assert taken((b"Host", b"other "), line=(method, target, "1.1")).target == expected


def answered(version: str, *headers: tuple[bytes, bytes]) -> tuple[Any, ...]:
    """What an answer's head says of its body and connection."""
    answer = Answer(200, b"OK", list(headers))
    framing.read_answer(answer, version, headers)
    return answer.length, answer.chunked, answer.connection


def test_an_answers_head_says_how_its_body_is_framed() -> None:
    """In any case of letters, however often a name comes again."""
    for _ in range(2):
        assert answered("1.1", (b"CONTENT-length", b"7"), (b"X", b"1")) == (7, False, b"")
        assert answered("1.1", (b"Transfer-Encoding", b"Chunked ")) == (None, True, b"")
        assert answered("1.0", (b"Connection", b"Keep-Alive"), (b"connection", b"X-Hop")) == (
            None,
            False,
            b"keep-alive,x-hop",
        )
    assert answered("1.1", *[(b"X" * 200, b"1")] * 200) == (None, False, b"")


@pytest.mark.parametrize(
    ("version", "headers", "words"),
    [
        ("1.1", [(b"Transfer-Encoding", b"gzip")], "other than 'chunked'"),
        ("1.0", [(b"Transfer-Encoding", b"chunked")], "chunked HTTP/1.0"),
        ("1.1", [(b"X", b"1")] * 201, "more than 200"),
    ],
)
def test_an_ambiguous_answer_is_refused(version: str, headers: list[tuple[bytes, bytes]], words: str) -> None:
    """Nothing of it is passed on."""
    with pytest.raises(UpstreamProtocolError, match=words):
        answered(version, *headers)


def test_an_interim_answer_has_a_status_and_no_body() -> None:
    """RFC 9110 section 15.2."""
    framing.read_interim(100, [(b"Link", b"</a>")])
    with pytest.raises(UpstreamProtocolError, match="below 100"):
        framing.read_interim(99, [])
    for name in (b"Content-Length", b"TRANSFER-ENCODING"):
        with pytest.raises(UpstreamProtocolError, match="with a body"):
            framing.read_interim(103, [(b"X", b"1"), (name, b"0")])


def test_what_a_connection_field_names_ends_at_this_hop() -> None:
    """Its own words are no names."""
    assert framing.named_by_connection(b"close") == framing.named_by_connection(b"") == frozenset()
    assert framing.named_by_connection(b"close, x-hop ,keep-alive") == {b"x-hop"}


def test_chunks_and_sizes() -> None:
    """As they are written."""
    assert framing.chunk(b"x" * 17) == b"11\r\n" + b"x" * 17 + b"\r\n"
    assert framing.last_chunk([]) == b"0\r\n\r\n"
    assert framing.last_chunk([(b"X-Sum", b"1")]) == b"0\r\nX-Sum: 1\r\n\r\n"
    assert framing.size([(b"ab", b"c"), (b"d", b"")]) == 12


@pytest.mark.parametrize(
    ("name", "may"), [(b"x-sum", True), (b"host", False), (b"x_http_method", False), (b"tieline-x", False)]
)
def test_what_may_trail(name: bytes, may: bool) -> None:
    """Nothing that is looked at before a body."""
    assert framing.may_trail(name, NOTABLE) is may
