"""What asks for the next page of a walk, decided from one answer at a time. Sends nothing.

A walk ends because the API says so: a page without items, no next cursor, link or URL, a flag (``has_more``), all of
the total read, a status that means "past the end". What is there and cannot be used is an error, never taken for the
end, and no request is made twice.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

import orjson

from tieline.core.errors import UpstreamProtocolError
from tieline.dataplane.calls.page_ends import COUNTED, EndSigns, Places
from tieline.definitions.getters import getter
from tieline.definitions.infer.links import next_link, next_listed
from tieline.definitions.infer.page_fields import whole_number
from tieline.definitions.model import Call
from tieline.wire.framing import Headers

_STRUCTURED: Final = frozenset({"json", "object", "list"})
_CURSOR_MOST: Final = 8_192
COMPARED_MOST: Final = 1_000
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
    """Follows one walk from its first page. ``given`` are the caller's values, from which it starts.

    ``onward`` is the call that asks for the pages after the first, where that is another one.
    """

    __slots__ = (
        "_also", "_asked", "_at", "_before", "_begun", "_call", "_end", "_has_own_step", "_items", "_onward", "_pages",
        "_paging", "_places", "_tell",
    )  # fmt: skip

    def __init__(self, call: Call, given: Mapping[str, Any], onward: Call | None = None) -> None:
        assert call.pagination is not None  # asked by who walks
        self._call = call
        self._onward = onward or call
        self._paging = paging = call.pagination
        parameter = call.parameters.get(paging.parameter or "")
        self._tell = getter(paging.next) if paging.next is not None else None
        self._also = {name: getter(path) for name, path in paging.also.items()}
        self._end = EndSigns(paging)
        self._has_own_step = paging.kind == "page" or (paging.kind == "offset" and paging.step > 1)
        own = given.get(paging.parameter or "")
        # At the beginning, so that what was read can be held against a total: an empty cursor is there too.
        self._begun = own is None or (paging.kind == "cursor" and own == "")
        begun = parameter.default if own is None and parameter is not None else own
        whole = whole_number(begun)
        self._at = paging.start if whole is None else whole
        self._asked = {_digest(begun)} if begun is not None else set()
        self._places = Places(paging, self._at) if paging.kind in COUNTED else None
        self._before: list[Any] = []
        self._items = 0
        self._pages = 0

    def first(self) -> NextPage:
        """What asks for the first page: the request as it is without a walk.

        Only a parameter that the call cannot do without, and that nobody gave, is given where the pages start.
        """
        parameter = self._call.parameters.get(self._paging.parameter or "")
        is_missing = parameter is not None and parameter.required and self._begun
        if self._paging.kind in COUNTED and is_missing:
            return NextPage(self._values(self._at))
        return NextPage({})

    def check_new(self, page: PageAnswer) -> None:
        """Raise UpstreamProtocolError where ``page`` has the items of the one before once more, or leaves items out.

        Once more: the server ignores what asks on. In part: it counts items where the walk counts pages, so that the
        page lies one step further. The first thousand items are compared. Pages of plain numbers or flags may well be
        alike.
        """
        begin = page.items[:COMPARED_MOST]
        if begin == self._before and any(isinstance(item, dict | list | str) for item in begin):
            raise self._stuck("is the same page as before")
        if self._has_own_step and _lies_further(begin, self._before, self._paging.step):
            raise self._stuck(
                f"begins with items of the page before, from the one numbered {self._paging.step + 1} on: what "
                "pagination.parameter counts are items, not pages or larger steps"
            )
        self._before = begin
        if self._places is not None:
            self._places.check(page.document, len(page.items))

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
        if self._paging.kind in COUNTED:
            return self._counted(page)
        found = self._told(page)
        if found is None:
            if more:
                raise self._stuck("says that there are more pages, and not where")
            return None
        if self._paging.kind == "cursor":
            values = self._values(found) | self._beside(page.document)
            self._check_unasked(values if self._also else found)
            return NextPage(values)
        return NextPage({}, found)

    def is_past_end(self, status: int) -> bool:
        """Whether an answer says that there is no such page, after some that there were."""
        usual = (_NOT_FOUND,) if self._paging.kind in COUNTED else ()
        return status in (self._paging.past_end or usual) and self._pages > 0

    def _counted(self, page: PageAnswer) -> NextPage:
        self._at += self._paging.step if self._has_own_step else len(page.items)
        return NextPage(self._values(self._at))

    def _is_all(self, page: PageAnswer) -> bool:
        """Whether a total that the answer tells has been read; of no use to a walk that began in the middle."""
        if not self._begun:
            return False
        total, pages = self._end.totals(page.document, page.headers, len(page.items))
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
        self._check_carried(found, where, paging.parameter)
        return found

    def _beside(self, document: Any) -> dict[str, Any]:
        """What further parameters carry beside the cursor; those for which the page tells nothing are left out."""
        told: dict[str, Any] = {}
        for name, get in self._also.items():
            found = get(document)
            if found is None or found is False or found == "":
                continue
            self._check_carried(found, self._paging.also[name], name)
            told[name] = self._typed(name, found)
        return told

    def _check_carried(self, found: Any, where: str | None, name: str | None) -> None:
        """Raise UpstreamProtocolError where the parameter ``name`` cannot carry what was ``found``."""
        kind = self._type_of(name)
        if name is not None and (found is True or (isinstance(found, dict | list) and kind not in _STRUCTURED)):
            what = "true" if found is True else "an object" if isinstance(found, dict) else "a list"
            raise self._stuck(f"has {what} at {where}, which the parameter {name} of type {kind} cannot carry")

    def _type_of(self, name: str | None) -> str:
        parameter = self._onward.parameters.get(name or "")
        return parameter.type if parameter is not None else "text"

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

    def _values(self, value: Any) -> dict[str, Any]:
        """The pagination's parameter with ``value``, in the parameter's own type."""
        name = self._paging.parameter
        assert name is not None  # the definition has one for these kinds
        return {name: self._typed(name, value)}

    def _typed(self, name: str, value: Any) -> Any:
        kind = self._type_of(name)
        if kind in {"integer", "number"}:
            whole = whole_number(value)
            return value if whole is None else whole
        return value if kind in _STRUCTURED else str(value)


def _lies_further(begin: list[Any], before: list[Any], step: int) -> bool:
    """Whether a page begins with what the one before has behind its first ``step`` items; two of them differ."""
    again = before[step:]
    is_told_apart = any(item != again[0] and isinstance(item, dict | list | str) for item in again)
    return is_told_apart and begin[: len(again)] == again


def _digest(value: Any) -> bytes:
    """A cursor's fingerprint, so that a long walk remembers little; 12 and ``"12"`` ask for the same page."""
    plain = str(value) if isinstance(value, str | int | float) else orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    return blake2b(plain.encode("utf-8", "surrogatepass") if isinstance(plain, str) else plain, digest_size=16).digest()


def _header(headers: Headers, name: str) -> str | None:
    wanted = name.lower().encode()
    found = next((value for each, value in headers if each.lower() == wanted), None)
    return found.decode("latin-1").strip() if found is not None else None
