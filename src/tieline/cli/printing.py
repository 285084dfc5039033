"""A call's answer as people and programs read it: JSON, text as it comes, items a line, bytes into a file.

Owns what goes to standard output. Text from outside is not let through to a terminal as control characters.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from tieline.cli import output
from tieline.cli.appclient import CallResponse
from tieline.core.errors import SettingsError

_JSON = ("application/json", "+json")


@dataclass(frozen=True, slots=True)
class Printing:
    """How an answer is printed: a stream ``live``, for a ``machine``, into ``file``."""

    live: bool = False
    machine: bool = False
    file: Path | None = None

    def print(self, running: CallResponse) -> None:
        """Print the answer to its end. Raises CommandFailed where it has none, SettingsError for a file to nowhere."""
        if running.is_stream:
            self._events(running.events())
        elif running.response.status == 204:
            output.say("Done: the call answers nothing.")
        elif running.media.endswith(_JSON):
            self._document(b"".join(running.pieces()))
        else:
            self._bytes(running)

    def _document(self, body: bytes) -> None:
        text = json.dumps(json.loads(body), indent=2, ensure_ascii=False) + "\n"
        if self.file is None:
            sys.stdout.write(text)
        else:
            _write(self.file, [text.encode()])

    def _bytes(self, running: CallResponse) -> None:
        if self.file is not None:
            size = _write(self.file, running.pieces())
            output.say(f"{self.file} holds the answer: {running.media}, {size:,} bytes.")
        elif sys.stdout.isatty():
            raise SettingsError(f"The answer is a file ({running.media}): say where to write it with -o FILE.")
        else:
            _copy(running.pieces(), sys.stdout.buffer)

    def _events(self, events: Iterator[tuple[str, Any]]) -> None:
        """The events of a stream: as they come where that is wanted, else the end, which tells it all."""
        text = ""
        for name, value in events:
            if name == "item" or (self.machine and self.live):
                _line(value if name == "item" else {"event": name, **value})
            elif name == "delta" and self.live:
                text = value["text"]
                _live(text)
            elif name == "done" and "pages" in value:
                more = "; there are more" if value["more"] else ""
                output.say(f"{value['items']} items from {value['pages']} pages{more}.")
            elif name == "done" and self.live:
                _live("" if text.endswith("\n") else "\n")
            elif name == "done":
                self._document(json.dumps(value).encode())


def _line(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False), flush=True)


def _live(text: str) -> None:
    if sys.stdout.isatty():
        text = "".join(letter if letter.isprintable() or letter in "\n\t" else "\ufffd" for letter in text)
    sys.stdout.write(text)
    sys.stdout.flush()


def _write(file: Path, pieces: Iterable[bytes]) -> int:
    try:
        with file.open("wb") as stream:
            return _copy(pieces, stream)
    except OSError as error:
        raise SettingsError(f"{file} cannot be written: {error.strerror}.") from error


def _copy(pieces: Iterable[bytes], stream: BinaryIO) -> int:
    size = 0
    for piece in pieces:
        size += len(piece)
        stream.write(piece)
    stream.flush()
    return size
