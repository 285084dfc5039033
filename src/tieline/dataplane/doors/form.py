"""A form with files as the arguments of a call: fields whole, files held or passing.

A file is held while it is small; the one that is not passes through as it comes, after everything else was read. Owns
the reading; whether a value fits its parameter is the template's word.
"""

from dataclasses import dataclass, field
from typing import Final, Protocol

from tieline.core.errors import InvalidRequest
from tieline.dataplane.calls.arguments import Arguments
from tieline.dataplane.calls.reading import LARGE
from tieline.dataplane.calls.streaming import InThread
from tieline.dataplane.doors.body import RequestBody
from tieline.definitions.fill.request import FilePart, Piece
from tieline.definitions.fill.values import coerce_text
from tieline.definitions.model import Call
from tieline.wire.multipart import FieldPart, FileBegun, FileData, FormEvent, FormReader

HOLD_MOST: Final = 4 * 1024 * 1024
"""Bytes of files that are held, all of a request's together, until its last one may begin to pass through."""


class Hasher(Protocol):
    """A hash that goes on; of ``hashlib``."""

    def update(self, data: bytes, /) -> None: ...

    def digest(self) -> bytes: ...


async def from_form(
    call: Call, body: RequestBody, boundary: bytes, digest: Hasher | None, in_thread: InThread
) -> Arguments:
    """The arguments in a form, as soon as all but the bytes of its last large file are here.

    ``digest`` is that of the request line, where a fingerprint is asked for; large values are read by ``in_thread``.
    Raises InvalidRequest, InvalidParameter, BodyTooLarge.
    """
    return await FormUpload(body, FormReader(boundary), digest).begin(call, in_thread)


@dataclass(slots=True)
class _HeldFile:
    """A file that is here whole, or whose bytes pass by: then ``pieces`` are those that came first."""

    part: FileBegun
    pieces: list[bytes] = field(default_factory=list)
    size: int = 0
    passing: bool = False


class FormUpload:
    """A form on its way in: everything but the last large file is read, whose bytes are then ``pieces_of``."""

    def __init__(self, body: RequestBody, reader: FormReader, digest: Hasher | None) -> None:
        self._request = body
        self._reader = reader
        self._digest = digest
        self._waiting: list[FormEvent] = []
        self._files: dict[str, _HeldFile] = {}
        self._fields: list[tuple[str, str]] = []
        self._open: _HeldFile | None = None
        self._held = 0

    @property
    def passes(self) -> bool:
        """Whether a file passes through, so that the request cannot be sent twice."""
        return any(held.passing for held in self._files.values())

    async def begin(self, call: Call, in_thread: InThread) -> Arguments:
        """Read until everything is here, or all but a file that is too large to hold."""
        while (event := await self._next()) is not None:
            if isinstance(event, FieldPart):
                self._fields.append((event.name, event.value))
            elif isinstance(event, FileBegun):
                self._begin_file(event)
            elif isinstance(event, FileData):
                assert self._open is not None  # bytes come between a file's begin and its end
                self._open.pieces.append(event.data)
                self._open.size += len(event.data)
                self._held += len(event.data)
                if self._held > HOLD_MOST:
                    self._open.passing = True
                    break
            else:
                self._open = None
        files = {
            name: FilePart(
                name, held.part.filename, held.part.content_type, held.part.size if held.passing else held.size
            )
            for name, held in self._files.items()
        }
        size = sum([len(value) for _, value in self._fields])
        if size <= LARGE:
            values = coerce_text(call, self._fields)
        else:
            values = await in_thread(lambda: coerce_text(call, self._fields))
        return Arguments(values, files, self, size=size)

    async def drain(self) -> bytes:
        """Read what is left without keeping it; the fingerprint of the whole form."""
        while await self._passing() is not None:
            pass
        return self._digest.digest() if self._digest is not None else b""

    def body(self, pieces: tuple[Piece, ...]) -> "FormBody":
        """A request's body, made of ``pieces`` and the files they refer to."""
        return FormBody(self, pieces)

    def held(self, file: FilePart) -> bytes:
        """The bytes of a file that is here whole."""
        return b"".join(self._files[file.name].pieces)

    def is_passing(self, file: FilePart) -> bool:
        """Whether its bytes are still to come."""
        return self._files[file.name].passing

    async def next_piece(self, file: FilePart) -> bytes | None:
        """The next bytes of the file that passes through; None at its end, which is the form's.

        Raises:
            InvalidRequest: something follows the file, or it is not as long as its part said.
        """
        held = self._files[file.name]
        if held.pieces:
            first, held.pieces = b"".join(held.pieces), []
            return first
        piece = await self._passing()
        if piece is not None:
            held.size += len(piece)
        if held.part.size is not None and (
            held.size > held.part.size or (piece is None and held.size < held.part.size)
        ):
            raise InvalidRequest("A file is not as long as the Content-Length of its part says. Send it again.")
        return piece

    def _begin_file(self, event: FileBegun) -> None:
        if event.name in self._files:
            raise InvalidRequest("A file is given more than once. Give each file parameter one file.", param=event.name)
        self._open = self._files[event.name] = _HeldFile(event)

    async def _passing(self) -> bytes | None:
        """Bytes of the file that passes through; None once the form is over."""
        event = await self._next()
        while event is not None:
            if isinstance(event, FileData):
                return event.data
            if isinstance(event, FieldPart | FileBegun):
                raise InvalidRequest(
                    f"Something follows a file of more than {HOLD_MOST // 1024**2} MiB in the form. "
                    "Send the largest file last, after all fields."
                )
            event = await self._next()
        return None

    async def _next(self) -> FormEvent | None:
        while not self._waiting:
            data = await self._request.read()
            if not data:
                self._reader.finish()
                return None
            self._waiting = self._reader.feed(data)
            self._waiting.reverse()
        event = self._waiting.pop()
        if self._digest is not None:
            self._digest.update(_told(event))
        return event


class FormBody:
    """An asynchronous iterator over a request's body, in pieces as they are sent."""

    __slots__ = ("_at", "_pieces", "_upload")

    def __init__(self, upload: FormUpload, pieces: tuple[Piece, ...]) -> None:
        self._upload = upload
        self._pieces = pieces
        self._at = 0

    def __aiter__(self) -> "FormBody":
        return self

    async def __anext__(self) -> bytes:
        while self._at < len(self._pieces):
            piece = self._pieces[self._at]
            if isinstance(piece, FilePart) and self._upload.is_passing(piece):
                data = await self._upload.next_piece(piece)
                if data is not None:
                    return data
                self._at += 1
                continue
            self._at += 1
            return piece if isinstance(piece, bytes) else self._upload.held(piece)
        raise StopAsyncIteration


def _told(event: FormEvent) -> bytes:
    """What a fingerprint is made of: the parts, however they were cut and whatever stood between them."""
    if isinstance(event, FileData):
        return event.data
    if isinstance(event, FieldPart):
        return repr(("field", event.name, event.value)).encode("utf-8", "backslashreplace")
    if isinstance(event, FileBegun):
        return repr(("file", event.name, event.filename, event.content_type)).encode("utf-8", "backslashreplace")
    return b"\x00end\x00"
