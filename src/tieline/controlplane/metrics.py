"""Metrics of a node: what its processes have counted, and what the store knows of budgets."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from tieline.access.budgets import BudgetTerms
from tieline.controlplane.services import Services
from tieline.core.errors import NotFound, NotReady
from tieline.core.pages import PageRequest
from tieline.ports.budgets import BudgetRow, WindowRow
from tieline.telemetry.metrics import families
from tieline.telemetry.metrics.exposition import MetricSamples

BUDGETS_MOST: Final = 200
STORE_SECONDS: Final = 2.0
"""So long the store is waited for: where it is away, everything else is shown."""
_NANO: Final = 1_000_000_000


async def read(services: Services, *, openmetrics: bool) -> str:
    """The node's metrics as text (``telemetry.metrics.exposition``). Raises NotFound where nothing is counted."""
    if services.metrics is None:
        raise NotFound("This process counts no metrics.")
    samples = MetricSamples()
    with suppress(NotReady, TimeoutError):
        async with asyncio.timeout(STORE_SECONDS):
            await _add_budgets(services, samples)
    return await services.metrics.text(samples, openmetrics=openmetrics)


async def _add_budgets(services: Services, samples: MetricSamples) -> None:
    """Amount, spent and reserved of budgets that are shared; of those that each key, app or user has, the amount."""
    now = services.clock.now()
    async with services.store.read() as reading:
        page = await reading.budgets.list(PageRequest(BUDGETS_MOST, None))
        for row in page.items:
            terms = BudgetTerms.from_json(row.terms)
            labels = row.name, row.unit
            samples.add(families.BUDGET_AMOUNT, labels, [_shown(row, row.amount)])
            if terms.target.each is None:
                window = terms.window(now)
                found = await reading.budgets.windows(row.id, window.starts_at, 1)
                for family, amount in _figures(found[0] if found else None).items():
                    samples.add(family, labels, [_shown(row, amount)])


def _figures(window: WindowRow | None) -> Mapping[families.Family, int]:
    return {
        families.BUDGET_SPENT: window.spent if window is not None else 0,
        families.BUDGET_RESERVED: window.reserved if window is not None else 0,
    }


def _shown(row: BudgetRow, amount: int) -> int:
    """In the unit of the families: nano-dollars are shown as dollars, so tokens have to be more."""
    return amount if row.unit == "usd" else amount * _NANO
