"""The parameters of a call as people write them: ``name=value``, ``name=@file``, ``name:=json``.

Owns how they are read and put into a form or into JSON. Knows no server; whether a value fits is the server's word.
"""

import base64
import json
import mimetypes
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tieline.core.errors import InvalidParameter, SettingsError
from tieline.core.names import is_parameter_name
from tieline.definitions.fill.values import coerce_text
from tieline.definitions.model import Call

TEXT_MOST = 16 * 1024 * 1024  # bytes of a text parameter: what a call's body takes
TRIAL_MOST = 5 * 1024 * 1024  # bytes of the files of a trial, which go to the admin API inside JSON
_PIECE = 256 * 1024


@dataclass(frozen=True, slots=True)
class CallArgument:
    """One parameter: exactly one of ``text``, ``file`` and (if ``is_json``) ``value`` is meant."""

    name: str
    text: str = ""
    file: Path | None = None
    value: Any = None
    is_json: bool = False

    def written(self) -> str:
        """The value as the text that a form holds; of a file what is in it. Raises SettingsError."""
        if self.file is not None:
            return _text_in(self.file, self.name)
        if not self.is_json:
            return self.text
        return self.value if isinstance(self.value, str) else json.dumps(self.value, ensure_ascii=False)


def read_arguments(words: Sequence[str]) -> list[CallArgument]:
    """What ``-p`` said, in order. Raises SettingsError for another form; it never repeats a value."""
    return [_argument(word) for word in words]


def _argument(word: str) -> CallArgument:
    name, equals, value = word.partition("=")
    is_json = name.endswith(":")
    name = name.removesuffix(":")
    if not equals or not is_parameter_name(name):
        raise SettingsError("-p is NAME=VALUE, NAME=@FILE or NAME:=JSON, with the name of a parameter of the call.")
    if is_json:
        try:
            return CallArgument(name, value=json.loads(value), is_json=True)
        except (ValueError, RecursionError):
            raise SettingsError(f"-p {name}:= is followed by no JSON. Quote it for the shell.") from None
    if value.startswith("@"):
        path = Path(value[1:]).expanduser()
        try:
            is_there = path.is_file()
        except OSError as error:
            raise SettingsError(f"The file for {name} cannot be read: {error.strerror}.") from error
        if not is_there:
            raise SettingsError(f"-p {name}=@ names no file that is there. Text that begins with @ is written as JSON.")
        return CallArgument(name, file=path)
    return CallArgument(name, text=value)


def is_file(call: Call | None, given: CallArgument) -> bool:
    """Whether a parameter goes as a file: one that was given as a file, unless the call is known to take text there."""
    if given.file is None:
        return False
    parameter = call.parameters.get(given.name) if call is not None else None
    return parameter is None or parameter.type == "file"


class MultipartForm:
    """A ``multipart/form-data`` body (RFC 7578) whose files are read as they are sent; iterates over its pieces."""

    def __init__(self, call: Call | None, given: Sequence[CallArgument]) -> None:
        boundary = secrets.token_hex(16)
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self._pieces: list[bytes | Path] = []
        files = [each for each in given if is_file(call, each)]
        for each in [*(one for one in given if one not in files), *files]:  # what is large comes last
            head = f'--{boundary}\r\nContent-Disposition: form-data; name="{each.name}"'
            if each in files and each.file is not None:
                kind = mimetypes.guess_type(each.file.name)[0] or "application/octet-stream"
                head += f'; filename="{_quoted(each.file.name)}"\r\nContent-Type: {kind}'
                self._pieces += [f"{head}\r\n\r\n".encode(), each.file, b"\r\n"]
            else:
                self._pieces.append(f"{head}\r\n\r\n{each.written()}\r\n".encode(errors="surrogateescape"))
        self._pieces.append(f"--{boundary}--\r\n".encode())
        self.length = sum(piece.stat().st_size if isinstance(piece, Path) else len(piece) for piece in self._pieces)

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, bytes):
                yield piece
                continue
            with piece.open("rb") as stream:
                while data := stream.read(_PIECE):
                    yield data


def as_json(call: Call, given: Sequence[CallArgument]) -> tuple[dict[str, Any], dict[str, Mapping[str, str]]]:
    """The parameters by their types, and the files, for a trial through the admin API. Raises SettingsError."""
    pairs = [(each.name, each.written()) for each in given if not is_file(call, each) and not each.is_json]
    try:
        found = coerce_text(call, pairs)
    except InvalidParameter as error:
        raise SettingsError(error.public) from None
    found |= {each.name: each.value for each in given if each.is_json}
    files = {each.name: _encoded(each.file, each.name) for each in given if each.file and is_file(call, each)}
    return found, files


def _encoded(file: Path, name: str) -> Mapping[str, str]:
    content = _content(file, name, TRIAL_MOST)
    kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    return {"filename": file.name, "content_type": kind, "base64": base64.b64encode(content).decode("ascii")}


def _text_in(file: Path, name: str) -> str:
    try:
        return _content(file, name, TEXT_MOST).decode()
    except UnicodeDecodeError:
        raise SettingsError(f"The file for {name} is not UTF-8 text.") from None


def _content(file: Path, name: str, most: int) -> bytes:
    try:
        with file.open("rb") as stream:
            content = stream.read(most + 1)
    except OSError as error:
        raise SettingsError(f"The file for {name} cannot be read: {error.strerror}.") from error
    if len(content) > most:
        raise SettingsError(f"The file for {name} holds more than {most // 1024**2} MiB.")
    return content


def _quoted(filename: str) -> str:
    """A file's name inside quotes, as browsers write it."""
    return filename.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
