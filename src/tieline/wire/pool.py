"""Connections to upstreams, kept for reuse.

A lane holds the connections of one origin, one TLS identity and one credential; nothing is shared between lanes, so
that nothing of one tenant's answer can reach another. It owns dialling; whether an address may be dialled is the
guard's word.

A connection is in one of three places: being dialled (``dial``'s alone; a task that is cancelled closes it), busy (in
``_busy``, owned by whoever got it from ``take`` or ``dial``), or idle (in ``_idle``, the lane's; last in, first out,
for 55 seconds). ``give`` brings it from busy to idle, ``take`` back, and ``lost`` takes it out of both once it is
closed. A lane that has ended keeps no idle connection: what is busy finishes its request and is closed by ``give``.
"""

import asyncio
import contextlib
import errno
import socket
import ssl
import time
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass

from aiohappyeyeballs import AddrInfoType, start_connection

from tieline.core.errors import DestinationNotAllowed, UpstreamTimeout, UpstreamTlsError, UpstreamUnreachable
from tieline.core.urls import Origin, parse_address
from tieline.wire.breaker import Breaker
from tieline.wire.deadlines import Deadlines
from tieline.wire.egress import Dialled, EgressConnection
from tieline.wire.gate import Gate
from tieline.wire.guard import Endpoint, Guard
from tieline.wire.retry_budget import RetryBudget
from tieline.wire.tls import TlsIdentity, Trust, client_context

IDLE_MOST = 256
LANES_MOST = 10_000
IDLE_SECONDS = 55.0
ATTEMPT_DELAY = 0.25
_UNLIMITED = 1_000_000


@dataclass(frozen=True, slots=True)
class LaneKey:
    """What connections must have in common to be shared.

    ``credential`` names the API and the credential; ``tls_identity`` the client certificate, where there is one.
    """

    origin: Origin
    credential: str
    tls_identity: str = ""


class Lane:
    """The connections of one key: idle ones last in first out, and a way to dial more.

    ``breaker`` and ``retries`` are for those who send: whether they may at all, and whether once more. ``workers`` is
    how many share what connections are limited to.
    """

    __slots__ = (
        "_busy",
        "_ended",
        "_gate",
        "_guard",
        "_idle",
        "_server_name",
        "_tls",
        "breaker",
        "deadlines",
        "key",
        "retries",
        "workers",
    )

    def __init__(
        self,
        key: LaneKey,
        guard: Guard,
        deadlines: Deadlines,
        tls: ssl.SSLContext | None,
        server_name: str | None = None,
    ) -> None:
        self.key = key
        self.deadlines = deadlines
        self.breaker = Breaker(key.origin.host)
        self.retries = RetryBudget(self.breaker)
        self._guard = guard
        self._tls = tls
        self._server_name = (server_name or key.origin.host) if tls is not None else None
        self._idle: deque[EgressConnection] = deque()
        self._busy: set[EgressConnection] = set()
        self._ended = False
        self._gate: Gate | None = None
        self.workers = 1

    @property
    def open_connections(self) -> int:
        return len(self._idle) + len(self._busy)

    @property
    def busy_connections(self) -> int:
        return len(self._busy)

    @property
    def gate(self) -> Gate | None:
        """Where connections are limited, who waits for one."""
        return self._gate

    def limit(self, connections: int | None) -> None:
        """Have this worker's share of so many connections at once from now on, at least one; None: any number."""
        most = _UNLIMITED if connections is None else max(1, connections // self.workers)
        if self._gate is None and connections is not None:
            self._gate = Gate(self.key.origin.host, most)
        elif self._gate is not None:
            self._gate.most = most
            self._gate.serve()

    def take(self) -> EgressConnection | None:
        """An idle connection, or None: ``connect`` then. Where connections are limited, that has the only way in."""
        return self._take() if self._gate is None else None

    async def connect(self, who: str, seconds: float, *, fresh: bool = False) -> EgressConnection:
        """A connection for a request of ``who``, an idle or a new one, or only a new one (``fresh``).

        It waits ``seconds`` at most for a place where connections are limited, and as long for the connection. Raises
        what ``dial`` raises, and Overloaded where no place became free.
        """
        gate = self._gate
        if gate is None:
            return await self.dial(seconds)
        await gate.enter(who, seconds)
        try:
            connection = None if fresh else self._take()
            if connection is None:
                if self._idle and self.open_connections >= gate.most:
                    self._idle.popleft().abort()
                connection = await self.dial(seconds)
        except BaseException:
            gate.leave(who)
            raise
        gate.hold(who, connection)
        return connection

    def _take(self) -> EgressConnection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.quiet:
                self._busy.add(connection)
                return connection
            connection.abort()
        return None

    async def dial(self, seconds: float) -> EgressConnection:
        """Open a connection within ``seconds``.

        Raises:
            DestinationNotAllowed: the guard refuses the origin or any of its addresses.
            UpstreamUnreachable, UpstreamTlsError, UpstreamTimeout: it cannot be reached.
        """
        origin = self.key.origin
        try:
            async with asyncio.timeout(seconds):
                return await self._dial(origin)
        except TimeoutError:
            raise UpstreamTimeout(
                f"{origin.host} did not accept a connection within {seconds:g} s. Check the base URL, or try again."
            ) from None

    async def _dial(self, origin: Origin) -> EgressConnection:
        began = time.perf_counter()
        endpoints = await self._guard.resolve(origin)
        failure: OSError | None = None
        while endpoints:
            try:
                sock = await _connected(endpoints)
                reached = sock.getpeername()[0]
                met = time.perf_counter()
                connection = await self._converse(sock)
                tls_ms = (time.perf_counter() - met) * 1000 if self._tls is not None else None
                connection.dialled = Dialled((met - began) * 1000, tls_ms)
            except ssl.SSLError as error:
                raise UpstreamTlsError(
                    f"No trusted TLS connection to {origin.host}: {_tls_reason(error)}. Check its certificate, or give "
                    "Tieline the certificate authority that signed it (--ca-bundle).",
                    detail=str(error),
                ) from error
            except OSError as error:
                failure = error
                break
            if not connection.closed:
                return self._admit(connection, [address for _, address, _ in endpoints])
            failure = ConnectionResetError(errno.ECONNRESET, "closed as soon as it was open")
            endpoints = [each for each in endpoints if parse_address(each[1]) != parse_address(reached)]
        raise UpstreamUnreachable(
            f"{origin.host} cannot be reached ({_reason(failure)}). Check the base URL, or try again.",
            detail=str(failure),
        )

    async def _converse(self, sock: socket.socket) -> EgressConnection:
        """Take a connected socket over, with TLS where the origin has it."""
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: EgressConnection(self), sock=sock, ssl=self._tls, server_hostname=self._server_name
            )
        except BaseException:
            with contextlib.suppress(OSError):
                sock.close()
            raise
        return connection

    def _admit(self, connection: EgressConnection, dialled: list[str]) -> EgressConnection:
        try:
            self._guard.check_peer(dialled, connection.peername)
        except DestinationNotAllowed:
            connection.abort()
            raise
        self.deadlines.watch(connection)
        self._busy.add(connection)
        return connection

    def give(self, connection: EgressConnection) -> None:
        """Take back a connection that can carry another request."""
        self._busy.discard(connection)
        if self._ended or len(self._idle) >= IDLE_MOST:
            connection.abort()
            return
        connection.deadline = self.deadlines.now + IDLE_SECONDS
        self._idle.append(connection)
        if self._gate is not None:
            self._gate.returned(connection)

    def lost(self, connection: EgressConnection) -> None:
        """A connection of this lane is closed."""
        self.deadlines.forget(connection)
        self._busy.discard(connection)
        with contextlib.suppress(ValueError):
            self._idle.remove(connection)
        if self._gate is not None:
            self._gate.returned(connection)

    def end(self) -> None:
        """Keep no connection any more: close what carries nothing now, and what is busy with its request."""
        self._ended = True
        for connection in list(self._idle):
            connection.abort()


