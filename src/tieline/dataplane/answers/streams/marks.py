"""What events say of the end by themselves where no definition names a mark: ``finish_reason: null``, then a word.

A stream that says so and ends before it says otherwise was cut, however politely. Knows no provider; looks at members
of a few names that can mean nothing else.
"""

from collections import deque
from typing import Any, Final

from tieline.definitions.getters import Get, getter
from tieline.definitions.infer.page_fields import plain_name
from tieline.definitions.infer.paths import Steps, is_expressible, join

_SIGNS: Final = frozenset({"finishreason", "stopreason", "isfinal", "isfinished", "generatedtext"})
_UNSAID: Final = frozenset({"", "null", "none", "not_finished", "unfinished", "unspecified"})
"""Texts that stand where a reason to end will stand (DashScope, watsonx.ai)."""
_LOOKED_THROUGH: Final = 16
_MOST_SIGNS: Final = 4
_MOST_VALUES: Final = 64
_MOST_LEVELS: Final = 4


def is_set(value: Any) -> bool:
    """Whether a mark of the end is there: neither null, nor false, nor a text that says that it is not."""
    return value is not None and value is not False and not (isinstance(value, str) and value.lower() in _UNSAID)


class EndMarks:
    """The marks of one stream. The first sixteen events are looked through; what they have is watched from then on."""

    __slots__ = ("_left", "_signs", "seen", "waiting")

    def __init__(self) -> None:
        self._left = _LOOKED_THROUGH
        self._signs: dict[Steps, Get] = {}
        self.seen = False
        """Whether an event said that the stream is over."""
        self.waiting: str | None = None
        """The path of a mark that said that it is not."""

    def note(self, value: Any) -> None:
        """Look at one event; what is no object says nothing."""
        if self.seen or not isinstance(value, dict):
            return
        if self._left:
            self._left -= 1
            for steps in _find(value):
                if len(self._signs) < _MOST_SIGNS:
                    self._signs.setdefault(steps, getter(join(steps)))
        for steps, get in self._signs.items():
            if is_set(get(value)):
                self.seen = True
            elif self.waiting is None:
                self.waiting = join(steps)


def _is_sign(name: str, value: Any) -> bool:
    """Whether a member is a mark. The whole text is one that is null until then; watsonx.ai calls pieces so too."""
    word = plain_name(name)
    return word in _SIGNS and (word != "generatedtext" or value is None)


def _find(value: dict[str, Any]) -> list[Steps]:
    """Where members with the names of marks are; of a list its first item is looked at."""
    found: list[Steps] = []
    waiting: deque[tuple[Steps, Any]] = deque([((), value)])
    for _ in range(_MOST_VALUES):
        if not waiting:
            break
        steps, held = waiting.popleft()
        if isinstance(held, list) and held:
            waiting.append(((*steps, 0), held[0]))
        elif isinstance(held, dict):
            for name, below in held.items():
                if _is_sign(name, below) and is_expressible(name):
                    found.append((*steps, name))
                elif isinstance(below, dict | list) and is_expressible(name) and len(steps) < _MOST_LEVELS:
                    waiting.append(((*steps, name), below))
    return found
