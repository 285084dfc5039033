"""Holds back the event by which a client takes a stream for whole, where it is not to be whole yet.

Clients of language models stop reading at such an event and do not wait for the end of the message.
"""

import re
from typing import Final

_CLOSING: Final = re.compile(
    rb"^(?:data: ?\[DONE\]|event: ?(?:message_stop|response\.(?:completed|failed|incomplete)))[ \t]*\r?$", re.MULTILINE
)
"""OpenAI's chat and responses, Anthropic's messages, and all who do as they do."""


class ClosingEvent:
    """One stream, in whole events."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes, *, last: bool) -> bytes:
        """What is passed on: all of it up to an event that closes the stream, and that with what comes next."""
        held, self._held = self._held, b""
        if not last:
            found = _CLOSING.search(data)
            if found is not None:
                self._held = data[found.start() :]
                data = data[: found.start()]
        return held + data if held else data
