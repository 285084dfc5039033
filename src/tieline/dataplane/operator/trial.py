"""Runs a call once for an operator, from a process that serves no calls, and hands over what the upstream answered.

As ``probe`` it compiles the API afresh from the store and sends through an exit of its own. Owns how much of an answer
is read: documents whole, of streams and files the beginning. Learns nothing and saves nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tieline.core.errors import InvalidRequest, UnknownCall, UpstreamTimeout
from tieline.core.names import Environment
from tieline.dataplane.answers.charset import charset_of, is_marked, text_of
from tieline.dataplane.answers.content_coding import Coding, coding
from tieline.dataplane.answers.mask import StreamMask
from tieline.dataplane.answers.streams.detection import is_stream_type
from tieline.dataplane.attempt.prepare import Preparer
from tieline.dataplane.attempt.send import Order, Reached, Running
from tieline.dataplane.snapshot.plan import Plan
from tieline.dataplane.snapshot.view import Snapshot
from tieline.dataplane.tokens.sessions import TokenSessions
from tieline.definitions.fill.request import FilePart, Piece
from tieline.ports.connections import ConnectionStore
from tieline.ports.snapshot import SnapshotSource
from tieline.vault.keyring import Keyring
from tieline.wire.deadlines import Deadlines
from tieline.wire.guard import Guard
from tieline.wire.pool import Pool
from tieline.wire.tls import Trust

DOCUMENT_MOST: Final = 4 * 1024 * 1024
BEGINNING_MOST: Final = 256 * 1024
TRIAL_SECONDS: Final = 90.0
STREAM_SECONDS: Final = 20.0
"""How long a stream is listened to; a model has said enough by then."""
RENEWAL_SECONDS: Final = 10.0
_BYTES: Final = ("image/", "audio/", "video/", "font/")


@dataclass(frozen=True, slots=True)
class TrialFile:
    """A file for a parameter, whole."""

    filename: str
    content_type: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Attempt:
    """Which call to run, and with what."""

    api: str
    call: str
    environment: Environment
    values: Mapping[str, Any] = field(repr=False)
    files: Mapping[str, TrialFile] = field(repr=False, default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answered:
    """What came: header names in lower case, the body decoded, as UTF-8 where it is text; secrets in both masked.

    ``whole`` is False where only the beginning was read.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    whole: bool


class Trial:
    """Runs calls."""

    def __init__(
        self, source: SnapshotSource, connections: ConnectionStore, keyring: Keyring, guard: Guard, trust: Trust
    ) -> None:
        self._source = source
        self._connections = connections
        self._keyring = keyring
        self._guard = guard
        self._trust = trust

    async def run(self, attempt: Attempt) -> Answered:
        """Send one request and read its answer, of whatever status.

        Raises:
            RequestError: a parameter is missing or is no value of it.
            UnknownCall: there is no such call, in this environment.
            CredentialError, DestinationNotAllowed: it cannot go out.
            UpstreamError: no usable answer came.
        """
        deadlines = Deadlines()
        pool = Pool(self._guard, deadlines, self._trust)
        sessions = TokenSessions(self._connections, self._keyring)
        snapshot = Snapshot(self._source, self._keyring, self._guard, pool)
        deadlines.start()
        try:
            await snapshot.load(only=attempt.api)
            api = snapshot.api(attempt.api.encode())
            if api is None:
                raise InvalidRequest("The definition or credential cannot be used; the log of the server says why.")
            async with asyncio.timeout(TRIAL_SECONDS):
                return await _run(Running(Preparer(sessions)), api.plans[attempt.environment], attempt)
        except TimeoutError:
            raise UpstreamTimeout(f"The call took longer than {TRIAL_SECONDS:.0f} s. Ask for less.") from None
        finally:
            await sessions.close(RENEWAL_SECONDS)
            pool.close()
            deadlines.stop()


async def _run(running: Running, plan: Plan, attempt: Attempt) -> Answered:
    if plan.problem is not None:
        raise plan.problem
    call = await asyncio.to_thread(plan.calls.find, attempt.call)
    if call is None:
        raise UnknownCall("The API has no such call in this environment. Check its overrides.")
    parts = {
        name: FilePart(name, each.filename, each.content_type, len(each.content))
        for name, each in attempt.files.items()
    }
    filled = call.template.fill(attempt.values, call.private, parts)
    reached = await running.send(Order(plan, call, filled, _HeldFiles(attempt.files)))
    try:
        return await _read(reached)
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


async def _read(reached: Reached) -> Answered:
    content_type = reached.header(b"content-type") or b""
    media = content_type.decode("latin-1").lower()
    is_stream = is_stream_type(media)
    most = BEGINNING_MOST if is_stream or media.startswith(_BYTES) else DOCUMENT_MOST
    body, whole = await _beginning(reached, most, STREAM_SECONDS if is_stream else TRIAL_SECONDS)
    if not media.startswith(_BYTES):
        charset = charset_of(content_type)
        if charset or is_marked(body):
            body = text_of(body, charset).encode()
        body = reached.mask.body(body)
    if not whole:  # half a secret at the cut is no sample either
        body = StreamMask(reached.mask.secrets).feed(body, last=False)
    names = dict.fromkeys(name.lower() for name, _ in reached.headers)
    headers = [(name, reached.mask.header(value)) for name in names for value in reached.values(name)]
    return Answered(
        reached.status,
        tuple((name.decode("latin-1"), value.decode("utf-8", "replace")) for name, value in headers),
        body,
        whole,
    )


async def _beginning(reached: Reached, most: int, seconds: float) -> tuple[bytes, bool]:
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
