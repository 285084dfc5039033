"""OpenAI's published document and a validator for the part of JSON Schema that it uses. Knows nothing of the product.

``oneOf`` is taken as ``anyOf``: the document's own unions overlap (a verbose transcription is also a plain one).
``format`` and ``pattern`` are not looked at.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DOCUMENT = Path(__file__).resolve().parents[3] / "shared" / "data" / "openai-openapi.json"
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}


class Published:
    """The document: its schemas, its operations, and what is wrong with a value."""

    def __init__(self) -> None:
        self.document: dict[str, Any] = json.loads(DOCUMENT.read_bytes())

    def schema(self, name: str) -> dict[str, Any]:
        """A schema of the document's components."""
        found: dict[str, Any] = self.document["components"]["schemas"][name]
        return found

    def answer(self, method: str, path: str, kind: str = "application/json") -> dict[str, Any]:
        """The schema of an operation's good answer."""
        found: dict[str, Any] = self.document["paths"][path][method]["responses"]["200"]["content"][kind]["schema"]
        return found

    def problems(self, schema: dict[str, Any], value: Any, at: str = "") -> list[str]:
        """What is wrong with ``value``, one text for each place; empty when it fits."""
        return list(self._problems(schema, value, at))

    def _problems(self, schema: dict[str, Any], value: Any, at: str) -> Iterator[str]:
        if value is None and schema.get("nullable"):
            return
        if "$ref" in schema:
            yield from self._problems(self.schema(schema["$ref"].rsplit("/", 1)[-1]), value, at)
        for part in schema.get("allOf", ()):
            yield from self._problems(part, value, at)
        for word in ("anyOf", "oneOf"):
            if word in schema:
                yield from self._union(schema[word], value, at)
        yield from self._plain(schema, value, at)

    def _union(self, branches: list[dict[str, Any]], value: Any, at: str) -> Iterator[str]:
        found = [self.problems(branch, value, at) for branch in branches]
        if all(found):
            yield f"{at}: fits none of {len(branches)}, nearest: {min(found, key=len)}"

    def _plain(self, schema: dict[str, Any], value: Any, at: str) -> Iterator[str]:
        kinds = schema.get("type")
        if kinds is not None:
            kinds = kinds if isinstance(kinds, list) else [kinds]
            allowed = tuple(kind for name in kinds for kind in _TYPES[name])
            if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
                yield f"{at}: {value!r:.80} is no {kinds}"
                return
        if value not in schema.get("enum", [value]) or value != schema.get("const", value):
            yield f"{at}: {value!r:.80} is not what the document names"
        if isinstance(value, dict):
            yield from self._object(schema, value, at)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                yield from self._problems(schema.get("items", {}), item, f"{at}[{index}]")
        elif isinstance(value, int | float):
            if value < schema.get("minimum", value) or value > schema.get("maximum", value):
                yield f"{at}: {value} is out of bounds"
        elif isinstance(value, str) and not schema.get("minLength", 0) <= len(value) <= schema.get(
            "maxLength", 1 << 40
        ):
            yield f"{at}: has {len(value)} characters"

    def _object(self, schema: dict[str, Any], value: dict[str, Any], at: str) -> Iterator[str]:
        properties = schema.get("properties", {})
        yield from (f"{at}: lacks {name}" for name in schema.get("required", ()) if name not in value)
        others = schema.get("additionalProperties", True)
        for name, item in value.items():
            if name in properties:
                yield from self._problems(properties[name], item, f"{at}.{name}")
            elif others is False:
                yield f"{at}: has {name}, which is unknown"
            elif isinstance(others, dict):
                yield from self._problems(others, item, f"{at}.{name}")
