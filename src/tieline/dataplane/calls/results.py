"""What a run gives, whoever asked for it: one whole answer, a file in pieces, or a stream of items. Knows no HTTP.

A run hands it to a ``Receiver``: the door ``/call`` writes it to a client, another door may do something else with it.
Everything in it is masked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from tieline.dataplane.answers.streams.items import StreamItem


class WholeAnswer(NamedTuple):
    """An answer that is here: its value as JSON, None for an answer that is empty by its type."""

    json: bytes | None

    @property
    def size(self) -> int:
        return len(self.json or b"")


@dataclass(frozen=True, slots=True)
class FileHead:
    """What is known of a file before its bytes. ``length`` is None where nobody knows it yet.

    ``fields`` are what its upstream says of it beside the media type: file name, validators, captured headers, by
    lower-case name. An ``attachment`` is to be saved, not shown.
    """

    content_type: bytes
    fields: tuple[tuple[bytes, bytes], ...]
    length: int | None
    attachment: bool


@dataclass(frozen=True, slots=True)
class PageItem:
    """An item of a page, in the shape of its fields, as JSON."""

    json: bytes


@dataclass(frozen=True, slots=True)
class PagesDone:
    """The proper end of a walk: how many items were handed out and pages read, and whether there is more."""

    items: int
    pages: int
    more: bool


RunItem = StreamItem | PageItem | PagesDone


class Receiver(Protocol):
    """Who takes what a run gives: ``whole`` once, or ``begin_file`` or ``begin_events``, what follows, and ``end``.

    A run that fails before any of these raises its error. After a file was begun, it raises too, and no end comes; a
    stream ends with the item ``Failed`` and ``end``.
    """

    def whole(self, answer: WholeAnswer) -> None:
        """The answer, and its end."""
        ...

    def begin_file(self, head: FileHead) -> None:
        """A file begins."""
        ...

    async def piece(self, data: bytes) -> None:
        """The next bytes of the file; returns when more can be taken."""
        ...

    def begin_events(self) -> None:
        """A stream of items begins."""
        ...

    async def items(self, items: Sequence[RunItem]) -> None:
        """The next items; returns when more can be taken."""
        ...

    def end(self) -> None:
        """The file or stream is over."""
        ...
