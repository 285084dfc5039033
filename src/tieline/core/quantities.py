"""What can be counted of a request: the names of quantities, what they are counted in, and which are part of which.

Definitions, readers of usage, prices, budgets and what people are shown use these names and no others. Counts are whole
numbers: times are milliseconds inside and seconds where people see them (``audio_ms`` is shown as ``audio_seconds``).
An API may count more than the table has; such a quantity is part of nothing, and a time where its name ends in ``_ms``.
A part is counted again in its whole: ``cached_input_tokens`` is how many of the ``input_tokens`` came from a cache.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

Unit = Literal["token", "millisecond", "count"]
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_MS, _SECONDS = "_ms", "_seconds"


@dataclass(frozen=True, slots=True)
class Quantity:
    """One thing that is counted. ``parts_of`` are the quantities that count it too, whole before part.

    ``sort`` says whether it is read (``input``) or written (``output``) by a model, charged for each use of a built-in
    tool (``tool``), or measures in another way what tokens may measure already (``other``).
    """

    name: str
    title: str
    sort: Literal["input", "output", "tool", "other"]
    parts_of: tuple[str, ...] = ()
    unit: Unit = "token"

    @property
    def shown(self) -> str:
        """The name that people see: times are shown in seconds."""
        return shown_name(self.name)


def _of_input(name: str, title: str, *more: str) -> Quantity:
    return Quantity(name, title, "input", ("input_tokens", *more))


def _of_output(name: str, title: str) -> Quantity:
    return Quantity(name, title, "output", ("output_tokens",))


_TABLE = (
    Quantity("input_tokens", "All tokens read.", "input"),
    _of_input("cached_input_tokens", "Tokens read from the provider's cache."),
    _of_input("cache_write_tokens", "Tokens written to the provider's cache."),
    _of_input("cache_write_5m_tokens", "Tokens written to it for five minutes.", "cache_write_tokens"),
    _of_input("cache_write_1h_tokens", "Tokens written to it for an hour.", "cache_write_tokens"),
    _of_input("input_text_tokens", "Tokens of text read."),
    _of_input("cached_input_text_tokens", "Those from the cache.", "cached_input_tokens", "input_text_tokens"),
    _of_input("input_audio_tokens", "Tokens of audio read."),
    _of_input("cached_input_audio_tokens", "Those from the cache.", "cached_input_tokens", "input_audio_tokens"),
    _of_input("input_image_tokens", "Tokens of images read."),
    _of_input("cached_input_image_tokens", "Those from the cache.", "cached_input_tokens", "input_image_tokens"),
    _of_input("input_video_tokens", "Tokens of video read."),
    _of_input("cached_input_video_tokens", "Those from the cache.", "cached_input_tokens", "input_video_tokens"),
    Quantity("output_tokens", "All tokens written.", "output"),
    _of_output("reasoning_tokens", "Tokens written while reasoning."),
    _of_output("citation_tokens", "Tokens of citations."),
    _of_output("output_text_tokens", "Tokens of text written."),
    _of_output("output_audio_tokens", "Tokens of audio written."),
    _of_output("output_image_tokens", "Tokens of images written."),
    _of_output("output_video_tokens", "Tokens of video written."),
    Quantity("audio_ms", "Time of audio, read or written.", "other", unit="millisecond"),
    Quantity("input_audio_ms", "Time of audio read.", "other", ("audio_ms",), "millisecond"),
    Quantity("output_audio_ms", "Time of audio written.", "other", ("audio_ms",), "millisecond"),
    Quantity("video_ms", "Time of video, read or written.", "other", unit="millisecond"),
    Quantity("compute_ms", "Time that a machine of the provider's worked.", "other", unit="millisecond"),
    Quantity("characters", "Characters of text.", "other", unit="count"),
    Quantity("images", "Images.", "other", unit="count"),
    Quantity("pixels", "Pixels of images read.", "other", unit="count"),
    Quantity("pages", "Pages of documents read.", "other", unit="count"),
    Quantity("annotated_pages", "Those that were annotated.", "other", ("pages",), "count"),
    Quantity("messages", "Messages of text read.", "other", unit="count"),
    Quantity("searches", "Searches of the web.", "tool", unit="count"),
    Quantity("social_searches", "Searches of social media.", "tool", unit="count"),
    Quantity("file_searches", "Searches of stored files.", "tool", unit="count"),
    Quantity("rerank_searches", "Searches whose results were ranked.", "other", unit="count"),
    Quantity("code_executions", "Runs of a code interpreter.", "tool", unit="count"),
    Quantity("credits", "What the provider counts in a unit of its own.", "other", unit="count"),
    Quantity("requests", "Requests.", "other", unit="count"),
)

QUANTITIES: Final[Mapping[str, Quantity]] = {each.name: each for each in _TABLE}


def is_quantity(name: str) -> bool:
    """Whether ``name`` can name a quantity, in the table or not."""
    return _NAME.fullmatch(name) is not None


def is_time(name: str) -> bool:
    """Whether what is called ``name`` inside is counted in milliseconds."""
    return name.endswith(_MS)


def shown_name(name: str) -> str:
    """The name that people see."""
    return name.removesuffix(_MS) + _SECONDS if is_time(name) else name


def inner_name(shown: str) -> str:
    """The name inside of what people see as ``shown``."""
    return shown.removesuffix(_SECONDS) + _MS if shown.endswith(_SECONDS) else shown


def shown(quantities: Mapping[str, int]) -> dict[str, int | Decimal]:
    """Quantities as people and programs see them: times in seconds, as exact decimals."""
    return {shown_name(name): Decimal(count) / 1000 if is_time(name) else count for name, count in quantities.items()}
