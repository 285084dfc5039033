"""Prices: the lists that are stored, and what a model of an API costs.

Owns when lists are replaced as a whole. Does not make them: that is a process of its own, which ``app`` starts.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tieline.access.caller import Caller, Role, require
from tieline.audit.events import PricesReplaced
from tieline.controlplane.apis import find_api
from tieline.controlplane.compiled import definition_in
from tieline.controlplane.services import Services
from tieline.core.errors import NotFound
from tieline.core.names import Environment
from tieline.metering.choice import provider_of, table_of
from tieline.metering.rates import PriceList
from tieline.metering.sheet import PriceShown
from tieline.ports.prices import PriceListHead, PriceListRow


@dataclass(frozen=True, slots=True)
class PricesView:
    """Where an API's prices come from, and those of one model where one was asked for.

    ``provider`` and ``version`` are those of its price list, None where it has none; ``own`` says whether the
    definition gives prices too. ``source`` is the list that the model's price stands in.
    """

    provider: str | None
    version: str | None
    own: bool
    source: str | None = None
    model: PriceShown | None = None


async def replace_lists(services: Services, caller: Caller, lists: Sequence[dict[str, Any]]) -> None:
    """Put price lists of one version in the place of those that are stored. Needs the role owner."""
    require(caller, Role.OWNER)
    rows = [
        PriceListRow(PriceListHead(each["provider"], each["version"], each["pattern"]), json.dumps(each))
        for each in lists
    ]
    models = sum(len(each["models"]) for each in lists)
    async with services.store.write(caller) as tx:
        await tx.prices.replace(rows)
        await tx.audit.add(PricesReplaced(target=lists[0]["version"], providers=len(rows), models=models))


async def stored_version(services: Services) -> str | None:
    """The version of the lists that are stored, None where there are none."""
    async with services.store.read() as rx:
        heads = await rx.prices.heads()
    return heads[0].version if heads else None


async def show(
    services: Services, caller: Caller, api: str, model: str | None, environment: Environment = "live"
) -> PricesView:
    """What ``model`` of an API costs now and where that stands. Needs the role viewer.

    Raises:
        NotFound: there is no such API, or nobody gives a price for the model.
        InvalidInput: the definition cannot be used in this environment.
    """
    require(caller, Role.VIEWER)
    async with services.store.read() as rx:
        row = await find_api(rx.apis, api)
        definition = await asyncio.to_thread(definition_in, row.definition, environment)
        heads = {each.provider: each for each in await rx.prices.heads()}
        provider = provider_of(definition, ((each.provider, each.pattern) for each in heads.values()))
        content = await rx.prices.content(provider) if provider is not None else None
    listed = PriceList(json.loads(content)) if content is not None else None
    version = listed.version if listed is not None else None
    view = PricesView(provider, version, own=bool(definition.prices))
    if model is None:
        return view
    at = services.clock.now().timestamp()
    table = table_of(definition, listed)
    found = table.find(model, at) if table is not None else None
    if found is None or table is None:
        raise NotFound(
            f"Nobody gives a price for that model of {definition.title}: its requests are counted as unpriced. Give "
            "one under prices in the definition."
        )
    shown = found[1].shown(at, window=table.window(model), most_output=table.most_output(model))
    return PricesView(provider, version, own=bool(definition.prices), source=found[0].provider, model=shown)
