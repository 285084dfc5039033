"""How the section ``usage`` is written: what kind of usage an API tells, and where one of no known kind tells it."""

from collections.abc import Mapping
from typing import Any, Final

from tieline.core.quantities import is_quantity, is_time
from tieline.definitions import values
from tieline.definitions.model import Usage, UsageSpot
from tieline.definitions.responses import PATH
from tieline.definitions.schema import Choice, Cursor, Flag, Key, Many, Named, Record, Text
from tieline.definitions.sections import HEADER_NAME

DECLARED: Final = "declared"
USAGE_KINDS: Final = ("openai", "anthropic", "gemini", DECLARED)
_NAME_RULE = "use lower-case letters, digits and _, a letter first, at most 63; times end in _seconds"


def _is_shown(name: str) -> bool:
    return is_quantity(name) and not is_time(name)


def _spot(found: Mapping[str, Any], place: Cursor) -> UsageSpot:
    paths, header = found["path"], found["header"]
    if bool(paths) == (header is not None):
        place.problem("is told in one way: give path or header, and not both")
    if header is not None:
        for key in ("event", "counts"):
            if place.has(key):
                place.key(key).problem("goes with a path; remove it")
    return UsageSpot(paths, header.lower() if header else None, found["event"], found["together"], found["counts"])


def _usage(found: Mapping[str, Any], place: Cursor) -> Usage:
    if found["kind"] == DECLARED:
        if not found["quantities"]:
            place.problem("kind: declared needs quantities; write them like {characters: {path: usage.characters}}")
        if place.has("include_usage"):
            place.key("include_usage").problem("is for kind: openai only; remove it")
        return Usage(**found)
    for key in ("model", "quantities"):
        if place.has(key):
            place.key(key).problem(f"goes with kind: {DECLARED} only: other kinds know where usage is; remove it")
    if found["kind"] != "openai" and place.has("include_usage"):
        place.key("include_usage").problem("is for kind: openai only; remove it")
    return Usage(**found)


USAGE_SPOT = Record(
    "usage spot",
    (
        Key("path", Many(PATH, 10, single=True), (), shows="required without header"),
        Key("header", HEADER_NAME, None, shows="required without path"),
        Key("event", Text("text of 1–200 characters", values.pair_name), None, shows="all events"),
        Key("together", Choice(("last", "sum", "highest")), "last"),
        Key("counts", Choice(("figure", "items")), "figure"),
    ),
    _spot,
    like="{path: usage.characters}",
)
USAGE = Record(
    "usage",
    (
        Key("kind", Choice(USAGE_KINDS)),
        Key("include_usage", Flag(), default=True),
        Key("model", PATH, None),
        Key("quantities", Named("quantity", _is_shown, _NAME_RULE, USAGE_SPOT, 50), {}),
    ),
    _usage,
    like="{kind: openai}",
)
