"""How the prices of an API's models are written: amounts by quantity, with the day and place that they were read at."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from tieline.core.quantities import QUANTITIES, Quantity
from tieline.definitions.model import Price, PriceRate
from tieline.definitions.problems import shown
from tieline.definitions.schema import Cursor, Key, Many, Named, Record, Text, Whole, Written
from tieline.definitions.sections import LINK, day

PER: Final[Mapping[str, int]] = {
    "1M": 1_000_000,
    "1K": 1_000,
    "1": 1,
    "image": 1,
    "second": 1_000,
    "minute": 60_000,
    "hour": 3_600_000,
}
"""How many of a quantity, times in milliseconds, an amount is for."""
NOBODY: Final = "none"
_OF_TIME: Final = ("second", "minute", "hour")
_OF_COUNT: Final = ("1M", "1K", "1")
_AMOUNT = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,18})?")
_PROVIDER = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_TIER = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_MOST_TOKENS: Final = 10**9


def fitting(quantity: Quantity) -> tuple[str, ...]:
    """What amounts of ``quantity`` may be for."""
    if quantity.unit == "millisecond":
        return _OF_TIME
    return (*_OF_COUNT, "image") if quantity.name == "images" else _OF_COUNT


def amount(text: str) -> Decimal:
    """A sum of money, never negative, exact."""
    if _AMOUNT.fullmatch(text) is None:
        raise ValueError(f"{shown(text)} is no amount; write it like 2.50")
    return Decimal(text)


def _per(text: str) -> str:
    if text not in PER:
        raise ValueError(f"{shown(text)} is nothing that an amount is for; write one of {', '.join(PER)}")
    return text


def _provider(text: str) -> str:
    if _PROVIDER.fullmatch(text) is None:
        raise ValueError(f"{shown(text)} names no provider; write it like openai, or none")
    return text


def _rate(found: Mapping[str, Any], place: Cursor) -> PriceRate:
    starts = [tokens for tokens, _ in found["above"]]
    if starts != sorted(set(starts)):
        place.key("above").problem("the numbers of tokens do not rise; write the smallest first, and each once")
    return PriceRate(found["usd"], found["per"], found["above"])


def _rates(found: Mapping[str, Any], place: Cursor) -> dict[str, PriceRate]:
    rates = {}
    for quantity in QUANTITIES.values():
        rate: PriceRate | None = found[quantity.shown]
        if rate is None:
            continue
        fit = fitting(quantity)
        if rate.per not in fit:
            place.key(quantity.shown).key("per").problem(
                f"{quantity.shown} are not charged per {rate.per}; write one of {', '.join(fit)}"
            )
        rates[quantity.name] = rate
    return rates


def _price(found: Mapping[str, Any], place: Cursor) -> Price:
    if not any(found[key] for key in ("rates", "tiers", "window", "most_output")):
        place.problem("says nothing of the model; give rates, such as {input_tokens: {usd: '2.50', per: 1M}}")
    if found["from"] is not None and found["until"] is not None and found["until"] <= found["from"]:
        place.key("until").problem("is not after from; prices hold from the one day on and before the other")
    if found["tiers"] and not found["rates"]:
        place.key("tiers").problem("differ from rates, which are missing; give them too")
    return Price(
        date=found["date"],
        source=found["source"],
        rates=found["rates"],
        tiers=found["tiers"],
        begins=found["from"],
        ends=found["until"],
        window=found["window"],
        most_output=found["most_output"],
    )


def _is_model(name: str) -> bool:
    return 0 < len(name) <= 200 and name.isprintable() and " " not in name


STEP = Record(
    "step",
    (Key("tokens", Whole(1, _MOST_TOKENS)), Key("usd", Written("amount", amount))),
    lambda found, _: (found["tokens"], found["usd"]),
    like="{tokens: 200000, usd: '5.00'}",
)
RATE = Record(
    "rate",
    (
        Key("usd", Written("amount", amount)),
        Key("per", Written(", ".join(f"`{word}`" for word in PER), _per)),
        Key("above", Many(STEP, 20), ()),
    ),
    _rate,
    like="{usd: '2.50', per: 1M}",
)
RATES = Record(
    "rates",
    tuple(Key(each.shown, RATE, None) for each in QUANTITIES.values()),
    _rates,
    like="{input_tokens: {usd: '2.50', per: 1M}}",
)
TIERS = Named(
    "service tier", lambda name: _TIER.fullmatch(name) is not None, "use the provider's word, such as batch", RATES, 20
)
PRICE = Record(
    "price",
    (
        Key("date", Text("date", day)),
        Key("source", LINK),
        Key("from", Text("date", day), None, shows="always"),
        Key("until", Text("date", day), None, shows="for good"),
        Key("window", Whole(1, _MOST_TOKENS), None),
        Key("most_output", Whole(1, _MOST_TOKENS), None),
        Key("rates", RATES, {}),
        Key("tiers", TIERS, {}),
    ),
    _price,
    like="{date: 2026-08-21, source: 'https://example.com/prices', rates: {requests: {usd: '0.01', per: 1}}}",
)
PRICES = Named("model", _is_model, "use 1 to 200 visible characters", Many(PRICE, 50, single=True, least=1), 2000)
PRICES_FROM = Text("provider's name, or `none`", _provider, most=63, like="openai")
