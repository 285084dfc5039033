"""A definition from text or data, and back: the one way in. Collects problems; executes nothing.

``parse(to_yaml(definition)) == definition`` holds for every definition.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from tieline.access.areas import AreaTable
from tieline.core import urls
from tieline.core.error_shapes import ERROR_SHAPES
from tieline.definitions import template, tree, values, variables
from tieline.definitions.calls import CALLS
from tieline.definitions.canonical import to_json, to_yaml
from tieline.definitions.model import (
    ENVIRONMENTS,
    AuthSpec,
    Definition,
    Limits,
    SharedHeader,
    SharedParameter,
    private_parameters,
)
from tieline.definitions.overlay import FIXED, overlay
from tieline.definitions.prices import PRICES, PRICES_FROM
from tieline.definitions.problems import DefinitionError, Findings, Problem, shown, suggestion
from tieline.definitions.schema import Choice, Cursor, Key, Many, Named, Record, Text
from tieline.definitions.sections import (
    API,
    AREA,
    AUTH,
    HEADER,
    LIMITS,
    LINK,
    MOST_AREAS,
    NOTES,
    OVERRIDES,
    PARAMETER,
    RECORDED_BODIES,
    TITLE,
    VARIABLES,
    VERIFY,
    refuse_secret,
    slotted,
)
from tieline.definitions.slots import settle_calls
from tieline.definitions.usage import USAGE

__all__ = ["DEFINITION", "DefinitionError", "Problem", "SchemeRules", "parse", "parse_data", "to_json", "to_yaml"]


class SchemeRules(Protocol):
    """What the auth schemes say of themselves."""

    def names(self) -> Sequence[str]:
        """The schemes there are."""
        ...

    def check(self, scheme: str, options: Mapping[str, Any]) -> list[str]:
        """What is wrong with the options, one sentence each; one that begins ``<option>:`` is told at that option."""
        ...


def parse(text: str, *, schemes: SchemeRules | None = None) -> Definition:
    """The definition in ``text``, YAML or JSON of at most 4 MiB.

    Without ``schemes`` any scheme's name and options are taken. Raises DefinitionError with every problem found, at
    most 20, each with its line; no other error for any text.
    """
    return parse_tree(tree.compose(text), schemes)


def parse_data(data: Mapping[str, Any], *, schemes: SchemeRules | None = None) -> Definition:
    """As ``parse`` for data that has been read already; problems name keys, and no lines."""
    return parse_tree(tree.plant(data), schemes)


def parse_tree(root: tree.Node, schemes: SchemeRules | None) -> Definition:
    """As ``parse`` for text that was read into a tree."""
    findings = Findings()
    place = Cursor(root, findings)
    other = _other_format(root)
    if other:
        place.problem(f"this is {other}, not a definition; one begins with `tieline: v1`, `api` and `base_url`")
        findings.settle()
    definition = _environment(place, schemes)
    if definition is None or findings:
        findings.settle()
        raise DefinitionError([Problem(0, 0, "", "this is no definition")])
    environments = place.key("environments")
    for name in definition.environments:
        merged = overlay(root, environments.key(name).node)
        _environment(Cursor(merged, findings, None, f"environments.{name}"), schemes)
    findings.settle()
    return definition


def _environment(place: Cursor, schemes: SchemeRules | None) -> Definition | None:
    """What one environment sees, checked as it is served: with values as they may be, everything fits where it goes."""
    before = len(place.findings)
    definition = _read(place)
    if definition is None:
        return None
    found = variables.samples(definition)
    if len(place.findings) == before:
        variables.fill_in(definition, found, lambda way, why: place.at(way).problem(why))
    if schemes is not None:
        _check_schemes(definition, place, schemes, found)
    return replace(definition, calls=settle_calls(definition, found, place))


def _other_format(root: tree.Node) -> str:
    """What a file is that is no definition at all, empty for what may be one."""
    if root.sort is not tree.Sort.MAPPING:
        return _other_text(root.value) if root.sort is tree.Sort.TEXT else ""
    if "tieline" in root.value:
        return ""
    for keys, what in _OTHER_FORMATS.items():
        if all(key in root.value for key in keys):
            return what
    known = {key.name for key in DEFINITION.keys}
    if root.value and known.isdisjoint(root.value):
        return _other_text(" ".join(root.value))
    return ""


def _other_text(text: str) -> str:
    if text.startswith("curl "):
        return "a curl command"
    if text.startswith("<"):
        return "an HTML or XML document"
    return "another text"


_OTHER_FORMATS = {
    ("openapi",): "an OpenAPI document",
    ("swagger",): "a Swagger document",
    ("asyncapi",): "an AsyncAPI document",
    ("info", "item"): "a Postman collection",
    ("log", "entries"): "a HAR file",
    ("mcpServers",): "a list of MCP servers",
}


def read_environment(root: tree.Node) -> Definition:
    """The definition in ``root``, which is one environment's: its overrides are in place. Raises DefinitionError."""
    findings = Findings()
    definition = _read(Cursor(root, findings))
    findings.settle()
    assert definition is not None  # else a problem was found
    return definition


