"""The rules of detection and merging: what decides, what widens, what people decided."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.definitions.infer.scores import labels
from tieline.definitions.infer.detect import detect, merge, renew
from tieline.definitions.infer.difference import Difference, diff
from tieline.definitions.infer.settle import MOST_FIELDS
from tieline.definitions.infer.shape import shape
from tieline.definitions.model import Field


def merged(*documents: Any) -> dict[str, str]:
    """Labels of several samples together."""
    fields = detect(documents[0])
    for document in documents[1:]:
        fields = merge(fields, document)
    return labels(fields)


def field(path: str, fields: tuple[Field, ...]) -> Field:
    """The field at a path."""
    return next(one for one in fields if one.path == path)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (None, 1, "integer"),
        (1, None, "integer"),
        (1, 2.5, "number"),
        ("2024-01-01", None, "date"),
        ("2024-01-01", "", "date"),
        ("", "2024-01-01", "date"),
        ("2024-01-01", "soon", "text"),
        ("2024-01-01", "2024-01-01T00:00:00Z", "text"),
        ("https://a.example/b.png", "https://a.example/b", "url"),
        ("https://a.example/b.png", "https://a.example/b.pdf", "url"),
        ("a@b.example", "https://a.example", "text"),
        (1, "1", "json"),
        (True, 1, "json"),
        (True, "true", "json"),
        ([], [1], "integer[]"),
        ([1], ["a"], "json[]"),
        ([1], 1, "json"),
        (None, [], "json[]"),
        ({}, None, "object"),
        ({}, [], "json"),
        ('{"a": 1}', "plain", "text"),
        ("plain", '{"a": 1}', "text"),
        ('{"a": 1}', {"a": 2}, "object in text"),
        ([[1]], [], "json"),
    ],
)
def test_two_values_of_one_member_are_of_one_type(one: Any, other: Any, expected: str) -> None:
    """Whichever comes first."""
    if expected == "json" and one == [[1]]:
        expected = "json[]"
    for first, second in ((one, other), (other, one)):
        found = merged({"v": first}, {"v": second})
        assert found.get("v", found.get("v[]")) == expected
        both = labels(detect({"rows": [{"v": first}, {"v": second}]}))
        assert both.get("rows[].v", both.get("rows[].v[]")) == expected
