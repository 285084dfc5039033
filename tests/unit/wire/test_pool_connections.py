"""What a lane takes back and what it refuses, with transports that do what they are told."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tieline.core.errors import DestinationNotAllowed, UpstreamError, UpstreamUnreachable
from tieline.core.urls import Origin
from tieline.wire.deadlines import Deadlines
from tieline.wire.egress import EgressConnection
from tieline.wire.guard import Guard
from tieline.wire.pool import LANES_MOST, Lane, LaneKey, Pool
from tieline.wire.tls import Trust

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Wire:
    """A transport that notes what is done to it; ``peer`` is whom it says to have reached."""

    def __init__(self, sock: socket.socket, peer: str) -> None:
        self.sock = sock
        self.peer = peer
        self.aborted = False

    def get_extra_info(self, name: str) -> Any:
        return self.sock if name == "socket" else (self.peer, 80)

    def write(self, data: bytes) -> None:
        """Take it."""

    def pause_reading(self) -> None:
        """Read no more."""

    def resume_reading(self) -> None:
        """Read on."""

    def abort(self) -> None:
        self.aborted = True


class Owner:
    """Whoever sent the request."""

    def answer_arrived(self, connection: EgressConnection) -> None:
        """Leave it where it is."""

    def interim_arrived(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """Pass it over."""

    def upstream_failed(self, error: UpstreamError) -> None:
        raise AssertionError(error)

    def upstream_paused(self) -> None:
        """Go on."""

    def upstream_resumed(self) -> None:
        """Go on."""

    def tunnel_bytes(self, data: bytes) -> None:
        raise AssertionError(data)


@pytest.fixture
def lane() -> Lane:
    """A lane to 192.0.2.1."""
    return Lane(LaneKey(Origin("http", "api.example.com", 80), "api/1"), Guard(), Deadlines(), None)


@pytest.fixture
def wire() -> Iterator[Wire]:
    """A transport on a quiet socket."""
    left, right = socket.socketpair()
    with left, right:
        yield Wire(left, "192.0.2.1")


def answered(lane: Lane, wire: Wire) -> EgressConnection:
    """A connection of ``lane`` that has a whole answer."""
    connection = EgressConnection(lane)
    connection.connection_made(wire)  # type: ignore[arg-type]
    lane._admit(connection, ["192.0.2.1"])
    connection.begin(Owner(), head_only=False, expects_upgrade=False)
    connection.data_received(ANSWER)
    return connection


def test_a_connection_with_a_whole_answer_comes_back(lane: Lane, wire: Wire) -> None:
    """And is taken again."""
    connection = answered(lane, wire)
    connection.release(reusable=True)
    assert lane.take() is connection
    assert not wire.aborted


@pytest.mark.parametrize("state", ["pause_writing", "pause"])
def test_a_connection_that_is_held_up_does_not_come_back(lane: Lane, wire: Wire, state: str) -> None:
    """Neither one with bytes still to be sent nor one that is not read from can carry another request."""
    connection = answered(lane, wire)
    getattr(connection, state)()
    connection.release(reusable=True)
    assert wire.aborted
    assert lane.take() is None


@pytest.mark.parametrize("state", [("pause_writing", "resume_writing"), ("pause", "resume")])
def test_a_connection_that_goes_on_comes_back(lane: Lane, wire: Wire, state: tuple[str, str]) -> None:
    """What is over does not count."""
    connection = answered(lane, wire)
    for each in state:
        getattr(connection, each)()
    connection.release(reusable=True)
    assert lane.take() is connection


@pytest.mark.parametrize("more", [ANSWER, b"x", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_a_connection_that_said_too_much_does_not_come_back(lane: Lane, wire: Wire, more: bytes) -> None:
    """In the same segment or before it was released."""
    connection = answered(lane, wire)
    connection.data_received(more)
    connection.release(reusable=True)
    assert wire.aborted


def test_what_is_said_while_idle_ends_the_connection(lane: Lane, wire: Wire) -> None:
    """Nobody asked."""
    connection = answered(lane, wire)
    connection.release(reusable=True)
    connection.data_received(ANSWER)
    assert wire.aborted
    assert lane.take() is None


def test_a_connection_that_reached_another_address_is_refused(lane: Lane, wire: Wire) -> None:
    """The peer must be the address that was checked."""
    wire.peer = "198.51.100.7"
    connection = EgressConnection(lane)
    connection.connection_made(wire)  # type: ignore[arg-type]
    with pytest.raises(DestinationNotAllowed):
        lane._admit(connection, ["192.0.2.1"])
    assert wire.aborted
    assert lane.open_connections == 0


def test_a_lane_that_has_ended_keeps_nothing(lane: Lane, wire: Wire) -> None:
    """Neither what it had nor what comes back."""
    connection = answered(lane, wire)
    lane.end()
    connection.release(reusable=True)
    assert wire.aborted


async def test_a_connection_that_ended_before_it_could_be_used_is_unreachable(
    lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The upstream may be gone by the time the dial returns: nobody waits for its answer."""

    async def create_connection(factory: Callable[[], EgressConnection], *_: object, **__: object) -> tuple[None, Any]:
        connection = factory()
        connection.closed = True
        return None, connection

    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", create_connection)
    lane.key = LaneKey(Origin("http", "192.0.2.1", 80), "api/1")
    monkeypatch.setattr(lane, "_guard", Guard(["192.0.2.1"]))
    with pytest.raises(UpstreamUnreachable):
        await lane.dial(1.0)
    assert lane.open_connections == 0


def test_lanes_that_callers_name_do_not_pile_up() -> None:
    """Those of definitions stay, and so does what carries something."""
    pool = Pool(Guard([]), Deadlines(), Trust())
    own = pool.lane(Origin("http", "api.test", 80), "api_1/cred_1")
    pool.keep_only({own.key})
    for number in range(2 * LANES_MOST):
        pool.lane(Origin("http", f"shop{number}.test", 80), "api_1/cred_1")
    assert len(pool._lanes) <= LANES_MOST
    assert pool.lane(Origin("http", "api.test", 80), "api_1/cred_1") is own
