"""Where in an answer the list of items stands, and what stands under names that speak of the next page.

Looks near the top only, and in what usually holds such things. Knows no call and proposes nothing.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

from tieline.definitions.infer import paths
from tieline.definitions.infer.paths import Steps
from tieline.definitions.infer.shape import collect

_MOST_LEVELS: Final = 4
_MOST_PLACES: Final = 2_000
_ITEMS: Final = (
    "data", "items", "results", "records", "entries", "values", "value", "rows", "list", "objects", "elements",
    "members", "hits", "content", "nodes", "edges", "resources", "documents",
)  # fmt: skip
_HOLDERS: Final = frozenset({
    "links", "link", "paging", "pagination", "pageinfo", "meta", "metadata", "page", "cursors", "cursor",
    "responsemetadata", "info", "pages", "d", "result", "data", "response", "results",
})  # fmt: skip


def places(document: Any, words: Sequence[str], near: Steps = ()) -> list[tuple[Steps, Any]]:
    """Members named by one of ``words``, which are :func:`plain`: at the top, in ``near``, in what usually holds them.

    In the order of the document. Of ``next: {href: …}`` it is the ``href``. Neither lists nor objects are among them.
    """
    found: list[tuple[Steps, Any]] = []
    waiting: list[tuple[Steps, Any]] = [((), document)]
    beside: list[Any] = []
    collect(document, near, beside)
    waiting += [(near, value) for value in beside[:1] if near]
    while waiting:
        steps, value = waiting.pop(0)
        if not isinstance(value, dict) or len(value) > _MOST_PLACES:
            continue
        for name, below in value.items():
            if not isinstance(name, str) or not paths.is_expressible(name):
                continue
            word = plain(name)
            if word in words and not isinstance(below, dict | list):
                found.append(((*steps, name), below))
            elif word in words and isinstance(below, dict) and isinstance(below.get("href"), str):
                found.append(((*steps, name, "href"), below["href"]))
            if word in _HOLDERS and len(steps) < len(near) + _MOST_LEVELS:
                waiting.append(((*steps, name), below))
    return found


def naming(steps: Steps) -> Any:
    """The step whose name says what stands there."""
    return steps[-2] if len(steps) > 1 and steps[-1] == "href" else steps[-1]


def plain(name: Any) -> str:
    """A name without what tells spellings apart: ``next_page_token``, ``@odata.nextLink``, ``page[number]``."""
    return re.sub(r"[^a-z0-9]", "", str(name).lower())


def items_of(document: Any) -> tuple[Steps, int] | None:
    """Where the list of items is, and how many: the whole, or the likeliest list near the top; None without a list."""
    if isinstance(document, list):
        return (), len(document)
    lists: list[tuple[int, int, int, Steps]] = []
    waiting: list[tuple[Steps, Any]] = [((), document)]
    for _ in range(_MOST_PLACES):
        if not waiting:
            break
        steps, value = waiting.pop(0)
        if not isinstance(value, dict):
            continue
        for name, below in value.items():
            if not isinstance(name, str) or not paths.is_expressible(name):
                continue
            if isinstance(below, list):
                named = plain(name) in _ITEMS
                objects = not below or isinstance(below[0], dict)
                lists.append((not (named and objects), not objects, len(steps), (*steps, name)))
            elif isinstance(below, dict) and len(steps) + 1 < _MOST_LEVELS:
                waiting.append(((*steps, name), below))
    if not lists:
        return None
    best = min(lists, key=lambda each: each[:3])
    found: list[Any] = []
    collect(document, best[3], found)
    return best[3], len(found[0])
