"""What was used, as tests of prices write it."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from tieline.definitions.model import PriceRate


@dataclass(frozen=True, slots=True)
class Used:
    """A reading."""

    model: str | None
    quantities: Mapping[str, int]
    service_tier: str | None = None


def per_million(usd: int, *above: tuple[int, int]) -> PriceRate:
    """A rate in whole dollars for a million, which are micro-dollars for one."""
    return PriceRate(Decimal(usd), "1M", tuple((tokens, Decimal(more)) for tokens, more in above))
