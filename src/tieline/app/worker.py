"""What a child process of ``tieline serve`` does first: open the control socket, learn its assignment, run its plane.

Owns the process: signals, umask, event loop, and how a start that fails is told. Knows neither plane.
"""

import gc
import os
import signal
import sys

from tieline.app.control_socket import ControlSocket
from tieline.core.errors import TielineError

TURN = 0.001  # seconds that a thread which has much to read may keep the loop waiting, of Python's usual 0.005
_YOUNG = 20_000  # objects made and not gone again before they are looked at: request records wait by the thousand


def work(plane: str, fd: int) -> int:
    """Be a worker of ``plane`` with its control socket at file descriptor ``fd``; returns the exit status."""
    os.umask(0o077)
    supervisor = ControlSocket(fd)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda _number, _frame: supervisor.ask_drain())
    # Each plane loads what it alone needs, while the other does the same. What is loaded stays: nothing to collect.
    gc.disable()
    import uvloop  # noqa: PLC0415

    if plane == "control":
        from tieline.app.control import run  # noqa: PLC0415
    else:
        from tieline.app.data import run  # noqa: PLC0415
    sys.setswitchinterval(TURN)
    gc.freeze()
    gc.set_threshold(_YOUNG)
    gc.enable()
    try:
        uvloop.run(run(supervisor.assignment(), supervisor))
    except TielineError as error:
        supervisor.report(failed={"text": error.public, "detail": error.detail})
        return 1
    return 0
