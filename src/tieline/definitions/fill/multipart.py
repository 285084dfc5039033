"""Multipart bodies (RFC 7578): fields and files in parts, names quoted as browsers do (WHATWG HTML, 4.10.21.8).

A file is a reference among the pieces: its bytes never come here.
"""

import re
import secrets

from tieline.definitions.bodies import media_type
from tieline.definitions.fill.request import FilePart, FilledBody, Piece, body_of
from tieline.definitions.fill.scope import (
    BODY_MOST,
    Pieces,
    SlotScope,
    ValueForms,
    body_too_large,
    joined,
    slots_of,
    whole,
)
from tieline.definitions.fill.values import invalid
from tieline.definitions.model import BodyField

Field = tuple[BodyField, Pieces]
_QUOTED = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_FILENAME_MOST = 255
_UNNAMED = "file"
_UNTYPED = "application/octet-stream"


class Part:
    """A compiled part: a field, or the file of the parameter that its value is exactly."""

    __slots__ = ("_content_type", "_file", "_filename", "_listed", "_name", "_needs", "_pieces")

    def __init__(self, field: BodyField, pieces: Pieces, scope: SlotScope) -> None:
        self._file = whole(pieces) if scope.kind(whole(pieces)) == "file" else None
        if self._file is None:
            scope.refuse_files(pieces)
        if "\\" in field.name:
            raise ValueError("a part's name holds a backslash, which servers read in two ways; remove it")
        self._name = f'Content-Disposition: form-data; name="{field.name.translate(_QUOTED)}"'.encode()
        self._filename = field.filename
        self._content_type = field.content_type
        self._needs = scope.needs(pieces)
        self._listed = scope.listed(pieces)
        self._pieces = tuple(piece.encode() if isinstance(piece, str) else piece.name for piece in pieces)

    def contents(self, run: ValueForms) -> list[tuple[bytes, bytes | FilePart]]:
        """Head and content of each part that this makes: none, one, or one for each item of a list."""
        if self._needs and run.lacks(self._needs):
            return []
        if self._file is not None:
            file: FilePart = run.values[self._file]
            return [(self._file_head(file), file)]
        head = self._head(self._filename, self._content_type)
        if self._listed is not None:
            return [(head, item.encode()) for item in run.items(self._listed)]
        parts = [piece if isinstance(piece, bytes) else run.utf8(piece) for piece in self._pieces]
        return [(head, joined(b"", parts, BODY_MOST, body_too_large))]

    def _file_head(self, file: FilePart) -> bytes:
        # A name only, as browsers send it: a path says where the caller keeps it, and a backslash ends quotes for some.
        name = self._filename or re.split(r"[/\\]", file.filename)[-1] or _UNNAMED
        if _CONTROL.search(name) is not None or len(name) > _FILENAME_MOST:
            raise invalid(
                file.name, f"has a file name with control characters or more than {_FILENAME_MOST}; rename it"
            )
        return self._head(name, self._content_type or file_type(file), file.name)

    def _head(self, filename: str | None, content_type: str | None, parameter: str = "") -> bytes:
        head = self._name
        if filename is not None:
            try:
                head += b'; filename="%b"' % filename.translate(_QUOTED).replace("\\", "%5C").encode()
            except UnicodeEncodeError:
                raise invalid(
                    parameter, "has a file name with half a character (a lone surrogate); rename it"
                ) from None
        if content_type is not None:
            head += b"\r\nContent-Type: %b" % content_type.encode()
        return head + b"\r\n\r\n"


def file_type(file: FilePart) -> str:
    """The file's media type, ``application/octet-stream`` where none is said; raises InvalidParameter."""
    try:
        return media_type(file.content_type) if file.content_type else _UNTYPED
    except ValueError:
        raise invalid(file.name, "has a content type that is no media type; write it like image/png") from None


class Multipart:
    """A compiled multipart body."""

    __slots__ = ("_parts",)

    def __init__(self, fields: list[Field], scope: SlotScope) -> None:
        self._parts = tuple(Part(field, pieces, scope) for field, pieces in fields)
        refuse_repeated_files([name for _, pieces in fields for name in slots_of(pieces)], scope)

    def render(self, run: ValueForms) -> FilledBody:
        """The body; raises InvalidParameter, and BodyTooLarge for more than 16 MiB besides its files."""
        contents: list[tuple[bytes, bytes | FilePart]] = []
        held: list[bytes] = []
        length = 0
        for part in self._parts:
            made = part.contents(run)
            contents += made
            new = [piece for content in made for piece in content if isinstance(piece, bytes)]
            held += new
            length += sum(map(len, new))
            if length > BODY_MOST:
                raise body_too_large()
        boundary = _boundary(held)
        pieces: list[Piece] = []
        mark = b"--" + boundary
        for head, content in contents:
            pieces += (mark + b"\r\n", head, content)
            mark = b"\r\n--" + boundary
        pieces.append(mark + b"--\r\n")
        return body_of(b"multipart/form-data; boundary=" + boundary, pieces)


def refuse_repeated_files(names: list[str], scope: SlotScope) -> None:
    """Raise ValueError for a file that stands twice: its bytes pass by once."""
    files = [name for name in names if scope.kind(name) == "file"]
    for name in files:
        if files.count(name) > 1:
            raise ValueError(f"the file <{name}> stands in the body twice; its bytes can be sent once")


def _boundary(held: list[bytes]) -> bytes:
    """A boundary that is in nothing held here. In a file it is as likely as guessing a 128-bit key."""
    while True:
        boundary = f"tieline-{secrets.token_hex(16)}".encode()
        if not any(boundary in piece for piece in held):
            return boundary
