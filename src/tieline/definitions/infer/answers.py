"""An answer's text as the value its response type says: JSON, XML, CSV, or a single text, number or flag."""

import re
from collections.abc import Sequence
from typing import Any

import orjson

from tieline.definitions.infer.markup import read_xml
from tieline.definitions.infer.table import read_csv
from tieline.definitions.infer.unreadable import UnreadableAnswer
from tieline.definitions.model import Field

_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,18}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})(?:[eE][+-]?[0-9]{1,3})?")
_FLAGS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def read_answer(kind: str, text: str, fields: Sequence[Field] = ()) -> Any:
    """``text`` as a response of type json, xml, csv, text, number or boolean.

    ``fields`` are those of the call, for XML (see ``read_xml``). Raises ``UnreadableAnswer`` where the text is
    something else, ``ValueError`` for a type that is not text (image, file, empty, stream).
    """
    if kind == "json":
        return _json(text)
    if kind == "xml":
        return read_xml(text, fields)
    if kind == "csv":
        return read_csv(text)
    if kind == "text":
        return text
    if kind == "number":
        return _number(text.strip())
    if kind == "boolean":
        return _flag(text.strip().lower())
    raise ValueError(f"an answer of type {kind} is not read as text")


def _json(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise UnreadableAnswer(
            f"the answer is no JSON (line {error.lineno}, column {error.colno}); check the answer's type"
        ) from None


def _number(text: str) -> int | float:
    if _WHOLE.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text):
        return float(text)
    raise UnreadableAnswer("the answer is no number; check the answer's type")


def _flag(text: str) -> bool:
    if text not in _FLAGS:
        raise UnreadableAnswer("the answer is neither true nor false; check the answer's type")
    return _FLAGS[text]
