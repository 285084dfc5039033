"""Server-sent events: the format, its limits, and what is no event stream at all."""

import pytest

from tests.unit.dataplane.streams.reading import failure, one_by_one, read, read_all
from tieline.dataplane.answers.streams import Delta, Done, Event
from tieline.dataplane.answers.streams.frames import Frame
from tieline.dataplane.answers.streams.items import MOST_EVENT, MOST_TEXT
from tieline.dataplane.answers.streams.sse import SseDecoder
from tieline.definitions.model import Spot, Stream

PLAIN = Stream(text=Spot("$"))


@pytest.mark.parametrize(
    ("text", "frames"),
    [
        (b"data: a\n\n", [(None, b"a")]),
        (b"data:a\r\rdata: b\r\n\r\n", [(None, b"a"), (None, b"b")]),
        (b"event: e\r\ndata: a\r\ndata: b\r\n\r\n", [("e", b"a\nb")]),
        (b"event: e\rdata: a\rdata: b\r\r", [("e", b"a\nb")]),
        (b"data:  two spaces\n\n", [(None, b" two spaces")]),
        (b"data: a\ndata: b\ndata\n\n", [(None, b"a\nb\n")]),
        (b"data\n\n", [(None, b"")]),
        (b"data:\n\n", [(None, b"")]),
        (b": a comment\n\n:\n\n", []),
        (b"event: e\n\ndata: a\n\n", [(None, b"a")]),
        (b"event: e\ndata: a\n\ndata: b\n\n", [("e", b"a"), (None, b"b")]),
        (b"event: e\nevent: f\ndata: a\n\n", [("f", b"a")]),
        (b"event: e\nevent\ndata: a\n\n", [(None, b"a")]),
        (b"other: x\nno colon\ndata: a\n\n", [(None, b"a")]),
        (b"\xef\xbb\xbfdata: a\n\n\xef\xbb\xbfdata: b\n\n", [(None, b"a")]),
        (b"\n\n\ndata: a: b\n\n", [(None, b"a: b")]),
        (b"data: a\n", []),
    ],
)
def test_the_format_is_that_of_the_standard(text: bytes, frames: list[tuple[str | None, bytes]]) -> None:
    """The same frames at once and byte by byte."""
    expected = [Frame(*frame) for frame in frames]
    assert list(SseDecoder().feed(text)) == expected
    decoder = SseDecoder()
    assert [frame for byte in one_by_one(text) for frame in decoder.feed(byte)] == expected


def test_fields_for_reconnecting_are_passed_over() -> None:
    """``id`` and ``retry`` make no event and change none, whatever they hold."""
    assert list(SseDecoder().feed(b"id: 8\0\xff\nretry: soon\ndata: a\n\n")) == [Frame(None, b"a")]


def test_data_as_it_stands_can_be_the_text() -> None:
    """Where the text is the whole event, it is not read as JSON."""
    assert read(PLAIN, b"data: 42\n\ndata: {\n\ndata: [DONE]\n\n") == [Delta("42"), Delta("{"), Done("42{")]


def test_the_customary_end_needs_no_empty_line() -> None:
    """A server that closes right after its end mark has said that it is over."""
    assert read(Stream(), b"data: [DONE]") == read(Stream(), b"data: [DONE]\n") == [Done("")]


def test_an_event_that_the_end_cuts_is_an_error() -> None:
    """Also where no end mark is due; a comment that is cut is none."""
    assert "middle of an event" in failure(read(Stream(), b'data: {"a":1}\n'))[1]
    assert "middle of an event" in failure(read(Stream(), b"event: e\n"))[1]
    assert read(Stream(), b": nothing is m") == [Done("")]


