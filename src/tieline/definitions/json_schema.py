"""A JSON Schema (2020-12) of the definition format, for editors: made from the declarations that the reader walks.

It takes whatever the reader takes, and more: what a text must look like, and what keys mean together, the reader says.
``python -m tieline.definitions.json_schema`` prints it.
"""

import json
import sys
from typing import Any

from tieline.definitions.model import ENVIRONMENTS
from tieline.definitions.parse import DEFINITION
from tieline.definitions.schema import REQUIRED, Choice, Data, Flag, Kind, Many, Named, Record, Text, Whole, Written

ADDRESS = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """The schema of a whole definition; each record stands once, among ``$defs``."""
    defs: dict[str, Any] = {}
    root = _record(DEFINITION, defs)
    root["properties"]["environments"] = {
        "type": "object",
        "properties": {name: {"type": "object"} for name in ENVIRONMENTS},
        "additionalProperties": False,
    }
    return {"$schema": ADDRESS, "title": "A definition of Tieline, tieline/v1", **root, "$defs": defs}


def text() -> str:
    """The schema as it is written to a file."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def _kind(kind: Kind, defs: dict[str, Any]) -> dict[str, Any]:
    match kind:
        case Many():
            one = _kind(kind.kind, defs)
            many = {"type": "array", "items": one, "minItems": kind.least, "maxItems": kind.most}
            return {"anyOf": [one, many]} if kind.single else many
        case Named():
            return {"type": "object", "additionalProperties": _kind(kind.kind, defs), "maxProperties": kind.most}
        case Record():
            name = kind.title.replace(" ", "_")
            if name not in defs:
                defs[name] = {}
                defs[name] = _record(kind, defs)
            return {"$ref": f"#/$defs/{name}"}
    return _scalar(kind)


def _scalar(kind: Kind) -> dict[str, Any]:
    match kind:
        case Text():
            return {"type": "string", "maxLength": kind.most, "description": kind.says}
        case Choice():
            return {"enum": list(kind.words)}
        case Flag():
            return {"type": "boolean"}
        case Whole():
            return {"type": "integer", "minimum": kind.least, "maximum": kind.most}
        case Written():
            return {"type": ["string", "number"], "description": kind.says}
        case Data():
            return {"type": "object", "description": kind.says} if kind.is_mapping else {"description": kind.says}
    raise TypeError(f"{type(kind).__name__} is no kind that a schema is made of")


def _record(record: Record, defs: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {key.name: _kind(key.kind, defs) for key in record.keys},
        "required": [key.name for key in record.keys if key.default is REQUIRED],
        "additionalProperties": bool(record.others),
    }


if __name__ == "__main__":
    sys.stdout.write(text())
