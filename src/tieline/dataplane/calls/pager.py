"""What asks for the next page of a walk, decided from one answer at a time. Sends nothing.

A walk ends because the API says so: a page without items, no next cursor, link or URL, a flag (``has_more``), all of
the total read, a status that means "past the end". What is there and cannot be used is an error, never taken for the
end, and no request is made twice.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

import orjson

from tieline.core.errors import UpstreamProtocolError
from tieline.definitions.getters import getter
from tieline.definitions.infer.links import next_link, next_listed
from tieline.definitions.infer.page_fields import PAGE_COUNTS, TOTALS, page_members, says_more
from tieline.definitions.model import Call, Pagination
from tieline.wire.framing import Headers

_COUNTED: Final = frozenset({"page", "offset"})
_STRUCTURED: Final = frozenset({"json", "object", "list"})
_CURSOR_MOST: Final = 8_192
_COMPARED_MOST: Final = 1_000
_NOT_FOUND: Final = 404


@dataclass(frozen=True, slots=True)
class PageAnswer:
    """One page as the upstream answered it: the whole document, its headers, its items."""

    document: Any
    headers: Headers
    items: list[Any]


@dataclass(frozen=True, slots=True)
class NextPage:
    """What asks for a page: ``values`` for the call's parameters, or a ``url``, which may be relative."""

    values: Mapping[str, Any]
    url: str | None = None


class Pager:
    """Follows one walk from its first page. ``given`` are the caller's values, from which it starts."""

    __slots__ = ("_asked", "_at", "_before", "_begun", "_call", "_end", "_items", "_pages", "_paging", "_tell", "_type")

    def __init__(self, call: Call, given: Mapping[str, Any]) -> None:
        assert call.pagination is not None  # asked by who walks
        self._call = call
        self._paging = paging = call.pagination
        parameter = call.parameters.get(paging.parameter or "")
        self._type = parameter.type if parameter is not None else "text"
        self._tell = getter(paging.next) if paging.next is not None else None
        self._end = _EndSigns(paging)
        own = given.get(paging.parameter or "")
        self._begun = own is None  # at the beginning, so that what was read can be held against a total
        begun = parameter.default if own is None and parameter is not None else own
        whole = _whole(begun)
        self._at = paging.start if whole is None else whole
        self._asked = {_digest(begun)} if begun is not None else set()
        self._before: list[Any] = []
        self._items = 0
        self._pages = 0

    def first(self) -> NextPage:
        """What asks for the first page: the request as it is without a walk.

        Only a parameter that the call cannot do without, and that nobody gave, is given where the pages start.
        """
        parameter = self._call.parameters.get(self._paging.parameter or "")
        is_missing = parameter is not None and parameter.required and self._begun
        if self._paging.kind in _COUNTED and is_missing:
            return NextPage(self._value(self._at))
        return NextPage({})

    def check_new(self, page: PageAnswer) -> None:
        """Raise UpstreamProtocolError where ``page`` is the one before once more: the server ignores what asks on.

        The first thousand items are compared. Pages of plain numbers or flags may well be alike.
        """
        begin = page.items[:_COMPARED_MOST]
        if begin == self._before and any(isinstance(item, dict | list | str) for item in begin):
            raise self._stuck("is the same page as before")
        self._before = begin

    def after(self, page: PageAnswer) -> NextPage | None:
        """What asks for the page after ``page``; None where that is the last one.

        Raises UpstreamProtocolError where it names a next page that cannot be asked for.
        """
        self._items += len(page.items)
        self._pages += 1
        more = self._end.says_more(page.document)
        if more is False or (not page.items and not more):
            return None
        if self._is_all(page):
            return None
        if self._paging.kind in _COUNTED:
            return self._counted(page)
        found = self._told(page)
        if found is None:
            if more:
                raise self._stuck("says that there are more pages, and not where")
            return None
        if self._paging.kind == "cursor":
            self._check_unasked(found)
            return NextPage(self._value(found))
        return NextPage({}, found)

    def is_past_end(self, status: int) -> bool:
        """Whether an answer says that there is no such page, after some that there were."""
        usual = (_NOT_FOUND,) if self._paging.kind in _COUNTED else ()
        return status in (self._paging.past_end or usual) and self._pages > 0

    def _counted(self, page: PageAnswer) -> NextPage:
        paging = self._paging
        own_step = paging.kind == "page" or paging.step > 1
        self._at += paging.step if own_step else len(page.items)
        return NextPage(self._value(self._at))

    def _is_all(self, page: PageAnswer) -> bool:
        """Whether a total that the answer tells has been read; of no use to a walk that began in the middle."""
        if not self._begun:
            return False
        total, pages = self._end.totals(page.document, len(page.items))
        return (total is not None and self._items >= total) or (pages is not None and self._pages >= pages)

    def _told(self, page: PageAnswer) -> Any:
        """The cursor or URL that the page tells; None where it tells none."""
        paging = self._paging
        if paging.kind == "link":
            return next_link(value.decode(errors="replace") for name, value in page.headers if name.lower() == b"link")
        found = self._tell(page.document) if self._tell is not None else _header(page.headers, paging.header or "")
        if found is None or found is False or found in ("", [], {}):
            return None
        if paging.kind == "cursor" and str(found) == "0":  # what comes next is never the beginning: an end by custom
            return None
        if paging.kind == "next_url" and isinstance(found, list):
            found = next_listed(found)
            if found is None:
                return None
        where = paging.next or paging.header
        if isinstance(found, str) and len(found) > _CURSOR_MOST:
            raise self._stuck(f"has more than {_CURSOR_MOST:,} characters at {where}, where the next page should be")
        if paging.kind == "next_url" and not isinstance(found, str):
            raise self._stuck(f"has no URL at {where}, which pagination.next names")
        if found is True or (isinstance(found, dict | list) and self._type not in _STRUCTURED):
            what = "true" if found is True else "an object" if isinstance(found, dict) else "a list"
            raise self._stuck(
                f"has {what} at {where}, which the parameter {paging.parameter} of type {self._type} cannot carry"
            )
        return found

    def _check_unasked(self, cursor: Any) -> None:
        digest = _digest(cursor)
        if digest in self._asked:
            raise self._stuck("leads to a page that was read before")
        self._asked.add(digest)

    def _stuck(self, what: str) -> UpstreamProtocolError:
        return UpstreamProtocolError(
            f"The walk cannot go on: the upstream's answer {what}. What came so far stands. Check the call's "
            "pagination: its parameter, next and the signs of the end."
        )

    def _value(self, value: Any) -> dict[str, Any]:
        """The pagination's parameter with ``value``, in the parameter's own type."""
        name = self._paging.parameter
        assert name is not None  # the definition has one for these kinds
        if self._type in {"integer", "number"}:
            whole = _whole(value)
            return {name: value if whole is None else whole}
        return {name: value if self._type in _STRUCTURED else str(value)}


