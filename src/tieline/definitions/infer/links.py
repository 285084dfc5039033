"""Links with relations: ``Link`` header fields (RFC 8288 section 3), and lists of links in JSON. Linear in length.

Knows neither requests nor pages; a target is handed on as it is written, and may be relative.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

MOST_LENGTH: Final = 64 * 1024
"""Characters of one field that is read; a longer one names nothing."""
_PARAMETER: Final = re.compile(r"\s*+;\s*+([^\s=;,<>\"]++)(\s*+=\s*+)?+")
_QUOTED: Final = re.compile(r'"((?:[^"\\]++|\\.)*+)"', re.DOTALL)
_TOKEN: Final = re.compile(r'[^\s";,]*+')

_RELATION_MEMBERS: Final = ("rel", "relation")
_TARGET_MEMBERS: Final = ("href", "url", "uri")


class Link(NamedTuple):
    """One link: its target and its relation types in lower case. ``anchored`` says that it is another document's."""

    target: str
    relations: tuple[str, ...]
    anchored: bool


def next_link(values: Iterable[str]) -> str | None:
    """The target of the first link with the relation ``next`` in ``values``, the ``Link`` fields of an answer.

    A link for another context (``anchor``) is none of this answer's. None where there is none.
    """
    for value in values:
        if len(value) <= MOST_LENGTH:
            for link in links_in(value):
                if "next" in link.relations and not link.anchored:
                    return link.target
    return None


def is_list_of_links(value: Any) -> bool:
    """Whether ``value`` is a list of objects with a relation and a target, as HATEOAS, PayPal and FHIR have them."""
    return isinstance(value, list) and bool(value) and all(_target(each) is not None for each in value)


def next_listed(links: Iterable[Any]) -> str | None:
    """The target of the first of ``links``, objects of JSON, with the relation ``next``; None where there is none."""
    return next((_target(each) for each in links if "next" in _relations(each)), None)


def _relations(link: Any) -> list[str]:
    """A link's relation types in lower case: one text, or a list of them (Siren)."""
    said = next((link[name] for name in _RELATION_MEMBERS if name in link), "") if isinstance(link, dict) else ""
    texts = said if isinstance(said, list) else [said]
    return [word for text in texts if isinstance(text, str) for word in text.lower().split()]


def _target(link: Any) -> str | None:
    """Where a link leads; None for what is none."""
    if not isinstance(link, dict) or not _relations(link):
        return None
    return next((link[name] for name in _TARGET_MEMBERS if isinstance(link.get(name), str)), None)


def links_in(value: str) -> Iterator[Link]:
    """The links of one field, up to the first that is malformed."""
    place = 0
    while (start := value.find("<", place)) >= 0 and (end := value.find(">", start)) >= 0:
        parameters, place = _parameters(value, end + 1)
        relations = tuple(parameters.get("rel", "").lower().split())
        yield Link(value[start + 1 : end].strip(), relations, "anchor" in parameters)


def _parameters(value: str, place: int) -> tuple[dict[str, str], int]:
    """A link's parameters, the first of each name in lower case, and where what follows them begins."""
    found: dict[str, str] = {}
    while (name := _PARAMETER.match(value, place)) is not None:
        place = name.end()
        said: re.Match[str] | None = None
        if name[2] is not None:
            is_quoted = value.startswith('"', place)
            said = (_QUOTED if is_quoted else _TOKEN).match(value, place)
            if said is None:
                return found, len(value)  # a quote that is never closed: nothing after it can be told apart
            place = said.end()
        found.setdefault(name[1].lower(), "" if said is None else said[1] if said.re is _QUOTED else said[0])
    return found, place
