"""Which models a request names, wherever it can: path, query, JSON, forms. Written for lists of allowed models.

Strict, unlike ``asked``: what upstreams may read in two ways is read in each, and what cannot be read is said to be
unreadable instead of naming nothing. Names of members are compared without case, as servers in Go do, and every member
of a name counts, whichever of two an upstream takes.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

import orjson

from tieline.core.errors import TielineError
from tieline.wire.multipart import FieldPart, FileBegun, FormReader, boundary_of

BODY_MOST: Final = 16 * 1024 * 1024
"""Bytes of a body up to which it is read."""
MESSAGE_MOST: Final = 128 * 1024
"""Bytes of a WebSocket's message up to which it is read, at once."""
NAMES_MOST: Final = 1_000
"""Models that one request can name."""
_NAMES: Final = frozenset({"model", "models"})
# What an app's users, tools and labels say, which names no model that is asked.
_CONTENT: Final = frozenset(
    {"messages", "contents", "metadata", "properties", "parameters", "schema", "input_schema", "json_schema", "labels"}
)
_IN_PATH: Final = re.compile(r"/(?:models?|deployments|engines)/([^/]+)", re.IGNORECASE)
_VERB: Final = re.compile(r":(?:[a-z]+(?:[A-Z][A-Za-z]*)+|predict)\Z")
_FORM: Final = b"application/x-www-form-urlencoded"
_FIELD_NAMED: Final = re.compile(rb'(?<![-\w])name\*?\s*=\s*"?models?(?:\[\])?["\r\n;]', re.IGNORECASE)
_FIELDS_MOST: Final = 10_000
_AT_ONCE: Final = 16 * 1024
"""Bytes of a message that is read like a body; that of a larger one took too long."""
_MEMBER: Final = re.compile(rb'"models?(?:\[\])?"[ \t\r\n]*+:[ \t\r\n]*+(?:"([^"\\]*+)"|(null)|)', re.IGNORECASE)
_ESCAPED_LETTER: Final = re.compile(rb"\\u00[4-7]")


class UnreadableError(ValueError):
    """A body whose models cannot be told; the text says why, as the end of a sentence."""


def in_target(path: bytes, query: bytes) -> Iterator[str]:
    """The models that a path (below the base URL) and a query name; a verb behind one is no part of its name."""
    for found in _IN_PATH.finditer(unquote(path.decode("latin-1"))):
        yield _VERB.sub("", found[1])
    yield from _in_pairs(query)


def in_body(content_type: bytes, body: bytes) -> list[str]:
    """The models that a whole body names. Raises UnreadableError."""
    kind = content_type.partition(b";")[0].strip().lower()
    if not body.strip():
        return []
    if kind.startswith(b"multipart/"):
        return _bounded(_in_form(content_type, body))
    if kind == _FORM:
        return _bounded(_in_pairs(body))
    begun = body.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if b"json" not in kind and begun not in {b"{", b"["} and b"\0" not in body[:4]:
        return []  # neither said nor seen to be JSON
    return _bounded(_in_json(body))


def in_message(data: bytes, *, is_text: bool) -> list[str]:
    """The models that a message over a WebSocket names. Raises UnreadableError.

    Sound is no JSON, even where it begins like it. In a large message every member of such a name counts, wherever it
    stands; one that is no text cannot be read there.
    """
    begun = data.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if not is_text:
        if begun not in {b"{", b"["}:
            return []
        try:
            data.decode()
        except UnicodeDecodeError:
            return []
    if len(data) <= _AT_ONCE or begun not in {b"{", b"["}:
        return in_body(b"", data)
    return _bounded(_in_large(data))


def _in_large(data: bytes) -> Iterator[str]:
    """Of a large JSON text, by its words: within a text of its own quotes are escaped, so none looks like a member."""
    try:
        orjson.loads(data.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError:
        raise UnreadableError("it is no JSON that can be read") from None
    if _ESCAPED_LETTER.search(data) is not None:
        raise UnreadableError("it is large and has plain letters as escapes")
    for found in _MEMBER.finditer(data):
        if found[1] is not None:
            yield found[1].decode()
        elif found[2] is None:
            raise UnreadableError("it is large and has a member model that is no plain text")


def _bounded(found: Iterator[str]) -> list[str]:
    names: list[str] = []
    for name in found:
        names.append(name)
        if len(names) > NAMES_MOST:
            raise UnreadableError(f"it names more than {NAMES_MOST} models")
    return names


def _in_pairs(query: bytes) -> Iterator[str]:
    try:
        pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=_FIELDS_MOST)
    except ValueError:
        raise UnreadableError(f"it has more than {_FIELDS_MOST} fields") from None
    for name, value in pairs:
        if _is_name(name):
            yield value


def _is_name(name: str) -> bool:
    return name.strip().removesuffix("[]").casefold() in _NAMES


class _Members(list[tuple[str, Any]]):
    """The members of an object, those of one name too."""


def _in_json(body: bytes) -> Iterator[str]:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UnreadableError("it is not in UTF-8") from None
    try:
        value = json.loads(text, object_pairs_hook=_Members)
    except (ValueError, RecursionError):
        raise UnreadableError("it is no JSON that can be read") from None
    waiting: list[Any] = [value]
    while waiting:
        each = waiting.pop()
        if not isinstance(each, _Members):
            waiting += [inner for inner in each if isinstance(inner, list)] if isinstance(each, list) else ()
            continue
        for name, inner in each:
            if _is_name(name):
                yield from _named(inner)
            if isinstance(inner, list) and name.casefold() not in _CONTENT:
                waiting.append(inner)


def _named(value: Any) -> Iterator[str]:
    """The names that a member's value is or lists; objects are looked through by who calls."""
    for each in value if isinstance(value, list) and not isinstance(value, _Members) else (value,):
        if each is not None and not isinstance(each, list):
            yield str(each)


def _in_form(content_type: bytes, body: bytes) -> Iterator[str]:
    """The fields of a form that name models; a field that is JSON (``session`` of realtime calls) is looked through."""
    seen = 0
    try:
        boundary = boundary_of(content_type)
        if boundary is None or content_type.lower().count(b"boundary") > 1:
            raise UnreadableError("its Content-Type can be read in two ways")
        reader = FormReader(boundary)
        events = reader.feed(body)
        reader.finish()
    except TielineError:
        raise UnreadableError("it is no well-formed multipart/form-data") from None
    for event in events:
        if isinstance(event, FileBegun) and _is_name(event.name):
            raise UnreadableError("a file stands where the model is named")
        if isinstance(event, FieldPart):
            if _is_name(event.name):
                seen += 1
                yield event.value
            elif event.value.lstrip()[:1] in {"{", "["}:
                yield from _in_json_field(event.value)
    if len(_FIELD_NAMED.findall(body)) > seen:
        raise UnreadableError("the name of a field can be read in two ways")


def _in_json_field(text: str) -> Iterator[str]:
    try:
        yield from _in_json(text.encode())
    except UnreadableError:
        return  # a text that begins like JSON
