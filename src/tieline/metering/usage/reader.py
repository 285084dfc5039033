"""The reader of an API's usage, made of the section ``usage`` of its definition."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol

from tieline.definitions.infer.paths import split
from tieline.definitions.model import Usage
from tieline.metering.reading import UsageReading
from tieline.metering.usage import anthropic, gemini, openai
from tieline.metering.usage.declared import DeclaredPlaces, DeclaredUsage
from tieline.metering.usage.gathered import GatheredUsage, told_at_once
from tieline.metering.usage.sighting import Look

_LOOKS: Final[Mapping[str, tuple[Look, bytes]]] = {
    "openai": (openai.look, b'"usage"'),
    "anthropic": (anthropic.look, b'"usage"'),
    "gemini": (gemini.look, b'"usageMetadata"'),
}
_TOP: Final[Mapping[str, frozenset[str]]] = {
    "openai": frozenset("object type model service_tier usage status output duration text x_groq".split()),  # noqa: SIM905
    "anthropic": frozenset({"type", "model", "usage"}),
    "gemini": frozenset({"usageMetadata", "modelVersion"}),
}


class UsageGatherer(Protocol):
    """Puts together what one exchange used: whole answers as values, streams and frames as events."""

    def event(self, name: str | None, data: bytes) -> None:
        """One event or frame as it came; ``name`` is that of its framing, if it has one."""
        ...

    def passed(self, data: bytes) -> bool:
        """Whether an event, still in its framing, tells nothing that has to be read; its text was counted then."""
        ...

    def value(self, name: str | None, value: Any) -> None:
        """A whole answer, or an event, decoded."""
        ...

    def reading(self, *, ended: bool) -> UsageReading | None:
        """What was used as far as it is known; None where nothing was told. ``ended``: the answer is whole."""
        ...


class UsageReader:
    """How the usage of one API is read. ``top`` are the members of a whole answer that are needed; None for all.

    ``includes`` says that chat streams are asked for usage (``include_usage``).
    """

    __slots__ = ("_look", "_places", "_sign", "includes", "kind", "top")

    def __init__(self, usage: Usage) -> None:
        self.kind = usage.kind
        self.includes = usage.kind == "openai" and usage.include_usage
        self._places = DeclaredPlaces(usage) if usage.kind == "declared" else None
        self._look, self._sign = _LOOKS.get(usage.kind, (openai.look, b""))
        self.top = _TOP.get(usage.kind) if self._places is None else _needed(usage)

    def gather(self, headers: Iterable[tuple[bytes, bytes]] = (), asked_bytes: int = 0) -> UsageGatherer:
        """For an answer with these header fields to a request whose body has ``asked_bytes``."""
        if self._places is None:
            return GatheredUsage(self._look, self._sign, asked_bytes)
        gathered = DeclaredUsage(self._places)
        gathered.headers(headers)
        return gathered

    def of_answer(self, value: Any, headers: Iterable[tuple[bytes, bytes]] = ()) -> UsageReading | None:
        """What a whole answer tells; None where it tells nothing. A list is a stream that came as one."""
        if self._places is None and isinstance(value, dict):
            told = told_at_once(self._look(value))
            if told is not None:
                return told
        gathered = self.gather(headers)
        for each in value if isinstance(value, list) else (value,):
            gathered.value(None, each)
        return gathered.reading(ended=True)


def _needed(usage: Usage) -> frozenset[str] | None:
    paths = [path for spot in usage.quantities.values() for path in spot.paths]
    firsts = [next(iter(split(path)), None) for path in (*paths, *([usage.model] if usage.model else ()))]
    names = [first for first in firsts if isinstance(first, str)]
    return frozenset(names) if len(names) == len(firsts) else None
