"""A definition with its variables filled in, and what is wrong with their values. Knows no vault: values are passed in.

A variable without a value is left out with whatever holds it: a header, a query pair, an option of auth. What is never
left out (base URL, hosts, the verify path) needs one.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias
from urllib.parse import quote

from tieline.core import urls
from tieline.definitions import template, values
from tieline.definitions.model import AuthSpec, Definition, Variable
from tieline.definitions.problems import shown

_URL = re.compile(r"https?://")
_IN_URL = re.compile(r"[A-Za-z0-9._~-]{1,200}")

Values: TypeAlias = Mapping[str, str | None]
Tell: TypeAlias = Callable[[tuple[str | int, ...], str], None]


def samples(definition: Definition) -> dict[str, str | None]:
    """A value for each variable as it may be in use: its default or first choice, None where it may be left out."""
    return {name: _sample(variable) for name, variable in definition.variables.items()}


def _sample(variable: Variable) -> str | None:
    if variable.default is not None:
        return variable.default
    if not variable.required and not variable.private:
        return None
    return next(iter(variable.choices), "x")


def fill_in(definition: Definition, found: Values, tell: Tell) -> Definition:
    """``definition`` with its variables replaced by the texts ``found``, one for each.

    ``tell`` hears of each field that then does not fit, by the way to it and what is wrong; the result means nothing
    if it was called. Slots of auth options that are no variables stay.
    """

    def in_url(text: str, check: Callable[[str], str], *way: str | int) -> str:
        filled = ""
        try:
            filled = check(_in_url(text, found))
        except ValueError as error:
            if way[0] != "hosts" or text != urls.host_of(definition.base_url):  # else base_url tells it
                tell(way, str(error) if "<" not in text else f"with its variables filled in: {error}")
        return filled

    verify = definition.verify
    if verify is not None:
        verify = replace(verify, path=in_url(verify.path, urls.target, "verify", "path"))
    headers = []
    for index, header in enumerate(definition.headers):
        if _is_there(header.value, found):
            headers.append(replace(header, value=_fill(header.value, found)))
            try:
                values.header_value(headers[-1].value or "")
            except ValueError as error:
                tell(("headers", index, "value"), f"with its variables filled in: {error}")
    return replace(
        definition,
        base_url=in_url(definition.base_url, urls.base_url, "base_url"),
        hosts=tuple(in_url(each, urls.written_host, "hosts", index) for index, each in enumerate(definition.hosts)),
        verify=verify,
        headers=tuple(headers),
        parameters=tuple(
            replace(each, value=_fill(each.value, found))
            for each in definition.parameters
            if _is_there(each.value, found)
        ),
        auth=tuple(AuthSpec(each.scheme, fill_options(each.options, found)) for each in definition.auth),
        variables={name: replace(each, default=found[name]) for name, each in definition.variables.items()},
    )


def fill_options(options: Mapping[str, Any], found: Values) -> Mapping[str, Any]:
    """Options of a scheme with their variables filled in; what holds one without a value is left out.

    Slots that are no variables are the scheme's own, and stay. In a URL's query a value is percent-encoded.
    """
    filled: Mapping[str, Any] = _filled(options, found) if found else options
    return filled


def _filled(value: Any, found: Values) -> Any:
    if isinstance(value, str):
        return _filled_text(value, found)
    if isinstance(value, Mapping):
        return {key: _filled(item, found) for key, item in value.items() if not _lacks(item, found)}
    if isinstance(value, list):
        return [_filled(item, found) for item in value if not _lacks(item, found)]
    return value


def _filled_text(text: str, found: Values) -> str:
    head, mark, query = text.partition("?") if _URL.match(text) else (text, "", "")
    return (
        template.replace_slots(head, found.get)
        + mark
        + template.replace_slots(query, lambda name: quote(found[name] or "", safe="") if name in found else None)
    )


def _lacks(value: Any, found: Values) -> bool:
    """Whether ``value`` is a text with a variable that has no value."""
    if not isinstance(value, str):
        return False
    named: list[str] = []
    template.replace_slots(value, named.append)
    return any(found.get(name, "") is None for name in named)


def _is_there(text: str | None, found: Values) -> bool:
    return text is None or all(found[name] is not None for name in template.parse(text).names())


def _fill(text: str | None, found: Values) -> str | None:
    return None if text is None else template.parse(text).render_text(_texts(found))


def _texts(found: Values) -> dict[str, str]:
    return {name: text for name, text in found.items() if text is not None}


def _in_url(text: str, found: Values) -> str:
    """``text`` filled in, where no value can change how a URL is read; raises ValueError for one that could."""
    parsed = template.parse(text)
    for name in parsed.names():
        value = found[name]
        if value is None:
            raise ValueError(f"the optional <{name}> stands in what is never left out; give the variable a default")
        if _IN_URL.fullmatch(value) is None:
            raise ValueError(f"the variable {shown(name)} goes into a URL: letters, digits and - . _ ~ only")
    return parsed.render_text(_texts(found))
