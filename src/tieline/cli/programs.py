"""Tieline's own programs run beside a command: started, waited for until they are ready, and ended with it.

Used by the demo. Knows neither what they serve nor what they are asked.
"""

import re
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO

from tieline.core.errors import StartError
from tieline.settings.source import child_environment

READY_SECONDS = 60.0
END_SECONDS = 10.0
_NAMED = re.compile(r"(\w+)=(\S+)")


class Program:
    """A running ``tieline …``. What it says on standard error is kept, the last lines of it, in case it fails."""

    def __init__(self, words: Sequence[str]) -> None:
        self._name = f"tieline {words[0]}"
        self._said: deque[str] = deque(maxlen=20)
        self._addresses: dict[str, str] = {}
        self._settled = threading.Event()
        self._process = subprocess.Popen(  # noqa: S603  our own interpreter and module
            [sys.executable, "-P", "-m", "tieline", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=child_environment(),
            process_group=0,  # Ctrl-C ends the command, which then ends this in order
        )
        assert self._process.stderr is not None
        self._listener = threading.Thread(target=self._listen, args=(self._process.stderr,), daemon=True)
        self._listener.start()

    def ready(self) -> dict[str, str]:
        """Wait for its line ``ready name=address …``; returns the addresses by name. Raises StartError without one."""
        if not self._settled.wait(READY_SECONDS) or not self._addresses:
            said = self._said[-1] if self._said else "it said nothing"
            raise StartError(f"{self._name} did not start: {said.removeprefix('tieline: ')}")
        return self._addresses

    def end(self) -> None:
        """Ask it to end, and end it at once where it does not."""
        self._process.terminate()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listener.join()

    @property
    def running(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def _listen(self, lines: IO[str]) -> None:
        with lines:
            for line in lines:
                self._said.append(line.strip())
                if line.startswith("ready "):
                    self._addresses = dict(_NAMED.findall(line))
                    self._settled.set()
        self._settled.set()


@contextmanager
def running(*commands: Sequence[str]) -> Iterator[list[Program]]:
    """Run several programs at once while the block lasts."""
    programs: list[Program] = []
    try:
        programs.extend(Program(words) for words in commands)
        yield programs
    finally:
        for program in reversed(programs):
            program.end()


def until_one_ends(programs: Sequence[Program]) -> None:
    """Wait as long as all of them run."""
    while all(program.running for program in programs):
        time.sleep(0.2)
