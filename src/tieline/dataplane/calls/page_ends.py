"""What answers say of the end of a walk, and of the place where they stand in it. Knows no request.

At the places that a definition names, else under the names that are customary. A page that counts itself and leaves out
what lies between it and the one before is told: a walk that skips items must not look whole.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from tieline.core.errors import UpstreamProtocolError
from tieline.definitions.getters import getter
from tieline.definitions.infer import paths
from tieline.definitions.infer.page_fields import (
    OFFSETS,
    PAGE_COUNT_HEADERS,
    PAGE_COUNTS,
    PAGE_NUMBERS,
    PAGE_SIZES,
    TOTAL_HEADERS,
    TOTALS,
    is_lower_bound,
    page_members,
    plain_name,
    says_more,
    whole_number,
)
from tieline.definitions.model import Pagination
from tieline.wire.framing import Headers

COUNTED: Final = frozenset({"page", "offset"})
"""The kinds of pagination that count by themselves."""


class EndSigns:
    """What answers say of the end of a walk."""

    __slots__ = ("_is_counted", "_last", "_misleads", "_more", "_near", "_pages", "_total")

    def __init__(self, paging: Pagination) -> None:
        self._is_counted = paging.kind in COUNTED
        self._near = near_of(paging)
        self._misleads = False  # what is called a total is no more than what a page has
        self._more = _optional(paging.more)
        self._last = _optional(paging.last)
        self._total = paths.split(paging.total) if paging.total is not None else None
        self._pages = paths.split(paging.pages) if paging.pages is not None else None

    def says_more(self, document: Any) -> bool | None:
        """Whether there are further pages; None where nothing says so. Null, blank and 0 say that there are none."""
        if self._more is not None:
            return _is_set(self._more(document))
        if self._last is not None:
            return not _is_set(self._last(document))
        return says_more(document, self._near)

    def totals(self, document: Any, headers: Headers, count: int) -> tuple[int | None, int | None]:
        """How many items and pages there are in all, as far as the answer tells; ``count`` are on this page.

        Unless the definition names the place, only calls that count pages themselves go by it, and not by a total
        that may be the number of items on this page: one that was so once is none on later pages either. A total that
        is said to be a lower bound is none.
        """
        if self._total is not None or self._pages is not None:
            return _number(self._total, document), _number(self._pages, document)
        if not self._is_counted:
            return None, None
        total = self._first_number(document, TOTALS) or _header_number(headers, TOTAL_HEADERS)
        self._misleads = self._misleads or (total is not None and total <= count)
        total = None if self._misleads else total
        pages = self._first_number(document, PAGE_COUNTS)
        return total, pages if pages is not None else _header_number(headers, PAGE_COUNT_HEADERS)

    def _first_number(self, document: Any, words: frozenset[str]) -> int | None:
        found = page_members(document, words, self._near)
        numbers = (whole_number(value) for steps, value in found if not is_lower_bound(document, steps))
        return next((number for number in numbers if number), None)


class Places:
    """The places at which the pages of one walk say that they stand: ``offset: 20``, ``page: 3``.

    Held against each other, never against what was asked for, so that it does not matter from what an API counts.
    ``begin`` is the number that the walk begins with.
    """

    __slots__ = ("_before", "_begin", "_count", "_near", "_of_pages", "_page_step", "_step")

    def __init__(self, paging: Pagination, begin: int) -> None:
        self._near = near_of(paging)
        self._begin = begin
        self._page_step = paging.step if paging.kind == "page" else 1
        self._step = paging.step if paging.kind == "offset" else 1
        self._before: dict[paths.Steps, int] | None = None
        self._of_pages: frozenset[paths.Steps] = frozenset()
        self._count = 0  # the most items that the page before may stand for

    def check(self, document: Any, count: int) -> None:
        """Raise UpstreamProtocolError where ``document``, a page of ``count`` items, does not join the one before."""
        places = self._places(document, OFFSETS)
        pages = self._places(document, PAGE_NUMBERS)
        if self._before is None:  # what does not begin like a count is something else: a time, a price
            places = {steps: at for steps, at in places.items() if at in {0, 1, self._begin}}
            self._of_pages = frozenset(pages) - places.keys()
        for steps, at in (places | pages).items():
            before = (self._before or {}).get(steps)
            most = self._page_step if steps in self._of_pages else self._count
            if before is not None and count and most and at - before > most:
                raise UpstreamProtocolError(
                    f"The walk left items out: {paths.join(steps)} was {before} on one page and {at} on the next. What "
                    "came before stands. Check from what number the API counts, and pagination.start and step."
                )
        known = self._before.keys() if self._before is not None else places.keys() | pages.keys()
        self._before = {steps: at for steps, at in (places | pages).items() if steps in known}
        sizes = [value for value in self._places(document, PAGE_SIZES).values() if value]
        # Servers that sift a page after they have cut it hand out fewer items than it stands for.
        self._count = max(count, *sizes) if sizes else max(0, 2 * count - 1, self._step)

    def _places(self, document: Any, words: frozenset[str]) -> dict[paths.Steps, int]:
        found = ((steps, whole_number(value)) for steps, value in page_members(document, words, self._near))
        return {steps: number for steps, number in found if number is not None}


def near_of(paging: Pagination) -> paths.Steps:
    """The object that holds the list of items, where numbers of all pages often stand too."""
    return paths.reach(paths.split(paging.items))[:-1] if paging.items is not None else ()


def _is_set(value: Any) -> bool:
    return bool(value) and value not in ("false", "False", "0")


def _optional(path: str | None) -> Callable[[Any], Any] | None:
    return getter(path) if path is not None else None


def _number(steps: paths.Steps | None, document: Any) -> int | None:
    if steps is None or is_lower_bound(document, steps):
        return None
    return whole_number(getter(paths.join(steps))(document))


def _header_number(headers: Headers, words: Iterable[str]) -> int | None:
    found: Sequence[bytes] = [value for name, value in headers if plain_name(name.decode("latin-1")) in words]
    return whole_number(found[0].decode("latin-1").strip()) if len(found) == 1 else None
