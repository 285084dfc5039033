"""How each section of an API but its calls is written: the declarations that reader and documentation share."""

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from tieline.access.areas import Area, Rule, parse_rule
from tieline.access.levels import Level
from tieline.access.limits import CONCURRENT_MOST, PERIODS, RATES_MOST, UNITS_MOST, RequestLimits, RequestRate
from tieline.core import urls
from tieline.core.names import is_api_name, is_area_name, is_parameter_name
from tieline.definitions import template, values
from tieline.definitions.model import AuthSpec, Limits, RecordedBodies, SharedHeader, SharedParameter, Variable, Verify
from tieline.definitions.problems import in_form, shown
from tieline.definitions.schema import Choice, Cursor, Data, Flag, Key, Many, Named, Record, Text, Whole, Written

MOST_AREAS = 500
NAME_RULE = "use letters, digits and _, a letter first, at most 63"
API_NAME_RULE = "use lower-case letters, digits, _ and -, a letter first, at most 63"
_AREA_NAME_RULE = "use lower-case letters, digits and _, a letter first, at most 63"
_ENDINGS = re.compile("x+")
_STATUS = re.compile(r"[1-5](?:[0-9]{2}|xx)")
_RULE_LENGTH = 500
_VALUE_LENGTH = 4096
_CARRIES_SECRET = frozenset({"authorization", "cookie", "x-api-key", "api-key", "x-auth-token"})
_SECRET_NAME = re.compile(
    r"(?:.*[-_.])?(?:api[-_]?key|(?:access|auth|bearer|api|private|refresh)[-_]?token|token|secret|secret[-_]?key"
    r"|client[-_]?secret|passw(?:or)?d|access[-_]?key|private[-_]?key)",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(
    r"(?:sk|pk|rk|gh[opsu]|glpat|xox[abprs]|AKIA|AIza|eyJ|Bearer |Basic )[-_A-Za-z0-9+/=.]{8,}.*"
)
_SECRET_LEAST = 8

TITLE = Text("text of 1–200 characters", values.title)
NOTES = Text("text of up to 10,000 characters", values.notes)
LINK = Text("http or https URL", values.web_url, most=2000)
HEADER_NAME = Text("header name", values.header_name, most=128)


def named(check: Callable[[str], bool], what: str, rule: str) -> Callable[[str], str]:
    """A check that a name follows its rule."""

    def checked(text: str) -> str:
        if not check(text):
            raise ValueError(f"{shown(text)} is no {what}: {rule}{in_form(text, check)}")
        return text

    return checked


def slotted(check: Callable[[str], str]) -> Callable[[str], str]:
    """A check of text that may hold ``<slots>``, which brings it to one form: tried with a word in their places."""

    def checked(text: str) -> str:
        ending = "x" * (1 + max(map(len, _ENDINGS.findall(text.lower())), default=0))  # no word of the text ends so
        found = _tried(check, text, ending)  # the ASCII form of an international label depends on the label's length
        if not text.isascii() and _tried(check, text, f"{ending}xx") != found:
            raise ValueError("an international name beside a <slot> is written in its xn-- form")
        return found

    return checked


def _tried(check: Callable[[str], str], text: str, ending: str) -> str:
    """``text`` as ``check`` gives it back with words in place of its slots, which are put back."""
    parsed = template.parse(text)
    names = parsed.names()
    words = {name: f"v{index}{ending}" for index, name in enumerate(names)}
    one_form = template.escape(check(parsed.render_text(words)))
    return re.sub(f"v([0-9]+){ending}", lambda found: f"<{names[int(found[1])]}>", one_form) if names else one_form


def bounded(least: str, most: str) -> Text:
    """A duration between two others."""

    def checked(text: str) -> float:
        seconds = values.duration(text)
        if not values.duration(least) <= seconds <= values.duration(most):
            raise ValueError(f"must be between {least} and {most}")
        return seconds

    return Text(f"duration {least}–{most}", checked, like="30s")


def refuse_secret(
    name: str, value: object, place: Cursor, instead: str = "write private: true in its place", *, key: str = "value"
) -> None:
    """Note a problem at ``key`` where what carries a secret, or looks like one, has its value in the definition.

    ``instead`` says what to write.
    """
    if not isinstance(value, str) or template.parse(value).names():
        return
    if name.lower() in _CARRIES_SECRET:
        what = f"the header {name} carries a secret, which belongs in the vault, not in a definition"
    elif looks_secret(value) or (_SECRET_NAME.fullmatch(name) and len(value) >= _SECRET_LEAST):
        what = f"{shown(name) if name else 'this'} looks like a secret, which belongs in the vault, not in a definition"
    else:
        return
    place.key(key).problem(f"{what}; {instead}")


def looks_secret(text: str) -> bool:
    """Whether ``text`` begins as providers' keys and authorization headers do."""
    return _SECRET_VALUE.fullmatch(text) is not None


def _variable(found: Mapping[str, Any], place: Cursor) -> Variable:
    default, choices, private = found["default"], found["choices"], found["private"]
    if private and (default is not None or choices):
        place.key("private").problem("a private variable has no default and no choices; its value is in the vault")
    if choices and default is not None and default not in choices:
        place.key("default").problem("is not one of the choices; add it or choose another")
    refuse_secret(place.names()[-1], default, place, key="default")
    required = found["required"] if found["required"] is not None else default is None
    if required and default is not None:
        place.key("required").problem("a variable with a default is never missing; remove one of the two")
    return Variable(found["title"], default, choices, required, private)


def _private_or_value(found: Mapping[str, Any], place: Cursor) -> None:
    if found["private"] and found["value"] is not None:
        place.key("value").problem("a private value lives in the vault; remove it here")
    if not found["private"] and found["value"] is None:
        place.problem('the key "value" is missing; give it, or private: true for a value in the vault')


def _header(found: Mapping[str, Any], place: Cursor) -> SharedHeader:
    _private_or_value(found, place)
    refuse_secret(found["name"], found["value"], place)
    return SharedHeader(**found)


def _parameter(found: Mapping[str, Any], place: Cursor) -> SharedParameter:
    _private_or_value(found, place)
    refuse_secret(found["name"], found["value"], place)
    return SharedParameter(found["name"], found["in"], found["value"], found["private"], found["when"])


def _status(text: str) -> str:
    if _STATUS.fullmatch(text) is None:
        raise ValueError(f"{shown(text)} is no status; write it like 200 or 2xx")
    return text


def _limits(found: Mapping[str, Any], place: Cursor) -> Limits:
    rates: tuple[RequestRate, ...] = found["rates"]
    if len({rate.per for rate in rates}) < len(rates):
        place.key("rates").problem("names a period twice; keep the lower of the two")
    traffic = RequestLimits(rates, found["tokens_per_minute"], found["concurrent"], found["streams"])
    return Limits(
        **found["timeout"],
        body=found["body"],
        retry_attempts=found["retry"],
        traffic=traffic,
        breaker=found["breaker"],
        connections=found["connections"],
    )


def _body_limit(text: str) -> int:
    count = values.size(text)
    if not 1024 <= count <= 64 * 1024**3:
        raise ValueError("must be between 1KiB and 64GiB")
    return count


def _rule(text: str) -> Rule:
    if not text.isprintable():
        raise ValueError("a rule stands on one line, without control characters")
    return parse_rule(text)


def _area(found: Mapping[str, Any], place: Cursor) -> Area:
    levels = tuple(Level(word) for word in ("read", "write", "request") if word in found["levels"])
    if len(levels) < len(found["levels"]):
        place.key("levels").problem("names a level twice; name each once")
    if Level.REQUEST in levels and len(levels) > 1:
        place.key("levels").problem("request stands alone; write [request], [read], [write] or [read, write]")
    if levels and not found["match"]:
        place.problem("an area with levels needs match: the operations that belong to it")
    if found["match"] and not levels:
        place.key("match").problem("an area with operations needs levels; only a parent has neither")
    if not levels and found["parent"] is not None:
        place.key("parent").problem("a parent area has no parent of its own; remove it")
    for index, rule in enumerate(found["match"]):
        if rule.level is not None and rule.level not in levels:
            place.key("match").item(index).problem(
                f'the level "{rule.level}" is not among the area\'s levels; add it there'
            )
    return Area(found["area"], found["title"] or found["area"], levels, found["parent"], found["match"])


def day(text: str) -> str:
    """A date such as 2026-08-21."""
    try:
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            return date.fromisoformat(text).isoformat()
    except ValueError:
        pass
    raise ValueError(f"{shown(text)} is no date; write it like 2026-08-21")


VARIABLE = Record(
    "variable",
    (
        Key("title", TITLE, None),
        Key("default", Text("text", most=_VALUE_LENGTH), None),
        Key("choices", Many(Text("text", most=_VALUE_LENGTH), 200), ()),
        Key("required", Flag(), None, shows="true without a default"),
        Key("private", Flag(), default=False),
    ),
    _variable,
    like="{default: eu}",
)
VARIABLES = Named("name", is_parameter_name, NAME_RULE, VARIABLE, 100)

AUTH = Record(
    "auth",
    (Key("scheme", Text("scheme name", named(is_area_name, "scheme name", _AREA_NAME_RULE))),),
    lambda found, _: AuthSpec(found["scheme"], found["options"]),
    others="options",
    like="{scheme: bearer}",
)

_SHARED = (
    Key("value", Text("text", slotted(values.header_value), most=_VALUE_LENGTH), None, shows="required unless private"),
    Key("private", Flag(), default=False),
    Key(
        "when", Text("path, `*` at its end for all that begin so", values.path_pattern, most=2000), None, shows="always"
    ),
)
HEADER = Record("shared header", (Key("name", HEADER_NAME), *_SHARED), _header, like="{name: X-Version, value: '2'}")
PARAMETER = Record(
    "shared parameter",
    (
        Key("name", Text("text of 1–200 characters", values.pair_name)),
        Key("in", Choice(("query", "body"))),
        Key("value", Text("text", slotted(str), most=_VALUE_LENGTH), None, shows="required unless private"),
        *_SHARED[1:],
    ),
    _parameter,
    like="{name: units, in: query, value: metric}",
)

VERIFY = Record(
    "verify",
    (
        Key("method", Choice(("GET", "HEAD", "OPTIONS", "POST")), "GET"),
        Key("path", Text("path, a query may follow", slotted(urls.target), most=2000), "/"),
        Key("expect", Many(Written("status", _status), 20, single=True, least=1), ("2xx",), shows="`2xx`"),
    ),
    lambda found, _: Verify(**found),
    like="{path: /account}",
)

_LIMITS = Limits()
TIMEOUT = Record(
    "timeout",
    (
        Key("connect", bounded("10ms", "2m"), _LIMITS.connect, shows="`5s`"),
        Key("first_byte", bounded("10ms", "24h"), _LIMITS.first_byte, shows="`120s`"),
        Key("idle", bounded("10ms", "24h"), _LIMITS.idle, shows="`60s`"),
        Key("total", bounded("10ms", "24h"), _LIMITS.total, shows="`600s`"),
    ),
    lambda found, _: dict(found),
    like="{total: 30s}",
)
RETRY = Record(
    "retry",
    (Key("attempts", Whole(1, 10), _LIMITS.retry_attempts),),
    lambda found, _: found["attempts"],
    like="{attempts: 3}",
)
RATE = Record(
    "request rate",
    (Key("requests", Whole(1, UNITS_MOST)), Key("per", Choice(tuple(PERIODS)))),
    lambda found, _: RequestRate(found["requests"], found["per"]),
    like="{requests: 60, per: minute}",
)
LIMITS = Record(
    "limits",
    (
        Key("timeout", TIMEOUT, {key.name: key.default for key in TIMEOUT.keys}, shows="all defaults"),
        Key("body", Text("size 1KiB–64GiB", _body_limit, like="512MiB"), _LIMITS.body, shows="`512MiB`"),
        Key("retry", RETRY, _LIMITS.retry_attempts, shows="all defaults"),
        Key("rates", Many(RATE, RATES_MOST), ()),
        Key("tokens_per_minute", Whole(1, UNITS_MOST), None),
        Key("concurrent", Whole(1, CONCURRENT_MOST), None),
        Key("streams", Whole(1, CONCURRENT_MOST), None),
        Key("breaker", Flag(), _LIMITS.breaker),
        Key("connections", Whole(1, CONCURRENT_MOST), None),
    ),
    _limits,
    like="{timeout: {total: 30s}}",
)


def _recorded_size(text: str) -> int:
    count = values.size(text)
    if not 1024 <= count <= 48 * 1024:
        raise ValueError("must be between 1KiB and 48KiB")
    return count


_RECORDED = RecordedBodies()
RECORDED_BODIES = Record(
    "recorded bodies",
    (
        Key("most", Text("size 1KiB–48KiB", _recorded_size, like="16KiB"), _RECORDED.most, shows="`16KiB`"),
        Key("keep", bounded("1h", "30d"), _RECORDED.keep, shows="`1d`"),
    ),
    lambda found, _: RecordedBodies(**found),
    like="{most: 16KiB, keep: 7d}",
)

_AREA_NAME = Text("area name", named(is_area_name, "area name", _AREA_NAME_RULE))
AREA = Record(
    "area",
    (
        Key("area", _AREA_NAME),
        Key("title", TITLE, None, shows="the area's name"),
        Key("levels", Many(Choice(("read", "write", "request")), 3), (), shows="none: a parent"),
        Key("parent", _AREA_NAME, None),
        Key(
            "match", Many(Text("rule", _rule, most=_RULE_LENGTH, like="'GET /files'"), 2000), (), shows="none: a parent"
        ),
    ),
    _area,
    like="{area: files, levels: [read], match: ['GET /files']}",
)

OVERRIDES = Data("mapping of overrides")
API = Text("API name", named(is_api_name, "API name", API_NAME_RULE))
