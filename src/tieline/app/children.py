"""One child process as the supervisor sees it: started, sent messages and read from, ended, restarted.

Owns the supervisor's end of the control socket and the pauses between restarts. Decides nothing: the supervisor does.
"""

import json
import socket
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any

from tieline.app.assignment import Assignment, encode
from tieline.settings.source import child_environment

PAUSE_FIRST = 0.1  # seconds before the first restart, doubled each time
PAUSE_MOST = 10.0
STEADY = 30.0  # seconds of listening after which earlier failures are forgotten


class Child:
    """A process of one plane. ``socket`` is the supervisor's end of its control socket, None while no process runs."""

    def __init__(self, assignment: Assignment) -> None:
        self.assignment = assignment
        self.socket: socket.socket | None = None
        self.listening_since: float | None = None
        self.restart_at: float | None = None
        self.gone = False
        self.served = 0  # the version of the latest change that a data plane said it serves
        self._process: subprocess.Popen[bytes] | None = None
        self._heard = b""
        self._failures = 0

    @property
    def name(self) -> str:
        """What logs call it, such as ``data worker 2``."""
        return self.assignment.name

    def start(self) -> socket.socket:
        """Run the process and tell it what it is to be; returns our end of its control socket."""
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603  our own interpreter and module
                [sys.executable, "-P", "-m", "tieline", "serve-worker", self.assignment.plane, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno(), *self.assignment.tables, self.assignment.metrics],
                env=child_environment(self.assignment.settings.root_key),
                process_group=0,  # a terminal's Ctrl-C is the supervisor's business alone
            )
        self.socket, self._heard = ours, b""
        self.listening_since = self.restart_at = None
        self.gone, self.served = False, 0
        self.tell(assignment=encode(self.assignment))
        return ours

    def tell(self, **said: object) -> None:
        """Send one message. A process that has just ended misses it."""
        if self.socket is not None:
            with suppress(OSError):
                self.socket.sendall(json.dumps(said).encode() + b"\n")

    def hear(self) -> list[dict[str, Any]]:
        """The messages that have arrived. Call it when ``socket`` is readable; ``gone`` then says whether it closed."""
        if self.socket is None:
            return []
        try:
            piece = self.socket.recv(65536)
        except OSError:
            piece = b""
        self.gone = not piece
        *lines, self._heard = (self._heard + piece).split(b"\n")
        messages = [json.loads(line) for line in lines]
        if any("listening" in message for message in messages):
            self.listening_since = time.monotonic()
        return messages

    def wait(self) -> int:
        """Reap a process whose socket has closed or that was killed; returns its status (negative: the signal)."""
        if self._process is None:
            return 0
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        self.kill()
        status = self._process.wait()
        self._process = None
        if self.socket is not None:
            self.socket.close()
            self.socket = None
        return status

    @property
    def running(self) -> bool:
        """Whether a process is there that has not been reaped."""
        return self._process is not None

    def kill(self) -> None:
        """End the process at once."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()

    def schedule_restart(self) -> float:
        """Set when to start again after it ended; returns the pause in seconds."""
        now = time.monotonic()
        if self.listening_since is not None and now - self.listening_since >= STEADY:
            self._failures = 0
        pause: float = min(PAUSE_FIRST * 2**self._failures, PAUSE_MOST)
        self._failures += 1
        self.restart_at = now + pause
        return pause