class _EndSigns:
    """What answers say of the end of a walk, at the places that the definition names, else under well-known names."""

    __slots__ = ("_is_counted", "_last", "_more", "_pages", "_total")

    def __init__(self, paging: Pagination) -> None:
        self._is_counted = paging.kind in _COUNTED
        self._more = _optional(paging.more)
        self._last = _optional(paging.last)
        self._total = _optional(paging.total)
        self._pages = _optional(paging.pages)

    def says_more(self, document: Any) -> bool | None:
        """Whether there are further pages; None where nothing says so. Null, blank and 0 say that there are none."""
        if self._more is not None:
            return _is_set(self._more(document))
        if self._last is not None:
            return not _is_set(self._last(document))
        return says_more(document)

    def totals(self, document: Any, count: int) -> tuple[int | None, int | None]:
        """How many items and pages there are in all, as far as the answer tells.

        Unless the definition names the place, only calls that count pages themselves go by it, and not by a total
        that may be the number of items on this page.
        """
        if self._total is not None or self._pages is not None:
            return _number(self._total, document), _number(self._pages, document)
        if not self._is_counted:
            return None, None
        total = _first_number(document, TOTALS)
        return total if total is not None and total > count else None, _first_number(document, PAGE_COUNTS)


def _is_set(value: Any) -> bool:
    return bool(value) and value not in ("false", "False", "0")


def _optional(path: str | None) -> Callable[[Any], Any] | None:
    return getter(path) if path is not None else None


def _number(get: Callable[[Any], Any] | None, document: Any) -> int | None:
    return _whole(get(document)) if get is not None else None


def _first_number(document: Any, words: frozenset[str]) -> int | None:
    numbers = (_whole(value) for _, value in page_members(document, words))
    return next((number for number in numbers if number), None)


def _digest(value: Any) -> bytes:
    """A cursor's fingerprint, so that a long walk remembers little; 12 and ``"12"`` ask for the same page."""
    plain = str(value) if isinstance(value, str | int | float) else orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    return blake2b(plain.encode("utf-8", "surrogatepass") if isinstance(plain, str) else plain, digest_size=16).digest()


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
