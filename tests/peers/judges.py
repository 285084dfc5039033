"""Servers on loopback that judge the signature of every request by what really arrived over the socket.

``judging(judge)`` runs one in a thread: ``judge`` is given an ``Arrival`` and says what to answer. The judges
(``aws``, ``oauth1``) are built on other people's libraries; nothing of the product is in them.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = tuple[int, Mapping[str, str], bytes]
TEXT: Mapping[str, str] = {"Content-Type": "text/plain"}


@dataclass(frozen=True)
class Arrival:
    """A request as it came: ``target`` as written, header fields in order with their names as written."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str:
        """The first field of that name in any case, empty where there is none."""
        return next((value for each, value in self.headers if each.lower() == name), "")

    @property
    def url(self) -> str:
        """The whole URL, as the client meant it."""
        return f"http://{self.header('host')}{self.target}"


Judge = Callable[[Arrival], Answer]


@dataclass
class Court:
    """A running server: its base URL, what arrived, and how each request was answered."""

    url: str
    arrivals: list[Arrival] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)


@contextmanager
def judging(judge: Judge) -> Iterator[Court]:
    """A server that answers as ``judge`` says: status, fields, body."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            body = self._body()
            arrival = Arrival(self.command, self.path, tuple(self.headers.items()), body)
            status, fields, content = judge(arrival)
            court.arrivals.append(arrival)
            court.answers.append(status)
            self.send_response(status)
            for name, value in fields.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _serve  # noqa: N815  # the library's names

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", "0")))
            pieces = []
            while size := int(self.rfile.readline(), 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(pieces)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing is said of requests."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    court = Court(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield court
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
