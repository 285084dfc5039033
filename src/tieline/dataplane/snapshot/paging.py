"""How the answers of a call follow each other: where a page's items are, and what asks for the page after it.

Decides from one answer at a time and sends nothing. Link headers are read by RFC 8288 section 3.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tieline.dataplane.answers.streams.paths import getter
from tieline.definitions.infer import paths
from tieline.definitions.infer.shape import Shaper
from tieline.definitions.model import Call, Field, Pagination
from tieline.wire.framing import Headers

_COUNTED = frozenset({"page", "offset"})
_NOT_FOUND = 404
_LINK = re.compile(r"<([^>]*)>((?:\s*;\s*[^\s=;,]+\s*(?:=\s*(?:\"(?:[^\"\\]|\\.)*\"|[^\s\";,]*))?)*)")
_LINK_PARAMETER = re.compile(r";\s*([^\s=;,]+)\s*(?:=\s*(?:\"((?:[^\"\\]|\\.)*)\"|([^\s\";,]*)))?")
_LINKS_MOST = 64 * 1024
_CURSOR_MOST = 8_192


class ItemShaper:
    """Finds the items of a page and hands each out in the shape of the call's fields."""

    __slots__ = ("_excluded", "_get", "_shaper")

    def __init__(self, pagination: Pagination, fields: Sequence[Field]) -> None:
        steps = paths.reach(paths.split(pagination.items)) if pagination.items is not None else None
        self._get = getter(paths.join(steps)) if steps is not None else None
        below, self._excluded = _below(steps if steps is not None else _only_list(fields), fields)
        self._shaper = Shaper(below)

    def find(self, document: Any) -> list[Any] | None:
        """The items as the upstream sent them; None where there is no list of them.

        Where the definition does not say, they are the document itself or the only list among its members.
        """
        if self._get is not None:
            found = self._get(document)
        elif isinstance(document, dict):
            lists = [value for value in document.values() if isinstance(value, list)]
            found = lists[0] if len(lists) == 1 else None
        else:
            found = document
        return found if isinstance(found, list) else None

    def shape(self, item: Any) -> Any:
        """One item as callers get it; null where its fields are all kept back."""
        return None if self._excluded else self._shaper.apply(item)


def _only_list(fields: Sequence[Field]) -> paths.Steps:
    """The place of the only list at or just below the root that ``fields`` know; the root where there is none."""
    found = {paths.split(one.path)[:1] for one in fields if one.list or None in paths.split(one.path)[1:]}
    found.discard((None,))
    return found.pop() if len(found) == 1 else ()


def _below(steps: paths.Steps, fields: Sequence[Field]) -> tuple[list[Field], bool]:
    """The fields of one item, and whether items are kept back altogether."""
    item = (*steps, None)
    found: list[Field] = []
    for one in fields:
        way = paths.split(one.path)
        if not one.include and way and len(way) <= len(item) and item[: len(way)] == way:
            return [], True
        if len(way) > len(item) and way[: len(item)] == item:
            found.append(replace(one, path=paths.join(way[len(item) :])))
    return found, False


@dataclass(frozen=True, slots=True)
class Page:
    """One answer: what it holds, its headers, how many items it has."""

    document: Any
    headers: Headers
    count: int


@dataclass(frozen=True, slots=True)
class Step:
    """What asks for the next page: ``values`` for the call's parameters, or a ``url``, which may be relative."""

    values: Mapping[str, Any]
    url: str | None = None


class Pager:
    """Follows one walk from its first page. ``given`` are the caller's values, from which it starts."""

    __slots__ = ("_at", "_get", "_kind", "_paging", "_seen")

    def __init__(self, call: Call, given: Mapping[str, Any]) -> None:
        assert call.pagination is not None  # asked by who walks
        self._paging = paging = call.pagination
        parameter = call.parameters.get(paging.parameter or "")
        self._kind = parameter.type if parameter is not None else "text"
        self._get = getter(paging.next) if paging.next is not None else None
        self._seen: Any = None
        begun = given.get(paging.parameter or "")
        if begun is None and parameter is not None:
            begun = parameter.default
        self._at = _whole(begun) if _whole(begun) is not None else paging.start

    def first(self) -> Step:
        """What asks for the first page: the caller's own values, and for pages and offsets where to start."""
        if self._paging.kind in _COUNTED:
            return Step(self._value(self._at))
        return Step({})

    def after(self, page: Page) -> Step | None:
        """What asks for the page after ``page``; None where it is the last, or says the same place as before."""
        paging = self._paging
        if paging.kind in _COUNTED:
            if page.count == 0:
                return None
            own_step = paging.kind == "page" or paging.step > 1
            self._at = (self._at or 0) + (paging.step if own_step else page.count)
            return Step(self._value(self._at))
        found = self._found(page)
        if found is None or found == self._seen:
            return None
        self._seen = found
        if paging.kind == "cursor":
            return Step(self._value(found))
        return Step({}, str(found))

    def is_beyond(self, status: int, pages: int) -> bool:
        """Whether an answer says that there is no such page, after some that there were."""
        return self._paging.kind in _COUNTED and status == _NOT_FOUND and pages > 0

    def _found(self, page: Page) -> Any:
        """The cursor or URL that the page tells; None where it tells none."""
        paging = self._paging
        if paging.kind == "link":
            return next_link(page.headers)
        found = self._get(page.document) if self._get is not None else _header(page.headers, paging.header or "")
        if isinstance(found, bool) or not isinstance(found, str | int) or found == "":
            return None
        return found if isinstance(found, int) or len(found) <= _CURSOR_MOST else None

    def _value(self, value: Any) -> dict[str, Any]:
        """The pagination's parameter with ``value``, in the parameter's own type."""
        name = self._paging.parameter
        assert name is not None  # the definition has one for these kinds
        if self._kind in {"integer", "number"}:
            whole = _whole(value)
            return {name: value if whole is None else whole}
        return {name: value if self._kind == "json" else str(value)}


def _whole(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19 else None


def _header(headers: Headers, name: str) -> str | None:
    wanted = name.lower().encode()
    found = next((value for each, value in headers if each.lower() == wanted), None)
    return found.decode("latin-1").strip() if found is not None else None


def next_link(headers: Headers) -> str | None:
    """The target of the first link with the relation ``next`` (RFC 8288 section 3); None where there is none."""
    for name, value in headers:
        if name.lower() != b"link" or len(value) > _LINKS_MOST:
            continue
        for target, relations in _links(value.decode(errors="replace")):
            if "next" in relations:
                return target
    return None


def _links(value: str) -> Iterator[tuple[str, list[str]]]:
    """Each link's target and relations; a link for another context (``anchor``) is none of this answer's."""
    for link in _LINK.finditer(value):
        relations: list[str] = []
        anchored = False
        for found in _LINK_PARAMETER.finditer(link[2]):
            said = (found[2] if found[2] is not None else found[3] or "").lower()
            if found[1].lower() == "rel" and not relations:
                relations = said.split()
            anchored = anchored or found[1].lower() == "anchor"
        if not anchored:
            yield link[1].strip(), relations
