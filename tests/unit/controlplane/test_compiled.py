"""Stored definitions as the control plane reads them: what cannot be used says why, and nothing else suffers."""

import pytest

from tieline.controlplane.compiled import canonical, definition_of, problems_of
from tieline.definitions.parse import parse

TEXT = "tieline: v1\napi: a\nbase_url: https://a.example\ncalls: {c: {path: /c}}\n"


def test_what_was_stored_is_what_is_read() -> None:
    """Text and values stand for each other."""
    definition = parse(TEXT)
    assert canonical(definition_of(canonical(definition))) == canonical(definition)
    assert problems_of(canonical(definition)) == {}


@pytest.mark.parametrize(
    ("stored", "problems"),
    [
        ("null", {"live": "what is stored is no definition", "development": "what is stored is no definition"}),
        (
            '{"tieline":"v1","api":"a","base_url":"https://a.example","environments":{"live":{"limits":5}}}',
            {"live": "limits: expected a mapping, found a whole number; write it like {timeout: {total: 30s}}"},
        ),
    ],
)
def test_what_this_version_cannot_read_says_why(stored: str, problems: dict[str, str]) -> None:
    """By environment."""
    assert problems_of(stored) == problems
