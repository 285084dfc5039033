"""Costs are those of genai-prices itself, which the product's workers never load."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from genai_prices import Usage, calc_price
from genai_prices.data import providers
from genai_prices.types import ModelInfo, ModelPrice, Provider

from tests.unit.metering.readings import Used
from tieline.controlplane import catalogue
from tieline.controlplane.catalogue import definition_of_entry
from tieline.metering.rates import Cost, PriceTable

MICRO = Decimal("0.000001")
NANO = Decimal("0.000000001")
TIMES = [
    datetime(2023, 6, 1, 12, tzinfo=UTC),
    datetime(2025, 3, 5, 3, 30, tzinfo=UTC),
    datetime(2025, 3, 5, 16, 29, 59, tzinfo=UTC),
    datetime(2025, 3, 5, 16, 30, tzinfo=UTC),
    datetime(2026, 10, 13, 23, 59, 59, tzinfo=UTC),
    datetime(2026, 10, 14, tzinfo=UTC),
    datetime(2026, 11, 30, 9, tzinfo=UTC),
]
NOW = TIMES[-1]
WORDS = ("processing", "service_tier", "speed", "search_type")
PLAIN = {"input_tokens": 1_234, "output_tokens": 567}
CACHED = PLAIN | {"cached_input_tokens": 1_000, "cache_write_tokens": 200, "cache_write_1h_tokens": 150}
LONG = {"input_tokens": 700_001, "cached_input_tokens": 300_000, "output_tokens": 30_000}
EDGE = {"input_tokens": 200_000, "output_tokens": 1}
AUDIO = PLAIN | {"input_audio_tokens": 400, "cached_input_tokens": 300, "output_audio_tokens": 99}
AUDIO |= {"cached_input_audio_tokens": 100, "reasoning_tokens": 50, "citation_tokens": 10}
PICTURES = PLAIN | {"input_image_tokens": 500, "cached_input_tokens": 100, "cached_input_image_tokens": 60}
PICTURES |= {"output_image_tokens": 300, "input_video_tokens": 20, "output_video_tokens": 7}
TOOLS = PLAIN | {"searches": 3, "file_searches": 7, "social_searches": 1, "code_executions": 2, "rerank_searches": 5}
OTHERS = {"audio_ms": 4_000, "input_audio_ms": 4_000, "characters": 12_345, "messages": 3, "pages": 11}
OTHERS |= {"annotated_pages": 4, "pixels": 1_000_000}
SHAPES: list[tuple[str, Mapping[str, int], str | None]] = [
    ("plain", PLAIN, None),
    ("default", PLAIN, "default"),
    ("cached", CACHED, None),
    ("batch", CACHED, "batch"),
    ("priority", CACHED, "priority"),
    ("fast", CACHED, "fast"),
    ("flex", CACHED, "flex"),
    ("long context", LONG, None),
    ("long context, batch", LONG, "batch"),
    ("long context, priority", LONG, "priority"),
    ("at a step", EDGE, None),
    ("audio", AUDIO, None),
    ("pictures", PICTURES, None),
    ("tools", TOOLS, "web"),
    ("others", OTHERS, None),
    ("others, batch", OTHERS, "batch"),
]
THEIRS = {
    "cached_input_tokens": "cache_read_tokens",
    "cached_input_audio_tokens": "cache_audio_read_tokens",
    "cached_input_image_tokens": "cache_image_read_tokens",
    "reasoning_tokens": "output_reasoning_tokens",
    "citation_tokens": "output_citation_tokens",
    "characters": "input_characters",
    "messages": "input_text_messages",
    "pixels": "input_pixels",
    "pages": "input_document_pages",
    "annotated_pages": "input_annotated_document_pages",
    "searches": "web_searches",
    "file_searches": "storage_searches",
}


def theirs(quantities: Mapping[str, int]) -> Usage:
    """The same in the words of genai-prices."""
    seconds = {
        f"{name.removesuffix('_ms')}_seconds": Decimal(count) / 1000
        for name, count in quantities.items()
        if name.endswith("_ms")
    }
    return Usage(
        **{THEIRS.get(name, name): count for name, count in quantities.items() if name[-3:] != "_ms"}, **seconds
    )


def names_of(clause: Any) -> Iterator[str]:
    """Names that a rule may fit."""
    for below in getattr(clause, "or_", None) or getattr(clause, "and_", None) or ():
        yield from names_of(below)
    for kind in ("equals", "starts_with", "ends_with", "contains"):
        if hasattr(clause, kind):
            yield getattr(clause, kind)
    if hasattr(clause, "regex") and "(?!" not in clause.regex:
        digits = re.sub(r"\\d(?:\{(\d)\})?", lambda found: "20260821"[: int(found[1] or 1)], clause.regex)
        yield re.sub(r"[\^$\\()?]", "", digits).replace("[-@]", "@").replace("[", "").replace("]", "")


EVERY: list[tuple[Provider, ModelInfo, str]] = [
    (provider, model, next(names_of(model.match))) for provider in providers for model in provider.models
]
SOME = EVERY[:: len(EVERY) // 240]


def difference(
    table: PriceTable, provider: Provider, name: str, shape: tuple[str, Mapping[str, int], str | None], at: datetime
) -> str | None:
    """How a cost differs, if it does; ours may be a nano-dollar more, as it is rounded up."""
    what, quantities, tier = shape
    context = dict.fromkeys(WORDS, tier) if tier is not None else None
    try:
        wanted = calc_price(
            theirs(quantities), name, provider_id=provider.id, genai_request_timestamp=at, price_context=context
        ).total_price
    except LookupError:
        wanted = None
    cost = table.cost(Used(name, quantities, tier), at.timestamp())
    found = None if cost.nano is None else cost.nano * NANO
    if found is None:  # what genai-prices counts as 0 for want of a price
        is_same = not wanted and cost.unpriced == {each for each, count in quantities.items() if count}
        return None if is_same else f"{provider.id} {name}, {what}, {at}: no price for {wanted}"
    if wanted is None:
        return f"{provider.id} {name}, {what}, {at}: {found} for a model that it does not know"
    is_same = wanted <= found + NANO / 1000 and found - wanted <= NANO
    return None if is_same else f"{provider.id} {name}, {what}, {at}: {found} for {wanted}"


def test_every_kind_of_answer_costs_what_genai_prices_says(tables: Mapping[str, PriceTable]) -> None:
    """Some 240 models of all providers, every shape of answer, to the nano-dollar."""
    assert len(SOME) >= 200
    assert len({provider.id for provider, _, _ in SOME}) > 30
    differences = [
        difference(tables[provider.id], provider, name, shape, NOW) for provider, _, name in SOME for shape in SHAPES
    ]
    assert [each for each in differences if each] == []


def test_every_model_of_every_provider_costs_the_same_at_any_time(tables: Mapping[str, PriceTable]) -> None:
    """Dated prices and prices by the time of day: what was asked before is not mixed with what is asked now."""
    differences = []
    for number, (provider, _, name) in enumerate(EVERY):
        changing = provider.id in {"deepseek", "openai", "anthropic"}
        times = TIMES if changing else [TIMES[number % len(TIMES)], NOW]
        differences += [difference(tables[provider.id], provider, name, SHAPES[2], at) for at in times]
    assert [each for each in differences if each] == []


@pytest.mark.parametrize("written", [str.upper, lambda name: f"{name}-20260821", lambda name: f"x-{name}"])
def test_other_ways_to_write_a_name_mean_the_same_model(tables: Mapping[str, PriceTable], written: Any) -> None:
    """Case, a date at the end with and without dashes, something before it."""
    differences = [difference(tables[each.id], each, written(name), SHAPES[0], NOW) for each, _, name in SOME]
    assert [each for each in differences if each] == []


def test_every_rule_of_every_model_was_tried(tables: Mapping[str, PriceTable]) -> None:
    """Each name that any rule of any model names leads to the model that genai-prices finds."""
    wrong = []
    for provider in providers:
        for model in provider.models:
            for name in names_of(model.match):
                wanted = provider.find_model(name, all_providers=providers)
                found = tables[provider.id].lists[0].find(name)
                if (wanted.id if wanted else None) != (found.id if found else None):
                    wrong.append((provider.id, name, wanted and wanted.id, found and found.id))
    assert wrong == []


def without_price(provider: Provider) -> set[str]:
    """The models of a provider that are known and have no price."""
    return {
        model.id
        for each, model, _ in EVERY
        if each is provider and isinstance(model.prices, ModelPrice) and not vars(model.prices)
    }


def test_the_models_without_a_price_are_known(tables: Mapping[str, PriceTable]) -> None:
    """Names of models that genai-prices has and does not price; those of the catalogue's providers one by one."""
    listed = {each.prices_from for each in map(definition_of_entry, catalogue.names())}
    assert {name: without_price(each) for each in providers if (name := each.id) in listed} == {
        "openai": {"moderation"}
    }
    assert Counter({each.id: len(without_price(each)) for each in providers if without_price(each)}) == {
        "azure": 3, "cerebras": 1, "github-copilot": 4, "google": 4, "huggingface_together": 3, "mistral": 3,
        "openai": 1, "openrouter": 160,
    }  # fmt: skip


def test_what_has_no_price_is_never_free(tables: Mapping[str, PriceTable]) -> None:
    """A model without a price, an unknown one, and no model at all: the cost is unknown, and all that was used told."""
    for name in ("omni-moderation-latest", "gpt-4.1-of-tomorrow", None):
        assert tables["openai"].cost(Used(name, PLAIN), NOW.timestamp()) == Cost(None, frozenset(PLAIN))
