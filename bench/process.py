"""Processes that a benchmark starts and looks at: run while a block lasts, their CPU time and memory read from /proc.

Owns how they are started and that none outlives the run. Knows no program in particular.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 30.0
END_SECONDS = 15.0
_LINES = 4  # of what a program said before it ended
_NOT_OURS = ("TIELINE_", "PYTHONDONTWRITEBYTECODE")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class BenchError(Exception):
    """A benchmark cannot be done here, or what it saw is no measurement. The text says why and what to do."""


class Process:
    """A running program; what it says goes to a file in ``folder``. Its children end with it."""

    def __init__(self, name: str, words: Sequence[str], folder: Path, added: dict[str, str] | None = None) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        # Settings of a Tieline that this shell works with are none of the benchmark's; nor is a wish of this shell
        # that Python compile every module at every start.
        environ = {key: value for key, value in os.environ.items() if not key.startswith(_NOT_OURS)}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                list(words),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env={**environ, **(added or {})},
                process_group=0,  # Ctrl-C ends the benchmark, which then ends this
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def said(self) -> str:
        """What it said so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def check(self) -> None:
        """Raise BenchError if it has ended."""
        if self._process.poll() is not None:
            last = " / ".join(self.said().strip().splitlines()[-_LINES:]) or "nothing"
            raise BenchError(f"{self.name} ended with status {self._process.returncode}; it last said: {last}")

    def end(self) -> None:
        """Ask it to end; after a while end it, and whatever is left of its group, at once."""
        if self._process.poll() is None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(END_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@contextmanager
def running(
    name: str, words: Sequence[str], folder: Path, *, ports: Sequence[int] = (), added: dict[str, str] | None = None
) -> Iterator[Process]:
    """Run a program while the block lasts, from the moment when it accepts connections on all of ``ports``."""
    process = Process(name, words, folder, added)
    try:
        for port in ports:
            _wait_for(process, port)
        yield process
    finally:
        process.end()


def python(module: str, *words: str) -> list[str]:
    """The command that runs a module of this checkout with this interpreter."""
    return [sys.executable, "-m", module, *words]


def _wait_for(process: Process, port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        process.check()
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise BenchError(f"{process.name} does not listen on port {port} after {START_SECONDS:g} s") from None
            time.sleep(0.01)
        else:
            return


def free_ports(count: int) -> list[int]:
    """Ports of the loopback address that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def cpu_seconds(pid: int) -> float:
    """User and system time that a process, all its threads included, has used. Raises BenchError when it is gone."""
    # What fields 14 and 15 of /proc/pid/stat add up to, but in nanoseconds and not in ticks of 10 ms: its CPU-time
    # clock, whose number clock_getcpuclockid(3) makes from the process id like this.
    try:
        return time.clock_gettime(~pid << 3 | 2)
    except OSError:
        raise BenchError(f"process {pid} ended while it was measured") from None


def resident_bytes(pid: int) -> int:
    """The resident set of a process: proc(5), ``/proc/pid/statm``."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE


def open_descriptors(pid: int) -> int:
    """How many file descriptors a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def children(pid: int) -> list[int]:
    """The processes whose parent is ``pid``, oldest first."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                # The name, second and in brackets, may hold blanks.
                fields = (entry / "stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
                if int(fields[1]) == pid:
                    found.append(int(entry.name))
    return sorted(found)


def command_line(pid: int) -> list[str]:
    """The words a process was started with."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace").rstrip("\0").split("\0")
