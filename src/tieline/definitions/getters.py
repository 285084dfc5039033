"""Paths in answers and events, compiled to functions: what a path leads to. Nothing here raises, whatever the data.

A path that leads nowhere gives None, as does one that leads to null. ``[]`` stands for every item, ``*`` for every
value of a map; either gives a list.
"""

from collections.abc import Callable
from typing import Any

from tieline.definitions.infer.paths import ANY_KEY, Steps, split

Get = Callable[[Any], Any]


def getter(path: str) -> Get:
    """A function that finds what ``path`` leads to."""
    return _along(split(path))


def _along(steps: Steps) -> Get:
    every = next((at for at, step in enumerate(steps) if step is None or step is ANY_KEY), None)
    if every is not None:
        return _each(_along(steps[:every]), _along(steps[every + 1 :]), list if steps[every] is None else dict)
    return _member(steps[0]) if len(steps) == 1 and isinstance(steps[0], str) else _plain(steps)


def _each(holder: Get, rest: Get, kind: type[list[Any] | dict[str, Any]]) -> Get:
    def find(value: Any) -> Any:
        found = holder(value)
        if not isinstance(found, kind):
            return None
        values = found if isinstance(found, list) else found.values()
        return [each for each in map(rest, values) if each is not None]

    return find


def _plain(steps: Steps) -> Get:
    def find(value: Any) -> Any:
        for step in steps:
            if isinstance(step, str):
                if not isinstance(value, dict):
                    return None
                value = value.get(step)
            elif isinstance(value, list) and isinstance(step, int) and step < len(value) and value:
                value = value[step]
            else:
                return None
        return value

    return find


def _member(name: str) -> Get:
    def find(value: Any) -> Any:
        return value.get(name) if isinstance(value, dict) else None

    return find
