"""Making and reading WAV (RIFF, 24 kHz, 16 bit, one channel): a tone for each word, the words in an ``ICMT`` comment.

The comment lets the sandbox transcribe its own speech word for word.
"""

import math
import struct
from array import array
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tieline.sandbox.words import digest

RATE = 24_000  # samples a second
_WORD = 0.12  # seconds
_MOST_CHUNKS = 64
_LONGEST_COMMENT = 64 * 1024


@dataclass(frozen=True, slots=True)
class Heard:
    """What a sound file says of itself: its length in seconds and, if the sandbox made it, its words."""

    seconds: float
    text: str | None


def speak(text: str) -> bytes:
    """The samples of ``text``, one tone for each word."""
    words = text.split() or [""]
    return b"".join(_tone(digest("tone", word)[0] % 16) for word in words)


@cache
def _tone(pitch: int) -> bytes:
    length = int(RATE * _WORD)
    hertz = 220 * 2 ** (pitch / 12)
    samples = array("h")
    for at in range(length):
        fade = min(1.0, at / 200, (length - at) / 200)
        samples.append(int(9_000 * fade * math.sin(2 * math.pi * hertz * at / RATE)))
    return samples.tobytes()


def wav(samples: bytes, comment: str) -> bytes:
    """A WAV file of these samples with a comment."""
    note = comment.encode()[:_LONGEST_COMMENT] + b"\0"
    note += b"\0" * (len(note) % 2)
    listed = b"INFO" + b"ICMT" + struct.pack("<I", len(note)) + note
    form = struct.pack("<HHIIHH", 1, 1, RATE, RATE * 2, 2, 16)
    body = b"WAVE"
    for kind, data in ((b"fmt ", form), (b"LIST", listed), (b"data", samples)):
        body += kind + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def listen(path: Path) -> Heard:
    """What the file at ``path`` says of itself; a file that is no WAV is taken for 16 kB a second."""
    size = path.stat().st_size
    text, seconds, per_second = None, size / 16_000, 0
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] != b"RIFF" or head[8:] != b"WAVE":
            return Heard(round(seconds, 2), None)
        for _ in range(_MOST_CHUNKS):
            head = file.read(8)
            if len(head) < 8:
                break
            kind, length = head[:4], int.from_bytes(head[4:], "little")
            data = file.read(length) if kind in (b"fmt ", b"LIST") and length <= _LONGEST_COMMENT + 64 else b""
            file.seek(length - len(data) + length % 2, 1)
            if kind == b"fmt " and len(data) >= 12:
                per_second = int.from_bytes(data[8:12], "little")
            elif kind == b"LIST" and data[4:8] == b"ICMT":
                text = data[12:].rstrip(b"\0").decode("utf-8", "replace")
            elif kind == b"data" and per_second:
                seconds = min(length, size) / per_second
    return Heard(round(seconds, 2), text)
