"""Running the sandbox on a port: uvicorn with uvloop and httptools, and a way to the connection for the switches."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from tieline.sandbox.app import create_app

_BACKLOG = 4_096


class _Http(HttpToolsProtocol):
    """Counts connections and puts the transport into the scope."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.config.app.state.sandbox.stats.open_connections += 1  # type: ignore[union-attr]
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.config.app.state.sandbox.stats.open_connections -= 1  # type: ignore[union-attr]
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {"tieline.sandbox.transport": self.transport}  # type: ignore[dict-item]

    def handle_websocket_upgrade(self) -> None:
        self.config.app.state.sandbox.stats.open_connections -= 1  # type: ignore[union-attr]
        super().handle_websocket_upgrade()


class _WebSocket(WebSocketsSansIOProtocol):
    """The same for a connection that became a WebSocket."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.config.app.state.sandbox.stats.open_connections += 1  # type: ignore[union-attr]
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.config.app.state.sandbox.stats.open_connections -= 1  # type: ignore[union-attr]
        super().connection_lost(exc)

    async def run_asgi(self) -> None:
        self.scope["extensions"] |= {"tieline.sandbox.transport": self.transport}  # type: ignore[dict-item]
        await super().run_asgi()


class _Server(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn does it, but without raising the signal once more at the end: the caller goes on."""
        with super().capture_signals():
            yield
            self._captured_signals.clear()


def _listen(host: str, port: int) -> tuple[socket.socket, str]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    shown = f"[{host}]" if ":" in host else host
    return listener, f"http://{shown}:{listener.getsockname()[1]}"


def _server(ready: Callable[[], None]) -> _Server:
    config = uvicorn.Config(
        create_app(),
        loop="uvloop",
        http=_Http,
        ws=_WebSocket,
        log_config=None,
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
    )
    return _Server(config, ready)


def run(host: str, port: int, *, ready: Callable[[str], None] | None = None) -> None:
    """Serve until SIGINT or SIGTERM; port 0 takes a free one.

    ``ready`` is called once with the address, such as ``http://127.0.0.1:8700`` (the API's base is ``/v1`` below it).
    Raises ``OSError`` when the address cannot be bound.
    """
    listener, address = _listen(host, port)
    with listener:
        _server(lambda: ready(address) if ready else None).run(sockets=[listener])


@contextmanager
def running(host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Serve in a thread of this process while the ``with`` lasts; gives the address as for :func:`run`."""
    listener, address = _listen(host, port)
    started = threading.Event()
    server = _server(started.set)
    arguments: dict[str, Any] = {"sockets": [listener]}
    thread = threading.Thread(target=server.run, kwargs=arguments, name="sandbox", daemon=True)
    with listener:
        thread.start()
        try:
            if not started.wait(10):
                raise RuntimeError("the sandbox did not start within 10 seconds")
            yield address
        finally:
            server.should_exit = True
            thread.join(10)
