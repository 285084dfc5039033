"""Holds a call's slots against its parameters and the API's variables: every slot has a value, every value a place."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from tieline.core import urls
from tieline.definitions import template, values
from tieline.definitions.fill.call import compile_call
from tieline.definitions.fill.scope import Surroundings
from tieline.definitions.model import Call, Definition, Pagination, Parameter
from tieline.definitions.problems import shown, suggestion
from tieline.definitions.schema import Cursor
from tieline.definitions.variables import Values

_BY_NAME = frozenset({"query", "header", "body"})
_BODY_BY_NAME = frozenset({"json", "form", "multipart", "graphql"})


def settle_calls(definition: Definition, found: Values, place: Cursor) -> dict[str, Call]:
    """The calls with each parameter's place filled in; notes what does not fit, with variables as in ``found``."""
    below = place.key("calls")
    settled = {}
    for name, call in definition.calls.items():
        before = len(place.findings)
        settled[name] = settle_call(call, definition, below.key(name))
        check_onward(call, definition, below.key(name))
        if len(place.findings) == before:
            check_fill(settled[name], found, below.key(name))
    return settled


def settle_call(call: Call, definition: Definition, place: Cursor) -> Call:
    """One of the calls of ``definition`` with each parameter's place filled in; notes what does not fit."""
    used: dict[str, list[str]] = {}
    for where, name, spot in _slots(call, place):
        if name in call.parameters:
            used.setdefault(name, []).append(where)
        elif name not in definition.variables:
            hint = suggestion(name, [*call.parameters, *definition.variables]) or "; add it to parameters"
            spot.problem(f"<{name}> is no parameter of this call{hint}, or write \\< for a literal <")
        elif definition.variables[name].private and where == "host":
            spot.problem(
                f"<{name}> is private and cannot name a host; a secret goes only to hosts that are written down"
            )
    settled: dict[str, Parameter] = {}
    for name, parameter in call.parameters.items():
        below = place.key("parameters").key(name)
        if name in definition.variables:
            below.problem(f"the API has a variable {shown(name)} too; call one of them otherwise")
        settled[name] = replace(parameter, place=_place_of(name, parameter, used.get(name, []), call, below))
    _check_names(call, place)
    _check_url(call, definition, place)
    return replace(call, parameters=settled)


def surroundings_of(found: Values) -> Surroundings:
    """What the values of an API's variables are to its calls."""
    return Surroundings(
        {name: text for name, text in found.items() if text is not None},
        absent=frozenset(name for name, text in found.items() if text is None),
    )


def check_fill(call: Call, found: Values, place: Cursor) -> None:
    """Note what a value could change the structure of; ``found`` are the API's variables as they may be."""
    try:
        compile_call(call, surroundings_of(found))
    except ValueError as error:
        place.problem(str(error))


def _place_of(name: str, parameter: Parameter, used: list[str], call: Call, place: Cursor) -> str:
    """Where the parameter goes: as it says, else where its slot stands."""
    where = parameter.place or (used[0] if used else "")
    if not where and f"/:{name}" in (call.path or call.url or ""):
        place.problem(f"is used nowhere; write <{name}> in the path, not :{name}")
    elif not where:
        place.problem(f"is used nowhere; write <{name}> where it belongs, or say in: query, header or body")
    elif used and where not in used:
        place.key("in").problem(f"says {where}, but <{name}> stands in the {used[0]}; correct one of the two")
    elif not used and where not in _BY_NAME:
        place.key("in").problem(f"there is no <{name}> in the {where}; write it there")
    elif not used and where == "header":
        _check_header(name, place)
    elif where == "body" and not used and call.body.type not in _BODY_BY_NAME:
        place.key("in").problem(f"a body of type {call.body.type} has no members; write <{name}> in its template")
    elif where == "body" and not used and not isinstance(call.body.template, Mapping | None):
        place.key("in").problem(f"the body's template is no mapping; write <{name}> in it")
    if parameter.type == "file" and call.body.type not in {"multipart", "raw"}:
        place.key("type").problem("a file goes into a multipart or raw body; change the body's type")
    if parameter.raw and where not in {"path", ""}:
        place.key("raw").problem("only a value in a path can be raw; remove it")
    return where


