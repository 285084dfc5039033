"""What a relayed exchange of an API with ``usage`` does: chat streams are asked for it, and answers are read.

Reads copies of bytes, and delays none of an answer. Who books what was used is the ledger's business.
"""

from typing import Final

from tieline.core.errors import TielineError
from tieline.dataplane.answers.usage_listener import UsageListener
from tieline.dataplane.limits.held import Held
from tieline.dataplane.relaying.route import Route
from tieline.metering.asked import BODY_MOST, asked_in_json
from tieline.metering.include_usage import include_usage, knows_usage, may_stream
from tieline.metering.reading import UsageReading
from tieline.metering.usage.reader import UsageReader
from tieline.wire.egress import Answer
from tieline.wire.request import Request

ASKED_MOST: Final = BODY_MOST
"""Bytes of a request's body up to which it is held until it is whole, to ask for usage in it."""
_REFUSED = 300


class Metered:
    """The usage of one exchange. ``hides`` says that the client is not to see the chunk of usage."""

    __slots__ = ("_listener", "_path", "_reader", "_request", "hides")

    def __init__(self, reader: UsageReader, request: Request, route: Route) -> None:
        self.hides = False
        self._reader = reader
        self._request = request
        self._path = route.message.target.path
        self._listener: UsageListener | None = None

    def asks(self) -> bool:
        """Whether the body may ask for a chat stream, and is known to be small enough to be held until it is whole."""
        request = self._request
        length, pieces = request.length, request.pieces
        if not self._reader.includes or request.method != b"POST" or length is None or not 0 < length <= ASKED_MOST:
            return False
        is_here = request.complete and len(pieces) == 1
        return knows_usage(self._path) and not (is_here and not may_stream(pieces[0]))

    def ask(self, body: bytes) -> bytes:
        """``body`` such that a stream tells its usage."""
        asked = include_usage(body)
        self.hides = not asked.shows
        return asked.body

    def too_many_streams(self, body: bytes, held: Held | None) -> TielineError | None:
        """Why ``body`` is not sent, where it asks for a stream and more of them cannot be ``held``."""
        if held is None or not held.limits_streams:
            return None
        asked = asked_in_json(body)
        return held.answered(stream=True) if asked is not None and asked.is_stream else None

    def answered(self, head: Answer, kind: bytes, asked_bytes: int) -> None:
        """Listen to an answer of this content type that did what was asked; what is read again was used before."""
        if head.status < _REFUSED and (self._request.method == b"POST" or self._reader.kind == "declared"):
            self._listener = UsageListener(self._reader, head.headers, kind, asked_bytes)

    def heard(self, pieces: list[bytes]) -> None:
        """The next bytes of the answer's body, as they came."""
        if self._listener is not None:
            for piece in pieces:
                self._listener.feed(piece)

    def reading(self, *, ended: bool) -> UsageReading | None:
        """What was used; ``ended`` says that the answer is whole."""
        return self._listener.reading(ended=ended) if self._listener is not None else None
