"""One large body, up or down, with a stall in the middle: the slower side stops for a second, and nobody may buffer it.

Blocking sockets and one reused buffer: the client's own memory and cost stay out of the way.
"""

import socket
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

from bench.process import BenchError

_PIECE = 256 * 1024
_TIMEOUT = 60.0
STALL_SECONDS = 1.0


def upload(url: str, headers: Mapping[str, str], size: int) -> float:
    """Send ``size`` bytes while the upstream stalls in the middle; returns the seconds. Raises BenchError."""
    with _connect(url) as connection:
        begun = time.monotonic()
        connection.sendall(_head("POST", url, {**headers, "Content-Length": str(size), "Bench-Stall": "1"}))
        piece, left = memoryview(bytes(_PIECE)), size
        while left:
            part = min(left, _PIECE)
            connection.sendall(piece[:part])
            left -= part
        answer = connection.recv(65536)
        taken = time.monotonic() - begun
    if not answer.startswith(b"HTTP/1.1 200") or b'{"bytes":%d}' % size not in answer:
        raise BenchError(f"an upload of {size} bytes was answered: {answer[:300].decode('latin-1')}")
    return taken


def download(url: str, headers: Mapping[str, str], size: int) -> float:
    """Fetch ``size`` bytes, not reading for a second in the middle; returns the seconds. Raises BenchError."""
    with _connect(url) as connection:
        begun = time.monotonic()
        connection.sendall(_head("GET", url, headers))
        head = connection.recv(65536)
        end = head.find(b"\r\n\r\n")
        if end < 0 or not head.startswith(b"HTTP/1.1 200"):
            raise BenchError(f"a download was answered: {head[:300].decode('latin-1')}")
        got, stalled = len(head) - end - 4, False
        buffer = bytearray(_PIECE)
        while got < size:
            if not stalled and got >= size // 8:
                stalled = True
                time.sleep(STALL_SECONDS)
            count = connection.recv_into(buffer)
            if not count:
                raise BenchError(f"a download ended after {got} of {size} bytes")
            got += count
        taken = time.monotonic() - begun
    if got != size:
        raise BenchError(f"a download of {size} bytes brought {got}")
    return taken


def _connect(url: str) -> socket.socket:
    parts = urlsplit(url)
    assert parts.hostname is not None
    return socket.create_connection((parts.hostname, parts.port or 80), timeout=_TIMEOUT)


def _head(method: str, url: str, headers: Mapping[str, str]) -> bytes:
    parts = urlsplit(url)
    lines = "".join(f"{name}: {value}\r\n" for name, value in {"Host": parts.netloc, **headers}.items())
    return f"{method} {parts.path} HTTP/1.1\r\n{lines}\r\n".encode("ascii")
