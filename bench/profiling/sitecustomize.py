"""Python runs this as it starts where ``PYTHONPATH`` names this folder: a data-plane worker then profiles itself.

SIGUSR1 starts the profile, SIGUSR2 ends it and writes it to the file that ``BENCH_PROFILE`` names.
"""

import os
import signal
import sys
from types import FrameType

if "serve-worker" in sys.orig_argv and "data" in sys.orig_argv:
    import cProfile

    profile = cProfile.Profile()

    def begin(_number: int, _frame: FrameType | None) -> None:
        """Start to count."""
        profile.enable()

    def end(_number: int, _frame: FrameType | None) -> None:
        """Stop, and write what was counted."""
        profile.disable()
        profile.dump_stats(os.environ["BENCH_PROFILE"])

    signal.signal(signal.SIGUSR1, begin)
    signal.signal(signal.SIGUSR2, end)
