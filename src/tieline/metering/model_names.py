"""Which model a name means: an index of exact names, and rules for the rest that take time linear in the name.

Names come from outsiders: at most 200 visible characters are looked at, regular expressions are RE2's, and only the
last 2,000 names are remembered. Case does not matter.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import lru_cache
from typing import Any, Final, TypeAlias

from tieline.definitions.fill.pattern import Pattern

NAME_MOST: Final = 200
REMEMBERED: Final = 2_000
_DATED = re.compile(r"-(20[0-9]{2})(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])(?=-|:|$)")

Rule: TypeAlias = Sequence[Any]
"""``["equals", text]``, likewise ``starts``, ``ends``, ``contains``, ``glob`` (``*`` stands for any text); ``["regex",
pattern, beginning]`` (``beginning`` begins whatever matches); ``["any", rule, …]``, ``["all", rule, …]``,
``["not", rule]``. Texts are lower-case."""


class ModelNames:
    """Names of models as places in a list: of all whose rule fits a name, the first one counts.

    ``exact`` maps whole names to places; ``rules`` are the other rules with their places, in order.
    """

    __slots__ = ("_exact", "_found", "_rules")

    def __init__(self, exact: Mapping[str, int], rules: Sequence[tuple[int, Rule]]) -> None:
        self._exact = exact
        self._rules = rules
        self._found: dict[str, int | None] = {}

    def place(self, name: str) -> int | None:
        """The place of the model called ``name``, or None where no rule fits."""
        try:
            return self._found[name]
        except KeyError:
            if len(name) > NAME_MOST or not name.isprintable():
                return None
        if len(self._found) >= REMEMBERED:
            self._found.clear()
        found = self._found[name] = self._search(name.lower())
        return found

    def _search(self, name: str) -> int | None:
        found = self._first(name)
        if found is None:
            dashed = with_dashed_date(name)
            found = self._first(dashed) if dashed != name else None
        return found

    def _first(self, name: str) -> int | None:
        found = self._exact.get(name)
        for place, rule in self._rules:
            if found is not None and place >= found:
                break
            if fits(rule, name):
                return place
        return found


def fits(rule: Rule, name: str) -> bool:
    """Whether ``rule`` fits ``name``, which is lower-case."""
    kind, *rest = rule
    check = _CHECKS.get(kind)
    if check is not None:
        return check(name, rest[0])
    match kind:
        case "any":
            return any(fits(each, name) for each in rest)
        case "all":
            return all(fits(each, name) for each in rest)
        case "not":
            return not fits(rest[0], name)
        case "regex":
            return name.startswith(rest[1]) and _pattern(rest[0]).matches(name)
    raise ValueError(f"{kind} is no rule for names of models")


def glob_fits(name: str, glob: str) -> bool:
    """Whether ``name`` is what ``glob`` says, each of whose ``*`` stands for any text."""
    first, *rest = glob.split("*")
    if not rest:
        return name == glob
    last = rest.pop()
    if not name.startswith(first) or len(name) < len(first) + len(last) or not name.endswith(last):
        return False
    begin, end = len(first), len(name) - len(last)
    for part in rest:  # the earliest place of each part leaves most room for those that follow
        begin = name.find(part, begin, end)
        if begin < 0:
            return False
        begin += len(part)
    return True


def with_dashed_date(name: str) -> str:
    """``name`` with a date such as ``-20260821`` written ``-2026-08-21``, as providers' own names have it."""

    def dashed(found: re.Match[str]) -> str:
        try:
            return f"-{date(int(found[1]), int(found[2]), int(found[3])).isoformat()}"
        except ValueError:
            return found[0]

    return _DATED.sub(dashed, name)


@lru_cache(maxsize=512)
def _pattern(regex: str) -> Pattern:
    return Pattern(f"(?s:.*)(?:{regex})(?s:.*)")


_CHECKS: Mapping[str, Callable[[str, str], bool]] = {
    "equals": str.__eq__,
    "starts": str.startswith,
    "ends": str.endswith,
    "contains": str.__contains__,
    "glob": glob_fits,
}
