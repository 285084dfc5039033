"""Names and values in pairs: a query string or an urlencoded form, and headers.

What is optional and not given takes its whole pair with it; a list that is a whole value gives each item a pair.
"""

import re
from collections.abc import Callable
from urllib.parse import quote, quote_plus, unquote_plus

from tieline.core.errors import HeadersTooLarge, TielineError
from tieline.definitions import values
from tieline.definitions.fill.scope import Pieces, SlotScope, ValueForms, joined, slots_of
from tieline.definitions.fill.values import invalid

HEADERS_MOST = 32 * 1024
# Latin-1 without control characters of either set (RFC 9110 section 5.5; what fetch calls a byte string). Text beyond
# it has no one form in a header, so that the caller must choose: RFC 8187 holds for a few fields' parameters only.
_NOT_IN_HEADER = re.compile(r"[^\t\x20-\x7e\xa0-\xff]")


class FormPair:
    """A pair as forms write it (WHATWG URL, section 5.2), blanks as ``+``."""

    __slots__ = ("_listed", "_needs", "_pieces", "_start")

    def __init__(self, name: str, pieces: Pieces, scope: SlotScope) -> None:
        """``name`` as it is meant; ``pieces`` are the value's."""
        self._start = self._encoded(name) + "="
        self._needs = scope.needs(pieces)
        self._listed = scope.listed(pieces)
        self._pieces = tuple(self._encoded(piece) if isinstance(piece, str) else piece for piece in pieces)

    def add(self, run: ValueForms, parts: list[str]) -> None:
        """Append the pair to ``parts``, with an ``&`` after it."""
        if self._needs and run.lacks(self._needs):
            return
        if self._listed is not None:
            for item in run.items(self._listed):
                parts += (self._start, self._encoded(item), "&")
            return
        parts.append(self._start)
        parts += [piece if isinstance(piece, str) else self._value(run, piece.name) for piece in self._pieces]
        parts.append("&")

    def _encoded(self, text: str) -> str:
        return quote_plus(text)

    def _value(self, run: ValueForms, name: str) -> str:
        return run.form(name)


class QueryPair(FormPair):
    """A pair of a query: as in a form, with blanks as ``%20``, which servers read that do not read ``+`` so."""

    __slots__ = ()

    def _encoded(self, text: str) -> str:
        return quote(text, safe="")

    def _value(self, run: ValueForms, name: str) -> str:
        return run.query(name)


class WrittenPair(QueryPair):
    """A pair of a query as a path or URL was written with it: its literal texts are encoded already."""

    __slots__ = ()

    def __init__(self, start: str, pieces: Pieces, scope: SlotScope) -> None:
        """``start`` is the name with its ``=``, or empty where the pair has neither."""
        super().__init__("", pieces, scope)
        self._start = start
        self._pieces = pieces


def query_pairs(query: str, scope: SlotScope) -> list[WrittenPair]:
    """The pairs of a query that a path or URL is written with; its literal texts are encoded already."""
    pairs = []
    for text in query.split("&") if query else ():
        name, mark, value = text.partition("=")
        if slots_of(scope.split(name)) and mark:
            raise ValueError("a slot stands in a query pair's value, not in its name")
        if mark:
            refuse_owned(unquote_plus(name), scope.surroundings.query, "query pair")
            literal = "".join(piece for piece in scope.split(name) if isinstance(piece, str))
            pairs.append(WrittenPair(literal + mark, scope.split(value), scope))
        else:
            pairs.append(WrittenPair("", scope.split(text), scope))
    return pairs


def render_pairs(pairs: tuple[FormPair, ...], run: ValueForms, most: int, refusal: Callable[[], TielineError]) -> bytes:
    """The pairs as they are sent, unless they are more than ``most`` bytes."""
    parts: list[str] = []
    length = 0
    for pair in pairs:
        before = len(parts)
        pair.add(run, parts)
        length += sum(map(len, parts[before:]))
        if length > most:
            raise refusal()
    if parts:
        parts.pop()
    return "".join(parts).encode("ascii")


class Header:
    """A compiled header field."""

    __slots__ = ("_name", "_names", "_needs", "_pieces", "_static")

    def __init__(self, name: str, value: str, scope: SlotScope) -> None:
        values.header_name(name)
        refuse_owned(name.lower(), scope.surroundings.headers, "header")
        self._name = name.encode()
        self._pieces = scope.split(value)
        self._needs = scope.needs(self._pieces)
        literal = "".join(piece for piece in self._pieces if isinstance(piece, str))
        self._names = slots_of(self._pieces)
        self._static = literal.encode("ascii") if not self._names else None

    def add(self, run: ValueForms, headers: list[tuple[bytes, bytes]]) -> None:
        """Append the field to ``headers``; raises InvalidParameter for a value that a header cannot hold."""
        if self._static is not None:
            headers.append((self._name, self._static))
            return
        if self._needs and run.lacks(self._needs):
            return
        for name in self._names:
            text = run.text(name)
            if len(text) > HEADERS_MOST:
                raise headers_too_large()
            if _NOT_IN_HEADER.search(text) is not None:
                what = "goes into a header and holds a line break, control character or one beyond Latin-1; encode it"
                raise invalid(name, what)
        parts = [piece if isinstance(piece, str) else run.text(piece.name) for piece in self._pieces]
        value = joined("", parts, HEADERS_MOST, headers_too_large)
        if value != value.strip(" \t"):
            raise invalid(self._names[0], "makes a header's value begin or end with a blank; remove it")
        headers.append((self._name, value.encode("latin-1")))


def refuse_owned(name: str, owned: frozenset[str], what: str) -> None:
    """Raise ValueError for a name that the API's auth scheme sets."""
    if name in owned:
        raise ValueError(f"the {what} {name} is set by the API's auth scheme; remove it from the call")


def headers_too_large() -> HeadersTooLarge:
    """What headers of more than 32 KiB are refused with."""
    return HeadersTooLarge(
        f"The headers that this call makes of its parameters are larger than {HEADERS_MOST // 1024} KiB. Give less."
    )
