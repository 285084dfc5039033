"""What a tunnel's messages say to those who want to know: the API's usage, and the list of models of the key.

A tee: it sees copies, and delays no byte. A client's message that may not be sent is known when its last byte is here,
and that byte is what does not go on, so that no upstream ever has the message. Extensions of the WebSocket, such as
compression, are taken out of the handshake where messages are read.
"""

from contextlib import suppress
from typing import Final, NamedTuple

from tieline.core.errors import ModelNotAllowed
from tieline.dataplane.attempt.model_list import MessageCheck
from tieline.dataplane.relaying.route import Route
from tieline.metering.named_models import MESSAGE_MOST, UnreadableError, in_target
from tieline.metering.reading import UsageReading, name_in
from tieline.metering.usage.gathered import EVENT_MOST
from tieline.metering.usage.reader import UsageGatherer, UsageReader
from tieline.wire.frames import POLICY_VIOLATION, PROTOCOL_ERROR, TOO_BIG, FrameError, FrameReader, close_frame
from tieline.wire.framing import Headers

_EXTENSIONS: Final = b"sec-websocket-extensions"
_TOO_LARGE: Final = "a message that is too large"
_UNREADABLE: Final = "frames that cannot be read"


class Stop(NamedTuple):
    """A client's message is not sent: so many bytes of what came go on, then the client is told why by ``frame``."""

    passes: int
    frame: bytes
    error: ModelNotAllowed


def without_extensions(headers: Headers) -> list[tuple[bytes, bytes]]:
    """The fields of a handshake whose messages are to be read."""
    return [pair for pair in headers if pair[0].lower() != _EXTENSIONS]


class MessageTee:
    """Listens to one tunnel."""

    __slots__ = ("_answers", "_asked", "_check", "_gathered", "_lost", "_route")

    def __init__(self, route: Route, usage: UsageReader, headers: Headers) -> None:
        """``headers`` are those of the answer that switched."""
        target, models = route.message.target, route.key.models
        self._route = route
        self._gathered: UsageGatherer = usage.gather(headers)
        self._lost: set[str] = set()
        self._answers: FrameReader | None = FrameReader(masked=False, most=EVENT_MOST)
        self._check = MessageCheck(models, target.path, target.query) if models else None
        self._asked = FrameReader(masked=True, most=MESSAGE_MOST)

    def answered(self, data: bytes) -> None:
        """The next bytes of the upstream's."""
        if self._answers is None:
            return
        try:
            for message in self._answers.feed(data):
                if message.data is None:
                    self._lost.add(_TOO_LARGE)
                else:
                    self._gathered.event(None, message.data)
        except FrameError:
            self._answers = None
            self._lost.add(_UNREADABLE)

    def asked(self, data: bytes) -> Stop | None:
        """The next bytes of the client's; what is to be done where not all of them may be sent."""
        check, passes = self._check, 0
        if check is None:
            return None
        try:
            for message in self._asked.feed(data):
                if message.data is None:
                    return _stop(passes, TOO_BIG, check.too_large())
                check.check(message.data, is_text=message.is_text)
                passes = message.end
        except FrameError as error:
            return _stop(passes, PROTOCOL_ERROR, check.unreadable(f"its messages cannot be read: {error}"))
        except ModelNotAllowed as error:
            return _stop(passes, POLICY_VIOLATION, error)
        return None

    @property
    def needs(self) -> int | None:
        """Bytes of the upstream's after which a frame of ours may stand, if not earlier; None where nobody knows."""
        return self._answers.needs if self._answers is not None else None

    def reading(self) -> UsageReading | None:
        """What was used. An answer that was under way is estimated."""
        found = self._gathered.reading(ended=True)
        if self._lost:
            found = found or UsageReading(None, None, {})
            found = found._replace(unread=found.unread | self._lost)
        return found._replace(model=self._named()) if found is not None and found.model is None else found

    def _named(self) -> str | None:
        """The model that was asked for, where no message told which answered."""
        target = self._route.message.target
        with suppress(UnreadableError):
            names = set(in_target(target.path, target.query))
            if len(names) == 1:
                return name_in(names.pop())
        return None


def _stop(passes: int, code: int, error: ModelNotAllowed) -> Stop:
    return Stop(passes, close_frame(code, error.public), error)
