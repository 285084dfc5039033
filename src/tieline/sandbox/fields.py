"""Reading the parameters of a request, with OpenAI's refusals for what is missing or wrong. Knows no endpoint."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import orjson
from starlette.requests import Request

from tieline.sandbox.refusal import Refusal, missing

LONGEST_JSON = 64 * 1024 * 1024  # bytes of a JSON body

_TYPE_NAMES: Mapping[type, str] = {
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    list: "an array",
    dict: "an object",
    type(None): "null",
}


class Fields:
    """Named values of a JSON object, a query string or a form; null counts as absent.

    ``texts`` says that numbers and booleans arrive as text (query strings and forms). ``place`` is put before names in
    refusals, such as ``messages[0].``.
    """

    def __init__(self, values: Mapping[str, Any], *, texts: bool = False, place: str = "") -> None:
        self.values = values
        self._texts = texts
        self._place = place

    def only(self, names: Collection[str]) -> None:
        """Refuse parameters that are not in ``names``."""
        for name in self.values:
            if name not in names:
                raise Refusal(400, f"Unknown parameter: '{name}'.", param=self._place + name, code="unknown_parameter")

    def has(self, name: str) -> bool:
        """Whether the parameter is there and not null."""
        return self.values.get(name) is not None

    def any(self, name: str) -> Any:
        """The value of any type; refuses when it is missing."""
        if not self.has(name):
            raise missing(self._place + name)
        return self.values[name]

    def maybe(self, name: str) -> str | None:
        """A text or None."""
        return self._typed(name, str) if self.has(name) else None

    def text(self, name: str) -> str:
        """A text; refuses when it is missing."""
        self.any(name)
        text: str = self._typed(name, str)
        return text

    def flag(self, name: str, default: bool = False) -> bool:  # noqa: FBT001, FBT002 (a flag's default is a flag)
        """A boolean."""
        if not self.has(name):
            return default
        if self._texts and self.values[name] in ("true", "false"):
            return bool(self.values[name] == "true")
        return bool(self._typed(name, bool))

    def integer(self, name: str, lowest: int, highest: int) -> int | None:
        """A whole number within bounds, or None."""
        return self._number(name, lowest, highest, int) if self.has(name) else None

    def number(self, name: str, lowest: float, highest: float) -> float | None:
        """A number within bounds, or None."""
        return self._number(name, lowest, highest, float) if self.has(name) else None

    def object(self, name: str) -> dict[str, Any] | None:
        """An object, or None."""
        return self._typed(name, dict) if self.has(name) else None

    def objects(self, name: str) -> list[dict[str, Any]]:
        """An array of objects; empty when it is absent."""
        values = self._typed(name, list) if self.has(name) else []
        for index, value in enumerate(values):
            if not isinstance(value, dict):
                raise self._wrong_type(f"{name}[{index}]", "an object", value)
        return list(values)

    def choice(self, name: str, choices: Sequence[str], default: str) -> str:
        """One of ``choices``."""
        value = self.maybe(name)
        if value is None:
            return default
        if value not in choices:
            quoted = [f"'{choice}'" for choice in choices]
            supported = " and ".join([", ".join(quoted[:-1]), quoted[-1]]) if len(quoted) > 1 else quoted[0]
            message = f"Invalid value: '{value}'. Supported values are: {supported}."
            raise Refusal(400, message, param=self._place + name, code="invalid_value")
        return value

    def texts(self, name: str) -> list[str]:
        """A text or an array of texts, as an array; empty when it is absent."""
        value = self.values.get(name)
        if value is None:
            return []
        values = value if isinstance(value, list) else [value]
        if not all(isinstance(one, str) for one in values):
            raise self._wrong_type(name, "a string or an array of strings", value)
        return values

    def metadata(self) -> dict[str, str]:
        """The ``metadata`` object, whose values are texts."""
        found = self.object("metadata") or {}
        for key, value in found.items():
            if not isinstance(value, str):
                raise self._wrong_type(f"metadata.{key}", "a string", value)
        return found

    def _typed(self, name: str, wanted: type) -> Any:
        value = self.values[name]
        if not isinstance(value, wanted):
            raise self._wrong_type(name, _TYPE_NAMES[wanted], value)
        return value

    def _number(self, name: str, lowest: float, highest: float, wanted: type) -> Any:
        value = self.values[name]
        if self._texts and isinstance(value, str):
            try:
                value = wanted(value)
            except ValueError:
                raise self._wrong_type(name, _TYPE_NAMES[wanted], value) from None
        if isinstance(value, bool) or not isinstance(value, int if wanted is int else int | float):
            raise self._wrong_type(name, _TYPE_NAMES[wanted], value)
        word = "integer" if wanted is int else "decimal"
        if value < lowest:
            raise self._out_of_bounds(name, value, word, f"below minimum value. Expected a value >= {lowest}")
        if value > highest:
            raise self._out_of_bounds(name, value, word, f"above maximum value. Expected a value <= {highest}")
        return value

    def _out_of_bounds(self, name: str, value: float, word: str, expected: str) -> Refusal:
        message = f"Invalid '{self._place}{name}': {word} {expected}, but got {value} instead."
        side = "below_min" if expected.startswith("below") else "above_max"
        return Refusal(400, message, param=self._place + name, code=f"{word}_{side}_value")

    def _wrong_type(self, name: str, wanted: str, value: Any) -> Refusal:
        given = _TYPE_NAMES.get(type(value), "something else")
        message = f"Invalid type for '{self._place}{name}': expected {wanted}, but got {given} instead."
        return Refusal(400, message, param=self._place + name, code="invalid_type")


async def read_json(request: Request, *, optional: bool = False) -> Fields:
    """The JSON object that the request carries; ``optional`` takes an empty body for an empty object."""
    pieces = bytearray()
    async for piece in request.stream():
        pieces += piece
        if len(pieces) > LONGEST_JSON:
            raise Refusal(413, "The JSON body is larger than the sandbox takes (64 MiB).", code="request_too_large")
    request.state.body = pieces
    if optional and not pieces:
        return Fields({})
    try:
        values = orjson.loads(pieces)
    except orjson.JSONDecodeError:
        hint = "(HINT: This likely means you aren't using your HTTP library correctly.)"
        message = f"We could not parse the JSON body of your request. {hint} The API expects a JSON payload."
        raise Refusal(400, message) from None
    if not isinstance(values, dict):
        raise Refusal(400, "Invalid body: expected an object.", code="invalid_type")
    return Fields(values)


def read_query(request: Request) -> Fields:
    """The query string's parameters."""
    return Fields(dict(request.query_params), texts=True)
