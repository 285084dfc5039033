"""Runs a command on a terminal of a width, as a person would, and types answers to its questions."""

import fcntl
import os
import pty
import struct
import subprocess
import termios
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from tests.e2e.conftest import COMMAND

SECONDS = 60.0


@dataclass
class Screen:
    """How a command on a terminal ended, and all that it showed there, both streams together."""

    code: int
    text: str

    @property
    def lines(self) -> list[str]:
        """What was shown, a line each, without colours."""
        return [line.rstrip() for line in self.text.splitlines()]


def on_terminal(*words: str, env: Mapping[str, str], typed: str = "", columns: int = 80) -> Screen:
    """Run ``tieline`` with a terminal as its standard input, output and error; ``typed`` is there to be read."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    plain = {"TERM": "xterm", "NO_COLOR": "1", "COLUMNS": ""}
    process = subprocess.Popen(
        [*COMMAND, *words], stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, **plain, **env}
    )
    os.close(theirs)
    os.write(ours, typed.encode())
    killer = threading.Timer(SECONDS, process.kill)
    killer.start()
    shown = b""
    try:
        while piece := os.read(ours, 65536):
            shown += piece
    except OSError:  # Linux says EIO when the last process on the other side is gone
        pass
    finally:
        code = process.wait()
        killer.cancel()
        os.close(ours)
    return Screen(code, shown.decode().replace("\x1b[1m", "").replace("\x1b[0m", ""))
