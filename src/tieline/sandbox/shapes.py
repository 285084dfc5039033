"""Making a value that fits a JSON schema, for structured outputs and tool arguments. Knows no endpoint.

Understands the part of JSON Schema that OpenAI's structured outputs allow. Where no fitting value is found the request
is refused rather than answered wrongly.
"""

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from tieline.sandbox.refusal import Refusal

_DEEPEST = 24
_FORMATS: Mapping[str, str] = {
    "date-time": "2026-01-01T12:00:00Z",
    "date": "2026-01-01",
    "time": "12:00:00Z",
    "duration": "P1D",
    "email": "someone@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_BOUNDS: Mapping[str, Callable[[float, float], bool]] = {
    "minimum": operator.ge,
    "exclusiveMinimum": operator.gt,
    "maximum": operator.le,
    "exclusiveMaximum": operator.lt,
}
_TRIED_FOR_PATTERNS = (
    *_FORMATS.values(),
    *("a", "A", "0", "1", "abc", "ABC", "Abc", "12", "123", "1234", "12345", "123456", "12:00", "1.0", "0.00", "$1.00"),
    *(
        "AB",
        "en",
        "en-GB",
        "USD",
        "ABC-123",
        "abc_123",
        "abc-abc",
        "@sandbox",
        "#aabbcc",
        "+441632960000",
        "123-45-6789",
    ),
    *(
        "a1",
        "A1",
        "a" * 8,
        "A" * 8,
        "0" * 8,
        "0" * 10,
        "0" * 16,
        "0" * 32,
        "0" * 40,
        "0" * 64,
        "2026",
        "v1.0.0",
        "1.0.0",
    ),
)


def fit(schema: Mapping[str, Any], text: str) -> Any:
    """A value that fits ``schema``, whose free texts echo ``text``; a 400 :class:`Refusal` where none is found."""
    return _Fitting(schema, text).value(schema, 0)


class _Fitting:
    def __init__(self, root: Mapping[str, Any], text: str) -> None:
        self.root = root
        self.text = text
        self.makers: Mapping[str, Callable[[Mapping[str, Any], int], Any]] = {
            "object": self.object,
            "array": self.array,
            "string": self.string,
            "integer": self.integer,
            "number": self.number,
            "boolean": lambda _schema, _depth: True,
            "null": lambda _schema, _depth: None,
        }

    def value(self, schema: Any, depth: int) -> Any:
        if depth > _DEEPEST:
            raise _unfit("it never ends")
        if not isinstance(schema, Mapping):
            return self.text
        schema = self.resolved(schema)
        for name in ("const", "default"):
            if name in schema:
                return schema[name]
        if schema.get("enum"):
            return schema["enum"][0]
        for name in ("anyOf", "oneOf"):
            if schema.get(name):
                return self.value(self.chosen(schema[name], depth), depth + 1)
        return self.makers[self.type(schema)](schema, depth)

    def resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """The schema with ``$ref`` followed and ``allOf`` merged."""
        for _ in range(_DEEPEST):
            reference = schema.get("$ref")
            if not isinstance(reference, str):
                break
            target: Any = self.root
            for step in reference.lstrip("#").strip("/").split("/") if reference != "#" else ():
                target = target.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(target, Mapping) else None
            if not isinstance(target, Mapping):
                raise _unfit(f"{reference} leads nowhere")
            schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
        for part in schema.get("allOf") or ():
            whole, part_ = dict(schema), self.resolved(part)
            whole["properties"] = {**whole.get("properties", {}), **part_.get("properties", {})}
            whole["required"] = [*whole.get("required", ()), *part_.get("required", ())]
            schema = {**part_, **whole}
        return {key: value for key, value in schema.items() if key != "allOf"}

    def chosen(self, branches: list[Any], depth: int) -> Any:
        """The first branch; deep inside, one that ends: null or a plain type."""
        if depth > 4:
            for branch in branches:
                if isinstance(branch, Mapping) and self.type(self.resolved(branch)) not in ("object", "array"):
                    return branch
        return branches[0]

    def type(self, schema: Mapping[str, Any]) -> str:
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = kind[0] if kind else None
        if kind is None:
            kind = next((word for word, sign in _SIGNS if any(name in schema for name in sign)), "string")
        if kind not in self.makers:
            raise _unfit(f"the type {kind} is unknown")
        return str(kind)

    def object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties") or {}
        required = set(schema.get("required") or ())
        made = {
            name: self.value(part, depth + 1) for name, part in properties.items() if depth <= 4 or name in required
        }
        return made | dict.fromkeys(required - made.keys(), self.text)

    def array(self, schema: Mapping[str, Any], depth: int) -> list[Any]:
        least, most = int(schema.get("minItems") or 0), schema.get("maxItems")
        length = max(least, 0 if depth > 4 or most == 0 else 1)
        return [self.value(schema.get("items", {}), depth + 1) for _ in range(length)]

    def string(self, schema: Mapping[str, Any], _depth: int) -> str:
        least, most = int(schema.get("minLength") or 0), schema.get("maxLength")
        pattern = schema.get("pattern")
        if pattern is None:
            text = _FORMATS.get(schema.get("format") or "", self.text)
            text += "." * (least - len(text))
            return text[: int(most)] if most is not None else text
        try:
            found = re.compile(pattern)
        except re.error as error:
            raise _unfit(f"{pattern!r} is no pattern: {error}") from None
        for text in (self.text, *_TRIED_FOR_PATTERNS):
            if found.search(text) and len(text) >= least and (most is None or len(text) <= most):
                return text
        raise _unfit(f"the sandbox finds no text for the pattern {pattern!r}")

    def integer(self, schema: Mapping[str, Any], depth: int) -> int:
        return int(self.number({**schema, "multipleOf": schema.get("multipleOf", 1)}, depth))

    def number(self, schema: Mapping[str, Any], _depth: int) -> float:
        step = schema.get("multipleOf") or 0
        bounds = [schema[name] for name in _BOUNDS if schema.get(name) is not None] or [1]
        for bound in bounds:
            moved = [(bound // step + move) * step for move in (0, 1, -1, 2, -2)] if step else []
            for value in moved or [bound + move for move in (0, 1, -1, 0.5, -0.5, 1e-6, -1e-6)]:
                if all(fits(value, schema[name]) for name, fits in _BOUNDS.items() if schema.get(name) is not None):
                    return float(value) if isinstance(value, float) else int(value)
        raise _unfit("no number lies within its bounds")


_SIGNS = (
    ("object", ("properties", "required", "additionalProperties")),
    ("array", ("items", "minItems")),
    ("number", ("minimum", "maximum", "multipleOf", "exclusiveMinimum", "exclusiveMaximum")),
)


def _unfit(reason: str) -> Refusal:
    return Refusal(400, f"Invalid schema: {reason}.", code="invalid_json_schema")
