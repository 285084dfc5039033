"""The route of an API's prices."""

from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from tieline.controlplane import prices
from tieline.controlplane.prices import PricesView
from tieline.core.names import Environment
from tieline.core.quantities import QUANTITIES
from tieline.metering.sheet import PriceShown
from tieline.web.api.shared import Asked, CallerHere, ServicesHere, Shown

router = APIRouter(prefix="/apis", tags=["APIs"])

_DIGITS = 18


class PricesAsked(Asked):
    """Which model, and in which environment."""

    model: str | None = Field(None, min_length=1, max_length=200)
    environment: Environment = "live"


class RateShown(Shown):
    """What one of a quantity (a second of a time) costs in US dollars, in requests that read more than ``above``."""

    above: int
    usd: str


class ModelPriceShown(Shown):
    """A model's prices now, by service tier and quantity. ``source`` names the list, or says: the definition."""

    id: str
    source: str
    window: int | None
    most_output: int | None
    rates: dict[str, dict[str, list[RateShown]]]


class PricesShown(Shown):
    """Where an API's prices come from: its list, and whether its definition gives some; and a model's, if asked."""

    provider: str | None
    version: str | None
    own: bool
    model: ModelPriceShown | None


@router.get("/{api}/prices")
async def show_prices(
    api: str, asked: Annotated[PricesAsked, Query()], services: ServicesHere, caller: CallerHere
) -> PricesShown:
    """Where an API's prices come from, and what ``model`` costs now. Needs the role viewer."""
    return _shown(await prices.show(services, caller, api, asked.model, asked.environment))


def _shown(view: PricesView) -> PricesShown:
    model = _model(view.model, view.source) if view.model is not None and view.source is not None else None
    return PricesShown(provider=view.provider, version=view.version, own=view.own, model=model)


def _model(found: PriceShown, source: str) -> ModelPriceShown:
    rates = {
        tier: {
            QUANTITIES[name].shown: [
                RateShown(above=above, usd=_usd(rate * (1000 if QUANTITIES[name].unit == "millisecond" else 1)))
                for above, rate in steps.items()
            ]
            for name, steps in by_quantity.items()
        }
        for tier, by_quantity in found.rates.items()
    }
    return ModelPriceShown(id=found.id, source=source, window=found.window, most_output=found.most_output, rates=rates)


def _usd(amount: Fraction) -> str:
    """As decimal text, exact where 18 digits are enough."""
    with localcontext() as context:
        context.prec = _DIGITS
        return format((Decimal(amount.numerator) / amount.denominator).normalize(), "f")
