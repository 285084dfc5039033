"""A definition as data and as YAML, in one canonical form: declared order, defaults left out, nothing secret in it."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from tieline.access.areas import Area
from tieline.core import urls
from tieline.core.quantities import QUANTITIES
from tieline.definitions import values
from tieline.definitions.model import (
    Body,
    Call,
    Definition,
    Field,
    Limits,
    Pagination,
    Parameter,
    Price,
    PriceRate,
    RecordedBodies,
    Response,
    SharedHeader,
    SharedParameter,
    Spot,
    Stream,
    Usage,
    UsageSpot,
    Variable,
    Verify,
)
from tieline.definitions.stored_calls import StoredCalls

_PLAIN = re.compile(r"[A-Za-z/](?:[A-Za-z0-9_./-]|(?<=[a-z0-9]) (?=[A-Za-z0-9]))*")
_READ_OTHERWISE = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})
_WIDTH = 120


def to_json(definition: Definition) -> dict[str, Any]:
    """The definition as plain data (text, numbers, true and false, lists, dicts) for JSON."""
    one = definition
    host = (urls.host_of(one.base_url),)
    return {
        "tieline": "v1",
        "api": one.api,
        **_given(
            title=one.title if one.title != one.api else None,
            documentation=one.documentation,
            notes=one.notes,
            icon=one.icon,
        ),
        "base_url": one.base_url,
        **_given(
            variables={name: _variable(each) for name, each in one.variables.items()} or None,
            environments=dict(one.environments) or None,
            hosts=list(one.hosts) if one.hosts != host else None,
            auth=_auth(one),
            headers=[_shared(each) for each in one.headers] or None,
            parameters=[_shared(each) for each in one.parameters] or None,
            drop_request_headers=list(one.drop_request_headers) or None,
            drop_response_headers=list(one.drop_response_headers) or None,
            rewrite_response_headers=list(one.rewrite_response_headers) or None,
            paths=one.paths if one.paths != "plain" else None,
            errors=one.errors if one.errors != "tieline" else None,
            audit=one.audit if one.audit != "batched" else None,
            record_bodies=_recorded(one.record_bodies) if one.record_bodies is not None else None,
            verify=_verify(one.verify) if one.verify is not None else None,
            limits=_limits(one.limits) or None,
            areas=[_area(each) for each in one.areas] or None,
            usage=_usage(one.usage) if one.usage is not None else None,
            prices_from=one.prices_from,
            prices={name: _prices(each) for name, each in one.prices.items()} or None,
            calls=_calls(one.calls) or None,
        ),
    }


def _recorded(one: RecordedBodies) -> dict[str, Any]:
    return {"most": values.size_text(one.most), "keep": values.duration_text(one.keep)}


def _usage(usage: Usage) -> dict[str, Any]:
    spots = {name: _usage_spot(spot) for name, spot in usage.quantities.items()}
    return {
        "kind": usage.kind,
        **_given(include_usage=None if usage.include_usage else False, model=usage.model, quantities=spots or None),
    }


def _usage_spot(spot: UsageSpot) -> dict[str, Any]:
    return _given(
        path=spot.paths[0] if len(spot.paths) == 1 else list(spot.paths) or None,
        header=spot.header,
        event=spot.event,
        together=spot.together if spot.together != "last" else None,
        counts=spot.counts if spot.counts != "figure" else None,
    )


def _calls(calls: Mapping[str, Call]) -> Mapping[str, Any]:
    stored = calls.as_stored() if isinstance(calls, StoredCalls) else None
    return stored if stored is not None else {name: call_to_json(each) for name, each in calls.items()}


def to_yaml(definition: Definition) -> str:
    """The definition as YAML."""
    return dump(to_json(definition))


def dump(content: Mapping[str, Any]) -> str:
    """A definition, or a part of one, as YAML that people edit."""
    return yaml.dump(
        content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=_WIDTH
    )


class _Dumper(yaml.SafeDumper):
    """Quotes every text that some reader of YAML could take for something else, and writes no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: FBT001, FBT002 -- PyYAML's
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    lines = text.split("\n")
    if len(lines) > 1 and text.isascii() and all(line.isprintable() and line == line.strip() for line in lines if line):
        style = "|" if lines[0] and not text.endswith("\n\n") else '"'
    else:
        style = "" if _PLAIN.fullmatch(text) and text.lower() not in _READ_OTHERWISE else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def _given(**found: Any) -> dict[str, Any]:
    return {name: value for name, value in found.items() if value is not None}


def _differing(one: object, other: object, names: Iterable[str]) -> dict[str, Any]:
    """The attributes of ``one`` that differ from those of ``other``, which holds the defaults."""
    found = {name: getattr(one, name) for name in names if getattr(one, name) != getattr(other, name)}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}


def _variable(one: Variable) -> dict[str, Any]:
    found = _differing(one, Variable(), ("title", "default", "choices", "private"))
    return found | ({"required": one.required} if one.required != (one.default is None) else {})


def _auth(one: Definition) -> Any:
    specs = [{"scheme": each.scheme, **each.options} for each in one.auth]
    return specs[0] if len(specs) == 1 else specs or None


def _shared(one: SharedHeader | SharedParameter) -> dict[str, Any]:
    where = {"in": one.place} if isinstance(one, SharedParameter) else {}
    return {"name": one.name, **where, **_differing(one, SharedHeader("", None), ("value", "private", "when"))}


def _verify(one: Verify) -> dict[str, Any]:
    found: dict[str, Any] = {"method": one.method, "path": one.path}
    return found | ({"expect": list(one.expect)} if one.expect != Verify().expect else {})


