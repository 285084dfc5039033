"""The JSON Schema for editors: made from the format, written down beside the documentation, true of what is read."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tieline.definitions.catalogue import load
from tieline.definitions.json_schema import json_schema, text
from tieline.definitions.parse import parse, to_json
from tieline.definitions.tree import compose, plain

TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
}
DOCS = Path(__file__).resolve().parents[3] / "docs"


def misfits(value: Any, schema: dict[str, Any], root: dict[str, Any], way: str = "") -> Iterator[str]:
    """Where ``value`` does not fit ``schema``, by the few words of JSON Schema that it uses."""
    if "$ref" in schema:
        yield from misfits(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root, way)
        return
    if "anyOf" in schema:
        if all(any(True for _ in misfits(value, one, root)) for one in schema["anyOf"]):
            yield way
        return
    wanted = schema.get("type", [])
    names = wanted if isinstance(wanted, list) else [wanted]
    is_of_type = not names or any(isinstance(value, TYPES[name]) for name in names)
    if not is_of_type or ("enum" in schema and value not in schema["enum"]):
        yield way
    elif isinstance(value, dict):
        yield from _members(value, schema, root, way)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from misfits(item, schema.get("items", {}), root, f"{way}[{index}]")


def _members(value: dict[str, Any], schema: dict[str, Any], root: dict[str, Any], way: str) -> Iterator[str]:
    yield from (f"{way}.{name} is missing" for name in schema.get("required", ()) if name not in value)
    more = schema.get("additionalProperties", True)
    for name, item in value.items():
        below = schema.get("properties", {}).get(name, more)
        if below is False:
            yield f"{way}.{name}"
        elif isinstance(below, dict):
            yield from misfits(item, below, root, f"{way}.{name}")


def test_the_schema_beside_the_documentation_is_the_formats() -> None:
    """Write it anew with ``python -m tieline.definitions.json_schema > docs/definition.schema.json``."""
    assert (DOCS / "definition.schema.json").read_text(encoding="utf-8") == text()


def test_what_is_read_fits_the_schema() -> None:
    """The catalogue's definition as it is written and in its canonical form."""
    schema = json_schema()
    written = load("openai")
    assert list(misfits(plain(compose(written)), schema, schema)) == []
    assert list(misfits(to_json(parse(written)), schema, schema)) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"titel": "x"}, [".titel"]),
        ({"auth": "bearer"}, [".auth"]),
        ({"calls": {"f": {"method": "get", "path": "/f"}}}, [".calls.f.method"]),
        ({"environments": {"staging": {}}}, [".environments.staging"]),
        ({"calls": {"f": {"body": {}}}}, [".calls.f.body.type is missing"]),
    ],
)
def test_an_editor_sees_a_slip(change: dict[str, Any], expected: list[str]) -> None:
    """Unknown keys, wrong types, wrong words, missing keys."""
    schema = json_schema()
    value = {"tieline": "v1", "api": "a", "base_url": "https://a.example", **change}
    assert list(misfits(value, schema, schema)) == expected
