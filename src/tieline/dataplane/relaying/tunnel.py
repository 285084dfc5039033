"""A relayed request after its upstream agreed to leave HTTP (101): bytes go both ways until one side ends.

States: *open*, both directions flow; *half closed*, the client sends no more and the upstream has ten seconds to end;
*stopped*, a client's message may not be sent, and what the upstream sends goes on to the end of its frame at the most,
so that a frame with the reason can follow; *ended*. In all of them but the last the tunnel is the sink of the client's
connection and the owner of the upstream's. Its messages are read only where somebody wants to know (``messages``).
"""

from typing import Final, Protocol

from tieline.core.errors import TielineError, UpstreamError
from tieline.dataplane.answers.mask import mask
from tieline.dataplane.relaying.messages import MessageTee, Stop
from tieline.dataplane.relaying.route import Route
from tieline.metering.reading import UsageReading
from tieline.wire.egress import EgressConnection
from tieline.wire.framing import Headers
from tieline.wire.request import Request

HALF_SECONDS: Final = 10.0


class Tunnelled(Protocol):
    """The exchange that became a tunnel: it counts the bytes and keeps the record."""

    request: Request
    route: Route
    bytes_in: int
    bytes_out: int

    def tunnel_ended(self, usage: UsageReading | None, error: TielineError | None) -> None: ...


class Tunnel:
    """Both directions. ``headers`` are those of the answer that switched, ``reflections`` are masked to the client."""

    __slots__ = ("_connection", "_ended", "_exchange", "_half_closed", "_reflections", "_seconds", "_stopped", "_tee")

    def __init__(
        self, exchange: Tunnelled, connection: EgressConnection, headers: Headers, reflections: tuple[bytes, ...]
    ) -> None:
        plan = exchange.route.plan
        self._exchange = exchange
        self._connection: EgressConnection | None = connection
        self._seconds = plan.limits.total  # how long both may be silent
        self._reflections = reflections
        self._half_closed = self._ended = False
        self._stopped: Stop | None = None
        self._tee = MessageTee(exchange.route, plan.usage, headers) if plan.usage is not None else None

    def begin(self) -> None:
        """Take over both connections, and what came over them beyond the messages."""
        request, connection = self._exchange.request, self._connection
        assert connection is not None  # it is new
        connection.reads_frames = self._tee is not None
        connection.pass_to(self)
        request.sink = self
        early = b"".join(connection.pieces)
        connection.pieces = []
        rest = request.become_tunnel(reads_frames=self._tee is not None)
        if early:
            self.tunnel_bytes(early)
        if rest:
            self.client_bytes(rest)
        self._wait_on()

    # -- the client's side

    def body_arrived(self) -> None:
        """There are no messages any more."""

    def client_bytes(self, data: bytes) -> None:
        connection = self._connection
        if connection is None or self._stopped is not None:
            return
        stop = self._tee.asked(data) if self._tee is not None else None
        if stop is not None:
            data = data[: stop.passes]
        self._exchange.bytes_in += len(data)
        if data:
            connection.write(data)
        if stop is not None:
            self._stop(stop, connection)
        else:
            self._wait_on()

    def client_ended(self) -> None:
        connection = self._connection
        if connection is not None and self._stopped is None:
            self._half_closed = True
            connection.deadline = connection.clock.now + HALF_SECONDS
            connection.end_writing()

    def client_gone(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()
        self._end()

    def client_paused(self) -> None:
        if self._connection is not None:
            self._connection.pause()

    def client_resumed(self) -> None:
        if self._connection is not None:
            self._connection.resume()
            self._wait_on()

    # -- the upstream's side

    def tunnel_bytes(self, data: bytes) -> None:
        stop, tee = self._stopped, self._tee
        if tee is not None and stop is None:
            tee.answered(data)
        elif tee is not None:
            data = _to_end_of_frame(tee, data)
        self._exchange.bytes_out += len(data)
        self._wait_on()
        self._exchange.request.connection.write(mask(data, self._reflections))
        if tee is not None and stop is not None and not tee.needs:
            self._close(stop)

    def upstream_failed(self, error: UpstreamError) -> None:
        self._connection = None
        self._end()
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

    # -- ends

    def _stop(self, stop: Stop, connection: EgressConnection) -> None:
        """Nothing more of the client's goes on: it is told why as soon as a frame can begin."""
        self._stopped = stop
        self._half_closed = True
        if self._tee is not None and self._tee.needs:
            connection.deadline = connection.clock.now + HALF_SECONDS
        else:
            self._close(stop)

    def _close(self, stop: Stop) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()
        client = self._exchange.request.connection
        if self._tee is not None and self._tee.needs is not None:  # else it would take the frame for something else
            client.write(stop.frame)
        self._end()
        client.close()

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            usage = self._tee.reading() if self._tee is not None else None
            self._exchange.tunnel_ended(usage, self._stopped.error if self._stopped is not None else None)


def _to_end_of_frame(tee: MessageTee, data: bytes) -> bytes:
    """The beginning of ``data`` up to the end of the frame that has begun, or all of it; the tee has heard it."""
    at = 0
    while at < len(data) and (needs := tee.needs):
        tee.answered(data[at : at + needs])
        at += needs
    return data[:at]
