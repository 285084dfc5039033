"""Paths in events, compiled to functions. What a path is, definitions says; nothing here raises, whatever the data.

A path that leads nowhere gives None, as does one that leads to null. ``[]`` stands for every item and gives a list.
"""

from collections.abc import Callable
from typing import Any

from tieline.definitions.infer.paths import Steps, split

Get = Callable[[Any], Any]


def getter(path: str) -> Get:
    """A function that finds what ``path`` leads to."""
    return _along(split(path))


def _along(steps: Steps) -> Get:
    if None in steps:
        every = steps.index(None)
        return _each(_along(steps[:every]), _along(steps[every + 1 :]))
    return _member(steps[0]) if len(steps) == 1 and isinstance(steps[0], str) else _plain(steps)


def _each(items: Get, rest: Get) -> Get:
    def find(value: Any) -> Any:
        found = items(value)
        if not isinstance(found, list):
            return None
        return [each for each in map(rest, found) if each is not None]

    return find


def _plain(steps: Steps) -> Get:
    def find(value: Any) -> Any:
        for step in steps:
            if isinstance(step, str):
                if not isinstance(value, dict):
                    return None
                value = value.get(step)
            elif isinstance(value, list) and step is not None and step < len(value) and value:
                value = value[step]
            else:
                return None
        return value

    return find


def _member(name: str) -> Get:
    def find(value: Any) -> Any:
        return value.get(name) if isinstance(value, dict) else None

    return find
