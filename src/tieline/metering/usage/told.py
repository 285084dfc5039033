"""Usage objects of providers, in the words of the table of quantities, and how two of one exchange become one.

The four forms are told apart by their members: OpenAI's, in which parts are counted within their whole; Anthropic's, in
which what was cached stands beside the rest; Gemini's, in which thoughts stand beside what was written; and Ollama's.
Others speak them too, with deviations, which are read here: xAI reasons beside ``completion_tokens``, some services
cache beside ``prompt_tokens``, some tell all figures as 0 at the end, some correct the input late. Nothing raises.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from tieline.core.quantities import QUANTITIES
from tieline.metering.reading import Tally, whole

MEMBERS_MOST: Final = 100
"""Members of a usage object that are looked at."""
ITEMS_MOST: Final = 1000
"""Items of a list within it."""
_Members = Mapping[str, "str | _Members"]
_PARTS = frozenset(name for name, each in QUANTITIES.items() if each.parts_of)
"""Not told where they are 0."""
_READ = frozenset(
    "input_tokens cache_read_input_tokens cache_creation_input_tokens prompt_tokens promptTokenCount"  # noqa: SIM905
    " toolUsePromptTokenCount prompt_eval_count".split()
)


_DETAILS_READ: _Members = {
    "cached_tokens": "cached_input_tokens",
    "cache_write_tokens": "cache_write_tokens",
    "text_tokens": "input_text_tokens",
    "audio_tokens": "input_audio_tokens",
    "image_tokens": "input_image_tokens",
    "cached_tokens_details": {
        "text_tokens": "cached_input_text_tokens",
        "audio_tokens": "cached_input_audio_tokens",
        "image_tokens": "cached_input_image_tokens",
    },
}
_DETAILS_WRITTEN: _Members = {
    "reasoning_tokens": "reasoning_tokens",
    "text_tokens": "output_text_tokens",
    "audio_tokens": "output_audio_tokens",
    "image_tokens": "output_image_tokens",
}
OPENAI: Final[_Members] = {
    "prompt_tokens": "input_tokens",
    "input_tokens": "input_tokens",
    "completion_tokens": "output_tokens",
    "output_tokens": "output_tokens",
    "prompt_tokens_details": _DETAILS_READ,
    "input_tokens_details": _DETAILS_READ,
    "input_token_details": _DETAILS_READ,
    "completion_tokens_details": _DETAILS_WRITTEN,
    "output_tokens_details": _DETAILS_WRITTEN,
    "output_token_details": _DETAILS_WRITTEN,
    "prompt_cache_hit_tokens": "cached_input_tokens",
    "cached_tokens": "cached_input_tokens",
    "reasoning_tokens": "reasoning_tokens",
    "seconds": "audio_ms",
    "prompt_audio_seconds": "audio_ms",
}
ANTHROPIC: Final[_Members] = {
    "input_tokens": "input_tokens",
    "cache_read_input_tokens": "cached_input_tokens",
    "cache_creation_input_tokens": "cache_write_tokens",
    "cache_creation": {
        "ephemeral_5m_input_tokens": "cache_write_5m_tokens",
        "ephemeral_1h_input_tokens": "cache_write_1h_tokens",
    },
    "output_tokens": "output_tokens",
    "server_tool_use": {"web_search_requests": "searches"},
}
GEMINI: Final[_Members] = {
    "promptTokenCount": "input_tokens",
    "cachedContentTokenCount": "cached_input_tokens",
    "candidatesTokenCount": "output_tokens",
    "responseTokenCount": "output_tokens",
    "thoughtsTokenCount": "reasoning_tokens",
}
OLLAMA: Final[_Members] = {"prompt_eval_count": "input_tokens", "eval_count": "output_tokens"}
_MODALITIES: Mapping[str, tuple[str, ...]] = {
    "promptTokensDetails": ("input_{}_tokens",),
    "toolUsePromptTokensDetails": ("input_{}_tokens",),
    "cacheTokensDetails": ("cached_input_{}_tokens",),
    "candidatesTokensDetails": ("output_{}_tokens",),
    "responseTokensDetails": ("output_{}_tokens",),
}


_OF_ANTHROPIC: Final = frozenset(
    {"cache_read_input_tokens", "cache_creation_input_tokens", "cache_creation", "server_tool_use"}
)
_NOT_OPENAI: Final = _OF_ANTHROPIC | {
    "promptTokenCount", "candidatesTokenCount", "responseTokenCount", "prompt_eval_count", "eval_count",
}  # fmt: skip
"""Members that may tell of another form than OpenAI's, which is the usual one."""


