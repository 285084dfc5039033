"""Events are passed on whole, and no byte is lost."""

import sys
from types import FrameType

import pytest

from tieline.dataplane.answers.whole_events import HELD_MOST, WholeEvents


def test_a_piece_that_ends_with_an_event_is_passed_on_at_once() -> None:
    """Nothing is held, and nothing is copied."""
    piece = b"data: 1\n\ndata: 2\n\n"
    assert WholeEvents().feed(piece, last=False) is piece


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r"])
def test_half_an_event_waits_for_its_other_half(end: bytes) -> None:
    """Whichever way lines end."""
    events = WholeEvents()
    assert events.feed(b"data: 1" + end + b"da", last=False) == b"data: 1" + end
    assert events.feed(b"ta: 2" + end[:1], last=False) == b""
    assert events.feed(end[1:], last=False) == b"data: 2" + end


def test_the_last_piece_brings_what_was_held() -> None:
    """A stream that ends without an empty line loses nothing."""
    events = WholeEvents()
    assert events.feed(b"data: 1", last=False) == b""
    assert events.feed(b"", last=True) == b"data: 1"


def test_a_comment_is_not_held() -> None:
    """It keeps a connection alive."""
    assert WholeEvents().feed(b": ping\n", last=False) == b": ping\n"


def test_an_event_too_large_to_hold_goes_on_as_it_comes() -> None:
    """Memory is bounded, whatever an upstream sends."""
    events = WholeEvents()
    assert events.feed(b"data: " + b"x" * HELD_MOST, last=False) != b""


def test_cut_anywhere_the_bytes_are_the_same() -> None:
    """Two pieces or one, it is the same stream."""
    stream = b": hello\n\ndata: a\ndata: b\n\nevent: x\r\ndata: c\r\n\r\ndata: d"
    for cut in range(len(stream) + 1):
        events = WholeEvents()
        assert events.feed(stream[:cut], last=False) + events.feed(stream[cut:], last=True) == stream


def test_an_event_that_comes_byte_by_byte_is_not_searched_again_and_again() -> None:
    """What is looked through grows with the bytes, not with their square."""

    def looked_at(length: int) -> int:
        events, calls = WholeEvents(), 0

        def note(frame: FrameType, event: str, argument: object) -> None:
            nonlocal calls
            if event == "call" and frame.f_code.co_name == "end_of_events":
                calls += len(frame.f_locals["data"])

        sys.setprofile(note)
        try:
            for _ in range(length):
                events.feed(b"x", last=False)
        finally:
            sys.setprofile(None)
        return calls

    assert looked_at(8000) <= 2 * looked_at(4000) + 8
