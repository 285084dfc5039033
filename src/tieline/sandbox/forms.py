"""Reading ``multipart/form-data`` (RFC 7578): files go to disk as they arrive, fields stay in memory."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from tieline.sandbox.fields import Fields
from tieline.sandbox.refusal import Refusal, missing
from tieline.sandbox.state import Sandbox, sandbox_of

_LONGEST_FIELD = 1024 * 1024  # bytes
_MOST_PARTS = 1_000


@dataclass(frozen=True, slots=True)
class Upload:
    """A file of a form, on disk; ``size`` in bytes. Whoever does not keep it unlinks ``path``."""

    filename: str
    media_type: str
    path: Path
    size: int


@dataclass(slots=True)
class Form:
    """The fields and files of a form. A name ``image[]`` is filed under ``image``; ``a[b]`` becomes an object ``a``."""

    fields: Fields
    files: dict[str, list[Upload]] = field(default_factory=dict)

    def file(self, name: str) -> Upload:
        """The first file of this name; refuses when there is none."""
        if name not in self.files:
            raise missing(name)
        return self.files[name][0]

    def discard(self) -> None:
        """Remove the files from disk."""
        for uploads in self.files.values():
            for upload in uploads:
                upload.path.unlink(missing_ok=True)


async def read_form(request: Request) -> Form:
    """The form that the request carries; a 400 :class:`Refusal` when it is none, or a broken one."""
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        given = request.headers.get("content-type") or "none"
        raise Refusal(400, f"Invalid Content-Type header: {given}. Expected multipart/form-data with a boundary.")
    reader = _Reader(sandbox_of(request))
    parser = MultipartParser(options[b"boundary"], reader.callbacks())
    try:
        async for piece in request.stream():
            parser.write(piece)
        parser.finalize()
        if not reader.ended:
            raise Refusal(400, "Could not parse multipart form: it ends too early.")
    except FormParserError as error:
        reader.discard()
        raise Refusal(400, f"Could not parse multipart form: {error}") from None
    except BaseException:
        reader.discard()
        raise
    return reader.form()


class _Reader:
    """Collects what the parser reports."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.ended = False
        self._sandbox = sandbox
        self._values: list[tuple[str, str]] = []
        self._files: list[tuple[str, Upload]] = []
        self._parts = 0
        self._begin()

    def callbacks(self) -> Any:
        """What python-multipart is to call."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._open,
            "on_part_data": self._data,
            "on_part_end": self._close,
            "on_end": self._end,
        }

    def form(self) -> Form:
        values: dict[str, Any] = {}
        for name, value in self._values:
            _place(values, name, value)
        form = Form(Fields(values, texts=True))
        for name, upload in self._files:
            form.files.setdefault(name.removesuffix("[]"), []).append(upload)
        return form

    def discard(self) -> None:
        if self._file is not None:
            self._file.close()
            self._path.unlink(missing_ok=True)
        for _, upload in self._files:
            upload.path.unlink(missing_ok=True)

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise Refusal(400, f"Too many parts in the form; the sandbox takes {_MOST_PARTS}.")
        self._name = b""
        self._value = b""
        self._headers: dict[bytes, bytes] = {}
        self._text = bytearray()
        self._file: BinaryIO | None = None
        self._path = Path()
        self._size = 0

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name, self._value = b"", b""

    def _open(self) -> None:
        _, self._options = parse_options_header(self._headers.get(b"content-disposition"))
        if b"name" not in self._options:
            raise Refusal(400, "Could not parse multipart form: a part has no name.")
        if b"filename" in self._options:
            self._path = self._sandbox.new_path()
            self._file = self._path.open("wb", buffering=1 << 18)

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._size += end - start
        if self._file is not None:
            self._file.write(memoryview(data)[start:end])
        elif self._size > _LONGEST_FIELD:
            raise Refusal(413, "A field of the form is larger than the sandbox takes (1 MiB).")
        else:
            self._text += data[start:end]

    def _close(self) -> None:
        name = _decoded(self._options[b"name"])
        if self._file is None:
            self._values.append((name, _decoded(bytes(self._text))))
            return
        self._file.close()
        self._file = None
        kind = _decoded(self._headers.get(b"content-type", b"application/octet-stream"))
        self._files.append((name, Upload(_decoded(self._options[b"filename"]), kind, self._path, self._size)))

    def _end(self) -> None:
        self.ended = True


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _place(values: dict[str, Any], name: str, value: str) -> None:
    """File a field: ``a[]`` into an array, ``a[b]`` into an object, a repeated name into an array."""
    outer, bracket, inner = name.partition("[")
    inner = inner.removesuffix("]")
    if bracket and inner:
        group = values.setdefault(outer, {})
        if isinstance(group, dict):
            group[inner] = value
        return
    if outer in values or bracket:
        found = values.get(outer, [])
        values[outer] = [*(found if isinstance(found, list) else [found]), value]
    else:
        values[outer] = value


def fields_of(values: Mapping[str, Any]) -> Fields:
    """Fields of a nested object of a form, whose values are texts."""
    return Fields(values, texts=True)
