"""Price lists: ``ports.prices.PriceListReader`` and ``PriceListWriter``.

Owns the table ``price_lists``. Knows nothing of what a list says.
"""

from collections.abc import Sequence

from sqlalchemy import delete, insert, select

from tieline.ports.prices import PriceListHead, PriceListRow
from tieline.storage.changes import ChangeLog
from tieline.storage.connection import AsyncConnection
from tieline.storage.schema import apis, price_lists

_HEADS = select(price_lists.c.provider, price_lists.c.version, price_lists.c.pattern).order_by(price_lists.c.place)


class PriceLists:
    """Price lists, to read."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def heads(self) -> Sequence[PriceListHead]:
        return [PriceListHead(*row) for row in await self._connection.execute(_HEADS)]

    async def content(self, provider: str) -> str | None:
        wanted = select(price_lists.c.content).where(price_lists.c.provider == provider)
        found: str | None = (await self._connection.execute(wanted)).scalar()
        return found


class PriceListChanges(PriceLists):
    """Price lists, to read and replace in one write."""

    def __init__(self, connection: AsyncConnection, log: ChangeLog) -> None:
        super().__init__(connection)
        self._log = log

    async def replace(self, lists: Sequence[PriceListRow]) -> None:
        await self._connection.execute(delete(price_lists))
        for place, each in enumerate(lists):
            head = each.head
            values = {"provider": head.provider, "version": head.version, "pattern": head.pattern}
            await self._connection.execute(insert(price_lists).values(place=place, content=each.content, **values))
        for api_id in (await self._connection.execute(select(apis.c.id).order_by(apis.c.id))).scalars().all():
            await self._log.note("api", api_id)
