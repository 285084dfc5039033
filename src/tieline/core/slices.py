"""Work on large bytes and texts in slices of a MiB, between which the interpreter lets other threads run.

It lets nobody else run within one call into C, which for 16 MiB takes 5 to 100 ms: the more where the memory is new, as
the kernel hands it out page by page meanwhile. Each function does what the method of its name does, in linear steps;
what is no larger than a slice is done at once.
"""

import codecs
from collections.abc import Iterable
from io import BytesIO
from typing import Final

SLICE: Final = 1024 * 1024


def count(text: str, mark: str) -> int:
    """How often ``mark``, one character, is in ``text``."""
    if len(text) <= SLICE:
        return text.count(mark)
    return sum([text.count(mark, at, at + SLICE) for at in range(0, len(text), SLICE)])


def find(data: bytes, part: bytes) -> int:
    """Where ``part`` is in ``data`` first, -1 where it is not."""
    if len(data) <= SLICE:
        return data.find(part)
    for at in range(0, len(data), SLICE):
        found = data.find(part, at, at + SLICE + len(part) - 1)
        if found >= 0:
            return found
    return -1


def is_blank(data: bytes, marks: bytes | None = None) -> bool:
    """Whether there is nothing in ``data`` but ``marks``, unless given white space."""
    return not any(data[at : at + SLICE].strip(marks) for at in range(0, len(data), SLICE))


def strip(data: bytes, marks: bytes) -> bytes:
    """``data`` without the ``marks`` at its beginning and end."""
    if len(data) <= SLICE:
        return data.strip(marks)
    start, end = 0, len(data)
    while start < end and not (left := data[start : start + SLICE].lstrip(marks)):
        start += SLICE
    if start >= end:
        return b""
    start = min(start + SLICE, end) - len(left)
    while not (left := data[max(start, end - SLICE) : end].rstrip(marks)):
        end -= SLICE
    end = max(start, end - SLICE) + len(left)
    return data if end - start == len(data) else join([data[start:end]])


def replace(data: bytes, old: bytes, new: bytes) -> bytes:
    """``data`` with ``new`` in the place of each ``old``, from left to right."""
    if len(data) <= SLICE:
        return data.replace(old, new)
    made = BytesIO()
    at = 0
    while at < len(data):
        window = data[at : at + SLICE + len(old) - 1]  # holds whole whatever begins in the slice
        behind = window.split(old)[-1]
        end = max(SLICE, len(window) - len(behind))
        made.write(window[:end].replace(old, new))
        at += end
    return made.getvalue()


def join(parts: Iterable[bytes]) -> bytes:
    """All ``parts`` in a row. What they are joined in grows as they come and is not copied at the end."""
    made = BytesIO()
    for part in parts:
        if len(part) <= SLICE:
            made.write(part)
            continue
        with memoryview(part) as view:
            for at in range(0, len(part), SLICE):
                made.write(view[at : at + SLICE])
    return made.getvalue()


def join_text(parts: Iterable[str]) -> str:
    """All ``parts`` in a row."""
    text = ""
    waiting: list[str] = []
    size = 0
    for part in parts:
        waiting.append(part)
        size += len(part)
        if size >= SLICE:
            text += "".join(waiting)  # grows in its place: CPython does so for a name of a function that ran before
            waiting, size = [], 0
    return text + "".join(waiting) if waiting else text


def encode(text: str, errors: str = "strict") -> bytes:
    """``text`` in UTF-8. Raises UnicodeEncodeError."""
    if len(text) <= SLICE:
        return text.encode("utf-8", errors)
    return join(text[at : at + SLICE].encode("utf-8", errors) for at in range(0, len(text), SLICE))


def decode(data: bytes, charset: str = "utf-8", errors: str = "strict", slice_size: int = SLICE) -> str:
    """``data`` as text, so many bytes at once: fewer where a codec is slow. Raises UnicodeDecodeError."""
    if len(data) <= slice_size:
        return data.decode(charset, errors)
    decoder = codecs.getincrementaldecoder(charset)(errors)
    ends = range(slice_size, len(data) + slice_size, slice_size)
    return join_text(decoder.decode(data[end - slice_size : end], final=end >= len(data)) for end in ends)