def test_nothing_is_read_after_the_end() -> None:
    """What follows an end mark is ignored, whatever it is."""
    assert read(Stream(), b"data: [DONE]\n\ndata: {\n\n", b"\xff") == [Done("")]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b'data: {"id":"cut","object":\n\n', "not JSON"),
        (b'data: {"a":"\x00"}\n\n', "not JSON"),
        (b"data: {'a': 1}\n\n", "not JSON"),
        (b'data: {"a":NaN}\n\n', "not JSON"),
        (b'data: {"a":"\xc3"}\n\n', "not UTF-8"),
        (b"data: \xff\n\n", "not UTF-8"),
        (b"event: \xff\ndata: {}\n\n", "not UTF-8"),
        (b"data: " + b"[" * 65 + b"]" * 65 + b"\n\n", "64 levels"),
        (b"data: " + b'{"a":' * 2000 + b"1" + b"}" * 2000 + b"\n\n", "not JSON"),
    ],
    ids=["cut", "NUL", "quotes", "NaN", "UTF-8", "UTF-8 text", "UTF-8 name", "deep", "very deep"],
)
def test_a_malformed_event_is_a_clear_error(text: bytes, says: str) -> None:
    """The event before it stands; the error names what is wrong and what to do, however the bytes are cut."""
    stream = Stream(text=Spot("t"))
    data = b'data: {"t":"good"}\n\n' + text + b'data: {"t":"never read"}\n\n'
    found = read(stream, data)
    assert found[:-1] == [Delta("good")]
    code, words = failure(found)
    assert code == "upstream_protocol_error"
    assert says in words
    assert "Try again" in words
    assert read_all(stream, one_by_one(data)) == found


def test_nesting_up_to_the_limit_is_read() -> None:
    """Brackets within texts do not count, and 64 levels are not too many."""
    deep = b"[" * 64 + b"]" * 64
    assert len(read(Stream(), b"data: " + deep + b"\n\n" + b'data: {"a":"' + b"[" * 500 + b'"}\n\n')) == 3


@pytest.mark.parametrize("size", [1021, 65536, 10 * MOST_EVENT])
@pytest.mark.parametrize(
    "piece", [b"data: " + b"x" * 99 + b"\n", b"x" * 1000, b":" + b"x" * 5000], ids=["lines", "line", "comment"]
)
def test_an_event_without_end_is_an_error(piece: bytes, size: int) -> None:
    """Many lines of data or one line, however they are cut: 16 MiB is the limit, and memory stays within it."""
    data = piece * (MOST_EVENT // len(piece) * 11 // 10)
    pieces = (data[place : place + size] for place in range(0, len(data), size))
    code, words = failure(read_all(PLAIN, pieces))
    assert code == "upstream_response_too_large"
    assert "16 MiB" in words


def test_events_before_one_that_is_too_large_stand() -> None:
    """In one piece as in many; nothing after it is read."""
    data = b"data: a\n\n" + b"data: " + b"x" * MOST_EVENT + b"\n\ndata: b\n\n"
    found = read(PLAIN, data)
    assert found[0] == Delta("a")
    assert failure(found)[0] == "upstream_response_too_large"
    assert read(PLAIN, data[:5000], data[5000:]) == found


def test_an_event_just_within_the_limit_is_read() -> None:
    """And the next one too: the limit is for each."""
    data = b"data: " + b"x" * (MOST_EVENT - 6) + b"\n\n"
    found = read(PLAIN, data, data)
    assert [type(item) for item in found] == [Delta, Delta, Done]
    assert found[-1].cut
    assert (len(found[0].text), len(found[-1].text)) == (MOST_EVENT - 6, MOST_TEXT)


def test_an_event_of_very_many_lines_is_refused() -> None:
    """Lines without data are few bytes, and a line each."""
    assert failure(read(PLAIN, b"data:\n" * 400_000 + b"data:\n"))[0] == "upstream_response_too_large"


def test_keep_alive_comments_do_not_add_up() -> None:
    """A stream that waits for long sends more of them than an event may have bytes."""
    assert read(PLAIN, *[b": still there\n\n" * 1000] * 100) == [Done("")]


def test_an_event_of_empty_data_is_handed_out() -> None:
    """It may mean something; to a preset it is a sign of life."""
    assert read(Stream(), b"data:\n\n") == [Event(None, {"data": ""}), Done("")]
    assert read(Stream(), b"event: tick\ndata:\n\n") == [Event("tick", {"data": ""}), Done("")]
    assert read(Stream(preset="openai_chat"), b"data:\n\ndata: [DONE]\n\n") == [Done("")]
