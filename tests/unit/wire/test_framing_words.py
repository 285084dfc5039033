"""The small rules of framing: what a name, a value, a request line and a trailer are, and what is remembered."""

import pytest

from tieline.core.errors import UpstreamProtocolError
from tieline.wire import framing
from tieline.wire.egress import Answer


@pytest.mark.parametrize(("name", "good"), [(b"X-Own_1", True), (b"X Own", False), (b"", False), (b"a:", False)])
def test_a_name_is_a_token(name: bytes, *, good: bool) -> None:
    """RFC 9110 section 5.6.2."""
    assert framing.is_name(name) is good
    assert framing.are_fields([(b"a", b""), (name, b"")]) is good


@pytest.mark.parametrize(("target", "good"), [(b"/a?b=~", True), (b"/a b", False), (b"", False), (b"/\x80", False)])
def test_a_target_is_visible_ascii(target: bytes, *, good: bool) -> None:
    """RFC 9112 section 3."""
    assert framing.is_target(target) is good


@pytest.mark.parametrize(("value", "good"), [(b"\ta \xff", True), (b"", True), (b"a\nb", False), (b"a\x00", False)])
def test_a_value_cannot_end_its_line(value: bytes, *, good: bool) -> None:
    """RFC 9110 section 5.5."""
    assert framing.is_value(value) is good
    assert framing.are_fields([(b"a", value), (b"b", b"")]) is good


@pytest.mark.parametrize(
    ("name", "owned"), [(b"host", True), (b"proxy-x", True), (b"te", True), (b"x-proxy-", False), (b"x", False)]
)
def test_some_fields_are_the_engines(name: bytes, *, owned: bool) -> None:
    """Those that frame, those of one hop, and whatever a proxy may be told."""
    assert framing.is_engine_owned(name) is owned


@pytest.mark.parametrize(
    ("raw", "holds"),
    [
        (b"GET /x HTTP/1.1\r\n", True),
        (b"\r\nGET /x HTTP/1.1\r\n", True),
        (b"GET  /x HTTP/1.1\r\n", False),
        (b"GET /x  HTTP/1.1\r\n", False),
        (b"GET /x  HTTP/1.1\r\n\r\nGET /x HTTP/1.1\r\n", False),
        (b"GET  /x HTTP/1.1\r\n\r\nGET /x HTTP/1.1\r\n", False),
        (b"GET /xy HTTP/1.1\r\n", False),
    ],
)
def test_a_request_line_has_single_spaces(raw: bytes, *, holds: bool) -> None:
    """RFC 9112 section 3; whatever else came with it."""
    assert framing.has_line(raw, b"/x") is holds


def test_a_twin_is_named_when_it_is_refused() -> None:
    """As far as it is text."""
    assert repr("x_\ufffd") in framing.twin_refused(b"x_\xff").public


def test_names_of_answers_are_remembered_within_bounds() -> None:
    """An upstream may make up as many as it likes, and long ones; each is judged right, remembered or not."""
    names = framing._NotedNames()
    for _ in range(2):
        assert (names[b"Content-Length"], names[b"X-Own"]) == (b"content-length", b"")
        assert (names[b"a" * 128], names[b"b" * 129]) == (b"", b"")
    assert len(names) == 3
    for number in range(2000):
        assert names[b"x%d" % number] == b""
    assert len(names) == 1024
    assert names[b"CONNECTION"] == b"connection"


def test_fields_that_frame_are_found_behind_others() -> None:
    """Wherever they stand."""
    answer = Answer(200, b"", [])
    framing.read_answer(answer, "1.1", [(b"X-Own-Of-Framing-Words", b"a"), (b"CONTENT-length", b"3")])
    assert answer.length == 3
    with pytest.raises(UpstreamProtocolError):
        framing.read_answer(answer, "1.1", [(b"X-Own-Of-Framing-Words", b"a"), (b"TRANSFER-encoding", b"gzip")])


def test_trailers_are_lines() -> None:
    """Each its own."""
    assert framing.last_chunk([(b"A", b"b"), (b"C", b"")]) == b"0\r\nA: b\r\nC: \r\n\r\n"
