"""Checks a file without a server: a definition, or a call as it is added to an API. Shows each mistake where it stands.

Where a file is a call, the API that it will belong to is not known: a slot that is no parameter of the call passes as a
variable of the API, unless it looks like one of the parameters written wrong.
"""

import difflib
import re
from collections.abc import Iterator, Sequence

from tieline.core.names import is_parameter_name
from tieline.core.urls import host_of, is_address, parse_address
from tieline.definitions import template, tree
from tieline.definitions.model import Definition
from tieline.definitions.parse import SchemeRules, parse_tree
from tieline.definitions.problems import DefinitionError, Findings, Problem
from tieline.definitions.schema import Cursor
from tieline.definitions.sections import looks_secret

_CALL = "call"
_INNER = (".local", ".localhost", ".internal", ".lan", ".home", ".corp", ".intranet", ".test", ".arpa")
_SHOWN_MOST = 120
_WORDS = re.compile(r"[\s'\",:=<>{}\[\]]+")


def check(text: str, *, schemes: SchemeRules | None = None) -> tuple[Problem, ...]:
    """What is wrong with the file ``text``, in the order of its lines, at most 20 problems; empty if nothing is.

    Where nothing is wrong there may be warnings.
    """
    try:
        root = tree.compose(text)
    except DefinitionError as error:
        return error.problems
    is_call = _is_call(root)
    try:
        definition = parse_tree(_api_of(root) if is_call else root, schemes)
    except DefinitionError as error:
        return tuple(_in_call(each) for each in error.problems) if is_call else error.problems
    return () if is_call else tuple(_warnings(definition, root))


def show(name: str, text: str, problems: Sequence[Problem]) -> str:
    """``problems`` of the file called ``name`` as people read them: place, what is wrong, and the line with a mark.

    A line that holds a secret, or what looks like one, is not shown: what is printed may be kept in a log.
    """
    lines = text.splitlines()
    hidden = {each.line for each in problems if "secret" in each.message}
    shown: list[str] = []
    for each in problems:
        place = f"{name}:{each.line}:{each.column}" if each.line else name
        kind = "warning: " if each.is_warning else ""
        shown.append(f"{place}: {kind}{f'{each.path}: ' if each.path else ''}{each.message}")
        line = lines[each.line - 1] if 0 < each.line <= len(lines) else ""
        if line and each.line not in hidden and not any(map(looks_secret, _WORDS.split(line))):
            shown += _excerpt(line, each.column)
    return "\n".join(shown)


def _excerpt(line: str, column: int) -> list[str]:
    """The line as far as it is shown, and a mark below what is meant; tabs and control characters are made visible."""
    begin = max(0, column - _SHOWN_MOST // 2)
    visible = line[begin : begin + _SHOWN_MOST].replace("\t", "→")
    part = "".join(letter if letter.isprintable() else "�" for letter in visible)
    return [f"    {part}", f"    {' ' * (column - 1 - begin)}^"] if column else [f"    {part}"]


def _warnings(definition: Definition, root: tree.Node) -> Iterator[Problem]:
    """A secret that goes to a public host in the open."""
    top = Cursor(root, Findings())
    places = [top, *(top.key("environments").key(name) for name in definition.environments)]
    if all(each.scheme == "none" for each in definition.auth):
        return
    for place in places:
        spot = place.key("base_url")
        url = spot.node.value if place.has("base_url") else ""
        if isinstance(url, str) and url.lower().startswith("http://") and _is_public(host_of(url)):
            yield Problem(
                *spot.at_text,
                spot.path,
                "the credential goes over the network unencrypted, where anybody on the way can read it; write https://",
                is_warning=True,
            )


def _is_public(host: str) -> bool:
    """Whether a host looks like one on the internet; which addresses may be dialled is for the guard to say."""
    if is_address(host.strip("[]")):
        return not parse_address(host.strip("[]")).is_private
    return "." in host and not host.lower().endswith(_INNER)


def _is_call(root: tree.Node) -> bool:
    is_mapping = root.sort is tree.Sort.MAPPING
    return is_mapping and "tieline" not in root.value and not {"path", "url"}.isdisjoint(root.value)


def _api_of(call: tree.Node) -> tree.Node:
    """An API that could have the call: its host among its hosts, and what may be a variable among its variables."""
    data = tree.plain(call)
    given = data.get("parameters")
    parameters = list(given) if isinstance(given, dict) else []
    names = [name for name in _names(data) if name not in parameters]
    variables = [name for name in names if not difflib.get_close_matches(name, parameters, n=1, cutoff=0.6)]
    url = data.get("url")
    root = tree.plant(
        {
            "tieline": "v1",
            "api": "api",
            "base_url": "https://api.example.com",
            "hosts": ["api.example.com", *_hosts(url)],
            "variables": {name: {} for name in variables[:100] if is_parameter_name(name)},
        }
    )
    calls = tree.Node(tree.Sort.MAPPING, {_CALL: tree.KeyedNode(0, 0, call)})
    root.value["calls"] = tree.KeyedNode(0, 0, calls)
    return root


def _names(data: object) -> tuple[str, ...]:
    try:
        return template.names_in(data)
    except ValueError:
        return ()  # told where it stands


def _hosts(url: object) -> list[str]:
    host = host_of(url) if isinstance(url, str) and "://" in url else ""
    return [host.lower()] if host and "<" not in host and host.lower() != "api.example.com" else []


def _in_call(problem: Problem) -> Problem:
    path = problem.path.removeprefix(f"calls.{_CALL}").removeprefix(".")
    return Problem(problem.line, problem.column, path, problem.message)
