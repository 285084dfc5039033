"""Price lists: replaced as a whole, and every API is read again then."""

from pathlib import Path

from tests.storage.rows import OWNER, add_api, api
from tieline.audit.events import PricesReplaced
from tieline.ports.prices import PriceListHead, PriceListRow
from tieline.storage.engine import Database
from tieline.storage.snapshots import SqlSnapshots
from tieline.storage.store import SqlStore


def listed(provider: str, version: str, content: str = "{}") -> PriceListRow:
    """A list."""
    return PriceListRow(PriceListHead(provider, version, f"https://{provider}\\.example"), content)


async def replace(store: SqlStore, version: str, *providers: str) -> None:
    """Store a list for each."""
    async with store.write(OWNER) as tx:
        await tx.prices.replace([listed(each, version, f'{{"of":"{version}"}}') for each in providers])
        await tx.audit.add(PricesReplaced(target=version, providers=len(providers), models=0))


async def test_lists_are_replaced_as_a_whole(store: SqlStore, database: Database, url: str, tmp_path: Path) -> None:
    """In their order; one that is not among the new ones is gone; the data plane reads the same."""
    await replace(store, "1/a", "zeta", "alpha")
    await replace(store, "1/b", "zeta", "beta")
    async with store.read() as rx:
        heads = await rx.prices.heads()
        assert [(each.provider, each.version) for each in heads] == [("zeta", "1/b"), ("beta", "1/b")]
        assert await rx.prices.content("zeta") == '{"of":"1/b"}'
        assert await rx.prices.content("alpha") is None
    source = SqlSnapshots(database, url)
    assert await source.price_lists() == heads
    assert await source.price_list("beta") == '{"of":"1/b"}'
    await source.close()


async def test_workers_are_told_of_every_api(store: SqlStore, database: Database, url: str) -> None:
    """Whichever list an API has."""
    rows = [await add_api(store, api(name)) for name in ("one", "two")]
    source = SqlSnapshots(database, url)
    before = await source.version()
    await replace(store, "1/a", "zeta")
    told = await source.changes_since(before)
    assert sorted((each.kind, each.ref) for each in told) == sorted(("api", row.id) for row in rows)
    await source.close()
