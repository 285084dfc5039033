"""Bytes become the same requests wherever they are cut."""

import pytest

from tieline.core.errors import InvalidRequest
from tieline.testing.requests import FakeClient
from tieline.wire.request import Request
from tieline.wire.request_parser import BytesAfterTheEnd, RequestParser

NOTABLE = frozenset({b"tieline-connection", b"x-http-method-override"})
REQUESTS = [
    b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h:8600\r\nX-One: 1\r\nX-Empty:\r\n\r\n",
    b"POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /n HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n\r\n\n\n",
    b"POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n1\r\n!\r\n0\r\n\r\n",
    b"PUT /d HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Sum: 1\r\n\r\n",
    b"\r\nGET /after-an-empty-line HTTP/1.1\r\nHost: h\r\n\r\n",
    b"HEAD /e?q=a//b HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\n\r\n",
    b"DELETE http://h/f HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
    b"POST /g HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok",
    b"POST /u HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabc",
    b"GET /last HTTP/1.1\r\nHost: h\r\nTieline-Connection: ann\r\n\r\n",
]
WHOLE = b"".join(REQUESTS)


class Collecting(FakeClient):
    """A connection that only collects the requests that begin on it."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Request] = []
        self.parser = RequestParser(self, NOTABLE)

    def fed(self, *pieces: bytes) -> None:
        """Each piece is a read of its own."""
        for piece in pieces:
            if piece:
                self.parser.feed(piece)

    def request_begun(self, request: Request) -> None:
        """A head is whole."""
        self.requests.append(request)

    def request_whole(self) -> None:
        """The last request is whole."""
        assert self.requests[-1].complete


def parsed(*pieces: bytes) -> list[tuple[object, ...]]:
    """What ``pieces``, each of them a read of its own, are parsed to."""
    connection = Collecting()
    connection.fed(*pieces)
    return [
        (each.method, each.target, each.authority, each.headers, b"".join(each.pieces), each.trailers, each.complete)
        for each in connection.requests
    ]


def test_requests_may_be_cut_anywhere() -> None:
    """A dozen pipelined requests in two reads, cut at every point, and in single bytes."""
    whole = parsed(WHOLE)
    assert len(whole) == len(REQUESTS)
    assert all(each[-1] for each in whole)
    for cut in range(1, len(WHOLE)):
        assert parsed(WHOLE[:cut], WHOLE[cut:]) == whole, WHOLE[cut - 9 : cut + 9]
    assert parsed(*[bytes((byte,)) for byte in WHOLE]) == whole


@pytest.mark.parametrize("cut", range(1, 32))
def test_a_line_feed_alone_before_a_request_is_refused_wherever_it_is_cut(cut: int) -> None:
    """A cut does not let pass what would be refused in one read."""
    raw = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
    connection = Collecting()
    connection.parser.feed(raw)
    with pytest.raises(InvalidRequest):
        connection.fed((b"\n" + raw)[:cut], (b"\n" + raw)[cut:])


@pytest.mark.parametrize("cut", range(1, 40))
@pytest.mark.parametrize("line", [b"GET  /a HTTP/1.1", b"GET /a  HTTP/1.1"])
def test_two_spaces_in_a_request_line_are_refused_wherever_it_is_cut(line: bytes, cut: int) -> None:
    """RFC 9112 section 3, alone and behind another request."""
    for before in (b"", REQUESTS[0], REQUESTS[2] + REQUESTS[0], REQUESTS[0] * 3):
        raw = before + line + b"\r\nHost: h\r\n\r\n"
        connection = Collecting()
        with pytest.raises(InvalidRequest):
            connection.fed(raw[: len(before) + cut], raw[len(before) + cut :])


@pytest.mark.parametrize(
    ("target", "authority", "path"),
    [
        (b"http://example.test/relay/x?a=b", b"example.test", b"/relay/x?a=b"),
        (b"HTTPS://example.test:8443//a", b"example.test:8443", b"//a"),
        (b"http://[::1]:8600/", b"[::1]:8600", b"/"),
        (b"http://example.test", b"example.test", b"/"),
        (b"http://example.test?a", b"example.test", b"/?a"),
    ],
)
def test_a_whole_url_as_target_is_its_path_and_its_host_counts(target: bytes, authority: bytes, path: bytes) -> None:
    """RFC 9112 section 3.2.2: a server must take it, and then ignores ``Host``."""
    [request] = parsed(b"GET " + target + b" HTTP/1.1\r\nHost: other.test\r\n\r\n")
    assert request[1:3] == (path, authority)


@pytest.mark.parametrize(
    "target", [b"http:///a", b"http://u@h/a", b"http://a b/", b"ftp://h/a", b"http:/a", b"h:80", b"http://h/a#b", b"*"]
)
def test_no_other_target_is_taken(target: bytes) -> None:
    """User names, other schemes, fragments, and the asterisk of anything but OPTIONS."""
    with pytest.raises(InvalidRequest):
        parsed(b"GET " + target + b" HTTP/1.1\r\nHost: h\r\n\r\n")


LONGEST = b".".join([b"a" * 63, b"b" * 63, b"c" * 63, b"d" * 61])


@pytest.mark.parametrize(
    "host", [b"H.Example.", b"a_b:8600", b"1.2.3.4:1", b"[::1]:8600", b"xn--bcher-kva.example", LONGEST + b".:65535"]
)
def test_a_host_field_is_a_name_or_an_address(host: bytes) -> None:
    """As they stand in URLs, in capitals or with the root's dot too."""
    for _ in range(2):
        assert parsed(b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")[0][2] == host


NO_HOSTS = [
    b"a b", b"u@h", b"h:80:90", b"h:x", b"[::1", b"h,i", b"h\xff", b"a..b", b".h", b"-h", b"h:", b"h:0", b"h:65536",
    b"1.2.3", b"0x7f.1", b"[1::2::3]", b"[fe80::1%25eth0]", b"xn--zzzzzz", b"e" + LONGEST, LONGEST + b".:655350",
]  # fmt: skip


@pytest.mark.parametrize("host", NO_HOSTS)
def test_a_host_field_that_is_no_host_is_refused(host: bytes) -> None:
    """RFC 9112 section 3.2, by the one grammar of hosts; a whole URL as target is held to it too."""
    with pytest.raises(InvalidRequest):
        parsed(b"GET http://" + host + b"/ HTTP/1.1\r\nHost: h\r\n\r\n")
    with pytest.raises(InvalidRequest, match="Host"):
        parsed(b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")


def test_a_control_field_that_stands_twice_is_refused() -> None:
    """Which of two users is meant, nobody can tell."""
    with pytest.raises(InvalidRequest, match="twice"):
        parsed(b"GET / HTTP/1.1\r\nHost: h\r\nTieline-Connection: bob\r\ntieline-connection: ann\r\n\r\n")


@pytest.mark.parametrize("name", [b"X-HTTP-Method-Override", b"x_http_method_override", b"Tieline-Connection", b"Host"])
def test_what_was_looked_for_in_the_head_cannot_follow_the_body(name: bytes) -> None:
    """A trailer field with such a name is dropped (RFC 9110 section 6.5.1); others stay."""
    raw = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n%b: x\r\nX-Sum: 1\r\n\r\n" % name
    assert parsed(raw)[0][5] == [(b"X-Sum", b"1")]


def test_bytes_after_the_last_request_are_told_apart_from_a_fault() -> None:
    """The client said that it would close."""
    with pytest.raises(BytesAfterTheEnd):
        parsed(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n")


def test_what_follows_a_websocket_handshake_is_kept_and_not_looked_at() -> None:
    """In the same read and in later ones."""
    connection = Collecting()
    connection.parser.feed(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\x81")
    connection.parser.feed(b"\x80 GET")
    assert connection.requests[0].upgrade
    assert connection.parser.surplus == b"\x81\x80 GET"
