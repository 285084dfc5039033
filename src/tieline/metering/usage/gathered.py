"""What one exchange used, put together from what its answer, events or frames said. Providers are known by ``Look``."""

import re
from typing import Any, Final

import orjson

from tieline.metering.reading import Tally, UsageReading, name_in
from tieline.metering.usage.sighting import Look, Sighting
from tieline.metering.usage.told import MEMBERS_MOST, merge, tally_of

BYTES_OF_TOKEN: Final = 4
"""How many bytes of text an estimate takes for a token."""
EVENT_MOST: Final = 1024 * 1024
"""Bytes of an event that is still read."""
_MARKS_MOST: Final = 50_000
"""Commas and opening brackets of one: building so many values takes a few milliseconds, and it is done on the loop."""
_LOOKS_MOST: Final = 3
"""Events in which the model is looked for, where none tells usage."""
_BEFORE_MOST: Final = 1024
"""Bytes of an event before its text that are remembered."""
_SOUND: Final = b'audio.delta"'
"""Ends the type of events whose text is sound, which says nothing of tokens."""
_NULLS: Final = (b":null", b": null")
_TEXT: Final = re.compile(
    rb'"(?:content|reasoning_content|delta|text|partial_json|thinking|arguments)": ?"((?:[^"\\]++|\\.)++)"'
)


def is_read(event: bytes) -> bool:
    """Whether an event is neither too large to be decoded nor so full of values that others would wait for it."""
    if len(event) <= _MARKS_MOST:
        return True
    return len(event) <= EVENT_MOST and sum([event.count(mark) for mark in (b",", b"[", b"{")]) <= _MARKS_MOST


def told_at_once(seen: Sighting | None) -> UsageReading | None:
    """What was used, where one place tells all of it, as in most whole answers; None where it has to be gathered."""
    if seen is None or not seen.usage or not seen.final or seen.aside or seen.counts:
        return None
    tally = tally_of(seen.usage)
    if tally is None:
        return None
    return UsageReading(name_in(seen.model), name_in(seen.service_tier), tally.counts, unread=frozenset(tally.unread))