def _check_header(name: str, place: Cursor) -> None:
    try:
        values.header_name(name)
    except ValueError as error:
        place.problem(str(error))


def _slots(call: Call, place: Cursor) -> Iterator[tuple[str, str, Cursor]]:
    """Each slot of the call: where it stands, its name, and where to tell a problem."""
    if call.path is not None:
        path, mark, query = call.path.partition("?")
        yield from (("path", name, place.key("path")) for name in template.parse(path).names())
        yield from (("query", name, place.key("path")) for name in template.parse(mark + query).names())
    if call.url is not None:
        yield from _url_slots(call.url, place.key("url"))
    for where, key, pairs in (("query", "query", call.query), ("header", "headers", call.headers)):
        for index, pair in enumerate(pairs):
            spot = place.key(key).item(index).key("value")
            yield from ((where, name, spot) for name in template.parse(pair.value).names())
    body = place.key("body")
    for index, part in enumerate(call.body.fields):
        spot = body.key("fields").item(index).key("value")
        yield from (("body", name, spot) for name in template.parse(part.value).names())
    for key, data in (("template", call.body.template), ("variables", call.body.variables)):
        yield from (("body", name, body.key(key)) for name in template.names_in(data))


def _url_slots(url: str, place: Cursor) -> Iterator[tuple[str, str, Cursor]]:
    scheme, _, rest = url.partition("://")
    head, mark, query = rest.partition("?")
    host, slash, path = head.partition("/")
    for where, text in (("host", scheme + host), ("path", slash + path), ("query", mark + query)):
        yield from ((where, name, place) for name in template.parse(text).names())


def _check_names(call: Call, place: Cursor) -> None:
    """Settings that name parameters name some that there are."""
    cache, pages = call.cache, call.pagination
    for index, name in enumerate(cache.key if cache is not None else ()):
        if name not in call.parameters:
            place.key("cache").key("key").item(index).problem(_missing(name, call))
    if pages is None or pages.call is not None:  # whose parameters those are is for check_onward
        return
    _check_carriers(pages, call, place.key("pagination"))


def check_onward(call: Call, definition: Definition, place: Cursor) -> None:
    """Note what keeps another call, which ``pagination.call`` names, from asking for the pages after the first.

    Looks at that call, and is therefore no part of reading one.
    """
    pages = call.pagination
    if pages is None or pages.call is None:
        return
    spot = place.key("pagination").key("call")
    onward = definition.calls.get(pages.call)
    if onward is None:
        spot.problem(f"{shown(pages.call)} is no call of this API{suggestion(pages.call, definition.calls)}")
        return
    if onward.response.type != call.response.type:
        spot.problem(f"answers with {onward.response.type}, this call with {call.response.type}; give both one type")
    known = {*call.parameters, *pages.also, pages.parameter}
    for name, one in onward.parameters.items():
        if one.required and one.default is None and not one.private and name not in known:
            spot.problem(
                f"needs {shown(name)}, and this call has no such parameter; add it, or give it a default there"
            )
    _check_carriers(pages, onward, place.key("pagination"))


def _check_carriers(pages: Pagination, call: Call, place: Cursor) -> None:
    """The parameters that ask for further pages are some of ``call``."""
    if pages.parameter is not None and pages.parameter not in call.parameters:
        place.key("parameter").problem(_missing(pages.parameter, call))
    for name in pages.also:
        if name not in call.parameters:
            place.key("also").key(name).problem(_missing(name, call))


def _missing(name: str, call: Call) -> str:
    return f"{shown(name)} is no parameter of this call{suggestion(name, call.parameters)}"


def _check_url(call: Call, definition: Definition, place: Cursor) -> None:
    """A full URL whose host is written out goes to a host that the credential may go to."""
    if call.url is None:
        return
    host = urls.host_of(call.url)
    if not template.parse(host).names() and host.lower() not in definition.hosts:
        place.key("url").problem(
            f"the host {shown(host)} is not among hosts; add it there if the credential may go to it"
        )
