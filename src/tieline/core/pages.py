"""Lists in pages: what one page asks for and what it holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")

LIMIT_MOST = 200
LIMIT_DEFAULT = 50


@dataclass(frozen=True, slots=True)
class PageRequest:
    """At most ``limit`` items (1–200) that come after the id ``after``."""

    limit: int = LIMIT_DEFAULT
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Items in order, and the cursor that asks for what follows them, or None at the end."""

    items: Sequence[Item]
    next: str | None