class GatheredUsage:
    """The usage of one exchange. ``asked_bytes`` is the size of what was asked, for an estimate of what was read."""

    __slots__ = (
        "_aside",
        "_asked_bytes",
        "_before",
        "_counts",
        "_final",
        "_look",
        "_looks",
        "_model",
        "_past",
        "_pieces",
        "_sign",
        "_told",
        "_turn",
        "_unread",
        "_written",
        "service_tier",
    )  # fmt: skip

    def __init__(self, look: Look, sign: bytes, asked_bytes: int = 0) -> None:
        self.service_tier: str | None = None
        self._look = look
        self._looks = 0
        self._sign = sign
        self._asked_bytes = asked_bytes
        self._model: str | None = None
        self._told: dict[str, Any] = {}
        self._counts: dict[str, int] = {}
        self._turn = ""
        self._past = Tally()  # earlier turns
        self._aside = Tally()
        self._final = False
        self._pieces = 0
        self._written = 0
        self._before = b""
        self._unread: set[str] = set()

    def event(self, name: str | None, data: bytes) -> None:
        """One event or frame as it came; only the first is decoded for its model, others where they tell usage."""
        if not self._tells(data):
            self._count(data)
            self._looks += 1
            if self._model is not None or self._looks > _LOOKS_MOST or data[:1] != b"{":
                return
        if not is_read(data):
            self._unread.add("an event that is too large")
            return
        try:
            value = orjson.loads(data)
        except orjson.JSONDecodeError:
            if self._sign in data:
                self._unread.add("an event that is no JSON")
            return
        self.value(name, value)

    def passed(self, data: bytes) -> bool:
        """Whether an event, still in its framing, tells nothing that has to be read; its text was counted then."""
        if (self._model is None and self._looks < _LOOKS_MOST) or self._tells(data):
            return False
        self._count(data)
        return True

    def _tells(self, data: bytes) -> bool:
        """Whether an event tells usage; null, as streams that are asked for it say again and again, tells none."""
        place = data.find(self._sign)
        if place < 0:
            return False
        behind = place + len(self._sign)
        is_null = data.startswith(_NULLS, behind)
        return not is_null or data.find(self._sign, behind) >= 0

    def _count(self, data: bytes) -> None:
        """Count the text of an event for an estimate. The events of a stream mostly are alike up to their text."""
        begin = len(self._before)
        if begin and data.startswith(self._before):
            end = data.find(b'"', begin)
            if end >= 0 and data.find(b"\\", begin, end) < 0:
                self._pieces += 1
                self._written += end - begin
                return
        text = _TEXT.search(data)
        if text is not None and data.find(_SOUND, 0, text.start(1)) < 0:
            begin, end = text.span(1)
            self._pieces += 1
            self._written += end - begin
            self._before = data[:begin] if begin <= _BEFORE_MOST else b""

    def value(self, name: str | None, value: Any) -> None:
        """A whole answer or an event, decoded."""
        seen = self._look(value)
        if seen is None:
            return
        if seen.aside:
            self._add(self._aside, seen.usage)
            return
        self._model = name_in(seen.model) or self._model
        self.service_tier = name_in(seen.service_tier) or self.service_tier
        if seen.usage is not None or seen.counts:
            self._take(seen)

    def reading(self, *, ended: bool) -> UsageReading | None:
        """What was used as far as it is known; None where nothing tells that anything was.

        ``ended`` says that the answer is whole. What the provider did not tell of one that is not is estimated from the
        text that came: a token for each event, or for four bytes of it where these are more.
        """
        tally = Tally()
        if self._past:
            tally.add(self._past)
        self._settle(tally)
        estimated = self._estimate(tally, ended=ended)
        tally.unread |= self._unread
        others: tuple[UsageReading, ...] = ()
        if self._aside:
            others = (UsageReading(None, None, self._aside.counts, unread=frozenset(self._aside.unread)),)
        elif not tally:
            return None
        return UsageReading(self._model, self.service_tier, tally.counts, estimated, frozenset(tally.unread), others)

    def _take(self, seen: Sighting) -> None:
        if seen.turn != self._turn and self._told:
            self._settle(self._past)
            self._told, self._counts, self._final = {}, {}, False
        self._turn = seen.turn
        if seen.usage is not None and len(seen.usage) > MEMBERS_MOST:
            self._unread.add("usage")
        elif seen.usage is not None and not self._told:
            self._told = dict(seen.usage)
        elif seen.usage is not None:
            merge(self._told, seen.usage)
        for name, count in seen.counts.items():
            self._counts[name] = max(count, self._counts.get(name, 0))
        self._final = self._final or seen.final
        if seen.final:
            self._pieces = self._written = 0

    def _settle(self, tally: Tally) -> None:
        """Add the turn as it was told last to ``tally``."""
        if self._told:
            self._add(tally, self._told)
        for name, count in self._counts.items():
            tally.count(name, count)

    def _add(self, tally: Tally, usage: Any) -> None:
        if usage is None:
            return
        more = tally_of(usage)
        if more is not None:
            tally.add(more)
        else:
            tally.odd("usage")

    def _estimate(self, tally: Tally, *, ended: bool) -> bool:
        """Add what was not told; whether something had to be."""
        if self._final and not self._pieces:
            return False
        written = max(self._pieces, -(-self._written // BYTES_OF_TOKEN))
        if ended and not written:
            return False
        counts = tally.counts
        if "input_tokens" not in counts and self._asked_bytes:
            counts["input_tokens"] = -(-self._asked_bytes // BYTES_OF_TOKEN)
        told = tally_of(self._told) if not self._final else None
        known = told.counts.get("output_tokens", 0) if told is not None else 0
        counts["output_tokens"] = counts.get("output_tokens", 0) + max(0, written - known)
        return True
