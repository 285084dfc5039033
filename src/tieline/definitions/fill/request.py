"""What filling a call gives: the request to be sent, with references where a file's bytes go. Reads no file itself."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class FilePart:
    """A file that a caller gives for the parameter ``name``; its bytes stay where they are.

    ``size`` is in bytes, None where it is not known before the end.
    """

    name: str
    filename: str = ""
    content_type: str = ""
    size: int | None = None


Piece = bytes | FilePart


@dataclass(slots=True)
class FilledBody:
    """A request's body: ``pieces`` in the order they are sent, ``length`` in bytes unless a file's size is unknown."""

    content_type: bytes
    pieces: tuple[Piece, ...] = field(repr=False)
    length: int | None

    @property
    def content(self) -> bytes | None:
        """The whole body where no file is in it."""
        if all(isinstance(piece, bytes) for piece in self.pieces):
            return b"".join(piece for piece in self.pieces if isinstance(piece, bytes))
        return None

    @property
    def files(self) -> tuple[FilePart, ...]:
        """The files in the order their bytes are needed."""
        return tuple(piece for piece in self.pieces if isinstance(piece, FilePart))


@dataclass(slots=True)
class Filled:
    """A request ready for the API's headers and secret. May hold private values, so that it shows none.

    Either ``path`` (below the base URL) or ``url`` (scheme, host and path) is given, both as they are sent and without
    query; ``query`` has no ``?``. ``headers`` are without ``Content-Type``, which the body says.
    """

    method: str
    path: str | None = field(repr=False)
    url: str | None = field(repr=False)
    query: bytes = field(repr=False)
    headers: list[tuple[bytes, bytes]] = field(repr=False)
    body: FilledBody | None


def body_of(content_type: bytes, pieces: list[Piece]) -> FilledBody:
    """A body of ``pieces``, neighbouring bytes joined."""
    joined: list[Piece] = []
    run: list[bytes] = []
    length: int | None = 0
    for piece in pieces:
        if isinstance(piece, bytes):
            run.append(piece)
            size: int | None = len(piece)
        else:
            _close(run, joined)
            joined.append(piece)
            size = piece.size
        length = None if length is None or size is None else length + size
    _close(run, joined)
    return FilledBody(content_type, tuple(joined), length)


def _close(run: list[bytes], joined: list[Piece]) -> None:
    if run:
        joined.append(b"".join(run))
        run.clear()
