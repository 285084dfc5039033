"""The line between the supervisor and one child process: what is said over it, and the child's end.

A socket pair made by the supervisor, JSON lines both ways. The child learns its assignment over it (so that secrets
show in no argument list and no environment), then when to go on and when to drain; it reports back what it reached.
When the supervisor is gone the line closes and the child ends at once: nothing outlives its supervisor. Knows nothing
of what a child does.
"""

import asyncio
import json
import os
import socket
import threading
from collections.abc import Mapping
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any

from tieline.app.assignment import Assignment, decode

ORPHANED = 70  # exit status of a child whose supervisor is gone (EX_SOFTWARE of sysexits.h)


class Leash:
    """The child's end of the line. A thread of its own listens, so that a busy child dies with its supervisor too."""

    def __init__(self, fd: int) -> None:
        self._line = socket.socket(fileno=fd)
        self._assignment: Future[Assignment] = Future()
        self._go: Future[None] = Future()
        self._drain: Future[None] = Future()
        threading.Thread(target=self._listen, name="leash", daemon=True).start()

    def assignment(self) -> Assignment:
        """What this child is to be; waits for the supervisor to say it."""
        return self._assignment.result()

    async def go(self) -> bool:
        """Wait until the store is prepared; False when this child is to end before that."""
        told = [asyncio.wrap_future(self._go), asyncio.wrap_future(self._drain)]
        await asyncio.wait(told, return_when=asyncio.FIRST_COMPLETED)
        return not self._drain.done()

    async def drain(self) -> None:
        """Wait until this child is to finish what is under way and end."""
        await asyncio.shield(asyncio.wrap_future(self._drain))

    @property
    def draining(self) -> bool:
        """Whether this child was told to end."""
        return self._drain.done()

    def ask_drain(self) -> None:
        """As if the supervisor had asked: a signal sent to this process alone restarts it in peace."""
        with suppress(InvalidStateError):
            self._drain.set_result(None)

    def report(self, **said: object) -> None:
        """Tell the supervisor what was reached: ``prepared``, ``listening`` or ``failed``."""
        self._line.sendall(json.dumps(said).encode() + b"\n")

    def _listen(self) -> None:
        try:
            with self._line.makefile("rb") as lines:
                for line in lines:
                    self._hear(json.loads(line))
        finally:
            os._exit(ORPHANED)

    def _hear(self, message: Mapping[str, Any]) -> None:
        if "assignment" in message:
            self._assignment.set_result(decode(message["assignment"]))
        elif "go" in message:
            with suppress(InvalidStateError):
                self._go.set_result(None)
        elif "drain" in message:
            self.ask_drain()
