"""What limits may be, and which models a list allows."""

import pytest

from tieline.access.limits import UNLIMITED, RequestLimits, RequestRate, allows_model, checked_models
from tieline.core.errors import InvalidInput

EVERYTHING = {
    "rates": [{"requests": 60, "per": "minute"}, {"requests": 1000, "per": "day"}],
    "tokens_per_minute": 90_000,
    "concurrent": 10,
    "streams": 4,
    "body": 1024,
    "per_address": {"requests": 5, "per": "second"},
}


def test_limits_are_read_as_they_are_written() -> None:
    """There and back again, and in words."""
    limits = RequestLimits.from_json(EVERYTHING)
    assert limits.to_json() == EVERYTHING
    assert limits.rates[0] == RequestRate(60, "minute")
    assert list(limits.sentences()) == [
        "60 requests a minute",
        "1000 requests a day",
        "90000 tokens a minute",
        "10 requests at once",
        "4 streams at once",
        "1024 bytes of a body",
        "5 requests a second from each address",
    ]


def test_no_limits_are_none() -> None:
    """An empty object limits nothing, and so do members that are null."""
    assert RequestLimits.from_json({"concurrent": None, "rates": []}) == UNLIMITED
    assert not UNLIMITED
    assert UNLIMITED.to_json() == {}


@pytest.mark.parametrize(
    ("value", "param", "words"),
    [
        ([], "limits", "is an object"),
        (
            {"rate": []},
            "limits",
            'has no "rate". It has rates, tokens_per_minute, concurrent, streams, body, per_address',
        ),
        ({"concurrent": 1_000_001}, "limits.concurrent", "a whole number from 1 to 1000000"),
        ({"rates": [{"requests": 1, "per": "minute"}] * 8}, "limits.rates", "twice"),
        ({"concurrent": 0}, "limits.concurrent", "a whole number from 1 to 1000000"),
        ({"concurrent": True}, "limits.concurrent", "whole number"),
        ({"tokens_per_minute": 1.5}, "limits.tokens_per_minute", "whole number"),
        ({"rates": {}}, "limits.rates", "a list of at most 8"),
        ({"rates": [{"requests": 1, "per": "minute"}] * 9}, "limits.rates", "a list of at most 8"),
        ({"rates": [{"requests": 1, "per": "week"}]}, "limits.rates[0]", "second, minute, hour, day"),
        ({"rates": [{"requests": 1, "per": "day", "burst": 2}]}, "limits.rates[0]", "requests"),
        ({"rates": [{"requests": None, "per": "day"}]}, "limits.rates[0].requests", "missing"),
        ({"rates": [{"requests": 10**10, "per": "day"}]}, "limits.rates[0].requests", "1000000000"),
        ({"rates": [{"requests": 1, "per": "day"}] * 2}, "limits.rates", "twice"),
        ({"per_address": 5}, "limits.per_address", "per"),
    ],
)
def test_what_cannot_be_a_limit_is_refused_with_its_place(value: object, param: str, words: str) -> None:
    """The error names the member and what it may be."""
    with pytest.raises(InvalidInput, match=words) as refused:
        RequestLimits.from_json(value)
    assert refused.value.param == param


def test_a_limit_may_be_the_greatest_number() -> None:
    """As the refusal of a greater one says."""
    assert RequestLimits.from_json({"concurrent": 1_000_000}).concurrent == 1_000_000


def test_models_are_matched_by_patterns() -> None:
    """A star stands for what may differ; nothing else does, and case counts."""
    globs = checked_models(["gpt-4.1*", "o4-mini", "gpt-4.1*"])
    assert globs == ("gpt-4.1*", "o4-mini")
    allowed = ("gpt-4.1", "gpt-4.1-mini", "o4-mini")
    assert [model for model in (*allowed, "gpt-4", "GPT-4.1", "o4-mini-high", "") if allows_model(globs, model)] == [
        *allowed
    ]


@pytest.mark.parametrize("globs", [[""], ["a b"], ["gpt[4]"], ["x" * 201], ["a\n"], ["m"] * 65])
def test_what_cannot_be_a_pattern_is_refused(globs: list[str]) -> None:
    """Brackets would be ranges of characters, which names of models do not need."""
    with pytest.raises(InvalidInput, match="models") as refused:
        checked_models(globs)
    assert refused.value.param == ("models" if len(globs) > 64 else "models[0]")


def test_what_can_just_be_a_pattern_is_taken() -> None:
    """A single character, the longest name, the longest list, capitals and every letter."""
    longest = [f"m{number}" for number in range(64)]
    assert checked_models(["*"]) == ("*",)
    assert checked_models(["X" * 200]) == ("X" * 200,)
    assert checked_models(longest) == tuple(longest)