def _read(place: Cursor) -> Definition | None:
    """What ``place`` says, but for its calls' slots; None, or with problems noted, where it cannot be."""
    definition: Definition | None = DEFINITION.read(place)
    if definition is None:
        return None
    _check_hosts(definition, place)
    _check_slots(definition, place)
    _check_private(definition, place)
    _check_areas(definition, place)
    return definition


def _build(found: Mapping[str, Any], place: Cursor) -> Definition:
    for name in found["environments"]:
        _check_overrides(place.key("environments").key(name))
    same = {name: value for name, value in found.items() if name not in {"tieline", "title", "hosts"}}
    hosts = found["hosts"] or (urls.host_of(found["base_url"]),)
    return Definition(
        title=found["title"] or found["api"],
        hosts=hosts,
        private_parameters=private_parameters(found["calls"]),
        **same,
    )


def _check_overrides(place: Cursor) -> None:
    if place.node.sort is not tree.Sort.MAPPING:
        place.expected("a mapping of overrides")
        return
    for name in place.node.value:
        if name in FIXED:
            place.key(name).problem("cannot differ between environments; remove it here")


def _check_hosts(definition: Definition, place: Cursor) -> None:
    host = urls.host_of(definition.base_url)
    if host not in definition.hosts:
        place.key("hosts").problem(f"the host of base_url, {shown(host)}, is missing; add it, or leave hosts out")
    if len(set(definition.hosts)) < len(definition.hosts):
        place.key("hosts").problem("names a host twice; keep one of them")
    for key, text in (("base_url", host), *(("hosts", each) for each in definition.hosts)):
        for name in template.parse(text).names():
            if name in definition.variables and definition.variables[name].private:
                place.key(key).problem(f"<{name}> is private and cannot name a host; make it public")


def _check_slots(definition: Definition, place: Cursor) -> None:
    """Slots outside calls are variables."""
    texts = [("base_url", place.key("base_url"), definition.base_url)]
    texts += [("hosts", place.key("hosts"), host) for host in definition.hosts]
    if definition.verify is not None:
        texts.append(("verify", place.key("verify").key("path"), definition.verify.path))
    shared: tuple[tuple[str, Sequence[SharedHeader | SharedParameter]], ...] = (
        ("headers", definition.headers),
        ("parameters", definition.parameters),
    )
    for key, items in shared:
        texts += [(key, place.key(key).item(index), item.value or "") for index, item in enumerate(items)]
    missing: set[tuple[str, str]] = set()
    for key, spot, text in texts:
        for name in template.parse(text).names():
            if name not in definition.variables and (key, name) not in missing:
                missing.add((key, name))
                hint = suggestion(name, definition.variables) or "; add it there"
                spot.problem(f"<{name}> is not among variables{hint}, or write \\< for a literal <")


def _check_private(definition: Definition, place: Cursor) -> None:
    """Two private values of one name would share one credential field."""
    shared: tuple[tuple[str, Sequence[SharedHeader | SharedParameter]], ...] = (
        ("headers", definition.headers),
        ("parameters", definition.parameters),
    )
    for key, items in shared:
        seen: set[str] = set()
        for index, item in enumerate(items):
            name = item.name.lower() if key == "headers" else item.name
            if item.private and name in seen:
                place.key(key).item(index).problem(f"a second private {shown(item.name)}; a credential holds one")
            if item.private:
                seen.add(name)