def tally_of(told: Any, place: str = "usage") -> Tally | None:
    """What a usage object counts; None where it has no form that is known. ``place`` is where it stands."""
    if not isinstance(told, dict) or len(told) > MEMBERS_MOST:
        return None
    tally = Tally()
    if told.keys().isdisjoint(_NOT_OPENAI):
        _note(told, OPENAI, tally, place)
        _beside(told, tally, place)
    elif not told.keys().isdisjoint(("promptTokenCount", "candidatesTokenCount", "responseTokenCount")):
        _gemini(told, tally, place)
    elif "prompt_tokens" not in told and not told.keys().isdisjoint(_OF_ANTHROPIC):
        _anthropic(told, tally, place)
    elif not told.keys().isdisjoint(("prompt_eval_count", "eval_count")):
        _note(told, OLLAMA, tally, place)
    else:
        _note(told, OPENAI, tally, place)
        _beside(told, tally, place)
    if tally.counts:
        return tally
    nested = told.get("tokens")
    if not tally and isinstance(nested, dict) and "tokens" not in nested:
        return tally_of(nested, f"{place}.tokens")  # Cohere, beside what it bills
    return tally or None


def merge(before: dict[str, Any], told: Mapping[str, Any]) -> None:
    """Put what was ``told`` later of one exchange into what was told before: figures are totals so far, not increments.

    One that is missing leaves the earlier, and so does a 0, unless it comes with others that correct the input: then
    what was read is as it was told last (services say all input first, and what of it was cached at the end).
    """
    corrects = any(whole(told.get(name)) for name in _READ)
    if before and not corrects and not any(map(_says, told.values())):
        return
    for name, figure in told.items():
        if figure is None or (name not in before and len(before) >= MEMBERS_MOST):
            continue
        if name in before and not _says(figure) and not (corrects and name in _READ):
            continue
        before[name] = figure


def _says(figure: Any) -> bool:
    """Whether a member says more than 0 or nothing; for an object, whether one of its members does."""
    if isinstance(figure, dict):
        return any(not isinstance(each, dict | list) and each not in (0, None) for each in figure.values())
    return figure not in (0, None, [], "")


def _note(told: Mapping[str, Any], members: _Members, tally: Tally, place: str) -> None:
    """Count the members that are known; of several that tell the same quantity the first."""
    counts = tally.counts
    for name, figure in told.items():
        known = members.get(name)
        if isinstance(known, str):
            if known not in counts and (figure != 0 or known not in _PARTS):
                tally.note(known, figure, place, name)
        elif known is not None and isinstance(figure, dict) and len(figure) <= MEMBERS_MOST:
            _note(figure, known, tally, f"{place}.{name}")


def _beside(told: Mapping[str, Any], tally: Tally, place: str) -> None:
    """Add to their wholes the parts that a service counts beside them, as its total tells."""
    counts = tally.counts
    total, read, written = whole(told.get("total_tokens")), counts.get("input_tokens"), counts.get("output_tokens", 0)
    reasoned, cached = counts.get("reasoning_tokens", 0), counts.get("cached_input_tokens", 0)
    if read is None:
        return
    if reasoned and total == read + written + reasoned:
        counts["output_tokens"] = written + reasoned
    elif cached and total == read + written + cached:
        counts["input_tokens"] = read + cached
    elif cached > read:
        tally.odd(f"{place}.cached_tokens")


def _anthropic(told: Mapping[str, Any], tally: Tally, place: str) -> None:
    _note(told, ANTHROPIC, tally, place)
    counts = tally.counts
    kept = counts.get("cache_write_5m_tokens", 0) + counts.get("cache_write_1h_tokens", 0)
    if kept > counts.get("cache_write_tokens", 0):
        counts["cache_write_tokens"] = kept
    beside = counts.get("cached_input_tokens", 0) + counts.get("cache_write_tokens", 0)
    if beside or "input_tokens" in counts:
        counts["input_tokens"] = counts.get("input_tokens", 0) + beside
    for index, turn in enumerate(_items(told.get("iterations"))):
        # What summed up the conversation is not in the figures above; what answered is.
        if turn.get("type") == "compaction":
            more = Tally()
            _anthropic({key: each for key, each in turn.items() if key != "iterations"}, more, f"{place}.iterations")
            tally.add(more)
        elif turn.get("type") != "message":
            tally.odd(f"{place}.iterations[{index}]")


def _gemini(told: Mapping[str, Any], tally: Tally, place: str) -> None:
    _note(told, GEMINI, tally, place)
    tally.note("input_tokens", told.get("toolUsePromptTokenCount"), place, "toolUsePromptTokenCount")
    counts = tally.counts
    thoughts, total = counts.get("reasoning_tokens", 0), whole(told.get("totalTokenCount"))
    inside = total == counts.get("input_tokens", 0) + counts.get("output_tokens", 0)
    if thoughts and not (inside and counts.get("output_tokens", 0) >= thoughts):
        tally.count("output_tokens", thoughts)
    for member, names in _MODALITIES.items():
        for item in _items(told.get(member)):
            sort = item.get("modality")
            for name in names:
                quantity = name.format(sort.lower() if isinstance(sort, str) else "")
                if quantity in QUANTITIES and item.get("tokenCount") != 0:
                    tally.note(quantity, item.get("tokenCount"), f"{place}.{member}")


def _items(value: Any) -> Iterable[dict[str, Any]]:
    return [each for each in value[:ITEMS_MOST] if isinstance(each, dict)] if isinstance(value, list) else []
