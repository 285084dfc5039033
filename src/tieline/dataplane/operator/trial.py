"""Runs a call once for an operator, and hands over what the upstream answered.

Owns how much of an answer is read: documents whole, of streams and files the beginning. Learns nothing and saves
nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Final

from tieline.core.errors import UnknownCall, UpstreamTimeout
from tieline.dataplane.answers.content_coding import Coding, coding
from tieline.dataplane.answers.shown import BYTES, shown_body
from tieline.dataplane.answers.streams import recognition
from tieline.dataplane.answers.streams.detection import is_stream_type
from tieline.dataplane.attempt.send import CallSender, Order, UpstreamAnswer
from tieline.dataplane.operator.opening import OpenedApi, Opening
from tieline.dataplane.tokens.holder import Holder
from tieline.definitions.fill.request import FilePart, Piece
from tieline.definitions.infer.learning import StreamSample
from tieline.definitions.model import Stream
from tieline.ports.operator import TrialAnswer, TrialFile, TrialRun

DOCUMENT_MOST: Final = 4 * 1024 * 1024
BEGINNING_MOST: Final = 256 * 1024
TRIAL_SECONDS: Final = 90.0
STREAM_SECONDS: Final = 20.0
"""How long a stream is listened to; a model has said enough by then."""


class Trial:
    """Runs calls, and looks at answers as the data plane would; a ``ports.operator.Trier``."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening

    async def run(self, wanted: TrialRun) -> TrialAnswer:
        """Send one request and read its answer, of whatever status.

        Raises:
            RequestError: a parameter is missing or is no value of it.
            UnknownCall: there is no such call, in this environment.
            CredentialError, DestinationNotAllowed: it cannot go out.
            UpstreamError: no usable answer came.
        """
        try:
            async with self._opening.api(wanted.api, "trial") as opened, asyncio.timeout(TRIAL_SECONDS):
                return await run_call(opened, wanted)
        except TimeoutError:
            raise UpstreamTimeout(f"The call took longer than {TRIAL_SECONDS:.0f} s. Ask for less.") from None

    def recognise_stream(self, body: bytes, content_type: str, known: Stream | None) -> StreamSample | None:
        """The stream that ``body`` begins, in the shape ``known``, else in a proposed one; None where it is none."""
        return recognition.recognise_stream(body, content_type, known)


async def run_call(opened: OpenedApi, wanted: TrialRun, *, attempts: int | None = None) -> TrialAnswer:
    """Send the request of a call and read its answer; ``attempts`` is how often at most, else as the call says.

    Raises as ``Trial.run``.
    """
    plan = opened.plan(wanted.environment)
    call = await asyncio.to_thread(plan.calls.find, wanted.call)
    if call is None:
        raise UnknownCall("The API has no such call in this environment. Check its overrides.")
    parts = {
        name: FilePart(name, each.filename, each.content_type, len(each.content)) for name, each in wanted.files.items()
    }
    filled = call.template.fill(wanted.values, call.private, parts)
    holder = Holder(*wanted.end_user) if wanted.end_user is not None else None
    order = Order(plan, call, filled, _HeldFiles(wanted.files), holder, attempts=attempts)
    reached = await CallSender(opened.preparer).send(order)
    try:
        return await read_answer(reached)
    finally:
        reached.close()


class _HeldFiles:
    """Files that are here whole, so that they may be sent again."""

    passes = False

    def __init__(self, files: Mapping[str, TrialFile]) -> None:
        self._files = files

    async def body(self, pieces: tuple[Piece, ...]) -> AsyncIterator[bytes]:
        for piece in pieces:
            yield self._files[piece.name].content if isinstance(piece, FilePart) else piece


async def read_answer(reached: UpstreamAnswer) -> TrialAnswer:
    """What an operator is shown of an answer. Raises UpstreamError."""
    content_type = reached.header(b"content-type") or b""
    is_stream = is_stream_type(content_type.decode("latin-1").lower())
    most = BEGINNING_MOST if is_stream or content_type.lower().startswith(BYTES) else DOCUMENT_MOST
    body, whole = await _beginning(reached, most, STREAM_SECONDS if is_stream else TRIAL_SECONDS)
    body = await asyncio.to_thread(shown_body, body, content_type, reached.mask, whole=whole)
    names = dict.fromkeys(name.lower() for name, _ in reached.headers)
    headers = [(name, reached.mask.header(value)) for name in names for value in reached.values(name)]
    return TrialAnswer(
        reached.status,
        tuple((name.decode("latin-1"), value.decode("utf-8", "replace")) for name, value in headers),
        body,
        whole,
    )


async def _beginning(reached: UpstreamAnswer, most: int, seconds: float) -> tuple[bytes, bool]:
    """The body without its coding, up to ``most`` bytes and as far as it came in ``seconds``; whether that is all.

    Raises UpstreamError.
    """
    undo: Coding | None = coding(reached.headers, most + most)
    found = bytearray()
    try:
        async with asyncio.timeout(seconds):
            while data := await reached.read():
                found += data if undo is None else undo.feed(data)
                if len(found) > most:
                    return bytes(found[:most]), False
    except TimeoutError:
        return bytes(found), False
    if undo is not None:
        undo.finish()
    return bytes(found), True
