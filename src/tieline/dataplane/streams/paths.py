"""Paths in events, compiled to functions. The grammar is that of definitions, which checks it; nothing here raises on data.

A path that leads nowhere gives None, as does one that leads to null. ``[]`` stands for every item and gives a list.
"""

import re
from collections.abc import Callable
from typing import Any

Get = Callable[[Any], Any]
_STEP = re.compile(r'\.?(?:"([^"]*)"|\[(\d*)\]|([^.\[\]"]+))')


def steps_of(path: str) -> list[str | int | None]:
    """The steps of ``path``: a name, a place in a list, or None for every item. ``$`` in front is the whole."""
    steps: list[str | int | None] = []
    for place, found in enumerate(_STEP.finditer(path)):
        quoted, index, name = found.groups()
        if index is not None:
            steps.append(int(index) if index else None)
        elif quoted is not None or place or name != "$":
            steps.append(name if quoted is None else quoted)
    return steps


def getter(path: str) -> Get:
    """A function that finds what ``path`` leads to."""
    return _along(steps_of(path))


def _along(steps: list[str | int | None]) -> Get:
    if None not in steps:
        return _plain(steps)
    every = steps.index(None)
    return _each(_plain(steps[:every]), _along(steps[every + 1 :]))


def _each(items: Get, rest: Get) -> Get:
    def find(value: Any) -> Any:
        found = items(value)
        if not isinstance(found, list):
            return None
        return [each for each in map(rest, found) if each is not None]

    return find


def _plain(steps: list[str | int | None]) -> Get:
    if len(steps) == 1 and isinstance(steps[0], str):
        return _member(steps[0])

    def find(value: Any) -> Any:
        for step in steps:
            if isinstance(step, str):
                if not isinstance(value, dict):
                    return None
                value = value.get(step)
            elif isinstance(value, list) and isinstance(step, int) and step < len(value):
                value = value[step]
            else:
                return None
        return value

    return find


def _member(name: str) -> Get:
    def find(value: Any) -> Any:
        return value.get(name) if isinstance(value, dict) else None

    return find
