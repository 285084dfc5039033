"""The price lists that a worker's APIs need: each is read when the first of them needs it, and kept once for all."""

from collections.abc import Mapping

import orjson

from tieline.core.names import Environment
from tieline.dataplane.snapshot.plan import ReadEnvironment
from tieline.metering.choice import provider_of, table_of
from tieline.metering.rates import PriceList, PriceTable
from tieline.ports.prices import PriceListHead
from tieline.ports.snapshot import SnapshotSource


class Prices:
    """Price tables for plans. ``state`` is another object whenever the store's lists are others."""

    def __init__(self, source: SnapshotSource) -> None:
        self._source = source
        self._heads: tuple[PriceListHead, ...] = ()
        self._lists: dict[str, PriceList] = {}

    @property
    def state(self) -> object:
        """What tables were made of; tables that were made of another are out of date."""
        return self._heads

    async def refresh(self) -> None:
        """Look which lists there are. Raises NotReady."""
        heads = tuple(await self._source.price_lists())
        if heads != self._heads:
            self._heads = heads
            self._lists.clear()

    async def tables(self, read: Mapping[Environment, ReadEnvironment]) -> dict[Environment, PriceTable | None]:
        """The table of each environment. Raises NotReady."""
        found: dict[Environment, PriceTable | None] = {}
        for name, each in read.items():
            found[name] = None
            if each.definition is not None:
                provider = provider_of(each.definition, ((head.provider, head.pattern) for head in self._heads))
                found[name] = table_of(each.definition, await self._list(provider) if provider is not None else None)
        return found

    async def _list(self, provider: str) -> PriceList | None:
        if provider not in self._lists:
            content = await self._source.price_list(provider)
            if content is None:
                return None
            self._lists[provider] = PriceList(orjson.loads(content))
        return self._lists[provider]