async def _connected(endpoints: list[Endpoint]) -> socket.socket:
    """A socket to the endpoint that accepts first, of which each next one is begun with after 250 ms (RFC 8305).

    IPv6 and IPv4 take turns, in the resolver's order. The addresses are those that were checked; none is looked up.
    """
    infos: list[AddrInfoType] = [
        (family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port)) for family, address, port in endpoints
    ]
    return await start_connection(infos, happy_eyeballs_delay=ATTEMPT_DELAY, interleave=1)


def _tls_reason(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    return (error.reason or "handshake failed").replace("_", " ").lower()


def _reason(error: OSError | None) -> str:
    if error is None:
        return "no address"
    return {errno.ECONNREFUSED: "connection refused", errno.ENETUNREACH: "network unreachable"}.get(
        error.errno or 0, "no connection"
    )


class Pool:
    """All lanes of a worker, one of ``workers``."""

    def __init__(self, guard: Guard, deadlines: Deadlines, trust: Trust, workers: int = 1) -> None:
        self._workers = workers
        self._guard = guard
        self._deadlines = deadlines
        self._trust = trust
        self._tls = client_context(trust)
        self._lanes: dict[LaneKey, Lane] = {}
        self._kept: set[LaneKey] = set()

    @property
    def lanes(self) -> Collection[Lane]:
        """Those that are there now."""
        return self._lanes.values()

    @property
    def open_connections(self) -> int:
        return sum(lane.open_connections for lane in self._lanes.values())

    @property
    def busy_connections(self) -> int:
        return sum(lane.busy_connections for lane in self._lanes.values())

    def lane(self, origin: Origin, credential: str, identity: TlsIdentity | None = None) -> Lane:
        """The lane to ``origin`` of one credential, as ``identity``; made when it is first asked for.

        Raises ssl.SSLError where the identity cannot be used.
        """
        key = LaneKey(origin, credential, identity.fingerprint if identity is not None else "")
        found = self._lanes.get(key)
        if found is None:
            if len(self._lanes) >= LANES_MOST:
                self._forget_unused()
            context = None
            if origin.scheme == "https":
                context = self._tls if identity is None else client_context(self._trust, identity)
            name = identity.server_name if identity is not None else None
            found = self._lanes[key] = Lane(key, self._guard, self._deadlines, context, name)
            found.workers = self._workers
        return found

    def keep_only(self, keys: set[LaneKey]) -> None:
        """Drop lanes that no definition or credential uses any more."""
        self._kept = keys
        for key in self._lanes.keys() - keys:
            self._lanes.pop(key).end()

    def _forget_unused(self) -> None:
        """Drop what was made for URLs that callers name a part of, and carries nothing now: there may be any number."""
        for key in [key for key, lane in self._lanes.items() if key not in self._kept and not lane.open_connections]:
            del self._lanes[key]

    def close(self) -> None:
        self.keep_only(set())
