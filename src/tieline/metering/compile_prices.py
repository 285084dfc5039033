"""Turns the prices of ``genai-prices`` into price lists: ``python -m tieline.metering.compile_prices`` prints them.

It is a process of its own, since importing the package takes half a second and 40 MB that neither plane shall keep.
Each provider's list is one JSON document on a line, in the form that ``rates`` describes; what could not be taken over
is told on standard error.

What ``genai-prices`` knows and a price list does not: variants by more than one word of a request, and by anything but
what an answer's service tier says. A model whose prices name a quantity that Tieline does not count is left without
one: no price is better than one that is too low.
"""

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import lcm
from typing import Any, Final

from genai_prices import __version__ as package_version
from genai_prices.data import providers
from genai_prices.data_units import unit_data
from genai_prices.types import (
    ClauseAnd,
    ClauseContains,
    ClauseEndsWith,
    ClauseEquals,
    ClauseOr,
    ClauseRegex,
    ClauseStartsWith,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
)

from tieline.core.quantities import QUANTITIES
from tieline.definitions.fill.pattern import Pattern
from tieline.metering.versions import FORMAT

_PICOS: Final = 10**12
_OURS: Final[Mapping[str, str]] = {
    "cache_read_tokens": "cached_input_tokens",
    "cache_text_read_tokens": "cached_input_text_tokens",
    "cache_audio_read_tokens": "cached_input_audio_tokens",
    "cache_image_read_tokens": "cached_input_image_tokens",
    "cache_video_read_tokens": "cached_input_video_tokens",
    "output_reasoning_tokens": "reasoning_tokens",
    "output_citation_tokens": "citation_tokens",
    "input_characters": "characters",
    "input_text_messages": "messages",
    "input_pixels": "pixels",
    "input_document_pages": "pages",
    "input_annotated_document_pages": "annotated_pages",
    "web_searches": "searches",
    "storage_searches": "file_searches",
}
_SECONDS: Final = "_seconds"
_NO_ANSWER_TELLS: Final = frozenset({"route"})
_LOOK_AHEAD: Final = re.compile(r"\^\(\?!(.*)\)")
_BEGINNING: Final = re.compile(r"\^([-a-z0-9_/ ]*)")
_LEAST_SECONDS: Final = {("groq", "whisper-large-v3"): 10, ("groq", "whisper-large-v3-turbo"): 10}
"""What is charged at least; ``genai-prices`` has it in its code, not in its data."""


class NotTaken(ValueError):
    """What a price list cannot say."""


@dataclass(slots=True)
class _Draft:
    """A price list that is being made."""

    models: list[dict[str, Any]] = field(default_factory=list)
    exact: dict[str, int] = field(default_factory=dict)
    rules: list[tuple[int, list[Any]]] = field(default_factory=list)

    def add(self, model: dict[str, Any], match: Any) -> None:
        place = len(self.models)
        rules = [rule_of(each) for each in (match.or_ if isinstance(match, ClauseOr) else [match])]
        for rule in rules:
            if rule[0] == "equals":
                self.exact.setdefault(rule[1], place)
            else:
                self.rules.append((place, rule))
        self.models.append(model)


def price_lists() -> tuple[list[dict[str, Any]], list[str]]:
    """The price list of every provider, and what could not be taken over."""
    told: list[str] = []
    return [_price_list(provider, told) for provider in providers], told


def _price_list(provider: Provider, told: list[str]) -> dict[str, Any]:
    draft = _Draft()
    for model in provider.models:
        _add(draft, provider, model, told, with_variants=True)
    by_id = {each.id: each for each in providers}
    for other in provider.fallback_model_providers or ():
        for model in by_id[other].models if other in by_id else ():
            _add(draft, provider, model, told, with_variants=False)
    return {
        "provider": provider.id,
        "version": f"{FORMAT}/{package_version}",
        "pattern": provider.api_pattern,
        "exact": draft.exact,
        "rules": draft.rules,
        "models": draft.models,
    }


def _add(draft: _Draft, provider: Provider, model: ModelInfo, told: list[str], *, with_variants: bool) -> None:
    """A model with its prices; one that cannot be priced keeps its place, so that no other answers to its names."""
    try:
        found = compiled(provider.id, model, with_variants=with_variants)
    except NotTaken as why:
        told.append(f"{provider.id}/{model.id} has no price: {why}")
        found = {"id": model.id, "scale": 1, "prices": []}
    try:
        draft.add(found, model.match)
    except NotTaken as why:
        told.append(f"{provider.id}/{model.id} is not found by name: {why}")


