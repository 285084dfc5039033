"""The members of an answer that speak of its pages: where the list of items is, what is said of the next page.

Looks near the top only, and in the objects that usually hold such members (``meta``, ``paging`` …). Knows no call,
proposes nothing, and walks at most 2,000 objects of 2,000 members each.
"""

import re
from collections import deque
from collections.abc import Collection, Iterator
from functools import lru_cache
from typing import Any, Final

from tieline.definitions.infer import paths
from tieline.definitions.infer.links import is_list_of_links
from tieline.definitions.infer.paths import Steps
from tieline.definitions.infer.shape import collect

_MOST_LEVELS: Final = 4
_MOST_OBJECTS: Final = 2_000
_MOST_MEMBERS: Final = 2_000
_ITEMS: Final = frozenset({
    "data", "items", "results", "records", "entries", "values", "value", "rows", "list", "objects", "elements",
    "members", "member", "hydramember", "hits", "content", "nodes", "edges", "resources", "documents",
})  # fmt: skip
_HOLDERS: Final = frozenset({
    "links", "link", "paging", "pagination", "pageinfo", "meta", "metadata", "page", "cursors", "cursor", "next",
    "nextpage", "responsemetadata", "info", "pages", "d", "result", "data", "response", "results", "additionaldata",
    "view", "hydraview", "hits", "message",
})  # fmt: skip
_PAGE_SIGNS: Final = frozenset({"cursor", "pageinfo", "nextcursor", "nexttoken", "nextpagetoken"})
_URL_MEMBERS: Final = ("href", "uri", "url")

HAS_MORE: Final = frozenset({
    "hasmore", "hasnext", "hasnextpage", "hasmoreitems", "hasmoreresults", "hasmorepages", "hasmoredata", "istruncated",
    "moreavailable", "moreitemsincollection", "hasnextcursor",
})  # fmt: skip
"""Names, as :func:`plain_name` has them, of flags that can only mean: there are further pages."""
IS_LAST: Final = frozenset({"islast", "islastpage", "lastpage", "last", "endofstream", "endoflist"})
"""Names of flags that mean: this is the last page. (``lastPage: 5`` is a number, and none of them.)"""
TOTALS: Final = frozenset({
    "total", "totalcount", "totalitems", "totalresults", "totalelements", "totalrecords", "totalhits", "totalsize",
    "recordstotal", "itemstotal", "hydratotalitems",
})  # fmt: skip
"""Names of numbers that say how many items there are on all pages."""
PAGE_COUNTS: Final = frozenset({"pages", "totalpages", "pagestotal", "lastpage", "numpages", "nbpages", "pagecount"})
"""Names of numbers that say how many pages there are."""
OFFSETS: Final = frozenset({"offset", "skip", "startat", "startindex", "start", "from", "pageoffset"})
"""Names of numbers that say how many items lie before a page, in answers and in what is sent."""
PAGE_NUMBERS: Final = frozenset({"page", "pagenumber", "pageno", "pageindex", "currentpage"})
"""Names of numbers that say which page an answer is."""
PAGE_SIZES: Final = frozenset({
    "limit", "perpage", "pagesize", "pagelimit", "maxresults", "maxitems", "itemsperpage", "resultsperpage",
})  # fmt: skip
"""Names of numbers that say how many items a page may have, and not how many this one has."""
TOTAL_HEADERS: Final = frozenset({
    "xtotalcount", "xtotal", "totalcount", "xwptotal", "xtotalitems", "xtotalresults", "xtotalrecords",
    "xpaginationtotalcount", "xpaginationtotal",
})  # fmt: skip
"""Names, as :func:`plain_name` has them, of header fields with the number of items on all pages."""
PAGE_COUNT_HEADERS: Final = frozenset({
    "xwptotalpages", "xtotalpages", "totalpages", "xpagecount", "xpages", "xpaginationpagecount",
    "xpaginationtotalpages",
})  # fmt: skip
"""Names of header fields with the number of pages."""


def page_members(document: Any, words: Collection[str], near: Steps = ()) -> list[tuple[Steps, Any]]:
    """Members whose :func:`plain_name` is one of ``words``: at the top, in ``near``, in what usually holds them.

    In the order of the document. Of ``next: {href: …}`` (or ``uri``, ``url``) it is the address in it, of
    ``total: {value: 9}`` the number. Other objects are among them, lists are not.
    """
    found: list[tuple[Steps, Any]] = []
    waiting: deque[tuple[Steps, Any]] = deque([((), document)])
    if near:
        beside: list[Any] = []
        collect(document, near, beside)
        waiting += [(near, value) for value in beside[:1]]
    for steps, name, below in _members(waiting):
        word = plain_name(name)
        if word in words and not isinstance(below, list):
            found.append(_plainest((*steps, name), below))
        if word in _HOLDERS and isinstance(below, dict) and len(steps) < len(near) + _MOST_LEVELS:
            waiting.append(((*steps, name), below))
    return found


