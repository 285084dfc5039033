"""Records what a run gives while it passes it on, so that it can be given again to whoever asks the same.

The recorder stands between a run and its receiver. When the receiver's client leaves, the run goes on and is recorded
to its end. Bounded: an answer of more than 1 MiB is passed on and not kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from tieline.dataplane.answers.exact_json import write_json
from tieline.dataplane.answers.streams.items import Delta, Done, Event, Failed, size_of
from tieline.dataplane.calls.results import FileHead, PageItem, PagesDone, Receiver, RunItem, WholeAnswer

RECORDED_MOST: Final = 1024 * 1024
_ITEM_BYTES: Final = 64
"""What an item counts beside its content."""


@dataclass(slots=True)
class RecordedFile:
    """A file: its head and its bytes."""

    head: FileHead
    pieces: list[bytes] = field(default_factory=list)


@dataclass(slots=True)
class RecordedStream:
    """A stream of items to its proper end."""

    items: list[RunItem] = field(default_factory=list)


Recorded = WholeAnswer | RecordedFile | RecordedStream


class Recorder:
    """A receiver that passes on and records. ``recorded`` is None before the end, and where it was too large.

    ``failed`` says that the stream ended badly: that is nothing to give again.
    """

    __slots__ = ("_begun", "_receiver", "failed", "recorded", "size")

    def __init__(self, receiver: Receiver) -> None:
        self.recorded: Recorded | None = None
        self.failed = False
        self.size = 0
        self._begun: RecordedFile | RecordedStream | None = None
        self._receiver: Receiver | None = receiver

    def leave(self) -> None:
        """Pass nothing on any more: nobody is there to take it."""
        self._receiver = None

    def whole(self, answer: WholeAnswer) -> None:
        self.size = answer.size
        self.recorded = answer if answer.size <= RECORDED_MOST else None
        if self._receiver is not None:
            self._receiver.whole(answer)

    def begin_file(self, head: FileHead) -> None:
        self._begun = RecordedFile(head)
        if self._receiver is not None:
            self._receiver.begin_file(head)

    async def piece(self, data: bytes) -> None:
        if isinstance(self._begun, RecordedFile) and self._counted(len(data)):
            self._begun.pieces.append(data)
        if self._receiver is not None:
            await self._receiver.piece(data)

    def begin_events(self) -> None:
        self._begun = RecordedStream()
        if self._receiver is not None:
            self._receiver.begin_events()

    async def items(self, items: Sequence[RunItem]) -> None:
        self.failed = self.failed or any(isinstance(item, Failed) for item in items)
        if isinstance(self._begun, RecordedStream) and self._counted(sum([_size(item) for item in items])):
            self._begun.items += items
        if self._receiver is not None:
            await self._receiver.items(items)

    def end(self) -> None:
        self.recorded = self._begun
        if self._receiver is not None:
            self._receiver.end()

    def _counted(self, size: int) -> bool:
        """Whether so much more may be kept; else nothing is."""
        self.size += size
        if self.size > RECORDED_MOST:
            self._begun = None
        return self._begun is not None


async def give_again(recorded: Recorded, receiver: Receiver) -> None:
    """Give ``receiver`` what was recorded."""
    if isinstance(recorded, WholeAnswer):
        receiver.whole(recorded)
        return
    if isinstance(recorded, RecordedFile):
        receiver.begin_file(recorded.head)
        for piece in recorded.pieces:
            await receiver.piece(piece)
    else:
        receiver.begin_events()
        await receiver.items(recorded.items)
    receiver.end()


def _size(item: RunItem) -> int:
    if isinstance(item, PageItem):
        return len(item.json) + _ITEM_BYTES
    if not isinstance(item, PagesDone) and size_of(item) > RECORDED_MOST:
        return size_of(item)  # it is not kept: no need to be exact
    if isinstance(item, Delta):
        return len(item.text.encode("utf-8", "surrogatepass")) + _ITEM_BYTES
    if isinstance(item, Event | Done):
        text = item.text if isinstance(item, Done) else ""
        return len(text) + len(write_json(item.fields)) + _ITEM_BYTES
    return _ITEM_BYTES
