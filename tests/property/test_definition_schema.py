"""docs/definition.schema.json beside the reader: what the one admits and the other takes.

The schema says less: it knows shapes, keys and bounds, not what a URL or a path is. So of what it admits the reader may
refuse values, never a key, a kind or a count; and whatever the reader takes, the schema admits.
"""

import random
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.definitions.test_json_schema import misfits
from tieline.definitions.json_schema import json_schema
from tieline.definitions.parse import parse_data
from tieline.definitions.problems import DefinitionError
from tieline.schemes.registry import SCHEMES

ROOT = json_schema()
DELETED = object()
ODD: list[Any] = [
    DELETED, None, True, 1, -1, 1.5, 1e300, 10**30, "", "x", "<a>", "a" * 300, "\n", "*", [], {}, [1], {"a": 1},
]  # fmt: skip
# What a text is made of, by a word of what the schema says that it is.
TEXTS = {
    "URL": "https://h.example/v1", "path": "/a", "header name": "X-A", "duration": "5s", "size": "1MiB",
    "date": "2026-08-21", "API name": "one", "area name": "area", "scheme name": "bearer", "host": "h.example",
    "1–2": "A", "media type": "a/b",
}  # fmt: skip
OTHER_TEXTS = ["<a>", "", "é", "*", " x", "$.a", "x" * 400]


def is_shape(message: str) -> bool:
    """Whether a problem is one that the schema ought to have told; it does not know the types of parameters."""
    return "unknown key" in message or ("expected " in message and "does not fit type" not in message)


class Maker:
    """Makes values that fit a schema, by chance."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def definition(self) -> dict[str, Any]:
        """A definition that the schema admits, with what every definition must have."""
        made: dict[str, Any] = self.value(ROOT)
        made |= {"tieline": "v1", "api": "one", "base_url": "https://h.example/v1"}
        made.pop("environments", None)  # they hold anything, as far as the schema knows
        return made

    def value(self, schema: dict[str, Any]) -> Any:
        """A value that fits ``schema``."""
        if "$ref" in schema:
            return self.value(ROOT["$defs"][schema["$ref"].rpartition("/")[2]])
        if "anyOf" in schema:
            return self.value(self.chance.choice(schema["anyOf"]))
        if "enum" in schema:
            return self.chance.choice(schema["enum"])
        kinds = schema.get("type", ["string", "number", "boolean", "object"])
        kind = self.chance.choice(kinds) if isinstance(kinds, list) else kinds
        return getattr(self, f"_{kind}")(schema)

    def _object(self, schema: dict[str, Any]) -> dict[str, Any]:
        needed, others = schema.get("required", ()), schema.get("additionalProperties")
        made = {
            name: self.value(each)
            for name, each in schema.get("properties", {}).items()
            if name in needed or self.chance.random() < 0.3
        }
        names = self.chance.sample("abc", self.chance.randrange(3)) if isinstance(others, dict) else ()
        return made | {name: self.value(others) for name in names if isinstance(others, dict)}

    def _array(self, schema: dict[str, Any]) -> list[Any]:
        least = schema.get("minItems", 0)
        return [self.value(schema["items"]) for _ in range(self.chance.randint(least, max(least, 2)))]

    def _string(self, schema: dict[str, Any]) -> str:
        said = next((text for word, text in TEXTS.items() if word in schema.get("description", "")), "word")
        return said if self.chance.random() < 0.97 else self.chance.choice(OTHER_TEXTS)

    def _integer(self, schema: dict[str, Any]) -> int:
        least = schema.get("minimum", 0)
        return self.chance.randint(least, min(schema.get("maximum", least + 5), least + 5))

    def _number(self, _: dict[str, Any]) -> float:
        return self.chance.choice([200, 404, 1.5])

    def _boolean(self, _: dict[str, Any]) -> bool:
        return self.chance.random() < 0.5


def damaged(chance: random.Random, value: Any) -> Any:
    """``value`` with something odd in one of its places, or without it."""
    way = chance.choice(list(ways(value)))
    new = chance.choice(ODD)

    def rebuilt(here: Any, rest: tuple[Any, ...]) -> Any:
        if not rest:
            return new
        if isinstance(here, dict):
            after = {name: rebuilt(each, rest[1:]) if name == rest[0] else each for name, each in here.items()}
            return {name: each for name, each in after.items() if each is not DELETED}
        after_all = [rebuilt(each, rest[1:]) if index == rest[0] else each for index, each in enumerate(here)]
        return [each for each in after_all if each is not DELETED]

    return rebuilt(value, way)


def ways(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place below ``value``."""
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, each in below:
        yield (*way, name)
        yield from ways(each, (*way, name))


@pytest.mark.parametrize("seed", range(4))
def test_reader_and_schema_agree_on_shapes(seed: int, soak: bool) -> None:
    """Of what the schema admits no key, kind or count is refused; what the reader takes is admitted. Neither breaks."""
    maker, taken = Maker(seed), 0
    for _ in range(2_000 if soak else 60):
        made = maker.definition()
        assert list(misfits(made, ROOT, ROOT)) == []
        for given in (made, *(damaged(maker.chance, made) for _ in range(3))):
            problems = refusal(given)
            if given is made:
                assert [each for each in problems if is_shape(each)] == []
            if not problems:
                taken += 1
                assert list(misfits(given, ROOT, ROOT)) == [], given
    assert taken


def refusal(given: Any) -> list[str]:
    """What the reader finds wrong."""
    try:
        parse_data(given, schemes=SCHEMES)
    except DefinitionError as error:
        return [str(each) for each in error.problems]
    return []
