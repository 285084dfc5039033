"""Asks chat streams for usage by bytes put into the request, and recognises the chunk that comes for it.

The request's JSON is never written anew: what is sent is what came, and one insertion. Only chat and text completions
of OpenAI's form know ``stream_options``. The chunk of usage comes last before ``[DONE]`` and has no choices (OpenAI's
reference of ``stream_options``).
"""

from typing import Any, Final, NamedTuple

import orjson

from tieline.core.json_places import NoPlaceError, members

_OPTIONS: Final = b'"stream_options":{"include_usage":true}'
_MEMBER: Final = b'"include_usage":true'
_STREAM: Final = b'"stream"'
_ESCAPED: Final = b"\\u00"
"""Begins every escape that a letter may be written as."""
_BOM: Final = b"\xef\xbb\xbf"
_ENDS: Final = (b"/completions",)
_CHUNK_MOST: Final = 16 * 1024
"""Bytes of a chunk that tells usage alone."""


class IncludedUsage(NamedTuple):
    """A request's body, how many bytes it grew by, and whether the client sees the chunk of usage."""

    body: bytes
    grown: int
    shows: bool


def knows_usage(path: bytes) -> bool:
    """Whether requests to ``path`` (without query) know ``stream_options``: completions of chats and of text."""
    return path.endswith(_ENDS)


def may_stream(body: bytes) -> bool:
    """Whether a member of ``body`` may be called ``stream``: written out, or with any of its letters as an escape."""
    return _STREAM in body or _ESCAPED in body


def include_usage(body: bytes) -> IncludedUsage:
    """``body`` such that a stream tells its usage.

    It stays as it is where it asks for no stream, asks for usage already, or cannot be read for sure: a second
    ``stream_options``, something behind the object. Where a client says that it wants no usage (``false``), the
    upstream is asked all the same, and the chunk is not shown.
    """
    if not may_stream(body):
        return IncludedUsage(body, 0, shows=True)
    start = len(_BOM) if body.startswith(_BOM) else 0
    try:
        asked = orjson.loads(memoryview(body)[start:])
    except orjson.JSONDecodeError:
        asked = None  # half a character in a text is no error for the upstream
    if isinstance(asked, dict) and (asked.get("stream") is not True or "stream_options" not in asked):
        if asked.get("stream") is not True:
            return IncludedUsage(body, 0, shows=True)
        return _inserted(body, body.index(b"{") + 1, _OPTIONS + b",")
    try:
        return _included(body, start)
    except NoPlaceError:
        return IncludedUsage(body, 0, shows=True)


def _included(body: bytes, start: int) -> IncludedUsage:
    found: dict[str, tuple[int, int]] = {}
    for name, begin, end in members(body, start):
        if name in {"stream", "stream_options"}:
            if name in found:
                raise NoPlaceError
            found[name] = begin, end
    as_it_is = IncludedUsage(body, 0, shows=True)
    if "stream" not in found or body[slice(*found["stream"])] != b"true":
        return as_it_is
    if "stream_options" not in found:
        return _inserted(body, found["stream"][1], b"," + _OPTIONS)
    begin, end = found["stream_options"]
    if body[begin:end] == b"null":
        return _replaced(body, begin, end, _OPTIONS.partition(b":")[2])
    if body[begin : begin + 1] != b"{":
        return as_it_is  # the upstream says what is wrong with it
    return _among(body, begin)


def _among(body: bytes, begin: int) -> IncludedUsage:
    """With the member in the object at ``begin``."""
    named: list[tuple[int, int]] = []
    count = 0
    for name, first, last in members(body, begin, inner=True):
        count += 1
        if name == "include_usage":
            named.append((first, last))
    if not named:
        return _inserted(body, begin + 1, _MEMBER + (b"," if count else b""))
    if len(named) > 1:
        raise NoPlaceError
    first, last = named[0]
    if body[first:last] in {b"false", b"null"}:
        return _replaced(body, first, last, b"true")
    return IncludedUsage(body, 0, shows=True)


def _inserted(body: bytes, place: int, more: bytes) -> IncludedUsage:
    return IncludedUsage(body[:place] + more + body[place:], len(more), shows=False)


def _replaced(body: bytes, begin: int, end: int, by: bytes) -> IncludedUsage:
    return IncludedUsage(body[:begin] + by + body[end:], len(by) - (end - begin), shows=False)


def is_usage_chunk(data: bytes) -> bool:
    """Whether the data of an event is a chunk that tells usage and nothing else: no choices, and a usage object."""
    if len(data) > _CHUNK_MOST or b'"usage"' not in data or b'"choices"' not in data:
        return False
    try:
        value: Any = orjson.loads(data)
    except orjson.JSONDecodeError:
        return False
    return isinstance(value, dict) and value.get("choices") == [] and isinstance(value.get("usage"), dict)