def compiled(provider: str, model: ModelInfo, *, with_variants: bool) -> dict[str, Any]:
    """A model's prices as a price list has them. Raises NotTaken for what it cannot say."""
    dated = [(None, model.prices)] if isinstance(model.prices, ModelPrice) else _dated(model)
    variants = [each for each in model.price_variants or () if _is_told(each.when)] if with_variants else []
    exact = [_exact(prices) for _, prices in dated]
    others = [_exact(each.prices) for each in variants]
    steps = (rate for rates in (*exact, *others) for each in rates.values() for _, rate in each)
    scale = lcm(*(rate.denominator for rate in steps), 1)
    least = _LEAST_SECONDS.get((provider, model.id))
    found: dict[str, Any] = {
        "id": model.id,
        "scale": scale,
        "first_always": True,
        "prices": [
            {**_constraint(constraint), "rates": _whole(rates, scale)}
            for (constraint, _), rates in zip(dated, exact, strict=True)
        ],
    }
    if variants:
        found["variants"] = [
            {"tier": next(iter(each.when.values())), **_constraint(each.constraint), "rates": _whole(rates, scale)}
            for each, rates in zip(variants, others, strict=True)
        ]
    if model.context_window is not None:
        found["window"] = model.context_window
    if least is not None:
        found["least"] = {"audio_ms": least * 1000, "input_audio_ms": least * 1000}
    return found


def _dated(model: ModelInfo) -> list[tuple[Any, ModelPrice]]:
    assert isinstance(model.prices, list)  # else it is one price
    return [(each.constraint, each.prices) for each in model.prices]


def _is_told(when: Mapping[str, str]) -> bool:
    """Whether an answer's tier can say it: one word, whichever of the provider's members it stands in."""
    if len(when) > 1:
        raise NotTaken(f"a variant depends on {', '.join(when)} together")
    return not _NO_ANSWER_TELLS & when.keys()


def _exact(prices: ModelPrice) -> dict[str, list[tuple[int, Fraction]]]:
    """By quantity: from how many input tokens on (0 first), and pico-dollars for one."""
    found = {}
    for key, price in vars(prices).items():
        if price is None:
            continue
        usage, per = _UNITS.get(key, ("", 1))
        quantity = _quantity(usage)
        if quantity not in QUANTITIES:
            raise NotTaken(f"{key} is for what Tieline does not count")
        if usage.endswith(_SECONDS):
            per *= 1000
        steps = (
            [(0, price.base), *((each.start, each.price) for each in price.tiers)]
            if isinstance(price, TieredPrices)
            else [(0, price)]
        )
        found[quantity] = [(start, Fraction(amount) * _PICOS / per) for start, amount in steps]
    return found


def _quantity(usage: str) -> str:
    return f"{usage.removesuffix(_SECONDS)}_ms" if usage.endswith(_SECONDS) else _OURS.get(usage, usage)


_UNITS: Final = {unit["price_key"]: (usage, int(unit["per"])) for usage, unit in unit_data.items()}


def _whole(rates: Mapping[str, Sequence[tuple[int, Fraction]]], scale: int) -> dict[str, list[Any]]:
    return {
        quantity: [int(first * scale), *([start, int(rate * scale)] for start, rate in steps)]
        for quantity, ((_, first), *steps) in rates.items()
    }


def _constraint(given: Any) -> dict[str, Any]:
    match given:
        case None:
            return {}
        case StartDateConstraint():
            return {"from": given.start_date.isoformat()}
        case TimeOfDateConstraint():
            return {"hours": [_since_midnight(given.start_time), _since_midnight(given.end_time)]}
    raise NotTaken(f"{type(given).__name__} is no known constraint")


def _since_midnight(time: Any) -> int:
    """Seconds since midnight in UTC."""
    offset = time.utcoffset()
    seconds = time.hour * 3600 + time.minute * 60 + time.second - (offset.total_seconds() if offset is not None else 0)
    return int(seconds) % 86_400


def rule_of(clause: Any) -> list[Any]:
    """A rule for names, as ``model_names`` reads it. Raises NotTaken for what RE2 does not read."""
    match clause:
        case ClauseEquals():
            return ["equals", clause.equals.lower()]
        case ClauseStartsWith():
            return ["starts", clause.starts_with.lower()]
        case ClauseEndsWith():
            return ["ends", clause.ends_with.lower()]
        case ClauseContains():
            return ["contains", clause.contains.lower()]
        case ClauseOr():
            return ["any", *map(rule_of, clause.or_)]
        case ClauseAnd():
            return ["all", *map(rule_of, clause.and_)]
        case ClauseRegex():
            return _regex_rule(clause.regex)
    raise NotTaken(f"{type(clause).__name__} is no known rule for names")


def _regex_rule(regex: str) -> list[Any]:
    """RE2 does not look ahead, but that something does not begin a name is a rule of its own."""
    ahead = _LOOK_AHEAD.fullmatch(regex)
    if ahead is not None:
        return ["not", _regex_rule(f"^(?:{ahead[1]})")]
    try:
        Pattern(regex)
    except ValueError as error:
        raise NotTaken(f"the pattern {regex} {error}") from None
    return ["regex", regex, _beginning(regex)]


def _beginning(regex: str) -> str:
    """Letters that whatever matches begins with, so that most names need no regular expression."""
    found = _BEGINNING.match(regex)
    if found is None or "|" in regex:
        return ""
    rest = regex[found.end() :]
    return found[1][:-1] if rest[:1] in {"?", "*", "{"} else found[1]


def main(arguments: Iterable[str] = ()) -> None:
    """Print every price list."""
    del arguments
    lists, told = price_lists()
    for each in lists:
        sys.stdout.write(json.dumps(each, separators=(",", ":")) + "\n")
    for line in told:
        sys.stderr.write(line + "\n")


if __name__ == "__main__":
    main()
