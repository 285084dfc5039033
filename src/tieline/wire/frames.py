"""WebSocket messages out of the bytes of one direction of a tunnel, in whatever pieces they come (RFC 6455 section 5).

A reader changes nothing and delays nothing: who owns the tunnel passes the bytes on. It takes time in proportion to
the bytes and keeps no more than a message of ``most`` bytes, however many frames that has. Extensions are not known:
who wants to read takes them out of the handshake. A frame that has one is an error, as is all that RFC 6455 forbids.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

PROTOCOL_ERROR: Final = 1002
POLICY_VIOLATION: Final = 1008
TOO_BIG: Final = 1009
"""Why a connection is closed (section 7.4.1)."""
REASON_MOST: Final = 123
"""Bytes of a reason: a control frame has 125, of which two are the code (section 5.5)."""
_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PONG = 0, 1, 2, 8, 10
_FINAL, _RESERVED, _MASKED = 0x80, 0x70, 0x80
_CONTROL_MOST: Final = 125
_SHORT, _LONG = 126, 127
_HEAD: Final = 2
_KEY: Final = 4


class FrameError(ValueError):
    """Bytes that are no frames, or frames that cannot be read; the text says why."""


class WebSocketMessage(NamedTuple):
    """A message of text or bytes; ``data`` is None for one of more bytes than are read, which is told once it has them.

    ``end`` is where it ends in the bytes that were fed.
    """

    data: bytes | None
    is_text: bool
    end: int


class FrameReader:
    """Reads one direction: a client's frames are ``masked``, a server's never are (section 5.1)."""

    __slots__ = (
        "_final",
        "_head",
        "_key",
        "_left",
        "_masked",
        "_message",
        "_most",
        "_opcode",
        "_read",
        "_text",
        "_wants",
    )

    def __init__(self, *, masked: bool, most: int) -> None:
        self._masked = masked
        self._most = most
        self._head = bytearray()  # of the frame that is being read
        self._wants = _HEAD  # more bytes of it
        self._left = 0  # of the frame's payload
        self._key = b""
        self._read = 0
        self._opcode = 0
        self._final = True
        self._text: bool | None = None  # None between messages
        self._message: bytearray | None = bytearray()  # one for all fragments; None for one that is too large

    @property
    def needs(self) -> int:
        """Bytes after which the frame that is being read may end, never beyond its end; 0 between frames."""
        return self._left or (self._wants if self._head else 0)

    def feed(self, data: bytes) -> Iterator[WebSocketMessage]:
        """The messages that end in the next bytes. Raises FrameError, after which the reader is of no use."""
        at = 0
        while at < len(data):
            if self._left:
                piece = data[at : at + self._left]
                self._left -= len(piece)
                at += len(piece)
                if self._keep(piece):
                    yield WebSocketMessage(None, bool(self._text), at)
            else:
                piece = data[at : at + self._wants]
                self._head += piece
                self._wants -= len(piece)
                at += len(piece)
                if not self._wants:
                    self._wants = self._rest_of_head()
            if not self._wants and not self._left:
                message = self._ended()
                if message is not None:
                    yield WebSocketMessage(message, bool(self._text), at)
                    self._text = None
                elif self._final and self._opcode < _CLOSE:
                    self._text = None

    def _rest_of_head(self) -> int:
        """How many bytes of the head are still missing; at 0 the payload is known. Raises FrameError."""
        head = self._head
        length = head[1] & ~_MASKED
        if len(head) == _HEAD:
            self._check(head[0], masked=bool(head[1] & _MASKED), length=length)
            more = (2 if length == _SHORT else 8 if length == _LONG else 0) + (_KEY if self._masked else 0)
            if more:
                return more
        end = len(head) - (_KEY if self._masked else 0)
        if length >= _SHORT:
            least = _SHORT if length == _SHORT else 1 << 16
            length = int.from_bytes(head[_HEAD:end])
            if length < least or length >> 63:
                raise FrameError("the length of a frame is not written as it has to be")
        self._key = bytes(head[end:])
        self._left = length
        self._read = 0
        return 0

    def _check(self, first: int, *, masked: bool, length: int) -> None:
        opcode = self._opcode = first & 0x0F
        self._final = bool(first & _FINAL)
        if first & _RESERVED:
            raise FrameError("a frame has an extension that was not agreed on")
        if masked != self._masked:
            raise FrameError("a client's frame is not masked" if self._masked else "a server's frame is masked")
        if opcode >= _CLOSE:
            if opcode > _PONG or not self._final or length > _CONTROL_MOST:
                raise FrameError("a control frame is unknown, in fragments or too long")
        elif opcode == _CONTINUATION:
            if self._text is None:
                raise FrameError("a fragment continues no message")
        elif opcode > _BINARY:
            raise FrameError("a frame has a type that does not exist")
        elif self._text is not None:
            raise FrameError("a message begins within another")
        else:
            self._text = opcode == _TEXT
            self._message = bytearray()

    def _keep(self, piece: bytes) -> bool:
        """Keep a part of a payload; whether the message has just become larger than is read."""
        message = self._message
        if self._opcode >= _CLOSE or message is None:
            return False
        if len(message) + len(piece) > self._most:
            self._message = None
            return True
        message += _unmasked(piece, self._key, self._read) if self._masked else piece
        self._read += len(piece)
        return False

    def _ended(self) -> bytes | None:
        """The frame is whole: the message that it ends, if that was read."""
        self._head.clear()
        self._wants = _HEAD
        if self._opcode >= _CLOSE or not self._final or self._message is None:
            return None
        message, self._message = bytes(self._message), bytearray()
        return message


def close_frame(code: int, reason: str) -> bytes:
    """A server's frame that closes the connection; of a reason that is too long, its first sentences."""
    text = reason.encode()
    while len(text) > REASON_MOST:
        shorter = text[:REASON_MOST].rpartition(b". ")[0]
        text = shorter + b"." if shorter else text[:REASON_MOST].decode(errors="ignore").encode()
    payload = code.to_bytes(2) + text
    return bytes((_FINAL | _CLOSE, len(payload))) + payload


def _unmasked(piece: bytes, key: bytes, begin: int) -> bytes:
    """``piece``, which begins at this byte of its frame's payload (section 5.3), in one step for all of its bytes."""
    turn = begin % _KEY
    size = len(piece)
    mask = ((key[turn:] + key[:turn]) * (size // _KEY + 1))[:size]
    return (int.from_bytes(piece) ^ int.from_bytes(mask)).to_bytes(size)
