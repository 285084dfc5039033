"""An upstream's answers are the same wherever they are cut."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tieline.wire.deadlines import Deadlines
from tieline.wire.egress import EgressConnection

ANSWERS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-One: 1\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\na\r\r\n5;x=y\r\n\nhttp\r\n0\r\nX-Sum: 1\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\nX-Empty:\r\n\r\n",
]


class Asking:
    """The transport, the lane and the owner of one connection; keeps what came of the answer."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.deadlines = Deadlines()
        self.interims: list[int] = []
        self.body = b""
        self.failed = False

    def get_extra_info(self, name: str) -> socket.socket:
        """The socket that the kernel would be asked about."""
        return self.sock

    def answer_arrived(self, connection: EgressConnection) -> None:
        """Take what is there."""
        self.body += b"".join(connection.pieces)
        connection.pieces = []

    def interim_arrived(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """An answer before the answer."""
        self.interims.append(status)

    def upstream_failed(self, error: Exception) -> None:
        """It was not taken for an answer."""
        self.failed = True

    def abort(self) -> None:
        """The connection is cut."""

    def lost(self, connection: EgressConnection) -> None:
        """The lane is told."""


@pytest.fixture
def pair() -> Iterator[socket.socket]:
    """A socket that is open."""
    one, other = socket.socketpair()
    with one, other:
        yield one


def read(sock: socket.socket, *pieces: bytes) -> tuple[object, ...]:
    """What ``pieces``, each a read of its own, are taken for."""
    asking: Any = Asking(sock)
    connection = EgressConnection(asking)
    connection.connection_made(asking)
    connection.begin(asking, head_only=False, expects_upgrade=False)
    for piece in pieces:
        connection.data_received(piece)
    answer = connection.answer
    assert answer is not None
    assert not asking.failed
    return answer.status, answer.headers, asking.body, asking.interims, connection.trailers, connection.complete


@pytest.mark.parametrize("raw", ANSWERS)
def test_answers_may_be_cut_anywhere(pair: socket.socket, raw: bytes) -> None:
    """In two reads, cut at every point, also between CR and LF, and in single bytes."""
    whole = read(pair, raw)
    assert whole[-1]
    for cut in range(1, len(raw)):
        assert read(pair, raw[:cut], raw[cut:]) == whole, raw[cut - 5 : cut + 5]
    assert read(pair, *[bytes((byte,)) for byte in raw]) == whole
