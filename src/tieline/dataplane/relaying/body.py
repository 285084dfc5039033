"""How the body of a relayed request is framed for its upstream: as it came, or by its length where it was gathered."""

from tieline.access.appkey import holds_key
from tieline.dataplane.snapshot.header_fate import DROPPED, REFUSED, HeaderFate
from tieline.wire import framing
from tieline.wire.request import Request

_STAY = frozenset({DROPPED, REFUSED})
_NEVER_TRAILING = frozenset(
    {b"authorization", b"x-api-key", b"api-key", b"cookie", b"set-cookie", b"content-type", b"content-encoding"}
)


def framing_of(request: Request) -> bytes:
    """The end of a request's head: what frames its body, and the empty line."""
    frame = b""
    if request.chunked:
        frame = b"transfer-encoding: chunked\r\n"
    elif request.sized or request.length or request.method in framing.WITH_BODY:
        frame = b"content-length: %d\r\n" % (request.length or 0)
    if request.upgrade:
        frame += b"connection: upgrade\r\nupgrade: websocket\r\n"
    return frame + b"\r\n"


def take_pieces(request: Request) -> bytes:
    """The body bytes that arrived and nobody took yet, not framed."""
    pieces = request.pieces
    if not pieces:
        return b""
    request.pieces = []
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def chunked(request: Request, data: bytes, fates: HeaderFate) -> bytes:
    """``data``, which was taken of a chunked body, as it goes on; with the end of the body once that is here."""
    if data:
        data = framing.chunk(data)
    if request.complete:
        data += framing.last_chunk(kept_trailers(request.trailers, fates))
    return data


def kept_trailers(trailers: list[tuple[bytes, bytes]], fates: HeaderFate) -> list[tuple[bytes, bytes]]:
    """Trailer fields that may go on: none that frame, route or authenticate (RFC 9110 section 6.5.1)."""
    if not trailers:
        return trailers
    kept = [pair for pair in trailers if fates[pair[0]] not in _STAY and pair[0].lower() not in _NEVER_TRAILING]
    return [pair for pair in kept if not holds_key(pair[1])]
