"""The socket between the supervisor and one child process: what is said over it, and the child's end.

A socket pair made by the supervisor, JSON lines both ways. The child is sent, in this order: its ``assignment`` (so
that secrets show in no argument list and no environment); ``prepared``, once the store is; ``unready``, when it shall
say that it is not ready but serve on; ``drain``, when it shall finish what is under way and end. It reports
``prepared``, ``listening`` or ``failed``. In between, the control plane reports the version of each change
(``changed``), every data plane is sent it and reports the version that it serves (``served``), and the control plane is
sent the least of these. When the supervisor is gone the socket closes and the child ends at once: nothing outlives its
supervisor. Knows nothing of what a child does.
"""

import asyncio
import json
import os
import socket
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from functools import partial
from typing import Any

from tieline.app.assignment import Assignment, decode

SPREAD_SECONDS = 0.5
ORPHANED = 70  # exit status of a child whose supervisor is gone (EX_SOFTWARE of sysexits.h)


class ControlSocket:
    """The child's end. A thread of its own listens, so that a busy child ends with its supervisor too."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)
        self._assignment: Future[Assignment] = Future()
        self._prepared: Future[None] = Future()
        self._unready: Future[None] = Future()
        self._drain: Future[None] = Future()
        self._changed: Callable[[], object] = lambda: None
        self._waiting: dict[Future[None], int] = {}
        threading.Thread(target=self._listen, name="control socket", daemon=True).start()

    def assignment(self) -> Assignment:
        """What this child is to be; waits for the supervisor to say it."""
        return self._assignment.result()

    async def prepared(self) -> bool:
        """Wait until the store is prepared; False when this child is to end before that."""
        told = [asyncio.wrap_future(self._prepared), asyncio.wrap_future(self._drain)]
        await asyncio.wait(told, return_when=asyncio.FIRST_COMPLETED)
        return not self._drain.done()

    async def unready(self) -> None:
        """Wait until this child shall say that it is not ready; ``drain`` follows."""
        await asyncio.shield(asyncio.wrap_future(self._unready))

    async def drain(self) -> None:
        """Wait until this child is to finish what is under way and end."""
        await asyncio.shield(asyncio.wrap_future(self._drain))

    def on_changed(self, call: Callable[[], None]) -> None:
        """Have ``call`` called on the running loop whenever the control plane has changed something."""
        loop = asyncio.get_running_loop()
        self._changed = partial(loop.call_soon_threadsafe, call)

    async def spread(self, version: int) -> None:
        """Tell this server's data planes of a change; returns when all serve ``version``, or half a second later."""
        served: Future[None] = Future()
        self._waiting[served] = version
        self.report(changed=version)
        await asyncio.wait([asyncio.wrap_future(served)], timeout=SPREAD_SECONDS)
        self._waiting.pop(served, None)

    def ask_drain(self) -> None:
        """As if the supervisor had asked: a signal sent to this process alone restarts it in peace."""
        for told in (self._unready, self._drain):
            with suppress(InvalidStateError):
                told.set_result(None)

    def report(self, **said: object) -> None:
        """Tell the supervisor what was reached; the module's docstring lists what can be said."""
        self._socket.sendall(json.dumps(said).encode() + b"\n")

    def _listen(self) -> None:
        try:
            with self._socket.makefile("rb") as lines:
                for line in lines:
                    self._hear(json.loads(line))
        finally:
            os._exit(ORPHANED)

    def _hear(self, message: Mapping[str, Any]) -> None:
        if "assignment" in message:
            self._assignment.set_result(decode(message["assignment"]))
        elif "prepared" in message:
            with suppress(InvalidStateError):
                self._prepared.set_result(None)
        elif "unready" in message:
            with suppress(InvalidStateError):
                self._unready.set_result(None)
        elif "changed" in message:
            self._changed()
        elif "served" in message:
            self._spread_to(message["served"])
        elif "drain" in message:
            self.ask_drain()

    def _spread_to(self, version: int) -> None:
        for served, wanted in list(self._waiting.items()):
            if wanted <= version and self._waiting.pop(served, None) is not None:
                served.set_result(None)
