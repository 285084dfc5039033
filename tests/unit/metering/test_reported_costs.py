"""Costs that gateways and tracers were reported to get wrong, and what they are here. Each test names its report."""

import math
from collections.abc import Mapping
from typing import Any

from tests.unit.metering.test_usage import ANTHROPIC, GEMINI, OPENAI, chunk, streamed, whole
from tieline.metering.rates import PriceTable

NOW = 1_795_000_000.0
MILLION = 10**6


def nano(tables: Mapping[str, PriceTable], provider: str, reading: Any) -> int | None:
    """What a reading costs by its provider's list."""
    return tables[provider].cost(reading, NOW).nano


def dollars(**tokens: tuple[int, float]) -> int:
    """So many tokens at so many dollars a million, in nano-dollars."""
    return math.ceil(sum(count * usd * 1_000 for count, usd in tokens.values()) - 1e-9)


def test_what_anthropic_reads_from_its_cache_is_charged_once(tables: Mapping[str, PriceTable]) -> None:
    """langwatch/langwatch#7018: cached tokens at the rate of the input and at that of the cache too."""
    usage = {
        "input_tokens": 100, "cache_read_input_tokens": 100_000, "cache_creation_input_tokens": 1_000,
        "output_tokens": 200,
    }  # fmt: skip
    reading = whole(ANTHROPIC, {"type": "message", "model": "claude-sonnet-4-5", "usage": usage})
    assert reading.quantities["input_tokens"] == 101_100
    cost = dollars(read=(100, 3), cached=(100_000, 0.3), written_to=(1_000, 3.75), written=(200, 15))
    assert nano(tables, "anthropic", reading) == cost


def test_a_prompt_that_is_all_cached_costs_what_the_cache_costs(tables: Mapping[str, PriceTable]) -> None:
    """Aider-AI/aider#5518: the whole prompt was charged beside its cached part."""
    usage = {"prompt_tokens": 50_000, "completion_tokens": 0, "prompt_tokens_details": {"cached_tokens": 50_000}}
    reading = whole(OPENAI, {"model": "gpt-4.1", "choices": [], "usage": usage})
    assert nano(tables, "openai", reading) == dollars(cached=(50_000, 0.5))


def test_what_is_cached_of_a_prompt_is_in_it(tables: Mapping[str, PriceTable]) -> None:
    """adolfousier/opencrabs#1636: a prompt that has its cached prefix in it was taken for what is beside the prefix."""
    usage = {"prompt_tokens": 1_000, "completion_tokens": 10, "prompt_tokens_details": {"cached_tokens": 600}}
    reading = whole(OPENAI, {"model": "gpt-4.1", "choices": [], "usage": usage})
    assert nano(tables, "openai", reading) == dollars(read=(400, 2), cached=(600, 0.5), written=(10, 8))


def test_what_gemini_caches_is_charged_once(tables: Mapping[str, PriceTable]) -> None:
    """Artzainnn/ClaudeUsageBar#93: ``cachedContentTokenCount`` is a part of ``promptTokenCount``."""
    usage = {"promptTokenCount": 20_000, "cachedContentTokenCount": 16_000, "candidatesTokenCount": 900}
    reading = whole(GEMINI, {"modelVersion": "gemini-2.5-flash", "usageMetadata": usage | {"totalTokenCount": 20_900}})
    cost = dollars(read=(4_000, 0.3), cached=(16_000, 0.03), written=(900, 2.5))
    assert nano(tables, "google", reading) == cost


def test_a_model_that_no_list_knows_is_not_free(tables: Mapping[str, PriceTable]) -> None:
    """openclaw/openclaw#90674: every turn with a new model cost 0, and nothing said so."""
    usage = {"input_tokens": 10, "output_tokens": 5}
    reading = whole(ANTHROPIC, {"type": "message", "model": "model-of-tomorrow", "usage": usage})
    cost = tables["anthropic"].cost(reading, NOW)
    assert cost.nano is None
    assert cost.unpriced == {"input_tokens", "output_tokens"}


def test_a_stream_that_tells_of_nothing_used_is_not_guessed_at() -> None:
    """BerriAI/litellm#37992: figures of 0 were taken for none, and an estimate was charged."""
    nothing = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    reading = streamed(OPENAI, [chunk("Hi"), chunk(usage=nothing)], ended=False, asked_bytes=400)
    assert not reading.estimated
    assert not any(reading.quantities.values())


def test_what_was_reasoned_is_counted_though_nobody_sees_it() -> None:
    """BerriAI/litellm#35290: streams were estimated by their text, and most of a reasoning model's output lost."""
    usage = {
        "prompt_tokens": 20, "completion_tokens": 2_000, "total_tokens": 2_020,
        "completion_tokens_details": {"reasoning_tokens": 1_950},
    }  # fmt: skip
    reading = streamed(OPENAI, [chunk("Yes"), chunk("."), chunk(usage=usage)])
    assert (reading.quantities["output_tokens"], reading.estimated) == (2_000, False)


def test_what_broke_off_costs_what_its_model_costs(tables: Mapping[str, PriceTable]) -> None:
    """BerriAI/litellm#37734: partial streams were written down with tokens, and a cost of 0."""
    begun = {"type": "message_start", "message": {"model": "claude-sonnet-4-5", "usage": {"input_tokens": 50}}}
    said = [{"type": "content_block_delta", "delta": {"type": "text_delta", "text": "word"}}] * 30
    reading = streamed(ANTHROPIC, [begun, *said], ended=False)
    assert reading.estimated
    assert nano(tables, "anthropic", reading) == dollars(read=(50, 3), written=(30, 15))


def test_a_role_without_a_word_is_no_token() -> None:
    """The first chunk of a chat holds a role and an empty text, which an estimate does not count."""
    reading = streamed(OPENAI, [chunk(""), chunk("Hi"), chunk(" you")], ended=False)
    assert reading.quantities == {"output_tokens": 2}
