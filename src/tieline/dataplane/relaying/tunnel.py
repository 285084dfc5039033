"""A relayed request after its upstream agreed to leave HTTP (101): bytes go both ways until one side ends.

States: *open*, both directions flow; *half closed*, the client sends no more and the upstream has ten seconds to end;
*ended*. In all of them the tunnel is the sink of the client's connection and the owner of the upstream's.
"""

from typing import Final, Protocol

from tieline.core.errors import UpstreamError
from tieline.dataplane.answers.mask import mask
from tieline.wire.egress import EgressConnection
from tieline.wire.request import Request

HALF_SECONDS: Final = 10.0


class Tunnelled(Protocol):
    """The exchange that became a tunnel: it counts the bytes and keeps the record."""

    request: Request
    bytes_in: int
    bytes_out: int

    def tunnel_ended(self) -> None: ...


class Tunnel:
    """Both directions. ``seconds`` is how long both may be silent; ``reflections`` are masked towards the client."""

    __slots__ = ("_connection", "_exchange", "_half_closed", "_reflections", "_seconds")

    def __init__(
        self, exchange: Tunnelled, connection: EgressConnection, seconds: float, reflections: tuple[bytes, ...]
    ) -> None:
        self._exchange = exchange
        self._connection: EgressConnection | None = connection
        self._seconds = seconds
        self._reflections = reflections
        self._half_closed = False

    def begin(self) -> None:
        """Take over both connections, and what came over them beyond the messages."""
        request, connection = self._exchange.request, self._connection
        assert connection is not None  # it is new
        connection.pass_to(self)
        request.sink = self
        early = b"".join(connection.pieces)
        connection.pieces = []
        rest = request.become_tunnel()
        if early:
            self.tunnel_bytes(early)
        if rest:
            self.client_bytes(rest)
        self._wait_on()

    # -- the client's side

    def body_arrived(self) -> None:
        """There are no messages any more."""

    def client_bytes(self, data: bytes) -> None:
        if self._connection is not None:
            self._exchange.bytes_in += len(data)
            self._connection.write(data)
            self._wait_on()

    def client_ended(self) -> None:
        connection = self._connection
        if connection is not None:
            self._half_closed = True
            connection.deadline = connection.clock.now + HALF_SECONDS
            connection.end_writing()

    def client_gone(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()
        self._exchange.tunnel_ended()

    def client_paused(self) -> None:
        if self._connection is not None:
            self._connection.pause()

    def client_resumed(self) -> None:
        if self._connection is not None:
            self._connection.resume()
            self._wait_on()

    # -- the upstream's side

    def tunnel_bytes(self, data: bytes) -> None:
        self._exchange.bytes_out += len(data)
        self._wait_on()
        self._exchange.request.connection.write(mask(data, self._reflections))

    def upstream_failed(self, error: UpstreamError) -> None:
        self._connection = None
        self._exchange.tunnel_ended()
        self._exchange.request.connection.close()

    def upstream_paused(self) -> None:
        self._exchange.request.pause()

    def upstream_resumed(self) -> None:
        self._exchange.request.resume()

    def answer_arrived(self, connection: EgressConnection) -> None:
        """The answer was the 101."""

    def interim_arrived(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """There are no messages any more."""

    def _wait_on(self) -> None:
        connection = self._connection
        if connection is not None and not self._half_closed:
            connection.deadline = connection.clock.now + self._seconds
