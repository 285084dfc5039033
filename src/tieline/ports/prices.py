"""Price lists: made by the control plane, read by whoever prices an API's answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class PriceListHead:
    """What is known of a provider's price list without reading it; ``pattern`` matches the provider's base URLs."""

    provider: str
    version: str
    pattern: str


@dataclass(frozen=True, slots=True)
class PriceListRow:
    """A price list. ``content`` is the JSON that ``metering.rates`` describes."""

    head: PriceListHead
    content: str


class PriceListReader(Protocol):
    """Price lists, by the provider's name."""

    async def heads(self) -> Sequence[PriceListHead]:
        """What lists there are, in the order in which base URLs are held against them."""
        ...

    async def content(self, provider: str) -> str | None:
        """The list of a provider, or None where there is none."""
        ...


class PriceListWriter(PriceListReader, Protocol):
    """Price lists, within a write."""

    async def replace(self, lists: Sequence[PriceListRow]) -> None:
        """Put ``lists`` in the place of all that are there. Every API counts as changed: a ``changes`` row each."""
        ...
