"""Patterns mean what Python's ``re`` means, in bounded time."""

import random
import re

import pytest

from tieline.definitions.fill.pattern import Pattern

TEXTS = [
    "",
    "a",
    "b",
    "ab",
    "aab",
    "Ab",
    "abc",
    "A",
    "É",
    "é",
    "1",
    "٣",
    "12",
    "a-b",
    "a--b",
    " ",
    "\n",
    "a\n",
    "_",
    "aaa",
    "x@y.zz",
]


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "a",
        "[a-z]+",
        "[^a]*",
        ".",
        "(?s).",
        "a|ab|",
        "(a|b)*c?",
        "a{2}",
        "a{1,2}b?",
        "a{2,}",
        "a*?b+?",
        "(?i)AB?",
        "(?i)é",
        r"\d+",
        r"(?a)\d+",
        r"\w+",
        r"\s",
        r"\S\W?",
        "[a-z0-9]+(-[a-z0-9]+)*",
        "^ab$",
        r"\Aab?\Z",
        "(?:^a|b)c?",
        "(?P<n>a)b*",
        "(?i:a)b",
        "(a*)*",
        "((a|b)?){3}",
        "(){5}",
        "a^b",
        "a$b",
        r"[^@\s]+@[^@\s]+\.[a-z]{2,}",
        r"[\d_-]+",
        "(?x) a  b # both",
    ],
)
def test_a_pattern_means_what_re_means(pattern: str) -> None:
    """For whole texts."""
    compiled = Pattern(pattern)
    for text in TEXTS * 2:
        assert compiled.matches(text) == (re.fullmatch(pattern, text) is not None), text


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (r"(a)\1", "back references"),
        ("(?=a)a", "looking ahead"),
        ("(?<!a)b", "looking ahead or behind"),
        ("(?>a)", "atomic"),
        ("a++", "possessive"),
        (r"\bfoo", "word boundaries"),
        ("(?m)^a", "anchors of lines"),
        ("(a)?(?(1)b|c)", "conditions"),
        ("a{5000}", "too large"),
        ("((a{1,40}){1,40}){1,40}", "too large"),
        ("(", "no regular expression"),
        ("[[a]", "no regular expression"),
    ],
)
def test_what_cannot_be_matched_in_bounded_time_is_refused(pattern: str, expected: str) -> None:
    """When the definition is read, not when a caller comes."""
    with pytest.raises(ValueError, match=expected):
        Pattern(pattern)


@pytest.mark.parametrize("pattern", ["(a+)+", "(a|a)*", "(a|aa)+", "(.*a){20}", ".*.*.*.*=", "(.*a.{250})+="])
@pytest.mark.timeout(60)
def test_the_worst_text_is_matched_in_bounded_time(pattern: str) -> None:
    """Where ``re`` would need longer than the universe has."""
    compiled = Pattern(pattern)
    chance = random.Random(2026)
    text = "".join(chance.choice("aab") for _ in range(compiled.most - 1)) + "!"
    assert compiled.matches(text) is False


def test_its_memory_is_bounded() -> None:
    """Transitions that were met are forgotten when they become many; the answer stays the same."""
    compiled = Pattern(".*é")
    for start in range(0x100, 0x100 + 24_000, 1000):
        assert compiled.matches("".join(map(chr, range(start, start + 1000))) + "é")
    assert compiled._edges <= 10_000
    assert not compiled.matches("e")
