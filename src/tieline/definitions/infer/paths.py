"""Paths in answers, such as ``choices[0].message.content``: their grammar, their steps. Knows no field and no document.

A step is a member's name, a place in a list (-1 for the last), ``None`` for every item of a list, or ``ANY_KEY`` for
every value of a map (written ``*``; a member of that name is written ``"*"``). ``$``, the whole, has no steps.
"""

import re
from enum import Enum
from functools import lru_cache
from typing import Final


class AnyKey(Enum):
    """The step to the values of a map, whatever their keys are."""

    ANY_KEY = "*"


ANY_KEY: Final = AnyKey.ANY_KEY
Step = str | int | AnyKey | None
Steps = tuple[Step, ...]

LAST: Final = -1
"""The step to the last item of a list."""
MOST_STEPS: Final = 64
MOST_LENGTH: Final = 1000
MOST_KEY: Final = 200
"""Characters of a member's name."""
_NAME = r'(?:[A-Za-z0-9_$-]{1,200}|\*|"[^"\\]{1,200}")'
_PLACE = r"\[(?:[0-9]{0,6}|-1)\]"
_PLACES = rf"(?:{_PLACE}){{0,16}}"
_PATH = re.compile(rf"(?:\$|{_NAME}{_PLACES}(?:\.{_NAME}{_PLACES})*|{_PLACE}{_PLACES}(?:\.{_NAME}{_PLACES})*)")
_TOKEN = re.compile(r'"([^"]*)"|\[([0-9]*|-1)\]|([A-Za-z0-9_$-]+)|(\*)')
_BARE = re.compile(r"[A-Za-z0-9_$-]{1,200}")


def is_path(text: str) -> bool:
    """Whether ``text`` is a path of at most 64 steps and 1,000 characters."""
    return len(text) <= MOST_LENGTH and _PATH.fullmatch(text) is not None and len(split(text)) <= MOST_STEPS


@lru_cache(maxsize=4096)
def split(path: str) -> Steps:
    """The steps of a path."""
    if path == "$":
        return ()
    steps: list[Step] = []
    for found in _TOKEN.finditer(path):
        quoted, place, bare, star = found.groups()
        if star is not None:
            steps.append(ANY_KEY)
        elif place is not None:
            steps.append(int(place) if place else None)
        else:
            steps.append(bare if quoted is None else quoted)
    return tuple(steps)


def join(steps: Steps) -> str:
    """The path with these steps, whose names :func:`is_expressible`."""
    pieces: list[str] = []
    for step in steps:
        if step is ANY_KEY:
            pieces.append(".*" if pieces else "*")
        elif isinstance(step, str):
            bare = _BARE.fullmatch(step) is not None and step != "$"
            pieces.append(("." if pieces else "") + (step if bare else f'"{step}"'))
        else:
            pieces.append("[]" if step is None else f"[{step}]")
    return "".join(pieces) or "$"


def is_expressible(key: str) -> bool:
    """Whether a path can name the member ``key``."""
    return 0 < len(key) <= MOST_KEY and '"' not in key and "\\" not in key and key.isprintable()


def reach(steps: Steps) -> Steps:
    """The steps to a value itself: those that only say that its items are meant are left out."""
    end = len(steps)
    while end and steps[end - 1] is None:
        end -= 1
    return steps[:end]
