"""Accepts clients on a socket, gives their requests to the door, and answers for whatever fails unforeseen.

Owns the set of open connections and their end. It does not know what a request means.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from tieline.core.errors import TielineError
from tieline.wire import answers
from tieline.wire.deadlines import Deadlines, Patience
from tieline.wire.ingress import IngressConnection
from tieline.wire.proxies import TrustedProxies
from tieline.wire.request import Request

log = logging.getLogger("tieline.wire.listener")


class Listener:
    """Accepts clients on a socket and gives their requests to the door.

    ``notable`` are lower-case names of fields that the door looks for; they are found in ``Request.noted``. ``proxies``
    are believed what they say of clients.
    """

    def __init__(
        self,
        door: Callable[[Request], None],
        deadlines: Deadlines,
        new_request_id: Callable[[], str],
        notable: frozenset[bytes] = frozenset(),
        proxies: TrustedProxies | None = None,
    ) -> None:
        self.notable = notable
        self.proxies = proxies
        self.deadlines = deadlines
        self.patience = Patience()
        self.draining = False
        self._door = door
        self._new_request_id = new_request_id
        self._connections: set[IngressConnection] = set()
        self._one_closed = asyncio.Event()
        self._server: asyncio.Server | None = None

    @property
    def open_connections(self) -> int:
        return len(self._connections)

    @property
    def requests_under_way(self) -> int:
        """Connections that carry a request or a tunnel now; they are counted for it."""
        return sum([connection.busy for connection in self._connections])

    @property
    def streams_under_way(self) -> int:
        """Streams of events and tunnels that are under way now; counted for it."""
        return sum([connection.streams for connection in self._connections])

    async def start(self, sock: socket.socket) -> None:
        """Accept on ``sock``, which is bound."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: IngressConnection(self), sock=sock, backlog=2048)

    async def drain(self, seconds: float) -> None:
        """Accept no more, let what runs end within ``seconds``, then cut the rest."""
        self.draining = True
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.drain()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._all_closed()
        for connection in list(self._connections):
            connection.abort()
        await self._all_closed()

    async def _all_closed(self) -> None:
        while self._connections:
            self._one_closed.clear()
            await self._one_closed.wait()

    def opened(self, connection: IngressConnection) -> None:
        self._connections.add(connection)
        self.deadlines.watch(connection)

    def closed(self, connection: IngressConnection) -> None:
        self._connections.discard(connection)
        self.deadlines.forget(connection)
        self._one_closed.set()

    def serve(self, request: Request) -> None:
        """Give a request to the door, or refuse it if its message was malformed."""
        if self.draining:
            request.keep_alive = False
        if request.fault is not None:
            self._refuse(request, request.fault)
            return
        try:
            self._door(request)
        except TielineError as refused:
            self._refuse(request, refused)
        except Exception as failure:  # noqa: BLE001  the last resort
            self._failed(request, failure)

    def run(self, request: Request, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do ``work`` for ``request`` beside everything else; if it fails unexpectedly, that is the answer."""
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(partial(self._worked, request))
        return task

    def _worked(self, request: Request, task: "asyncio.Task[None]") -> None:
        failure = None if task.cancelled() else task.exception()
        if failure is not None:
            self._failed(request, failure, answered=request.sink is None)

    def _failed(self, request: Request, failure: BaseException, *, answered: bool = False) -> None:
        """Log what nobody foresaw under the id that the client is told, and that the record has where there is one."""
        request_id = getattr(request.sink, "id", "") or self._new_request_id()
        words = "a request failed inside Tieline: report this line with the version"
        log.error(words, exc_info=failure, extra={"request_id": request_id})
        if not answered:
            self._refuse(request, answers.internal_error(), request_id)

    def _refuse(self, request: Request, error: TielineError, request_id: str = "") -> None:
        sink, request.sink = request.sink, None
        if sink is not None:
            sink.client_gone()
        if request.answer_begun:
            request.abort()
        else:
            request.refuse(error, request_id or self._new_request_id())
