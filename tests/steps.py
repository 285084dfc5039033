"""How many steps a piece of work takes: the same on any machine at any load.

A step is a line of Python, or 16 bytes of a text that is new under a local name: a copy grows with the text, while
the line is one; of one that ``+=`` made longer what was added, as CPython lets a local text grow in its place. What
C does within a line otherwise, as a regular expression that goes back, is not seen.

Garbage is not collected meanwhile: what others left behind, and who listens to the collector (Hypothesis does, in
Python), is not the work's.
"""

import gc
import linecache
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
    held: dict[tuple[FrameType, str], str] = {}
    lines: dict[FrameType, int] = {}

    def is_grown(frame: FrameType, name: str) -> bool:
        """Whether the line that has just run added to the text ``name``."""
        before, line = held.get((frame, name)), lines.get(frame, 0)
        return before is not None and f"{name} +=" in linecache.getline(frame.f_code.co_filename, line)

    def trace(frame: FrameType, event: str, _argument: Any) -> Any:
        if event == "line":
            found.steps += 1
            for name, value in frame.f_locals.items():
                if type(value) in _TEXTS and len(value) >= _COPIED and id(value) not in seen:
                    seen[id(value)] = value
                    before = len(held[frame, name]) if is_grown(frame, name) else 0
                    found.steps += (len(value) - before) // _COPIED
                    if type(value) is str:
                        held[frame, name] = value
            lines[frame] = frame.f_lineno
        elif event == "return":
            lines.pop(frame, None)
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
