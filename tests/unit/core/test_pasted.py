"""What comes along when a value is copied or read from a file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.core.pasted import cut, unseen_within


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("key", ""),
        ("key\n", "a line end"),
        ("key\r\n", "a line end"),
        ("\ufeffkey", "a byte order mark"),
        ("\u200bkey\u200b", "invisible characters"),
        (" key\t", "blanks"),
        ("\u00a0key\u3000", "blanks"),
        ("\ufeff key \r\n", "a byte order mark and blanks and a line end"),
        ("\u2060\u202akey\u202c\u2028", "invisible characters and a line end"),
    ],
)
def test_what_is_not_to_be_seen_is_cut_off_at_the_ends(text: str, what: str) -> None:
    """And said, so that nobody wonders where it went."""
    assert cut(text) == ("key", what)


@pytest.mark.parametrize("text", ["a b", "pässword", "a\u200bb", "日本", "\x00key", "\x7f"])
def test_all_else_stays(text: str) -> None:
    """Within a value, and control characters that no editor adds: they are refused, by name."""
    assert cut(text) == (text, "")


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("a b é 日本 ~", None),
        ("a\u200bb", "U+200B"),
        ("a\ufeffb", "U+FEFF"),
        ("a\u00a0b", "U+00A0"),
        ("a\u202eb", "U+202E"),
        ("a\u00adb", "U+00AD"),
        ("a\nb", "U+000A"),
        ("\x00", "U+0000"),
    ],
)
def test_what_is_not_to_be_seen_within_is_told(text: str, first: str | None) -> None:
    """By its number, since it has no look."""
    assert unseen_within(text, multiline=False) == first


def test_a_key_of_several_lines_has_line_breaks() -> None:
    """And nothing else that is not to be seen."""
    assert unseen_within("-----BEGIN\r\n\tx\n-----END", multiline=True) is None
    assert unseen_within("-----BEGIN\n\u200b", multiline=True) == "U+200B"


@given(st.text())
def test_nothing_is_left_to_cut(text: str) -> None:
    """What was cut once is bare."""
    bare, _ = cut(text)
    assert cut(bare) == (bare, "")
    assert bare in text
