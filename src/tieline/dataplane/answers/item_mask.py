"""Hides secrets in the items of a stream: in each event, and in a text that comes in deltas, wherever it is cut."""

from collections.abc import Iterable
from dataclasses import replace

from tieline.dataplane.answers.json_parts import write_json_by_size
from tieline.dataplane.answers.mask import Mask, StreamMask
from tieline.dataplane.answers.streams.items import Delta, Done, Event, Failed, StreamItem


class ItemMask:
    """The mask of one stream. The end of a delta is held back where a secret may begin in it, until the next one."""

    __slots__ = ("_deltas", "_mask")

    def __init__(self, mask: Mask) -> None:
        self._mask = mask
        self._deltas = StreamMask(mask.secrets)

    def feed(self, items: Iterable[StreamItem]) -> list[StreamItem]:
        """What can be handed out of ``items``; what was held back of a delta comes with the next, or before the end."""
        if not self._mask.secrets:
            return list(items)
        found: list[StreamItem] = []
        for item in items:
            if isinstance(item, Delta):
                self._delta(self._mask.text(item.text), found, last=False)
                continue
            if isinstance(item, Done | Failed):
                self._delta("", found, last=True)
            found.append(self._hidden(item))
        return found

    def _delta(self, text: str, found: list[StreamItem], *, last: bool) -> None:
        text = self._deltas.feed(text.encode("utf-8", "surrogatepass"), last=last).decode("utf-8", "surrogatepass")
        if text:
            found.append(Delta(text))

    def _hidden(self, item: StreamItem) -> StreamItem:
        hide = self._mask
        if isinstance(item, Event):
            if hide.holds(write_json_by_size([item.name, item.fields], item.size)):
                return Event(item.name and hide.text(item.name), hide.value(item.fields), item.size)
        elif isinstance(item, Done):
            if hide.holds(write_json_by_size([item.text, item.fields], item.size)):
                return replace(item, text=hide.text(item.text), fields=hide.value(item.fields))
        elif isinstance(item, Failed):
            public = hide.text(item.error.public)
            if public != item.error.public:
                return replace(item, error=type(item.error)(public, param=item.error.param))
        return item
