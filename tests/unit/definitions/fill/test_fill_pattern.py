"""Patterns mean what Python's ``re`` means with ASCII classes, in bounded time."""

import random
import re

import pytest

from tieline.definitions.fill.pattern import MOST_STATES, Pattern

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


def _flags(pattern: str) -> re.RegexFlag:
    return re.ASCII if "\\" in pattern else re.NOFLAG


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
        r"\w+",
        r"\s",
        r"\S\W?",
        "[a-z0-9]+(-[a-z0-9]+)*",
        "^ab$",
        r"\Aab?",
        r"\bab\b",
        "(?m)^a",
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
    ],
)
def test_a_pattern_means_what_re_means(pattern: str) -> None:
    """For whole texts; classes are ASCII, where ``re`` needs a flag for that."""
    compiled = Pattern(pattern)
    for text in TEXTS * 2:
        assert compiled.matches(text) == (re.fullmatch(pattern, text, _flags(pattern)) is not None), text


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (r"(a)\1", "no regular expression that RE2 reads"),
        ("(?=a)a", "no regular expression that RE2 reads"),
        ("(?<!a)b", "no regular expression that RE2 reads"),
        ("(?>a)", "no regular expression that RE2 reads"),
        ("a++", "no regular expression that RE2 reads"),
        ("(a)?(?(1)b|c)", "no regular expression that RE2 reads"),
        ("a{5000}", "no regular expression that RE2 reads: invalid repetition size"),
        (r"\pL{1000}\pN{900}", "too large"),
        ("(a{1,900}b){9}{9}", "no regular expression|too large"),
        ("((a{1,40}){1,40}){1,40}", "no regular expression|too large"),
        ("(", "no regular expression"),
        ("[[a", "no regular expression"),
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


def test_patterns_whose_repeats_multiply_are_small_or_refused() -> None:
    """The work of reading and matching is bounded by the size of the program, whatever the pattern looks like."""
    for pattern in ("((a{9}){9}){12}", "(a?){500}a{500}", "(.{1,100}){1,10}"):
        compiled = Pattern(pattern)
        assert compiled._program.programsize * compiled.most <= 50_000_000
        assert compiled._program.programsize <= MOST_STATES
