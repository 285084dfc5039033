"""WebSocket messages out of the bytes of one direction, however they are cut and whatever stands between them."""

from itertools import product

import pytest
from websockets.frames import Frame, Opcode
from websockets.protocol import CLIENT, Protocol

from tieline.wire.frames import PROTOCOL_ERROR, REASON_MOST, FrameError, FrameReader, close_frame

MOST = 1_000
KEY = b"\x01\x80\xff\x37"


def frame(opcode: int, payload: bytes = b"", *, final: bool = True, masked: bool = True) -> bytes:
    """A frame as RFC 6455 section 5.2 draws it, written by a library that is not ours."""
    return Frame(Opcode(opcode), payload, final).serialize(mask=masked, extensions=[])


def fed(*pieces: bytes, masked: bool = True, most: int = MOST) -> list[tuple[bytes | None, bool]]:
    """The messages in these pieces."""
    reader = FrameReader(masked=masked, most=most)
    return [(each.data, each.is_text) for piece in pieces for each in reader.feed(piece)]


@pytest.mark.parametrize("masked", [True, False])
def test_a_message_is_read_wherever_it_is_cut(masked: bool) -> None:
    """At every place, and byte by byte: fragments, pings within a message, an empty one, lengths of all three forms."""
    parts = [
        (1, b"Hel", False),
        (9, b"?", True),
        (0, b"lo ", False),
        (0, b"you", True),
        (10, b"", True),
        (1, b"", True),
    ]
    parts += [(2, b"x" * 126, True), (2, b"y" * 65_536, False), (9, b"", True), (0, b"", True), (1, b"end", True)]
    data = b"".join(frame(opcode, payload, final=final, masked=masked) for opcode, payload, final in parts)
    expected = [(b"Hello you", True), (b"", True), (b"x" * 126, False), (b"y" * 65_536, False), (b"end", True)]
    assert fed(data, masked=masked, most=70_000) == expected
    assert fed(*[data[at : at + 1] for at in range(len(data))], masked=masked, most=70_000) == expected
    for cut in (*range(220), *range(len(data) - 40, len(data))):
        assert fed(data[:cut], data[cut:], masked=masked, most=70_000) == expected


def test_a_message_is_the_same_in_pieces_of_any_size() -> None:
    """The mask goes on where the last piece ended."""
    data = frame(1, bytes(range(128)) * 3) + frame(1, b"b", final=False) + frame(0, b"c" * 9)
    for first, second in product(range(1, 12), repeat=2):
        pieces, at = [], 0
        while at < len(data):
            pieces += [data[at : at + first], data[at + first : at + first + second]]
            at += first + second
        assert fed(*pieces) == [(bytes(range(128)) * 3, True), (b"b" + b"c" * 9, True)]


def test_where_a_message_ends_is_told_within_what_was_fed() -> None:
    """So that what stands before it can go on without it."""
    first, second = frame(1, b"a"), frame(1, b"b", final=False)
    reader = FrameReader(masked=True, most=MOST)
    assert [each.end for each in reader.feed(first + frame(9) + first + second)] == [7, 20]
    assert [each.end for each in reader.feed(frame(9) + frame(0, b"c") + first)] == [13, 20]


@pytest.mark.parametrize("size", [0, 1, 124, 125, 126, 127, 65_535, 65_536])
@pytest.mark.parametrize("masked", [True, False])
def test_lengths_are_read_where_their_form_changes(size: int, masked: bool) -> None:
    """Of one, three and nine bytes."""
    assert fed(frame(2, b"x" * size, masked=masked), masked=masked, most=70_000) == [(b"x" * size, False)]


def test_between_frames_nothing_is_needed() -> None:
    """Within one it is known how much at least; following it never goes beyond the end."""
    data = frame(1, b"x" * 300, masked=False) + frame(1, b"next", masked=False)
    reader = FrameReader(masked=False, most=MOST)
    assert reader.needs == 0
    list(reader.feed(data[:1]))
    at = 1
    while reader.needs:
        more = reader.needs
        list(reader.feed(data[at : at + more]))
        at += more
    assert at == 304


def test_a_message_that_is_too_large_is_told_at_once_and_not_kept() -> None:
    """Once, in one frame or in a thousand; the next is read again. Nothing waits for its end."""
    large = frame(1, b"x" * (MOST + 1))
    assert fed(large + frame(1, b"a")) == [(None, True), (b"a", True)]
    many = frame(2, b"", final=False) + frame(0, b"x", final=False) * (MOST * 3) + frame(0, b"", final=True)
    assert fed(many + frame(1, b"a")) == [(None, False), (b"a", True)]
    assert fed(frame(1, b"x" * MOST)) == [(b"x" * MOST, True)]
    hostile = bytes((0x82, 0xFF)) + (2**63 - 1).to_bytes(8) + KEY
    assert fed(hostile, b"x" * (MOST + 1), b"x") == [(None, False)]


@pytest.mark.parametrize(
    "data",
    [
        bytes((0x81, 0xFF)) + (1 << 63).to_bytes(8) + KEY,  # the highest bit of a length
        bytes((0x81, 0xFF)) + (65_535).to_bytes(8) + KEY,  # a length in more bytes than it takes
        bytes((0x81, 0xFE)) + (125).to_bytes(2) + KEY,
        bytes((0xC1, 0x81)) + KEY + b"x",  # compressed
        bytes((0xA1, 0x81)) + KEY + b"x",
        bytes((0x91, 0x81)) + KEY + b"x",
        bytes((0x81, 0x01)) + b"x",  # not masked
        bytes((0x83, 0x81)) + KEY + b"x",  # types that do not exist
        bytes((0x8B, 0x80)) + KEY,
        bytes((0x09, 0x80)) + KEY,  # a ping in fragments
        bytes((0x89, 0xFE)) + (126).to_bytes(2) + KEY,  # a ping that is too long
        bytes((0x80, 0x80)) + KEY,  # continues nothing
        frame(1, b"a", final=False) + frame(1, b"b"),  # begins within another
        frame(1, b"a") + frame(0, b"b"),
        b"GET / HTTP/1.1\r\n\r\n",
    ],
    ids=range(15),  # keys are random
)
def test_what_the_rfc_forbids_is_an_error(data: bytes) -> None:
    """Peers differ in what they make of it, so it is not read at all; also byte by byte."""
    with pytest.raises(FrameError):
        fed(data)
    with pytest.raises(FrameError):
        fed(*[data[at : at + 1] for at in range(len(data))])


def test_a_masked_frame_of_a_server_is_an_error() -> None:
    """Section 5.1."""
    with pytest.raises(FrameError, match="masked"):
        fed(frame(1, b"a"), masked=False)


@pytest.mark.parametrize("reason", ["Too late.", "One. " * 40, "é" * 200, "", "x" * 124 + ". y"])
def test_a_closing_frame_is_one_for_others(reason: str) -> None:
    """However long its reason is: sentences as far as there is room, never half a letter."""
    client = Protocol(CLIENT)
    client.receive_data(close_frame(PROTOCOL_ERROR, reason))
    got = client.close_rcvd
    assert got is not None
    assert got.code == PROTOCOL_ERROR
    assert reason.startswith(got.reason)
    assert len(got.reason.encode()) <= REASON_MOST
