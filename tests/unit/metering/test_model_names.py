"""Names come from outsiders: matching is exact, bounded and quick."""

import pytest

from tieline.metering.model_names import NAME_MOST, REMEMBERED, ModelNames, fits, glob_fits, with_dashed_date


@pytest.mark.parametrize(
    ("glob", "fitting", "others"),
    [
        ("a", ["a"], ["", "aa", "b"]),
        ("a*", ["a", "ab"], ["ba", ""]),
        ("*a", ["a", "ba"], ["ab"]),
        ("a*a", ["aa", "aba"], ["a", "ab"]),
        ("*", ["", "anything"], []),
        ("a*b*c", ["abc", "axbxc", "abbc"], ["acb", "ac"]),
        ("ab*bc", ["abbc"], ["abc"]),
        ("*ab*ab*", ["abab", "xabyabz"], ["ab", "aab"]),
    ],
)
def test_a_star_stands_for_any_text(glob: str, fitting: list[str], others: list[str]) -> None:
    """The texts around stars do not overlap."""
    assert [name for name in (*fitting, *others) if glob_fits(name, glob)] == fitting


def test_the_first_rule_that_fits_counts() -> None:
    """Also where an exact name stands later."""
    names = ModelNames({"gpt-4": 1, "o1": 0}, [(2, ["starts", "gpt-5"]), (0, ["contains", "audio"])][::-1])
    assert [names.place(name) for name in ("gpt-4", "GPT-4", "gpt-5-audio", "gpt-5", "o2")] == [1, 1, 0, 2, None]


def test_rules_are_put_together() -> None:
    """All of several, any of several, none."""
    rule = ["all", ["any", ["starts", "a"], ["ends", "z"]], ["not", ["regex", "^a[0-9]+$", "a"]]]
    assert [fits(rule, name) for name in ("ab", "bz", "a1", "bb", "a1z")] == [True, True, False, False, True]


def test_only_short_visible_names_are_looked_at() -> None:
    """And only so many are remembered, known or not."""
    names = ModelNames({}, [(0, ["glob", "*"])])
    assert names.place("a" * NAME_MOST) == 0
    assert names.place("a" * (NAME_MOST + 1)) is None
    assert names.place("a\nb") is None
    for number in range(REMEMBERED + 10):
        names.place(f"model-{number}")
    assert len(names._found) <= REMEMBERED


def test_a_compact_date_is_written_out() -> None:
    """Days that there are, at the end or before more."""
    assert with_dashed_date("gpt-5-20260821") == "gpt-5-2026-08-21"
    assert with_dashed_date("gpt-5-20260821:free") == "gpt-5-2026-08-21:free"
    assert with_dashed_date("gpt-5-20260231") == "gpt-5-20260231"