def _limits(one: Limits) -> dict[str, Any]:
    times = _differing(one, Limits(), ("connect", "first_byte", "idle", "total"))
    return _given(
        timeout={name: values.duration_text(seconds) for name, seconds in times.items()} or None,
        body=values.size_text(one.body) if one.body != Limits().body else None,
        retry={"attempts": one.retry_attempts} if one.retry_attempts != Limits().retry_attempts else None,
        **one.traffic.to_json(),
        breaker=None if one.breaker else False,
        connections=one.connections,
    )


def _area(one: Area) -> dict[str, Any]:
    return _given(
        area=one.name,
        title=one.title if one.title != one.name else None,
        levels=[str(level) for level in one.levels] or None,
        parent=one.parent,
        match=[str(rule) for rule in one.rules] or None,
    )


def _prices(every: tuple[Price, ...]) -> Any:
    return _price(every[0]) if len(every) == 1 else [_price(each) for each in every]


def _price(one: Price) -> dict[str, Any]:
    found = _given(date=one.date, source=one.source)
    found |= _given(**{"from": one.begins}, until=one.ends, window=one.window, most_output=one.most_output)
    tiers = {tier: _rates(rates) for tier, rates in one.tiers.items()}
    return found | _given(rates=_rates(one.rates) or None, tiers=tiers or None)


def _rates(rates: Mapping[str, PriceRate]) -> dict[str, Any]:
    return {
        QUANTITIES[name].shown: _given(
            usd=format(each.usd, "f"),
            per=each.per,
            above=[{"tokens": tokens, "usd": format(usd, "f")} for tokens, usd in each.above] or None,
        )
        for name, each in rates.items()
    }


def call_to_json(one: Call) -> dict[str, Any]:
    """A call as a definition writes it, defaults left out."""
    found = _differing(one, Call(one.use_as), ("title", "notes", "folder"))
    found |= {"use_as": one.use_as, "method": one.method}
    found |= _given(
        path=one.path,
        url=one.url,
        parameters={name: parameter_to_json(each) for name, each in one.parameters.items()} or None,
        query=[{"name": each.name, "value": each.value} for each in one.query] or None,
        headers=[{"name": each.name, "value": each.value} for each in one.headers] or None,
        body=_body(one.body) if one.body != Body() else None,
        response=response_to_json(one.response) if one.response != Response() else None,
        timeout=values.duration_text(one.timeout) if one.timeout is not None else None,
        retry={"attempts": one.retry_attempts} if one.retry_attempts is not None else None,
        idempotency={"header": one.idempotency_header} if one.idempotency_header is not None else None,
        cache=_cache(one),
        pagination=pagination_to_json(one.pagination) if one.pagination is not None else None,
        follow_redirects=one.follow_redirects or None,
    )
    return found


def parameter_to_json(one: Parameter) -> dict[str, Any]:
    """A parameter as a definition writes it."""
    found: dict[str, Any] = {"in": one.place, "type": one.type}
    if one.required != (one.default is None and not one.optional and not one.private):
        found["required"] = one.required
    names = ("default", "private", "optional", "allow_blank", "choices", "pattern", "raw", "title", "notes")
    return found | _differing(one, Parameter(one.place), names)


def _body(one: Body) -> dict[str, Any]:
    found = {"type": one.type} | _differing(one, Body(), ("template",))
    if one.fields:
        found["fields"] = [
            _given(name=each.name, value=each.value, filename=each.filename, content_type=each.content_type)
            for each in one.fields
        ]
    return found | _differing(one, Body(), ("content_type", "query", "variables", "operation_name"))


def response_to_json(one: Response) -> dict[str, Any]:
    """A response as a definition writes it."""
    found: dict[str, Any] = {"type": one.type}
    if one.fields:
        found["fields"] = fields_to_json(one.fields)
    found |= _differing(one, Response(), ("include_errors", "capture_headers", "unknown"))
    if one.stream is not None and one.stream != Stream():
        found["stream"] = stream_to_json(one.stream)
    return found


def stream_to_json(one: Stream) -> dict[str, Any]:
    """The shape of a stream as a definition writes it."""
    events = [_given(name=each.name, fields=fields_to_json(each.fields) or None) for each in one.events]
    return _given(
        preset=one.preset,
        format=one.format if one.format != Stream().format else None,
        text=_spot(one.text),
        usage=_spot(one.usage),
        done=_spot(one.done),
        error=_spot(one.error),
        end=one.end,
        events=events or None,
    )


def _spot(one: Spot | None) -> dict[str, Any] | None:
    return _given(path=one.path, event=one.event, parse=one.parse or None) if one is not None else None


def fields_to_json(fields: Iterable[Field]) -> list[dict[str, Any]]:
    """Fields as a definition writes them."""
    names = ("list", "include", "name", "object", "parse", "optional", "undecided", "pinned", "sample")
    return [{"path": one.path, "type": one.type, **_differing(one, Field("", ""), names)} for one in fields]


def _cache(one: Call) -> dict[str, Any] | None:
    if one.cache is None:
        return None
    return {"ttl": values.duration_text(one.cache.ttl), **_differing(one.cache, type(one.cache)(0), ("key",))}


def pagination_to_json(one: Pagination) -> dict[str, Any]:
    """How answers follow each other, as a definition writes it."""
    plain = Pagination(one.kind)
    most: Mapping[str, Any] = _given(
        items=one.most_items if one.most_items != plain.most_items else None,
        time=values.duration_text(one.most_time) if one.most_time != plain.most_time else None,
    )
    signs = ("more", "last", "total", "pages", "past_end")
    found = _differing(one, plain, ("parameter", "items", "next", "header", "also", "call", "start", "step", *signs))
    return {"kind": one.kind, **found, **({"most": dict(most)} if most else {})}
