"""Where a relayed answer's body is looked at as it passes: once, by whoever has to, in this order.

Secrets are masked in the bytes as they came; then events of a stream are put together. Whoever else listens to a body
(usage, drift) is given its bytes here, masked and with its events whole.
"""

from collections.abc import Sequence

from tieline.dataplane.answers.mask import StreamMask
from tieline.dataplane.answers.whole_events import WholeEvents


class Tee:
    """One body. ``has_events``: it is a stream of server-sent events, and passed on a whole event at a time."""

    __slots__ = ("_events", "_mask")

    def __init__(self, secrets: Sequence[bytes], *, has_events: bool) -> None:
        self._mask = StreamMask(secrets) if secrets else None
        self._events = WholeEvents() if has_events else None

    def feed(self, data: bytes, *, last: bool) -> bytes:
        """What can be passed on of the body so far; everything once ``data`` is its ``last`` piece."""
        if self._mask is not None:
            data = self._mask.feed(data, last=last)
        if self._events is not None:
            data = self._events.feed(data, last=last)
        return data
