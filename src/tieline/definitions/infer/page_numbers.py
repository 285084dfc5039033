"""Calls that count their pages themselves: the parameter for a page's number or an offset, from what, in what steps."""

from typing import Final

from tieline.definitions.infer.page_fields import PAGE_SIZES, TOTALS
from tieline.definitions.infer.page_samples import PagedCall, small_number, stated_number, wires_of
from tieline.definitions.model import Pagination

_MOST_STEP: Final = 100_000
_PAGES: Final = ("page", "pagenumber", "pageno", "pageindex", "currentpage", "paged", "p", "pg")
_COUNTERS: Final = ("offset", "skip", "startat", "startindex", "start", "from", "pageoffset")
_SIZES: Final = (
    "limit", "perpage", "pagesize", "pagelimit", "size", "count", "maxresults", "maxitems", "take", "top", "rows",
    "num", "itemsperpage", "resultsperpage", "length", "first",
)  # fmt: skip
_AMBIGUOUS: Final = frozenset({"start", "from"})


def counted(samples: PagedCall) -> tuple[Pagination, str] | None:
    """How a call is paged that takes a page or offset and answers with a list, and why; None for another."""
    wires = wires_of(samples.call)
    for kind, words in (("page", _PAGES), ("offset", _COUNTERS)):
        for word in words:
            name = wires.get(word)
            if name is None or not _counts(samples, name, word):
                continue
            given = _number_given(samples, name)
            if kind == "page":
                pagination = Pagination("page", name, samples.items, start=_first_page(samples, given))
                return pagination, f"the call takes a page number, {name}, and answers with a list"
            step = _size(samples)
            pagination = Pagination("offset", name, samples.items, start=1 if given == 1 else 0, step=step)
            return pagination, f"the call takes an offset, {name}, and answers with lists of {step}"
    return None


def _stated_page(samples: PagedCall) -> int | None:
    """The number that the first answer gives itself; ``number`` is one beside a count of pages (Spring Data)."""
    is_spring = stated_number(samples, ("totalpages",)) is not None
    found = stated_number(samples, (*_PAGES, "number") if is_spring else _PAGES)
    return None if found is None else found[1]


def _first_page(samples: PagedCall, given: int | None) -> int:
    """The number of the first page: as asked for or told, or by the place that the answer says it stands at.

    An answer without a page of its own whose items are counted from 0 is likely to count pages so too (Auth0).
    """
    offset = stated_number(samples, _COUNTERS)
    if given is None:
        told = _stated_page(samples)
        return told if told in {0, 1} else 0 if told is None and offset is not None and offset[1] == 0 else 1
    size = _size(samples)
    if offset is not None and not offset[1] % size and given - offset[1] // size in {0, 1}:
        return given - offset[1] // size
    return given if given in {0, 1} else 1


def _counts(samples: PagedCall, name: str, word: str) -> bool:
    """Whether a parameter can be counted up: a number, or text that was one.

    ``start`` and ``from`` are as often the time that a period begins: a number must show that they count, or a total
    of more items than came.
    """
    parameter = samples.call.parameters[name]
    is_numeric = parameter.type in {"integer", "number"}
    given = samples.pages[0].given.get(name, parameter.default)
    if given is None and word in _AMBIGUOUS:
        total = stated_number(samples, TOTALS)
        has_more = total is not None and total[1] > samples.count > 0
        return (is_numeric and has_more) or stated_number(samples, (word,)) is not None
    return is_numeric if given is None else small_number(given) is not None and (is_numeric or parameter.type == "text")


def _number_given(samples: PagedCall, name: str) -> int | None:
    """The number that the first answer was asked for with; None where it was asked for without one."""
    given = samples.pages[0].given.get(name, samples.call.parameters[name].default)
    return small_number(given)


def _size(samples: PagedCall) -> int:
    """How many items a page has: as asked for, as told, else as counted."""
    wires = wires_of(samples.call)
    for word in _SIZES:
        name = wires.get(word)
        asked = _number_given(samples, name) if name is not None else None
        if asked:
            total = stated_number(samples, TOTALS)
            is_cut = total is not None and 0 < samples.count < min(asked, total[1])
            return min(samples.count if is_cut else asked, _MOST_STEP)  # some give fewer than is asked for
    told = stated_number(samples, PAGE_SIZES)
    return min((told[1] if told is not None else 0) or samples.count or 1, _MOST_STEP)
