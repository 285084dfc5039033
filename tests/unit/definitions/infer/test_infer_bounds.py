"""What reads text of outsiders takes steps as many as there are characters, whatever they are."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from tieline.definitions.infer.embedded import embedded, read
from tieline.definitions.infer.table import MOST_COLUMNS, read_csv
from tieline.definitions.infer.unreadable import UnreadableAnswer


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


def test_a_header_of_one_name_costs_what_it_is_long() -> None:
    """Each further ``a`` is numbered on from the one before."""
    small, large = steps(lambda: read_csv("a," * 500 + "a\n")), steps(lambda: read_csv("a," * 1_000 + "a\n"))
    assert large < 2.2 * small
    assert list(read_csv("a,a_2,a,a\n1x,2x,3x,4x\n")[0]) == ["a", "a_2", "a_3", "a_4"]


@pytest.mark.parametrize("text", ["a," * 12_000, "a," * (MOST_COLUMNS - 1) + "a\n" + "x\n" * 10_000])
def test_a_table_that_is_mostly_header_is_refused(text: str) -> None:
    """Before a name is made for each column, or a null for each cell that a row lacks."""
    with pytest.raises(UnreadableAnswer, match="ask for fewer"):
        read_csv(text)


@pytest.mark.parametrize(
    "text",
    [
        "`" * 1_000_000,
        "```" + " " * 1_000_000,
        "```json\n" + "\n \t" * 300_000,
        "``` json \n" * 90_000,
        "```\n`" * 200_000,
    ],
    ids=["ticks", "blanks", "lines", "openings", "short"],
)
def test_a_models_own_text_is_searched_once(text: str) -> None:
    """A million characters that never become a fenced block: with one step back for each, this would not end."""
    assert embedded(text) is None
    assert read("So: " + text) is None


def test_fences_are_read_as_models_write_them() -> None:
    """Alone, with more ticks, on Windows, within prose; two blocks are no answer."""
    for text in ('```json\n{"a": 1}\n```', '````\n{"a": 1}\n````', '```JSON\r\n{"a": 1}\r\n  ```\n'):
        assert embedded(text) == {"a": 1}
    assert read('Here:\n```json\n{"a": 1}\n```\nDone.') == {"a": 1}
    assert read('```json\n{"a": 1}\n```\nor\n```json\n{"a": 2}\n```') is None
