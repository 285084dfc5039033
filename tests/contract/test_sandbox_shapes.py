"""The sandbox's structured outputs fit their JSON schema, or are refused."""

from typing import Any

import pytest

from tieline.sandbox.refusal import Refusal
from tieline.sandbox.shapes import fit

TREE: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#"}}},
    "required": ["name", "children"],
}
CHAIN: dict[str, Any] = {
    "$defs": {
        "link": {
            "type": "object",
            "properties": {"next": {"anyOf": [{"$ref": "#/$defs/link"}, {"type": "null"}]}},
            "required": ["next"],
        }
    },
    "$ref": "#/$defs/link",
}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, "words"),
        ({"type": "string", "maxLength": 3}, "wor"),
        ({"type": "string", "minLength": 7}, "words.."),
        ({"type": "string", "format": "email"}, "someone@example.com"),
        ({"type": "string", "pattern": r"^\d{4}-\d\d-\d\d$"}, "2026-01-01"),
        ({"type": "integer"}, 1),
        ({"type": "integer", "minimum": 5, "maximum": 7}, 5),
        ({"type": "integer", "exclusiveMinimum": 5}, 6),
        ({"type": "integer", "maximum": -3}, -3),
        ({"type": "integer", "minimum": 4, "multipleOf": 3}, 6),
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, 0.5),
        ({"type": ["null", "string"]}, None),
        ({"enum": ["a", "b"]}, "a"),
        ({"const": 7}, 7),
        ({"type": "boolean", "default": False}, False),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 3}, [1, 1, 1]),
        ({"type": "array", "items": {"type": "integer"}, "maxItems": 0}, []),
        ({"properties": {"a": {"type": "null"}}, "required": ["b"]}, {"a": None, "b": "words"}),
        ({"allOf": [{"properties": {"a": {"const": 1}}}, {"properties": {"b": {"const": 2}}}]}, {"a": 1, "b": 2}),
    ],
)
def test_a_value_fits_its_schema(schema: dict[str, Any], value: Any) -> None:
    """Each kind of schema gets a value that it allows, with the user's words where text is free."""
    assert fit(schema, "words") == value


@pytest.mark.parametrize("schema", [TREE, CHAIN])
def test_a_schema_that_holds_itself_ends(schema: dict[str, Any]) -> None:
    """Recursion stops where the schema lets it."""
    depth, value = 0, fit(schema, "words")
    while value:
        depth += 1
        value = (value.get("children") or [None])[0] if "children" in value else value["next"]
    assert 1 <= depth <= 12


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "pattern": "^never-guessed$"},
        {"type": "string", "pattern": "("},
        {"type": "colour"},
        {"$ref": "#/nowhere"},
        {"type": "integer", "minimum": 2, "maximum": 1},
        {"type": "object", "properties": {"me": {"$ref": "#"}}, "required": ["me"]},
    ],
)
def test_a_schema_that_nothing_fits_is_refused(schema: dict[str, Any]) -> None:
    """Rather a refusal than a wrong value."""
    with pytest.raises(Refusal):
        fit(schema, "words")
