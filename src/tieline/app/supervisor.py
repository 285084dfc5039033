"""The supervisor: starts both planes as child processes, keeps them running and ends them in order.

Stays light (it imports neither SQLAlchemy nor a web framework) and touches no request, no store and no key. The
children are started at once so that they load in parallel; the control plane prepares the store before the data plane
opens it. What it says goes to standard error, a line each.

Its states: *starting* until every child listens (a child that cannot start ends it all); *ready* (a child that ends is
started again); *unready* after SIGTERM, while load balancers look away; *draining*, when the ports are closed and
children finish what is under way; the end, when all are gone or the time is over. A second signal ends it at once.
"""

import os
import resource
import selectors
import signal
import socket
import sys
import time
from contextlib import suppress
from dataclasses import replace
from types import FrameType

from tieline.app import datadir
from tieline.app.assignment import DRAIN_SECONDS, Assignment
from tieline.app.children import Child
from tieline.app.listeners import reserve
from tieline.core.errors import StartError
from tieline.dataplane.limits.table import FILE, NodeTables, open_files
from tieline.settings.model import ServeSettings
from tieline.telemetry.logs import Log, Severity
from tieline.telemetry.metrics.slots import create_file

OPEN_FILES_MOST = 1_048_576
DRAIN_GRACE = 5.0  # and what a child gets on top of it to close its store


def serve(settings: ServeSettings) -> int:
    """Run until a signal asks to end. Returns the exit status.

    Raises StartError when an address or the data directory cannot be had; where the log is JSON, it says so there.
    """
    try:
        return _serve(settings)
    except StartError as error:
        if settings.log_format != "json":
            raise
        Log("json", settings.log_level).error("start.failed", problem=error.public)
        return 1


def _serve(settings: ServeSettings) -> int:
    raise_open_files()
    held: list[socket.socket] = []
    if settings.only != "control":
        listener, address = reserve(settings.app_listen, "--app-listen")
        held.append(listener)
        settings = replace(settings, app_listen=address)
    if settings.only != "data":
        listener, address = reserve(settings.console_listen, "--console-listen")
        held.append(listener)
        settings = replace(settings, console_listen=address)
    claimed = datadir.claim(settings.data_dir, settings.only)
    try:
        return Supervisor(settings, held, _counters(settings)).run()
    finally:
        for descriptor in claimed:
            os.close(descriptor)


