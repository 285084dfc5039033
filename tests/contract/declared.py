"""What OpenAI's document declares about the places of an answer, in the words of detection. Knows nothing of detection.

Where the document says less than a value shows, more than one word is right: a ``string`` without a format may be any
text, a ``number`` whose samples are all whole may be an integer.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from tests.contract.published import Published

TEXTS = frozenset({"text", "date", "datetime", "duration", "url", "email", "image", "file"})
LINKS = frozenset({"url", "image", "file"})
_UNIX = re.compile(r"unix (?:timestamp|time)|timestamp \(in seconds\)|unix epoch", re.IGNORECASE)


class Declared:
    """The declarations below one schema."""

    def __init__(self, published: Published, schema: dict[str, Any]) -> None:
        self._published = published
        self._schema = schema

    def places(self, value: Any) -> Iterator[tuple[str, list[Any], set[str]]]:
        """Every place of a value by its path, with what stands there and the words that are declared for it."""
        found: dict[str, tuple[list[Any], set[str]]] = {}
        self._walk(value, [self._schema], "", found)
        for path, (values, words) in found.items():
            yield path, values, words

    def _walk(self, value: Any, schemas: list[Any], path: str, found: dict[str, tuple[list[Any], set[str]]]) -> None:
        plain = [each for schema in schemas for each in self._branches(schema)]
        if value is None:
            return
        plain = [schema for schema in plain if not self._published.problems(schema, value)] or plain
        if isinstance(value, dict):
            if path:
                self._note(found, path, value, {"object"})
            for name, below in value.items():
                step = name if re.fullmatch(r"[A-Za-z0-9_$-]+", name) else json.dumps(name)
                self._walk(below, _members(plain, name), f"{path}.{step}" if path else step, found)
        elif isinstance(value, list):
            items = [schema["items"] for schema in plain if "items" in schema]
            self._note(found, path, value, {"list"})
            for item in value:
                self._walk(item, items, f"{path}[]", found)
        else:
            self._note(found, path, value, {word for schema in plain for word in _words(schema)})

    @staticmethod
    def _note(found: dict[str, tuple[list[Any], set[str]]], path: str, value: Any, words: set[str]) -> None:
        values, known = found.setdefault(path, ([], set()))
        values.append(value)
        known |= words

    def _branches(self, schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The schemas without alternatives that a schema stands for."""
        if "$ref" in schema:
            yield from self._branches(self._published.schema(schema["$ref"].rsplit("/", 1)[-1]))
            return
        below = [part for word in ("allOf", "anyOf", "oneOf") for part in schema.get(word, ())]
        for part in below:
            yield from self._branches(_described(part, schema))
        if not below or "properties" in schema:
            yield schema


def _described(part: dict[str, Any], whole: dict[str, Any]) -> dict[str, Any]:
    """An alternative with the description of the whole, where it has none of its own."""
    return part if "$ref" in part or "description" not in whole else {"description": whole["description"], **part}


def _members(schemas: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    found = [schema["properties"][name] for schema in schemas if name in schema.get("properties", {})]
    others = [schema.get("additionalProperties") for schema in schemas]
    return found or [schema for schema in others if isinstance(schema, dict)]


def _words(schema: dict[str, Any]) -> set[str]:
    kinds = schema.get("type", ())
    kinds = {kinds} if isinstance(kinds, str) else set(kinds)
    kinds |= {
        _json_type(value) for value in [*schema.get("enum", ()), *([schema["const"]] if "const" in schema else ())]
    }
    words: set[str] = set()
    is_unix = schema.get("format") == "unixtime" or _UNIX.search(str(schema.get("description", ""))) is not None
    if "string" in kinds:
        words |= LINKS if schema.get("format") == "uri" else {"date"} if schema.get("format") == "date" else {"text"}
    if kinds & {"integer", "number"} and is_unix:
        words |= {"unix_time"}
    else:
        words |= kinds & {"integer", "number"}
    return words | (kinds & {"boolean"})


def _json_type(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "string" if isinstance(value, str) else "integer" if isinstance(value, int) else "number"
