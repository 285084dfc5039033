"""The supervisor: starts both planes as child processes, keeps them running and ends them in order.

Stays light (it imports neither SQLAlchemy nor a web framework) and touches no request, no store and no key. The
children are started at once so that they load in parallel; the control plane prepares the store before the data plane
opens it. What it says goes to standard error, a line each.
"""

import selectors
import signal
import socket
import sys
import time
from contextlib import suppress
from dataclasses import replace
from types import FrameType

from tieline.app.assignment import DRAIN_SECONDS, Assignment
from tieline.app.children import Child
from tieline.app.listeners import reserve
from tieline.settings import ServeSettings
from tieline.telemetry.logs import Log

DRAIN_GRACE = 5.0  # and what a child gets on top of it to close its store


def serve(settings: ServeSettings) -> int:
    """Run until a signal asks to end. Returns the exit status.

    Raises StartError when an address cannot be had.
    """
    held: list[socket.socket] = []
    if settings.only != "control":
        listener, address = reserve(settings.app_listen, "--app-listen")
        held.append(listener)
        settings = replace(settings, app_listen=address)
    if settings.only != "data":
        listener, address = reserve(settings.console_listen, "--console-listen")
        held.append(listener)
        settings = replace(settings, console_listen=address)
    return Supervisor(settings, held).run()


class Supervisor:
    """The children of one ``tieline serve``; ``held`` are the sockets that keep its ports."""

    def __init__(self, settings: ServeSettings, held: list[socket.socket]) -> None:
        self._settings = settings
        self._held = held
        self._children = [Child(assignment) for assignment in _assignments(settings)]
        self._log = Log(settings.log_format, settings.log_level)
        self._selector = selectors.DefaultSelector()
        self._signals = 0
        self._prepared = settings.only == "data"
        self._ready = False
        self._drain_until: float | None = None
        self._status: int | None = None

    def run(self) -> int:
        """Start the children and look after them until all are gone. Returns the exit status."""
        woken, wake = socket.socketpair()
        woken.setblocking(False)
        wake.setblocking(False)
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)
        self._selector.register(woken, selectors.EVENT_READ, None)
        for child in self._children:
            self._start(child)
        while self._status is None:
            for key, _ in self._selector.select(self._pause()):
                if isinstance(key.data, Child):
                    self._hear(key.data)
                else:
                    woken.recv(4096)
            self._turn()
        for child in self._children:
            child.kill()
            child.wait()
        return self._status

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._signals += 1

    def _pause(self) -> float | None:
        """Seconds until something is due, None when only an event can bring work."""
        due = [child.restart_at for child in self._children if child.restart_at is not None]
        if self._drain_until is not None:
            due.append(self._drain_until)
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _turn(self) -> None:
        """Whatever is due now: signals, restarts, the end of the drain."""
        while self._signals:
            self._signals -= 1
            self._asked_to_end()
        now = time.monotonic()
        for child in self._children:
            if child.restart_at is not None and child.restart_at <= now:
                self._start(child)
        if self._status is None and self._drain_until is not None:
            if not any(child.running for child in self._children):
                self._status = 0
            elif now >= self._drain_until:
                self._log.warning("drain.cut", seconds=DRAIN_SECONDS + DRAIN_GRACE)
                self._status = 1

    def _start(self, child: Child) -> None:
        self._selector.register(child.start(), selectors.EVENT_READ, child)
        if self._prepared and child.assignment.plane == "data":
            child.tell(go=True)

    def _hear(self, child: Child) -> None:
        line = child.line
        for message in child.hear():
            if "failed" in message:
                self._failed(child, message["failed"])
            elif "prepared" in message:
                self._go(message["prepared"])
        if child.gone and line is not None:
            self._selector.unregister(line)
            self._ended(child, child.wait())
        elif not self._ready and all(each.listening_since is not None for each in self._children):
            self._announce()

    def _go(self, notes: list[str]) -> None:
        first, self._prepared = not self._prepared, True
        if first:
            for note in notes:
                _say(note)
            for child in self._children:
                if child.assignment.plane == "data":
                    child.tell(go=True)

    def _announce(self) -> None:
        self._ready = True
        settings = self._settings
        app = "" if settings.only == "control" else f" app={settings.app_listen.url}"
        console = "" if settings.only == "data" else f" console={settings.console_listen.url}"
        _say(f"ready{app}{console}")

    def _failed(self, child: Child, failure: dict[str, str]) -> None:
        """A child said why it will not start. Before the first ready that ends all; later it is tried again."""
        if self._ready:
            self._log.error("worker.refused", worker=child.name, problem=failure["text"], detail=failure["detail"])
        elif self._status is None:
            _say(f"tieline: {failure['text']}")
            self._status = 1

    def _ended(self, child: Child, status: int) -> None:
        if self._status is not None or self._drain_until is not None:
            return
        if not self._ready:
            how = f"exit status {status}" if status >= 0 else signal.Signals(-status).name
            _say(f"tieline: the {child.name} ended ({how}) before it was ready; what it said stands above")
            self._status = 1
            return
        pause = child.schedule_restart()
        self._log.warning("worker.ended", worker=child.name, status=status, seconds=pause)

    def _asked_to_end(self) -> None:
        if self._drain_until is not None:
            self._status = 1
            return
        self._drain_until = time.monotonic() + DRAIN_SECONDS + DRAIN_GRACE
        for listener in self._held:
            listener.close()
        for child in self._children:
            child.restart_at = None
            child.tell(drain=DRAIN_SECONDS)
        self._log.info("draining", seconds=DRAIN_SECONDS)


def _assignments(settings: ServeSettings) -> list[Assignment]:
    control = [] if settings.only == "data" else [Assignment("control", 0, settings)]
    workers = 0 if settings.only == "control" else settings.workers
    return [*control, *(Assignment("data", index, settings) for index in range(workers))]


def _say(line: str) -> None:
    with suppress(OSError):  # whoever listened is gone; the server is not
        print(line, file=sys.stderr, flush=True)  # noqa: T201  the supervisor speaks on standard error
