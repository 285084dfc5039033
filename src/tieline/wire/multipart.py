"""Reads ``multipart/form-data`` (RFC 7578) as it comes: fields whole, files in pieces. Does no input or output.

Owns what a well-formed part is. Knows no parameters.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from tieline.core.errors import BodyTooLarge, InvalidRequest

FIELDS_MOST: Final = 16 * 1024 * 1024
_PARTS_MOST = 1_000
_HEADER_LINE_MOST = 8 * 1024
_BOUNDARY_MOST = 70  # RFC 2046 section 5.1.1
_SILENT = logging.getLogger("tieline.wire.multipart.parser")
_SILENT.disabled = True  # the parser would log each malformed form: a log is not for strangers to write in


@dataclass(frozen=True, slots=True)
class FieldPart:
    """A field, whole."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class FileBegun:
    """A file begins; ``size`` in bytes where the part says it."""

    name: str
    filename: str
    content_type: str
    size: int | None


@dataclass(frozen=True, slots=True)
class FileData:
    """Bytes of the file that began last."""

    data: bytes


@dataclass(frozen=True, slots=True)
class FileEnded:
    """The file that began last is whole."""


FormEvent = FieldPart | FileBegun | FileData | FileEnded


def boundary_of(content_type: bytes) -> bytes | None:
    """The boundary where ``content_type`` says multipart/form-data, None where it says something else.

    Raises:
        InvalidRequest: it does, without a boundary that can be used.
    """
    if b"multipart" not in content_type.lower():
        return None
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data":
        raise InvalidRequest("A call takes JSON or multipart/form-data. Send one of them.")
    boundary = options.get(b"boundary", b"")
    if not 0 < len(boundary) <= _BOUNDARY_MOST:
        raise InvalidRequest("The Content-Type multipart/form-data has no usable boundary. Let your client write it.")
    return boundary


class FormReader:
    """Bytes in, events out; however the bytes are cut, the fields and the files' bytes are the same."""

    def __init__(self, boundary: bytes) -> None:
        self._events: list[FormEvent] = []
        self._headers: dict[bytes, bytes] = {}
        self._name = b""
        self._value = b""
        self._field = ""
        self._pieces: list[bytes] | None = None
        self._held = 0
        self._parts = 0
        self._over = False
        callbacks: dict[str, Callable[..., None]] = {
            "on_part_begin": self._part_begun,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_ended,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._part_data,
            "on_part_end": self._part_ended,
            "on_end": self._ended,
        }
        self._parser = MultipartParser(boundary, callbacks, max_header_size=_HEADER_LINE_MOST)  # type: ignore[arg-type]
        self._parser.logger = _SILENT

    def feed(self, data: bytes) -> list[FormEvent]:
        """The events that ``data`` completes. Raises InvalidRequest, BodyTooLarge."""
        try:
            self._parser.write(data)
        except FormParserError:
            raise InvalidRequest("The body is no well-formed multipart/form-data. Let your client write it.") from None
        events, self._events = self._events, []
        return events

    def finish(self) -> None:
        """The body is over. Raises InvalidRequest where its last boundary did not come."""
        if not self._over:
            raise InvalidRequest("The multipart body ends before its last boundary. Send it whole.")

    # -- the parser's side

    def _part_begun(self) -> None:
        self._parts += 1
        if self._parts > _PARTS_MOST:
            raise InvalidRequest(f"The multipart body has more than {_PARTS_MOST:,} parts. Send fewer.")
        self._headers = {}

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_ended(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def _headers_finished(self) -> None:
        kind, options = parse_options_header(self._headers.get(b"content-disposition"))
        if kind != b"form-data" or b"name" not in options:
            raise InvalidRequest("A part of the multipart body has no name. Give each the name of a parameter.")
        name = _text(options[b"name"])
        if b"filename" not in options:
            self._field, self._pieces = name, []
            return
        size = self._headers.get(b"content-length", b"")
        self._pieces = None
        self._events.append(
            FileBegun(
                name,
                _text(options[b"filename"]),
                self._headers.get(b"content-type", b"").decode("latin-1"),
                int(size) if size.isdigit() and len(size) < 19 else None,
            )
        )

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._pieces is None:
            self._events.append(FileData(data[start:end]))
            return
        self._held += end - start
        if self._held > FIELDS_MOST:
            raise BodyTooLarge(
                f"The fields of the multipart body are larger than {FIELDS_MOST // 1024**2} MiB. Send less, or a file."
            )
        self._pieces.append(data[start:end])

    def _part_ended(self) -> None:
        if self._pieces is None:
            self._events.append(FileEnded())
        else:
            self._events.append(FieldPart(self._field, _text(b"".join(self._pieces))))

    def _ended(self) -> None:
        self._over = True


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise InvalidRequest(
            "A part of the multipart body is not UTF-8. Send text in UTF-8, all else as files."
        ) from None
