"""How many steps a piece of work takes: the same on any machine at any load.

A step is a line of Python, or 16 bytes of a text that is new under a local name: a copy grows with the text, while
the line is one. What C does within a line otherwise, as a regular expression that goes back, is not seen.

Garbage is not collected meanwhile: what others left behind, and who listens to the collector (Hypothesis does, in
Python), is not the work's.
"""

import gc
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

_COPIED = 16
_TEXTS = (str, bytes, bytearray)


@dataclass
class Effort:
    """What a piece of work took: its steps, and the modules that took them."""

    steps: int = 0
    modules: set[str] = field(default_factory=set)


def effort(work: Callable[[], Any]) -> Effort:
    """What ``work`` takes."""
    found = Effort()
    seen: dict[int, Any] = {}  # kept, so that none gets the id of another

    def trace(frame: FrameType, event: str, _argument: Any) -> Any:
        if event == "line":
            found.steps += 1
            for value in frame.f_locals.values():
                if type(value) in _TEXTS and len(value) >= _COPIED and id(value) not in seen:
                    seen[id(value)] = value
                    found.steps += len(value) // _COPIED
        elif event == "call":
            found.modules.add(frame.f_globals.get("__name__", ""))
        return trace

    before, collecting = sys.gettrace(), gc.isenabled()
    gc.disable()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
        if collecting:
            gc.enable()
    return found


def steps(work: Callable[[], Any]) -> int:
    """How many steps ``work`` takes."""
    return effort(work).steps
