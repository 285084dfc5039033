"""Copies of the bodies of a request and its answer, where an API says ``record_bodies``: the first bytes of either.

They are taken as bytes pass, and delay none. What is made of them is ``records.bodies``' business.
"""

from tieline.wire.framing import Headers
from tieline.wire.request import Request, Sink


class BodyCopies:
    """At most ``most`` bytes of each body; the sizes count all that came.

    ``answer_fields`` are the header of the answer that the body belongs to; ``secrets`` what is hidden in both.
    """

    __slots__ = ("answer", "answer_fields", "answer_size", "most", "request", "request_size", "secrets")

    def __init__(self, most: int) -> None:
        self.most = most
        self.request = bytearray()
        self.request_size = 0
        self.answer = bytearray()
        self.answer_size = 0
        self.answer_fields: Headers = []
        self.secrets: tuple[bytes, ...] = ()

    def asked(self, data: bytes) -> None:
        """The next bytes of the request's body, as they came."""
        self.request_size += len(data)
        self.request += data[: self.most - len(self.request)]

    def answered(self, data: bytes) -> None:
        """The next bytes of the answer's body, as the client gets them but for the framing."""
        self.answer_size += len(data)
        self.answer += data[: self.most - len(self.answer)]


def copying(request: Request, most: int) -> BodyCopies:
    """Copy the body of ``request``, which has its sink already: what is here, and what comes."""
    copies = BodyCopies(most)
    assert request.sink is not None  # whoever serves it
    request.sink = _CopyingSink(request, request.sink, copies)
    return copies


class _CopyingSink:
    """Stands before the sink of a request, and sees each piece before that takes it."""

    __slots__ = ("_copies", "_pieces", "_request", "_seen", "_sink")

    def __init__(self, request: Request, sink: Sink, copies: BodyCopies) -> None:
        self._request = request
        self._sink = sink
        self._copies = copies
        self._pieces: list[bytes] = []
        self._seen = 0
        self._copy()

    @property
    def id(self) -> str:
        """The id of the request that the sink serves."""
        return getattr(self._sink, "id", "")

    def body_arrived(self) -> None:
        self._copy()
        self._sink.body_arrived()

    def client_gone(self) -> None:
        self._sink.client_gone()

    def client_paused(self) -> None:
        self._sink.client_paused()

    def client_resumed(self) -> None:
        self._sink.client_resumed()

    def client_bytes(self, data: bytes) -> None:
        self._sink.client_bytes(data)

    def client_ended(self) -> None:
        self._sink.client_ended()

    def _copy(self) -> None:
        """Copy what was added. Whoever takes pieces leaves another list, or an empty one."""
        pieces = self._request.pieces
        if pieces is not self._pieces or len(pieces) < self._seen:
            self._pieces, self._seen = pieces, 0
        for piece in pieces[self._seen :]:
            self._copies.asked(piece)
        self._seen = len(pieces)
