"""Large JSON of callers is read and written in parts, and comes out as the small does."""

from decimal import Decimal

import pytest

from tieline.definitions.fill.json_text import LARGE, read_json, write_json

FILL = " " * (LARGE + 1)


@pytest.mark.parametrize(
    "text",
    [
        '{"a":"' + '\\"' * LARGE + '"}',
        '{"a":["' + "\\ud83d\\ude00é" * 40_000 + '",1.50,12345678901234567890]}',
        "[" + ",".join(f'{{"a":{number}.0,"b":"x"}}' for number in range(30_000)) + "]",
        "{" + ",".join(f'"k{number}":[]' for number in range(60_000)) + "}",
    ],
    ids=["quotes", "characters", "objects", "members"],
)
def test_large_json_is_what_small_json_would_be(text: str) -> None:
    """Numbers keep their digits, texts their characters, objects their order."""
    found = read_json(text)
    assert read_json(write_json(found).decode()) == found
    small = read_json('[1.50,12345678901234567890,"\\ud83d\\ude00"]')
    assert read_json(f'[1.50,12345678901234567890,"\\ud83d\\ude00"{FILL}]') == small
    assert small[0] == Decimal("1.50")
    assert write_json(small) == b'[1.50,12345678901234567890,"\xf0\x9f\x98\x80"]'


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"a":1,' + FILL + '"a":2}', "names a member twice"),
        ('{"a":"' + "x" * LARGE + '","a":2}', "names a member twice"),
        ("[NaN" + FILL + "]", "NaN"),
        ("[" * 65 + FILL, "nested deeper than 64"),
        ("[1," + FILL, "not valid JSON"),
        ('["' + "x" * LARGE + '\\x"]', "not valid JSON"),
        ("[1]" + FILL + "2", "not valid JSON"),
        ("[1e999999999999999999999" + FILL + "]", "out of range"),
    ],
)
def test_large_json_that_is_none_is_refused_as_the_small_is(text: str, problem: str) -> None:
    """The error says what is wrong, though not in which line."""
    with pytest.raises(ValueError, match=problem):
        read_json(text)