def _check_areas(definition: Definition, place: Cursor) -> None:
    below = place.key("areas")
    by_name = {area.name: area for area in definition.areas}
    seen: set[str] = set()
    before = len(place.findings)
    for index, area in enumerate(definition.areas):
        if area.name in seen:
            below.item(index).key("area").problem(f"a second area {shown(area.name)}; give each its own name")
        seen.add(area.name)
        if area.parent is not None and (area.parent not in by_name or not by_name[area.parent].is_parent):
            parents = [each.name for each in definition.areas if each.is_parent]
            hint = suggestion(area.parent, parents) or "; add an area without levels and match"
            below.item(index).key("parent").problem(f"{shown(area.parent)} is no parent area{hint}")
    if len(place.findings) == before:
        try:
            AreaTable(definition.areas)
        except ValueError as error:
            below.problem(str(error))


def _check_schemes(definition: Definition, place: Cursor, schemes: SchemeRules, found: variables.Values) -> None:
    """Options with their variables filled in, since what a scheme makes of them is what is checked."""
    below = place.key("auth")
    for index, auth in enumerate(definition.auth):
        spot = below.item(index)
        if auth.scheme not in schemes.names():
            spot.key("scheme").problem(f"{shown(auth.scheme)} is no scheme{suggestion(auth.scheme, schemes.names())}")
            continue
        _refuse_secrets(auth, spot)
        for message in schemes.check(auth.scheme, variables.fill_options(auth.options, found)):
            option, colon, rest = message.partition(":")
            if colon and spot.has(option):
                spot.key(option).problem(rest.strip())
            else:
                spot.problem(message)


def _refuse_secrets(auth: AuthSpec, place: Cursor) -> None:
    """Headers among a scheme's options, as they are written: what a private variable fills in is no secret here."""
    for option, value in auth.options.items():
        if option.endswith("headers") and isinstance(value, Mapping):
            for name, text in value.items():
                if isinstance(text, str):
                    refuse_secret(name, text, place.key(option), "write a slot of a private variable in its place")


_NAMES = Many(Text("header name", lambda text: values.header_name(text).lower(), most=128), 100)

DEFINITION = Record(
    "definition",
    (
        Key("tieline", Choice(("v1",))),
        Key("api", API),
        Key("title", TITLE, None, shows="the API's name"),
        Key("documentation", LINK, None),
        Key("notes", NOTES, None),
        Key("icon", Text("text of 1–2 characters", values.icon), None),
        Key("base_url", Text("http or https URL", slotted(urls.base_url), most=2000)),
        Key("variables", VARIABLES, {}),
        Key(
            "environments", Named("environment", ENVIRONMENTS.__contains__, "use live or development", OVERRIDES, 2), {}
        ),
        Key(
            "hosts",
            Many(Text("host", slotted(urls.written_host), most=300, like="api.example.com"), 50),
            (),
            shows="the base URL's host",
        ),
        Key("auth", Many(AUTH, 10, single=True), ()),
        Key("headers", Many(HEADER, 100), ()),
        Key("parameters", Many(PARAMETER, 100), ()),
        Key("drop_request_headers", _NAMES, ()),
        Key("drop_response_headers", _NAMES, ()),
        Key("rewrite_response_headers", _NAMES, ()),
        Key("paths", Choice(("plain", "literal")), "plain"),
        Key("errors", Choice(tuple(ERROR_SHAPES)), "tieline"),
        Key("audit", Choice(("batched", "strict")), "batched"),
        Key("record_bodies", RECORDED_BODIES, None),
        Key("verify", VERIFY, None),
        Key("limits", LIMITS, Limits(), shows="all defaults"),
        Key("areas", Many(AREA, MOST_AREAS), ()),
        Key("usage", USAGE, None),
        Key("prices_from", PRICES_FROM, None, shows="the provider that `base_url` belongs to"),
        Key("prices", PRICES, {}),
        Key("calls", CALLS, {}),
    ),
    _build,
)
