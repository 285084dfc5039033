"""How many steps a piece of work takes: lines of Python, which are the same on any machine at any load.

What C code does within a line is not seen: where a regular expression or a copy could grow with the square, a test
gives it an input for which that would not end.
"""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def steps(work: Callable[[], Any]) -> int:
    """How many lines of Python ``work`` runs."""
    count = 0

    def trace(_frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count
