"""Undoes an answer's content coding where its content has to be read, within bounds on what comes out.

Knows gzip and deflate (RFC 9110 section 8.4.1), which the standard library has; nothing else is asked for.
"""

import zlib
from typing import Final, Protocol

from tieline.core.errors import UpstreamProtocolError, UpstreamResponseTooLarge
from tieline.wire.framing import Headers

RATIO_MOST: Final = 200
"""How many times its size a body may become, once it is over a MiB."""
MEMBERS_MOST: Final = 1_000
"""Members that a gzip body may have (RFC 1952 section 2.2), and one more for each 4 KiB: each is a decompressor."""
_MEMBER_LEAST = 4096
_SLICE = 64 * 1024
"""Bytes that go in at once: what is left of them is copied for each step and each member, so they are few."""
_FREE = 1024 * 1024
_STEP = 256 * 1024
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_ZLIB_HEADER = 2
_NAME_LENGTH = len(b"content-encoding")
_NONE = frozenset({b"", b"identity", b"none", b"utf-8", b"utf8", b"binary", b"8bit", b"7bit"})
"""What says that nothing was done: the registered name, and what servers write that confuse the field with others."""
_READ: Final = frozenset({b"gzip", b"x-gzip", b"deflate"})
_UNREAD: Final = frozenset({b"br", b"zstd", b"compress", b"x-compress", b"dcb", b"dcz", b"exi", b"aes128gcm"})
"""What is registered and not read here. Other words of an upstream's are not repeated: they may be anything."""
_CODINGS_MOST = 3


class Coding(Protocol):
    """Undoes one coding of a body that comes in pieces."""

    def feed(self, data: bytes) -> bytes:
        """What ``data`` becomes. Raises UpstreamProtocolError, UpstreamResponseTooLarge."""
        ...

    def finish(self) -> None:
        """The body is over. Raises UpstreamProtocolError where the coding was not."""
        ...


class Inflate:
    """gzip (also several members in a row), or deflate with or without the zlib header that some leave out.

    The work is linear in what comes in and goes out, whatever an upstream makes its members of.
    """

    __slots__ = ("_begun", "_given", "_made", "_members", "_most", "_raw", "_zlib")

    def __init__(self, most: int, *, deflate: bool = False) -> None:
        self._most = most
        self._given = 0
        self._made = 0
        self._raw = deflate
        self._begun = b""
        self._members = 1
        self._zlib = zlib.decompressobj(_GZIP_OR_ZLIB)

    def feed(self, data: bytes) -> bytes:
        self._given += len(data)
        if self._raw:
            data, self._begun = self._begun + data, b""
            if len(data) < _ZLIB_HEADER:
                self._begun = data
                return b""
        made: list[bytes] = []
        for start in range(0, len(data), _SLICE):
            rest = data[start : start + _SLICE]
            while rest:
                piece, rest = self._step(rest)
                self._made += len(piece)
                if self._made > self._most or self._made > max(_FREE, self._given * RATIO_MOST):
                    raise _bomb()
                made.append(piece)
        return b"".join(made)

    def finish(self) -> None:
        if self._given and not self._zlib.eof:
            raise UpstreamProtocolError("The upstream's compressed answer ends in the middle. Try again.")

    def _step(self, data: bytes) -> tuple[bytes, bytes]:
        """The next piece that comes out, and what is left to be put in."""
        if self._zlib.eof:
            self._members += 1
            if self._members > MEMBERS_MOST + self._given // _MEMBER_LEAST:
                raise _bomb()
            self._zlib = zlib.decompressobj(_GZIP_OR_ZLIB)
        try:
            piece = self._zlib.decompress(data, _STEP)
        except zlib.error:
            if not self._raw or self._made:
                raise UpstreamProtocolError("The upstream's compressed answer cannot be read. Try again.") from None
            self._raw = False  # RFC 9110 section 8.4.1.2: some send deflate without the zlib header
            self._zlib = zlib.decompressobj(-zlib.MAX_WBITS)
            return b"", data
        self._raw = False
        return piece, self._zlib.unused_data if self._zlib.eof else self._zlib.unconsumed_tail


def _bomb() -> UpstreamResponseTooLarge:
    return UpstreamResponseTooLarge(
        "The upstream's compressed answer takes far more to undo than it may. Ask for less, or for no coding."
    )


def codings(headers: Headers) -> list[bytes]:
    """The content codings of an answer in the order they were applied, without what names none."""
    found: list[bytes] = []
    for name, value in headers:
        if len(name) == _NAME_LENGTH and name.lower() == b"content-encoding":
            found += [item.strip().lower() for item in value.split(b",")]
    return [each for each in found if each not in _NONE] if found else found


def coding(headers: Headers, most: int) -> Coding | None:
    """What undoes the coding of an answer with ``headers``, giving at most ``most`` bytes; None where there is none.

    Raises:
        UpstreamProtocolError: a coding that is not known, or several over each other.
    """
    found = codings(headers)
    if not found:
        return None
    if len(found) > 1 or found[0] not in _READ:
        words = [each if each in _READ or each in _UNREAD else b"an unknown coding" for each in found[:_CODINGS_MOST]]
        shown = b", ".join(words).decode()
        raise UpstreamProtocolError(
            f"The upstream's answer is encoded as {shown}, which is not read here. Ask the API for gzip or no coding, "
            "by the call's Accept-Encoding header."
        )
    return Inflate(most, deflate=found[0] == b"deflate")
