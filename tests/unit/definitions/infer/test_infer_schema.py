"""The schemas of calls say what their answers are."""

from typing import Any

import pytest

from tests.contract.published import Published
from tieline.definitions.infer.detect import detect
from tieline.definitions.infer.schema import DIALECT, schema_of_fields, schema_of_input, schema_of_output
from tieline.definitions.infer.shape import shape
from tieline.definitions.model import Call, Field, Parameter, Response

VALIDATOR = object.__new__(Published)
DOCUMENT: dict[str, Any] = {
    "id": 1,
    "rate": 0.5,
    "at": "2024-01-01T00:00:00Z",
    "rows": [{"a": 1, "b": None}, {"a": 2}],
    "matrix": [[1, 2]],
    "content": '{"x": [{"y": true}]}',
    "none": None,
    "empty": [],
}


def output(*fields: Field, **how: Any) -> dict[str, Any]:
    """The schema of a call with these fields."""
    return schema_of_output(Call("data", response=Response(fields=fields, **how)))


def test_a_shaped_answer_fits_the_schema() -> None:
    """And one that is otherwise does not."""
    fields = detect(DOCUMENT)
    schema = schema_of_fields(fields)
    assert VALIDATOR.problems(schema, shape(DOCUMENT, fields)) == []
    for other in ({"id": "x"}, {"rows": [{"b": 1}]}, {"matrix": [["x"]]}, {"content": {"x": [{"y": 1}]}}):
        assert VALIDATOR.problems(schema, shape(DOCUMENT | other, fields)) != []


def test_the_output_is_an_object_of_the_included_fields() -> None:
    """Under their names, nested, with what is always there required."""
    assert output(
        Field("id", "integer"),
        Field("secret", "text", include=False),
        Field("rows", "object", list=True, object="Row"),
        Field("rows[].at", "datetime", optional=True, name="time"),
    ) == {
        "$schema": DIALECT,
        "type": "object",
        "properties": {
            "id": {"type": "integer"},
            "rows": {
                "type": "array",
                "items": {
                    "type": "object",
                    "title": "Row",
                    "properties": {"time": {"type": ["string", "null"], "format": "date-time"}},
                },
            },
        },
        "required": ["id", "rows"],
    }


def test_lifted_fields_stand_at_the_top() -> None:
    """A list always, a single value where its place is there."""
    found = output(Field("choices[0].text", "text", name="answer"), Field("data[].id", "text", list=True, name="ids"))
    assert found["properties"] == {
        "answer": {"type": "string"},
        "ids": {"type": "array", "items": {"type": ["string", "null"]}},
    }
    assert found["required"] == ["ids"]


def test_errors_and_headers_wrap_the_output() -> None:
    """As ``/call`` answers then."""
    found = output(Field("id", "integer"), include_errors=True)
    assert list(found["properties"]) == ["status", "body", "error", "headers"]
    assert found["properties"]["body"]["properties"] == {"id": {"type": "integer"}}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("text", {"type": "string"}),
        ("number", {"type": "number"}),
        ("boolean", {"type": "boolean"}),
        ("empty", {"type": "null"}),
        ("file", {"type": "string", "contentMediaType": "application/octet-stream"}),
        ("json", {}),
    ],
)
def test_answers_without_fields(kind: str, expected: dict[str, Any]) -> None:
    """Are of their type, JSON anything."""
    assert schema_of_output(Call("data", response=Response(kind))) == {"$schema": DIALECT, **expected}


def test_a_stream_ends_in_text_fields_and_usage() -> None:
    """As its last event has them."""
    assert list(schema_of_output(Call("action", response=Response("stream")))["properties"]) == [
        "text",
        "fields",
        "usage",
    ]


def test_the_input_is_what_a_caller_gives() -> None:
    """Private parameters are not there, others are refused."""
    call = Call(
        "action",
        title="Ask",
        parameters={
            "prompt": Parameter("body", notes="What to ask"),
            "model": Parameter("body", private=True, default="m"),
            "size": Parameter("query", type="integer", required=False, default=3, choices=(1, 3)),
            "code": Parameter("query", required=False, optional=True, pattern="[a-z]+", allow_blank=True),
            "odd": Parameter("query", required=False, optional=True, pattern="(?P<x>a)"),
            "up": Parameter("body", type="file"),
            "tags": Parameter("body", type="list"),
        },
    )
    assert schema_of_input(call) == {
        "$schema": DIALECT,
        "type": "object",
        "title": "Ask",
        "properties": {
            "prompt": {"type": "string", "minLength": 1, "description": "What to ask"},
            "size": {"type": "integer", "enum": [1, 3], "default": 3},
            "code": {"type": "string", "pattern": "^(?:[a-z]+)$"},
            "odd": {"type": "string", "minLength": 1},
            "up": {"type": "string", "contentMediaType": "application/octet-stream"},
            "tags": {"type": "array"},
        },
        "additionalProperties": False,
        "required": ["prompt", "up", "tags"],
    }
