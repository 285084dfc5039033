"""What reads text of outsiders takes steps as many as there are characters, whatever they are."""

import pytest

from tieline.definitions.infer.data_keys import is_data
from tieline.definitions.infer.embedded import embedded, read
from tieline.definitions.infer.links import MOST_LENGTH, next_link
from tieline.definitions.infer.markup import read_xml
from tieline.definitions.infer.table import MOST_COLUMNS, MOST_LINE, MOST_ROWS, read_csv
from tieline.definitions.infer.unreadable import UnreadableAnswer


def test_names_that_come_again_are_numbered_on() -> None:
    """Each further ``a`` from the one before."""
    assert list(read_csv("a,a_2,a,a\n1x,2x,3x,4x\n")[0]) == ["a", "a_2", "a_3", "a_4"]


@pytest.mark.parametrize(
    "text",
    [
        "a," * 12_000,
        "a," * (MOST_COLUMNS - 1) + "a\n" + "x\n" * 10_000,
        "a\n" * (MOST_ROWS + 2),
        "a" * (MOST_LINE + 1),
        '"' + "a,\n" * 10 + "a" * (MOST_LINE + 1),
    ],
    ids=["columns", "absent", "rows", "line", "line in quotes"],
)
def test_a_table_of_too_much_is_refused(text: str) -> None:
    """Before a name is made for each column, a null for each cell that a row lacks, or millions of rows."""
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


@pytest.mark.parametrize(
    "piece", ["<a>;a=", '<a>;x="\\', "<", "<a>" + " " * 50, "<a>;;", '<a>;x="', "<a>; rel=next ;", "<a> \t;\t x", ";="]
)
def test_a_link_of_the_greatest_length_is_read_once(piece: str) -> None:
    """With one step back for each character it would take billions of them."""
    for _ in range(5):
        next_link([piece * (MOST_LENGTH // len(piece))])


@pytest.mark.parametrize("piece", ["a", "a.", "a-", "a:", "1", "1.", "A1-", "/a", "a@", "-", "aA1", "a_1", "x/y "])
def test_names_are_told_from_data_in_one_look(piece: str) -> None:
    """Every alternative of the pattern, and none that ends."""
    for _ in range(2_000):
        is_data((piece * 200)[:199] + "!")


@pytest.mark.parametrize(
    "text",
    [
        "<a " + " ".join(f'a{number}="1"' for number in range(900_000)) + "/>",
        "<r>" + '<a b="1" c="2"/>' * 170_000 + "</r>",
        "<a><!--" + "x" * 2_000_000 + "--></a>",
        '<a b="' + "x" * 2_000_000 + '"/>',
    ],
    ids=["attributes", "elements", "comment", "value"],
)
def test_markup_that_holds_too_much_is_refused(text: str) -> None:
    """Elements and attributes are counted alike; no tag is taken in one go that is larger than a MiB."""
    with pytest.raises(UnreadableAnswer, match="ask for"):
        read_xml(text)


def test_a_long_text_in_markup_is_read() -> None:
    """It comes in parts of its own."""
    long = "x" * 3_000_000
    assert read_xml(f"<a><b>{long}</b><c><![CDATA[{long}]]></c></a>") == {"a": {"b": long, "c": long}}
