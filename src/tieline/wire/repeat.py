"""The same head again: a connection recognises the head of the request before in the bytes of the next one.

A client that keeps its connection sends the same head over and over, but for the length of the body. What the parser
and the framing rules made of it then is what they would make of it now, for they know nothing but its bytes; so it is
taken from there. Owns the comparison. Whatever is not exactly that head with its body, whole, in one read, is the
parser's.
"""

from tieline.wire.request import ClientConnection, Request

_HEAD_MOST = 16 * 1024  # half of what a head may have, so that a longer Content-Length cannot lead beyond it
_DIGITS_MOST = 15
_END = b"\r\n\r\n"
_LENGTH_FIELD = b"\r\ncontent-length: "


class Repeat:
    """A head that was parsed and found good on this connection, and what was found."""

    __slots__ = (
        "_after",
        "_authority",
        "_before",
        "_connection_field",
        "_head",
        "_headers",
        "_length",
        "_line",
        "_noted",
        "_sized",
    )

    def __init__(self, head: bytes, request: Request) -> None:
        self._head = head
        self._length = request.length or 0
        self._sized = request.sized
        self._line = request.method, request.target, request.minor
        self._authority = request.authority
        self._headers = request.headers
        self._noted = request.noted
        self._connection_field = request.connection_field
        at = head.lower().find(_LENGTH_FIELD)
        digits = at + len(_LENGTH_FIELD)
        self._before = head[:digits] if at >= 0 else b""
        self._after = head[head.find(b"\r", digits) :]

    @classmethod
    def of(cls, data: bytes, request: Request) -> "Repeat | None":
        """What to recognise, where ``data`` is one whole request and ``request`` what it was parsed to."""
        cut = len(data) - (request.length or 0)
        plain = request.complete and request.keep_alive and not (request.chunked or request.protocol or request.expects)
        if not plain or request.fault is not None or cut > _HEAD_MOST or data.find(_END) + len(_END) != cut:
            return None
        return cls(data[:cut], request)

    def again(self, connection: ClientConnection, data: bytes) -> Request | None:
        """The request in ``data`` if it is the same head with a whole body and nothing else."""
        if data.startswith(self._head):
            length, cut = self._length, len(self._head)
        elif self._before and data.startswith(self._before):
            begin = len(self._before)
            end = data.find(b"\r", begin, begin + _DIGITS_MOST)
            digits = data[begin:end]
            if end < 0 or not digits.isdigit() or not data.startswith(self._after, end):
                return None
            length, cut = int(digits), end + len(self._after)
        else:
            return None
        if len(data) != cut + length:
            return None
        request = Request(connection, *self._line)
        request.authority = self._authority
        request.headers = self._headers
        request.noted = self._noted
        request.connection_field = self._connection_field
        request.complete = True
        request.length = length
        request.sized = self._sized
        if length:
            request.pieces.append(data[cut:])
        return request
