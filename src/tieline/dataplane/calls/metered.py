"""What one run used: the usage of each answer that it got of the upstream, added up.

An answer that was kept or given again used nothing: there is none of an upstream's. Answers are read by copies of
their bytes as they come, whatever the run makes of them.
"""

from typing import Final

from tieline.dataplane.answers.usage_listener import UsageListener
from tieline.dataplane.attempt.send import UpstreamAnswer
from tieline.dataplane.snapshot.calls import ReadyCall
from tieline.metering.reading import UsageReading, together
from tieline.metering.usage.reader import UsageReader

_REFUSED: Final = 300
_JSON: Final = b"application/json"


class MeteredRun:
    """Listens to the answers of one run, one after the other."""

    __slots__ = ("_reached", "_used")

    def __init__(self) -> None:
        self._used: UsageReading | None = None
        self._reached: UpstreamAnswer | None = None

    def listen(self, reader: UsageReader, call: ReadyCall, reached: UpstreamAnswer) -> None:
        """Listen to an answer that did what was asked; of a provider's kind only to those to POST, as in a relay."""
        self._settle()
        if reached.status < _REFUSED and (call.method == b"POST" or reader.kind == "declared"):
            kind = _JSON if call.call.response.type == "json" else reached.header(b"content-type") or b""
            reached.listener = UsageListener(reader, reached.headers, kind, reached.asked_bytes)
            self._reached = reached

    def reading(self) -> UsageReading | None:
        """What was used, once nothing more comes."""
        self._settle()
        return self._used

    def _settle(self) -> None:
        reached, self._reached = self._reached, None
        listener = reached.listener if reached is not None else None
        if reached is not None and listener is not None:
            reached.listener = None
            found = listener.reading(ended=reached.whole)
            self._used = together(self._used, found)
