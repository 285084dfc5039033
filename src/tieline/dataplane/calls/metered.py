"""What one run used: its chat streams are asked for usage, and that of each answer of the upstream is added up.

An answer that was kept or given again used nothing: there is none of an upstream's. Answers are read by copies of
their bytes as they come, whatever the run makes of them.
"""

from dataclasses import replace
from typing import Final

from tieline.dataplane.answers.usage_listener import UsageListener
from tieline.dataplane.attempt.send import UpstreamAnswer
from tieline.dataplane.snapshot.calls import ReadyCall
from tieline.definitions.fill.request import Filled, body_of
from tieline.metering.asked import BODY_MOST
from tieline.metering.include_usage import include_usage, knows_usage
from tieline.metering.reading import UsageReading, together
from tieline.metering.usage.reader import UsageReader

ASKED_MOST: Final = BODY_MOST
"""Bytes of a body in which usage is asked for."""
_REFUSED: Final = 300
_JSON: Final = b"application/json"


def asking_for_usage(reader: UsageReader, call: ReadyCall, path: bytes, filled: Filled) -> tuple[Filled, int] | None:
    """``filled`` such that a chat stream tells its usage, as a relay does it, and how many bytes it grew by.

    None where it stays as it is.
    """
    body = filled.body
    if not (reader.includes and call.stream is not None and call.method == b"POST" and knows_usage(path)):
        return None
    if body is None or body.length is None or body.length > ASKED_MOST or (content := body.content) is None:
        return None
    asked = include_usage(content)
    return None if asked.shows else (replace(filled, body=body_of(body.content_type, [asked.body])), asked.grown)


class MeteredRun:
    """Listens to the answers of one run, one after the other."""

    __slots__ = ("_reached", "_used")

    def __init__(self) -> None:
        self._used: UsageReading | None = None
        self._reached: UpstreamAnswer | None = None

    def listen(self, reader: UsageReader, call: ReadyCall, reached: UpstreamAnswer, grown: int) -> None:
        """Listen to an answer that did what was asked; of a provider's kind only to those to POST, as in a relay.

        ``grown``: bytes of the request by which usage was asked for.
        """
        self._settle()
        if reached.status < _REFUSED and (call.method == b"POST" or reader.kind == "declared"):
            kind = _JSON if call.call.response.type == "json" else reached.header(b"content-type") or b""
            reached.listener = UsageListener(reader, reached.headers, kind, reached.asked_bytes - grown)
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
