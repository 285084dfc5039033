"""Samples of values: cut short, masked, or not kept at all. Knows nothing of where they stood."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Literal

from tieline.definitions.model import Field

MOST_SAMPLE = 200
_MOST_ITEMS = 3
_TEXT_CLASSES = (1, 8, 32, 128)
_WHOLE_CLASSES = (999, 999_999, 9_999_999_999)


def sample_of(value: Any) -> Any:
    """What is shown of a value: text up to 200 characters, three items of a list of such; None for structures."""
    if isinstance(value, str):
        return value if len(value) <= MOST_SAMPLE else value[: MOST_SAMPLE - 1] + "…"
    return value if isinstance(value, bool | int | float) else None


def masked(sample: Any) -> Any:
    """A sample of the same JSON type and length class that holds nothing of the content.

    Text becomes ``x`` 1, 8, 32, 128 or 200 times (the class that holds its length), a whole number nines of its class,
    a decimal the same and a half, a flag false; a list keeps three items, an object nothing.
    """
    if isinstance(sample, str):
        return "x" * (next((most for most in _TEXT_CLASSES if len(sample) <= most), MOST_SAMPLE) if sample else 0)
    if isinstance(sample, bool):
        return False
    if isinstance(sample, int):
        return _whole(abs(sample))
    if isinstance(sample, float):
        return _whole(abs(sample)) + 0.5
    if isinstance(sample, list):
        return [masked(item) if not isinstance(item, list) else [] for item in sample[:_MOST_ITEMS]]
    return {} if isinstance(sample, dict) else None


def keep(fields: Iterable[Field], how: Literal["none", "masked", "whole"]) -> tuple[Field, ...]:
    """The fields with their samples as the operator wants them kept: not at all, masked, or whole."""
    if how == "whole":
        return tuple(fields)
    return tuple(replace(one, sample=masked(one.sample) if how == "masked" else None) for one in fields)


def _whole(size: float) -> int:
    return next((most for most in _WHOLE_CLASSES if size <= most), 9_999_999_999_999_999)
