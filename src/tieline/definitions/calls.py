"""How a call is written: its request, parameters and settings. Slots are held against parameters in ``slots``."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Literal

from tieline.core import urls
from tieline.core.names import is_api_name, is_parameter_name
from tieline.definitions import values
from tieline.definitions.bodies import BODY, slots
from tieline.definitions.fill.pattern import Pattern
from tieline.definitions.model import Body, Cache, Call, Pagination, Pair, Parameter, Response
from tieline.definitions.responses import PATH, PATH_TO_ONE, RESPONSE
from tieline.definitions.schema import Choice, Cursor, Data, Flag, Key, Many, Named, Record, Text, Whole
from tieline.definitions.sections import (
    API_NAME_RULE,
    HEADER_NAME,
    NAME_RULE,
    NOTES,
    TITLE,
    bounded,
    day,
    refuse_secret,
    slotted,
)

MOST_CALLS = 5000
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_DOCUMENTS = frozenset({"json", "xml", "csv"})
_PASSED_ON = frozenset({"file", "image", "stream"})
_TEXT = 65_536
_PATTERN_LENGTH = 500


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_date(value: Any) -> bool:
    try:
        return isinstance(value, str) and day(value) == value
    except ValueError:
        return False


def _is_datetime(value: Any) -> bool:
    """Whether ``value`` is text by RFC 3339 section 5.6."""
    if not isinstance(value, str) or re.fullmatch(r"[0-9-]{10}[Tt][0-9:.]{8,18}(?:[Zz]|[+-][0-9:]{5})", value) is None:
        return False
    try:
        datetime.fromisoformat(value.upper())
    except ValueError:
        return False
    return True


PARAMETER_TYPES: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "text": ("text in quotes", lambda value: isinstance(value, str)),
    "number": ("a number", _is_number),
    "integer": ("a whole number", lambda value: isinstance(value, int) and not isinstance(value, bool)),
    "boolean": ("true or false", lambda value: isinstance(value, bool)),
    "date": ("a date such as 2026-08-21 in quotes", _is_date),
    "datetime": ("a time such as 2026-08-21T10:00:00Z in quotes", _is_datetime),
    "json": ("any value", lambda _: True),
    "list": ("a list", lambda value: isinstance(value, list)),
    "object": ("a mapping", lambda value: isinstance(value, dict)),
    "file": ("nothing: a file has no default and no choices", lambda _: False),
}
PLACES = ("path", "query", "header", "body", "host")


def _pattern(text: str) -> str:
    Pattern(text)
    return text


def _parameter(found: Mapping[str, Any], place: Cursor) -> Parameter:
    _check_presence(found, place)
    _check_values(found, place)
    kind, where = found["type"], found["in"]
    if kind == "file" and where not in {None, "body"}:
        place.key("in").problem("a file goes into a body; write in: body")
    if kind in {"list", "object"} and where in {"path", "host", "header"}:
        place.key("in").problem(f"a {kind} does not go into a {where}; use json or text")
    if found["raw"] and where not in {None, "path"}:
        place.key("raw").problem("only a value in a path can be raw; remove it")
    if found["pattern"] is not None and kind != "text":
        place.key("pattern").problem("only text has a pattern; remove it")
    fixed = found["default"] is not None or found["optional"] or found["private"]
    rest = {name: found[name] for name in found if name not in {"in", "required"}}
    required = not fixed if found["required"] is None else found["required"]
    return Parameter(place=found["in"] or "", required=required, **rest)


def _check_presence(found: Mapping[str, Any], place: Cursor) -> None:
    """What happens when the caller does not give the parameter must be said once."""
    if place.has("default") and found["default"] is None:
        place.key("default").problem("has no value; give one, or write optional: true")
    given = found["default"] is not None
    if found["required"] and given:
        place.key("required").problem("a parameter with a default is never missing; remove one of the two")
    if found["required"] and found["optional"]:
        place.key("required").problem("is against optional: true; remove one of the two")
    if found["private"] and (found["required"] or found["optional"]):
        place.key("private").problem("a private parameter is fixed on the server; remove required and optional")
    if given and found["optional"]:
        place.key("optional").problem("a parameter with a default is never left out; remove one of the two")
    if found["required"] is False and not (given or found["optional"] or found["private"]):
        place.key("required").problem("say what happens without it: give a default, or optional: true")


def _check_values(found: Mapping[str, Any], place: Cursor) -> None:
    what, fits = PARAMETER_TYPES[found["type"]]
    default, choices = found["default"], found["choices"]
    if default is not None and not fits(default):
        place.key("default").problem(f"does not fit type {found['type']}; expected {what}")
    for index, choice in enumerate(choices):
        if not fits(choice):
            place.key("choices").item(index).problem(f"does not fit type {found['type']}; expected {what}")
    if choices and default is not None and default not in choices:
        place.key("default").problem("is not one of the choices; add it or choose another")
    name = place.names()[-1] if found["private"] else ""  # a caller's own page_token may well have a default
    refuse_secret(name, default, place, "leave it out and write private: true", key="default")
    if default == "" and not found["allow_blank"]:
        place.key("default").problem("is blank; write allow_blank: true, or give another")


def _pair(found: Mapping[str, Any], place: Cursor) -> Pair:
    refuse_secret(found["name"], found["value"], place, "write a slot of a private parameter in its place")
    return Pair(found["name"], found["value"])


def _pagination(found: Mapping[str, Any], place: Cursor) -> Pagination:
    needed = {
        "page": ("parameter",),
        "offset": ("parameter",),
        "cursor": ("parameter",),
        "link": (),
        "next_url": ("next",),
    }
    kind = found["kind"]
    for name in needed[kind]:
        if found[name] is None:
            place.problem(f'the key "{name}" is missing; pagination by {kind} needs it')
    if kind == "cursor" and (found["next"] is None) == (found["header"] is None):
        place.problem("a cursor is found by next (in the body) or header; give one of them")
    for name in ("also", "call"):
        if found[name] and kind != "cursor":
            place.key(name).problem(f"goes with kind: cursor only, not with {kind}; remove it")
    if found["parameter"] in found["also"]:
        place.key("also").key(found["parameter"]).problem("is the parameter itself; name further ones only")
    if found["more"] is not None and found["last"] is not None:
        place.key("last").problem("says the same as more; remove one of the two")
    return Pagination(**{name: value for name, value in found.items() if name != "most"}, **found["most"])


def _call(found: Mapping[str, Any], place: Cursor) -> Call:
    if (found["path"] is None) == (found["url"] is None):
        place.problem("a call has either path (below the base URL) or url (in full); give one of them")
    method, body = found["method"], found["body"]
    if body.type != "none" and not place.has("method"):
        place.key("body").problem("a GET has no body; say the method, such as method: POST")
    if method == "HEAD" and body.type != "none":
        place.key("body").problem("HEAD has no body; remove it")
    implied: Literal["data", "action"] = "data" if method in _READING else "action"
    use_as = found["use_as"] or implied
    if found["cache"] is not None and use_as != "data":
        place.key("cache").problem("only data calls are cached; write use_as: data, or remove it")
    kind = found["response"].type
    if found["pagination"] is not None and kind not in _DOCUMENTS:
        place.key("pagination").problem(f"an answer of type {kind} has no items; remove it, or use json, xml or csv")
    if found["cache"] is not None and kind in _PASSED_ON:
        place.key("cache").problem(f"an answer of type {kind} is passed on as it comes and not kept; remove it")
    if body.type != "none" and any(pair.name.lower() == "content-type" for pair in found["headers"]):
        place.key("headers").problem("the body says its own content type; use body.content_type")
    same = {name: value for name, value in found.items() if name not in {"use_as", "retry", "idempotency"}}
    return Call(use_as=use_as, retry_attempts=found["retry"], idempotency_header=found["idempotency"], **same)


PARAMETER = Record(
    "parameter",
    (
        Key("in", Choice(PLACES), None, shows="where its slot stands"),
        Key("type", Choice(tuple(PARAMETER_TYPES)), "text"),
        Key("required", Flag(), None, shows="true without default, optional, private"),
        Key("default", Data(), None),
        Key("private", Flag(), default=False),
        Key("optional", Flag(), default=False),
        Key("allow_blank", Flag(), default=False),
        Key("choices", Many(Data(), 500, least=1), ()),
        Key("pattern", Text("regular expression", _pattern, most=_PATTERN_LENGTH), None),
        Key("raw", Flag(), default=False),
        Key("title", TITLE, None),
        Key("notes", NOTES, None),
    ),
    _parameter,
    like="{type: text}",
)
PAIR = Record(
    "query pair",
    (Key("name", Text("text of 1–200 characters", values.pair_name)), Key("value", Text("text", slots, most=_TEXT))),
    _pair,
    like="{name: units, value: metric}",
)
CALL_HEADER = Record(
    "call header",
    (Key("name", HEADER_NAME), Key("value", Text("text", slotted(values.header_value), most=_TEXT))),
    _pair,
    like="{name: X-Version, value: '2'}",
)
CACHE = Record(
    "cache",
    (
        Key("ttl", bounded("1s", "30d")),
        Key("key", Many(Text("parameter name"), 100), (), shows="all parameters"),
    ),
    lambda found, _: Cache(**found),
    like="{ttl: 5m}",
)
MOST = Record(
    "most",
    (
        Key("items", Whole(1, 1_000_000), Pagination("page").most_items),
        Key("time", bounded("1s", "1h"), Pagination("page").most_time, shows="`60s`"),
    ),
    lambda found, _: {"most_items": found["items"], "most_time": found["time"]},
)
PAGINATION = Record(
    "pagination",
    (
        Key("kind", Choice(("page", "offset", "cursor", "link", "next_url"))),
        Key("parameter", Text("parameter name"), None),
        Key("items", PATH, None),
        Key("next", PATH_TO_ONE, None),
        Key("header", HEADER_NAME, None),
        Key("also", Named("parameter name", is_parameter_name, NAME_RULE, PATH_TO_ONE, 10), {}),
        Key("call", Text("call name"), None, shows="this call"),
        Key("start", Whole(0, 1_000_000), 0),
        Key("step", Whole(1, 100_000), 1),
        Key("more", PATH_TO_ONE, None, shows="`has_more` and its like"),
        Key("last", PATH_TO_ONE, None, shows="`is_last` and its like"),
        Key("total", PATH_TO_ONE, None, shows="`total` and its like, for `page` and `offset`"),
        Key("pages", PATH_TO_ONE, None, shows="`total_pages` and its like, for `page` and `offset`"),
        Key("past_end", Many(Whole(400, 499), 20), (), shows="404 for `page` and `offset`"),
        Key("most", MOST, {"most_items": 10_000, "most_time": 60.0}, shows="all defaults"),
    ),
    _pagination,
    like="{kind: link}",
)
CALL_RETRY = Record(
    "call retry", (Key("attempts", Whole(1, 10)),), lambda found, _: found["attempts"], like="{attempts: 3}"
)
IDEMPOTENCY = Record(
    "idempotency",
    (Key("header", HEADER_NAME, "Idempotency-Key"),),
    lambda found, _: found["header"],
    like="{header: Idempotency-Key}",
)
CALL = Record(
    "call",
    (
        Key("title", TITLE, None, shows="the call's name"),
        Key("notes", NOTES, None),
        Key("folder", TITLE, None),
        Key("use_as", Choice(("data", "action")), None, shows="`data` for GET, HEAD, OPTIONS, else `action`"),
        Key("method", Choice(("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")), "GET"),
        Key(
            "path",
            Text("path, a query may follow", slotted(urls.target), most=8000),
            None,
            shows="required without url",
        ),
        Key("url", Text("http or https URL", slotted(urls.full_url), most=8000), None, shows="required without path"),
        Key("parameters", Named("name", is_parameter_name, NAME_RULE, PARAMETER, 500), {}),
        Key("query", Many(PAIR, 500), ()),
        Key("headers", Many(CALL_HEADER, 100), ()),
        Key("body", BODY, Body(), shows="no body"),
        Key("response", RESPONSE, Response(), shows="all defaults"),
        Key("timeout", bounded("10ms", "24h"), None, shows="the API's limits"),
        Key("retry", CALL_RETRY, None, shows="the API's limits"),
        Key("idempotency", IDEMPOTENCY, None),
        Key("cache", CACHE, None),
        Key("pagination", PAGINATION, None),
        Key("follow_redirects", Flag(), default=False),
    ),
    _call,
    like="{path: /now}",
)
CALLS = Named("call name", is_api_name, API_NAME_RULE, CALL, MOST_CALLS)
