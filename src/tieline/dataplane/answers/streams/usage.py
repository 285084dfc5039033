"""What providers call the tokens that were used, in one set of words. Knows no framing and no price.

The words are those that prices are given in (docs/definitions.md): ``input`` and ``output`` count all tokens read and
written; ``cached_input``, ``cache_write`` and ``audio_input`` are parts of ``input``, ``reasoning`` and
``audio_output`` parts of ``output``.
"""

from collections.abc import Mapping
from typing import Any

from tieline.definitions.getters import Get, getter

_WORDS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "prompt_tokens": {
        "input": ("prompt_tokens",),
        "output": ("completion_tokens",),
        "cached_input": ("prompt_tokens_details.cached_tokens",),
        "audio_input": ("prompt_tokens_details.audio_tokens",),
        "reasoning": ("completion_tokens_details.reasoning_tokens", "reasoning_tokens"),
        "audio_output": ("completion_tokens_details.audio_tokens",),
    },
    # OpenAI's Responses counts what was cached within input_tokens, Anthropic's messages beside it.
    "input_tokens": {
        "input": ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"),
        "output": ("output_tokens",),
        "cached_input": ("input_tokens_details.cached_tokens", "cache_read_input_tokens"),
        "cache_write": ("cache_creation_input_tokens",),
        "reasoning": ("output_tokens_details.reasoning_tokens",),
    },
    "promptTokenCount": {
        "input": ("promptTokenCount", "toolUsePromptTokenCount"),
        "output": ("candidatesTokenCount", "thoughtsTokenCount"),
        "cached_input": ("cachedContentTokenCount",),
        "reasoning": ("thoughtsTokenCount",),
    },
    "prompt_eval_count": {"input": ("prompt_eval_count",), "output": ("eval_count",)},
}
_PARTS: Mapping[str, tuple[tuple[str, tuple[Get, ...]], ...]] = {
    sign: tuple((word, tuple(map(getter, paths))) for word, paths in words.items()) for sign, words in _WORDS.items()
}
_SIGNS = {
    "completion_tokens": "prompt_tokens",
    "output_tokens": "input_tokens",
    "candidatesTokenCount": "promptTokenCount",
    "eval_count": "prompt_eval_count",
} | {name: name for name in _PARTS}


def normalise(told: Mapping[str, Any]) -> Mapping[str, Any]:
    """Usage as a provider told it, in Tieline's words (whole numbers); as it is when the provider's are not known.

    ``input`` and ``output`` are always given, parts only where they are not 0. Where only a total that is told counts
    what was reasoned (xAI), it is added to ``output``, of which it is a part.
    """
    sign = next((sign for name, sign in _SIGNS.items() if name in told), None)
    counts = told.get("tokens")
    if sign is None and isinstance(counts, dict) and not _SIGNS.keys().isdisjoint(counts):
        return normalise(counts)  # Cohere, beside what it bills
    if sign is None:
        return dict(told)
    found = {word: sum(_count(get(told)) for get in parts) for word, parts in _PARTS[sign]}
    reasoned, total = found.get("reasoning", 0), _count(told.get("total_tokens"))
    if reasoned and total == found["input"] + found["output"] + reasoned:
        found["output"] += reasoned
    return {word: count for word, count in found.items() if count or word in {"input", "output"}}


def is_usage(value: Mapping[str, Any]) -> bool:
    """Whether an object counts tokens, itself or in what it holds as ``tokens``, under a provider's known words."""
    counts = value.get("tokens")
    return any(name in _SIGNS and isinstance(held, int) for name, held in value.items()) or (
        isinstance(counts, dict) and is_usage(counts)
    )


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