def _members(waiting: deque[tuple[Steps, Any]]) -> Iterator[tuple[Steps, str, Any]]:
    """The members of objects ``waiting``, each with the object's place; the caller adds further objects as it goes.

    Objects of more than 2,000 members are passed over, and it ends after 2,000 objects.
    """
    for _ in range(_MOST_OBJECTS):
        if not waiting:
            return
        steps, value = waiting.popleft()
        if isinstance(value, dict) and len(value) <= _MOST_MEMBERS:
            yield from ((steps, name, below) for name, below in value.items() if paths.is_expressible(name))


def _plainest(steps: Steps, value: Any) -> tuple[Steps, Any]:
    """The address or number that an object holds which is nothing else, else the value itself."""
    if isinstance(value, dict):
        for name in _URL_MEMBERS:
            if isinstance(value.get(name), str):
                return (*steps, name), value[name]
        if whole_number(value.get("value")) is not None:
            return (*steps, "value"), value["value"]
    return steps, value


def naming_step(steps: Steps) -> Any:
    """The step whose name says what stands there: of ``next.href`` it is ``next``, of ``total.value`` ``total``."""
    return steps[-2] if len(steps) > 1 and steps[-1] in (*_URL_MEMBERS, "value") else steps[-1]


@lru_cache(maxsize=4096)
def plain_name(name: str) -> str:
    """A name without what tells spellings apart: ``next_page_token``, ``@odata.nextLink``, ``page[number]``."""
    return re.sub(r"[^a-z0-9]", "", name[:200].lower())


def whole_number(value: Any) -> int | None:
    """A whole number, also as text of fewer than 19 digits writes it; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19 else None


def is_lower_bound(document: Any, steps: Steps) -> bool:
    """Whether a number at ``steps`` is said to be one that was counted so far (Elasticsearch: ``relation: gte``)."""
    holders: list[Any] = []
    collect(document, steps[:-1], holders)
    return any(isinstance(each, dict) and each.get("relation") in ("gte", "gt") for each in holders)


def says_more(document: Any, near: Steps = ()) -> bool | None:
    """Whether an answer's own flags (``has_more``, ``isLast`` …) say that further pages follow; None without one."""
    for steps, value in page_members(document, HAS_MORE | IS_LAST, near):
        flag = as_flag(value)
        if flag is not None:
            return flag if plain_name(str(steps[-1])) in HAS_MORE else not flag
    return None


def as_flag(value: Any) -> bool | None:
    """True or false, also as XML writes it; None for anything else."""
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value) if isinstance(value, str) else None


def link_lists(document: Any, near: Steps = ()) -> list[tuple[Steps, list[Any]]]:
    """Lists of links, each with a relation, that an answer has at its top or in ``near``, and where they are."""
    beside: list[Any] = []
    collect(document, near, beside)
    holders = [((), document), *((near, value) for value in beside[:1] if near)]
    return [
        ((*steps, name), below)
        for steps, holder in holders
        if isinstance(holder, dict) and len(holder) <= _MOST_MEMBERS
        for name, below in holder.items()
        if paths.is_expressible(name) and is_list_of_links(below)
    ]


def _depth(steps: Steps) -> int:
    """How many members lead there."""
    return sum(isinstance(step, str) for step in steps)


def _holds_page(value: Any) -> bool:
    """Whether an object has a member that is a page: a list of items beside a cursor or what tells of pages."""
    return isinstance(value, dict) and any(
        isinstance(each, dict)
        and not _PAGE_SIGNS.isdisjoint(map(plain_name, each))
        and any(isinstance(below, list) and plain_name(name) in _ITEMS for name, below in each.items())
        for each in value.values()
    )


def list_of_items(document: Any) -> tuple[Steps, list[Any]] | None:
    """Where the list of items is, and it: the whole, or the likeliest list near the top; None without a list.

    A list of links is the last to be taken for items.
    """
    if isinstance(document, list):
        return (), document
    lists: list[tuple[tuple[bool, bool, bool, int], Steps, list[Any]]] = []
    waiting: deque[tuple[Steps, Any]] = deque([((), document)])
    for steps, name, below in _members(waiting):
        if isinstance(below, list):
            named = plain_name(name) in _ITEMS
            objects = not below or isinstance(below[0], dict)
            rank = (is_list_of_links(below), not (named and objects), not objects, len(steps))
            lists.append((rank, (*steps, name), below))
            if len(below) == 1 and not named and _holds_page(below[0]):  # GraphQL: the pages of the one thing asked for
                waiting.append(((*steps, name, 0), below[0]))
        elif isinstance(below, dict) and _depth(steps) + 1 < _MOST_LEVELS:
            waiting.append(((*steps, name), below))
    pages = [found for found in lists if any(isinstance(step, int) for step in found[1])]
    lists = pages or lists
    if not lists:
        return None
    _, steps, items = min(lists, key=lambda each: each[0])
    return steps, items
