"""The prices that a definition gives, as a price list. Knows no YAML: a definition's values are read already."""

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from math import lcm
from typing import Any, Final

from tieline.definitions.model import Price, PriceRate
from tieline.definitions.prices import PER

OWN: Final = "the definition"
_PICOS: Final = 10**12


def own_price_list(prices: Mapping[str, Sequence[Price]]) -> dict[str, Any]:
    """The price list that ``rates.PriceList`` takes. Exact names go before others, more letters before fewer."""
    names = sorted(prices, key=lambda name: ("*" in name, -len(name.replace("*", ""))))
    return {
        "provider": OWN,
        "version": "",
        "own": True,
        "exact": {name.lower(): place for place, name in reversed(list(enumerate(names))) if "*" not in name},
        "rules": [[place, ["glob", name.lower()]] for place, name in enumerate(names) if "*" in name],
        "models": [_model(name, prices[name]) for name in names],
    }


def _model(name: str, prices: Sequence[Price]) -> dict[str, Any]:
    every = [rate for price in prices for rates in (price.rates, *price.tiers.values()) for rate in rates.values()]
    scale = lcm(1, *(amount.denominator for rate in every for _, amount in _steps(rate)))
    found: dict[str, Any] = {
        "id": name,
        "scale": scale,
        "prices": [
            {**_valid(price), "date": price.date, "source": price.source, "rates": _whole(price.rates, scale)}
            for price in prices
            if price.rates
        ],
        "variants": [
            {"tier": tier, **_valid(price), "rates": _whole(rates, scale)}
            for price in reversed(prices)  # of variants the first in force counts, of prices the last
            for tier, rates in price.tiers.items()
        ],
    }
    windows = [price.window for price in prices if price.window is not None]
    outputs = [price.most_output for price in prices if price.most_output is not None]
    return found | ({"window": max(windows)} if windows else {}) | ({"most_output": max(outputs)} if outputs else {})


def _valid(price: Price) -> dict[str, str]:
    days = {"from": price.begins, "until": price.ends}
    return {key: day for key, day in days.items() if day is not None}


def _steps(rate: PriceRate) -> Iterator[tuple[int, Fraction]]:
    """From how many input tokens on, and pico-dollars for one."""
    for start, usd in ((0, rate.usd), *rate.above):
        yield start, Fraction(usd) * _PICOS / PER[rate.per]


def _whole(rates: Mapping[str, PriceRate], scale: int) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for quantity, rate in rates.items():
        (_, first), *steps = _steps(rate)
        found[quantity] = [int(first * scale), *([start, int(amount * scale)] for start, amount in steps)]
    return found
