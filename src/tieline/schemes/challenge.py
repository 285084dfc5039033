"""Challenges as servers write them: the fields ``WWW-Authenticate`` and ``Authentication-Info`` (RFC 9110 section 11).

Strict: a field that breaks the grammar is as good as none. Knows no scheme; parameters come out as they were meant,
quotes and escapes undone.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tieline.schemes.base import Headers

_WORD = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED = r'"(?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[\t\x20-\x7e\x80-\xff])*"'
_SCHEME = re.compile(rf"({_WORD})(?=[ \t]*(?:,|$)| )")
_TOKEN68 = re.compile(r" +[A-Za-z0-9\-._~+/]+=*(?=[ \t]*(?:,|$))")
_PARAMETER = re.compile(rf"({_WORD})[ \t]*=[ \t]*(?:({_WORD})|({_QUOTED}))(?=[ \t]*(?:,|$))")
_BETWEEN = re.compile(r"[ \t,]*")
_BLANKS = re.compile(r"[ \t]*")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge: its scheme and the names of its parameters in lower case."""

    scheme: str
    parameters: Mapping[str, str]


class _MalformedError(Exception):
    """The field breaks the grammar."""


def challenges(headers: Headers) -> Sequence[Challenge]:
    """Every challenge in the ``WWW-Authenticate`` fields of an answer, in order; malformed fields are left out."""
    found: list[Challenge] = []
    for name, value in headers:
        if name.lower() == b"www-authenticate":
            try:
                found += _FieldReader(value.decode("latin-1")).challenges()
            except _MalformedError:
                continue
    return found


def parameters(value: bytes) -> Mapping[str, str]:
    """The parameters of a field that is a list of them (RFC 7616 section 3.5); none where it is malformed."""
    try:
        return _FieldReader(value.decode("latin-1")).parameters()
    except _MalformedError:
        return {}


def quoted(text: str) -> str:
    """``text`` as a quoted string; it holds no control characters."""
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


class _FieldReader:
    """One reading of a field's value."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._place = 0

    def challenges(self) -> list[Challenge]:
        found = []
        self._skip(_BETWEEN)
        while self._place < len(self._text):
            scheme = self._take(_SCHEME)
            if scheme is None:
                raise _MalformedError
            if self._take(_TOKEN68) is None:
                self._skip(_BLANKS)
                found.append(Challenge(scheme[1].lower(), self.parameters()))
            self._skip(_BETWEEN)
        return found

    def parameters(self) -> Mapping[str, str]:
        """As many as follow; the place is then at the next challenge, or the end."""
        found: dict[str, str] = {}
        while (match := self._take(_PARAMETER)) is not None:
            name = match[1].lower()
            if name in found:
                raise _MalformedError
            found[name] = match[2] if match[2] is not None else _ESCAPED.sub(r"\1", match[3][1:-1])
            self._skip(_BETWEEN)
        return found

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        match = pattern.match(self._text, self._place)
        if match is not None:
            self._place = match.end()
        return match

    def _skip(self, pattern: re.Pattern[str]) -> None:
        self._take(pattern)