def raise_open_files() -> int:
    """Raise this process's limit of open files, and so its children's, to the most that it may; returns that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = hard if hard != resource.RLIM_INFINITY else OPEN_FILES_MOST
    if soft != resource.RLIM_INFINITY and soft < most:
        with suppress(OSError, ValueError):  # such as above what the kernel allows: the limit stays as it is
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


class Supervisor:
    """The children of one ``tieline serve``; ``held`` are the sockets that keep its ports.

    ``tables`` count for its data workers; what one of them held in the first is given back when it has ended.
    """

    def __init__(self, settings: ServeSettings, held: list[socket.socket], tables: NodeTables) -> None:
        self._settings = settings
        self._held = held
        metrics = create_file(settings.workers + 1)
        self._children = [Child(assignment) for assignment in _assignments(settings, tables.files, metrics)]
        self._table = tables.limits
        for worker in range(settings.workers):
            self._table.release_all(worker)
        self._log = Log(settings.log_format, settings.log_level)
        self._selector = selectors.DefaultSelector()
        self._signals: list[int] = []
        self._prepared = settings.only == "data"
        self._ready = False
        self._leaving = False
        self._changed = 0
        self._drain_at: float | None = None
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
        if self._settings.redis_url is not None:
            detail = "this version does not use --redis-url: limits are counted by each node for itself"
            self._log.warning("limits.of-each-node", detail=detail)
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

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._signals.append(number)

    def _pause(self) -> float | None:
        """Seconds until something is due, None when only an event can bring work."""
        due = [child.restart_at for child in self._children if child.restart_at is not None]
        due += [at for at in (self._drain_at, self._drain_until) if at is not None]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _turn(self) -> None:
        """Whatever is due now: signals, restarts, the end of the drain."""
        while self._signals:
            self._asked_to_end(self._signals.pop(0))
        now = time.monotonic()
        if self._drain_at is not None and self._drain_at <= now:
            self._drain()
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
            child.tell(prepared=True)

    def _hear(self, child: Child) -> None:
        heard = child.socket
        for message in child.hear():
            if "failed" in message:
                self._failed(child, message["failed"])
            elif "prepared" in message:
                self._begin_data(message["prepared"])
            elif "changed" in message:
                self._spread(message["changed"])
            elif "served" in message:
                child.served = message["served"]
                self._tell_served()
        if child.gone and heard is not None:
            self._selector.unregister(heard)
            self._ended(child, child.wait())
        elif not self._ready and all(each.listening_since is not None for each in self._children):
            self._announce()

    def _begin_data(self, notes: list[str]) -> None:
        """The control plane prepared the store, and says so after each of its starts: the data plane may open it."""
        first, self._prepared = not self._prepared, True
        if first:
            for note in notes:
                self._tell(note, "started")
            for child in self._children:
                if child.assignment.plane == "data":
                    child.tell(prepared=True)

    def _spread(self, version: int) -> None:
        """The control plane has changed something: every data plane shall look at once."""
        self._changed = version
        for child in self._data_children():
            child.tell(changed=version)
        self._tell_served()

    def _tell_served(self) -> None:
        """Tell the control plane which version all data planes serve; one that is starting reads the newest anyway."""
        served = min((child.served for child in self._data_children()), default=self._changed)
        for child in self._children:
            if child.assignment.plane == "control":
                child.tell(served=served)

    def _data_children(self) -> list[Child]:
        return [
            child for child in self._children if child.assignment.plane == "data" and child.listening_since is not None
        ]

    def _announce(self) -> None:
        self._ready = True
        settings = self._settings
        app = "" if settings.only == "control" else f" app={settings.app_listen.url}"
        console = "" if settings.only == "data" else f" console={settings.console_listen.url}"
        _say(f"ready{app}{console}")

    def _tell(self, words: str, event: str) -> None:
        """Words for whoever starts it, as a line of the log where that is JSON; only ``ready`` is the same for all."""
        failed = event == "start.failed"
        field = "problem" if failed else "detail"
        if self._settings.log_format == "json":
            self._log.write(Severity.ERROR if failed else Severity.INFO, event, {field: words})
        else:
            _say(f"tieline: {words}" if failed else words)

    def _failed(self, child: Child, failure: dict[str, str]) -> None:
        """A child said why it will not start. Before the first ready that ends all; later it is tried again."""
        if self._ready:
            self._log.error("worker.refused", worker=child.name, problem=failure["text"], detail=failure["detail"])
        elif self._status is None:
            self._tell(failure["text"], "start.failed")
            self._status = 1

    def _ended(self, child: Child, status: int) -> None:
        if child.assignment.plane == "data":
            self._table.release_all(child.assignment.index)
        if self._status is not None or self._leaving:
            return
        if not self._ready:
            how = f"exit status {status}" if status >= 0 else signal.Signals(-status).name
            self._tell(f"the {child.name} ended ({how}) before it was ready; what it said stands above", "start.failed")
            self._status = 1
            return
        pause = child.schedule_restart()
        self._log.warning("worker.ended", worker=child.name, status=status, seconds=pause)

    def _asked_to_end(self, number: int) -> None:
        """Go unready and, after the drain delay, drain. Who sits at a terminal (SIGINT) waits for no balancer."""
        if self._leaving:
            self._status = 1
            return
        self._leaving = True
        delay = self._settings.drain_delay if self._ready and number == signal.SIGTERM else 0
        self._drain_at = time.monotonic() + delay
        for child in self._children:
            child.restart_at = None
            child.tell(unready=True)
        if delay:
            self._log.info("unready", seconds=delay)

    def _drain(self) -> None:
        self._drain_at = None
        self._drain_until = time.monotonic() + DRAIN_SECONDS + DRAIN_GRACE
        for listener in self._held:
            listener.close()
        for child in self._children:
            child.tell(drain=DRAIN_SECONDS)
        self._log.info("draining", seconds=DRAIN_SECONDS)


def _counters(settings: ServeSettings) -> NodeTables:
    """The node tables: in the data directory, or in memory for a data plane alone that has none. Raises StartError."""
    directory = settings.data_dir if settings.data_dir.is_dir() else None
    try:
        return NodeTables.of(open_files(directory), 0, settings.workers)
    except OSError as error:
        where = directory or "memory"
        msg = f"The counters of limits ({FILE}) cannot be kept in {where}: {error.strerror}. Check disk and rights."
        raise StartError(msg) from error


def _assignments(settings: ServeSettings, counters: tuple[int, ...], metrics: int) -> list[Assignment]:
    control = [] if settings.only == "data" else [Assignment("control", 0, settings, metrics=metrics)]
    workers = 0 if settings.only == "control" else settings.workers
    return [*control, *(Assignment("data", index, settings, counters, metrics) for index in range(workers))]


def _say(line: str) -> None:
    with suppress(OSError):  # whoever listened is gone; the server is not
        print(line, file=sys.stderr, flush=True)  # noqa: T201  the supervisor speaks on standard error
