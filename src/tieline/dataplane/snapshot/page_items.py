"""Where the items of one page of a call stand in its answer, and the shape in which callers get each of them.

Compiled with the call. Knows nothing of the order of pages.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tieline.definitions.getters import getter
from tieline.definitions.infer import paths
from tieline.definitions.infer.shape import Shaper, collect
from tieline.definitions.model import Field, Pagination


class PageItems:
    """Finds the items of a page and hands each out in the shape of the call's fields.

    ``textual`` says that answers are XML, where a list of one cannot be told from a value by itself, nor a list of none
    from no list.
    """

    __slots__ = ("_excluded", "_get", "_shaper", "_steps", "_textual")

    def __init__(
        self, pagination: Pagination, fields: Sequence[Field], unknown: str = "keep", *, textual: bool = False
    ) -> None:
        steps = paths.reach(paths.split(pagination.items)) if pagination.items is not None else None
        self._textual = textual
        self._steps = steps or ()
        self._get = getter(paths.join(steps)) if steps is not None else None
        below, self._excluded = _below(steps if steps is not None else _only_list(fields), fields)
        self._shaper = Shaper(below, unknown)

    def find(self, document: Any, *, first: bool = False) -> list[Any] | None:
        """The items as the upstream sent them, none for null; None where something else stands there.

        Where the definition does not say, they are the document itself or the only list among its members. On pages
        after the ``first`` a list that is missing has no items: many APIs leave an empty one out.
        """
        if document is None:
            return []
        if self._get is not None:
            found = self._get(document)
            if found is None and (not first or self._textual or _is_there(document, self._steps)):
                return []
            if self._textual and isinstance(found, dict | str):
                return [found]
        elif isinstance(document, dict):
            lists = [value for value in document.values() if isinstance(value, list)]
            if not lists and not first:
                return []
            found = lists[0] if len(lists) == 1 else None
        else:
            found = document
        return found if isinstance(found, list) else None

    def shape(self, item: Any) -> Any:
        """One item as callers get it; null where its fields are all kept back."""
        return None if self._excluded else self._shaper.apply(item)


def _is_there(document: Any, steps: paths.Steps) -> bool:
    """Whether ``steps`` lead to a value, null among them."""
    found: list[Any] = []
    collect(document, steps, found)
    return bool(found)


def _only_list(fields: Sequence[Field]) -> paths.Steps:
    """The place of the only list at or just below the root that ``fields`` know; the root where there is none."""
    found = {paths.split(one.path)[:1] for one in fields if one.list or None in paths.split(one.path)[1:]}
    found.discard((None,))
    return found.pop() if len(found) == 1 else ()


def _meets(way: paths.Steps, item: paths.Steps) -> bool:
    """Whether the beginnings of both lead to one place; a field of every item is one of the first too."""
    return all(
        mine == theirs or (mine is None and isinstance(theirs, int)) for mine, theirs in zip(way, item, strict=False)
    )


def _below(steps: paths.Steps, fields: Sequence[Field]) -> tuple[list[Field], bool]:
    """The fields of one item, and whether items are kept back altogether."""
    item = (*steps, None)
    found: list[Field] = []
    for one in fields:
        way = paths.split(one.path)
        if not one.include and way and len(way) <= len(item) and _meets(way, item):
            return [], True
        if len(way) > len(item) and _meets(way, item):
            found.append(replace(one, path=paths.join(way[len(item) :])))
    return found, False
