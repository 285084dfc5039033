"""What a row of the table of growth is made of."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

Row = tuple[Callable[[Any], Any], Callable[[int], Any]]
"""What reads, and what makes its input of a size."""
Rows = Mapping[str, Row]


def tolerant(work: Callable[[Any], Any], *errors: type[Exception]) -> Callable[[Any], Any]:
    """``work``, whose refusal takes its steps too."""

    def read(given: Any) -> None:
        with suppress(*(errors or (ValueError,))):
            work(given)

    return read


def repeated(piece: bytes) -> Callable[[int], bytes]:
    """Makes ``piece`` as many times."""
    return lambda size: piece * size
