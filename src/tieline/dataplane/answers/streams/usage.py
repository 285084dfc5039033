"""The words in which streams tell usage: those of docs/streams.md. What providers call it, ``metering.usage`` knows."""

from collections.abc import Mapping
from typing import Any, Final

from tieline.metering.usage.told import tally_of

_WORDS: Final = {
    "input_tokens": "input",
    "output_tokens": "output",
    "cached_input_tokens": "cached_input",
    "cache_write_tokens": "cache_write",
    "input_audio_tokens": "audio_input",
    "reasoning_tokens": "reasoning",
    "output_audio_tokens": "audio_output",
}


def normalise(told: Mapping[str, Any]) -> Mapping[str, Any]:
    """Usage as a provider told it, in Tieline's words (whole numbers); as it is when the provider's are not known.

    ``input`` and ``output`` are always given, unless a figure could not be read; parts only where they are not 0.
    """
    tally = tally_of(told)
    if tally is None or tally.counts.keys().isdisjoint(("input_tokens", "output_tokens")):
        return dict(told)
    counts = tally.counts if tally.unread else {"input_tokens": 0, "output_tokens": 0} | tally.counts
    return {word: counts[name] for name, word in _WORDS.items() if name in counts}


def is_usage(value: Mapping[str, Any]) -> bool:
    """Whether an object counts tokens under words of a provider's that are known."""
    tally = tally_of(value)
    return tally is not None and not tally.counts.keys().isdisjoint(("input_tokens", "output_tokens"))
