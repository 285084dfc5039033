"""XML templates: text in which slots stand in character data and attribute values, and nowhere else.

A template is held against a real parser (expat) with a stand-in for each slot when it is compiled; a document type is
refused. An optional parameter that is not given takes its attribute with it, or the element whose text holds it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from xml.parsers import expat

from tieline.definitions.fill.scope import BODY_MOST, Pieces, SlotScope, ValueForms, body_too_large, joined
from tieline.definitions.fill.values import invalid

_STAND_INS = 0xF0000  # private use, and no character of a name (XML 1.0, production 4)
_MOST_SLOTS = 0xFFFD
_STAND_IN = re.compile("[\U000f0000-\U000ffffd]")
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, production 2
_IN_TEXT = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})
_IN_ATTRIBUTE = _IN_TEXT | str.maketrans({'"': "&quot;", "'": "&apos;", "\t": "&#9;", "\n": "&#10;"})
# Exact for well-formed text without document type, which is all that comes here.
_TOKEN = re.compile(
    r"(?P<apart><!--.*?-->|<\?.*?\?>|<!\[CDATA\[.*?\]\]>)|(?P<end></[^>]*>)"
    r"|<(?P<name>[^\s/>]+)(?P<attributes>(?:\s+[^\s=]+\s*=\s*(?:\"[^\"]*\"|'[^']*'))*)(?P<close>\s*/?>)|(?P<text>[^<]+)",
    re.DOTALL,
)
_ATTRIBUTE = re.compile(r"(\s+[^\s=]+\s*=\s*)(\"[^\"]*\"|'[^']*')")


@dataclass(frozen=True, slots=True)
class _Value:
    """The place of a value, in an attribute or in text."""

    name: str
    in_attribute: bool


@dataclass(frozen=True, slots=True)
class _Unless:
    """What stands up to ``end`` is left out where something of ``needs`` is not given."""

    needs: tuple[str, ...]
    end: int


@dataclass(slots=True)
class _Open:
    """An element whose end has not come: where it begins among the parts, and what its text needs."""

    begin: int
    needs: tuple[str, ...] = ()


class XmlTemplate:
    """A compiled XML template."""

    __slots__ = ("_needs", "_parts")

    def __init__(self, text: str, scope: SlotScope) -> None:
        pieces = scope.split(text)
        builder = _Builder(scope, pieces)
        builder.build()
        self._parts = tuple(builder.parts)
        self._needs = builder.root_needs

    def render(self, run: ValueForms) -> bytes | None:
        """The document in UTF-8, None where its root is left out; raises InvalidParameter and BodyTooLarge."""
        if self._needs and run.lacks(self._needs):
            return None
        out: list[bytes] = []
        escaped: dict[tuple[str, bool], bytes] = {}
        at = 0
        while at < len(self._parts):
            part = self._parts[at]
            at += 1
            if isinstance(part, bytes):
                out.append(part)
            elif isinstance(part, _Unless):
                at = part.end if run.lacks(part.needs) else at
            else:
                key = (part.name, part.in_attribute)
                if key not in escaped:
                    escaped[key] = _escaped(part, run)
                out.append(escaped[key])
        return joined(b"", out, BODY_MOST, body_too_large)


def _escaped(part: _Value, run: ValueForms) -> bytes:
    text = run.text(part.name)
    if _FORBIDDEN.search(text) is not None:
        raise invalid(part.name, "goes into XML and holds a character that XML does not have; remove it")
    return text.translate(_IN_ATTRIBUTE if part.in_attribute else _IN_TEXT).encode()


class _Builder:
    """Turns a template into parts."""

    def __init__(self, scope: SlotScope, pieces: Pieces) -> None:
        self.parts: list[bytes | _Value | _Unless] = []
        self.root_needs: tuple[str, ...] = ()
        self._scope = scope
        self._open: list[_Open] = []
        self._names: list[str] = []
        self._text = "".join(
            self._literal(piece) if isinstance(piece, str) else self._stand_in(piece.name) for piece in pieces
        )

    def build(self) -> None:
        _check(self._text)
        for token in _TOKEN.finditer(self._text):
            if token["apart"] or token["name"]:
                self._refuse_slots(token["apart"] or token["name"])
            if token["name"]:
                self._begin(token)
            elif token["text"]:
                found = self._add(token["text"], in_attribute=False)
                if self._open:
                    self._open[-1].needs += found
            else:
                self.parts.append(token[0].encode())
                if token["end"]:
                    self._end()

    def _literal(self, text: str) -> str:
        if _STAND_IN.search(text) is not None:
            raise ValueError("the XML template holds a private-use character beyond U+F0000; remove it")
        return text

    def _stand_in(self, name: str) -> str:
        self._names.append(name)
        if len(self._names) > _MOST_SLOTS:
            raise ValueError("the XML template holds too many slots; use fewer")
        return chr(_STAND_INS + len(self._names) - 1)

    def _refuse_slots(self, text: str) -> None:
        for found in _STAND_IN.finditer(text):
            name = self._names[ord(found[0]) - _STAND_INS]
            raise ValueError(
                f"<{name}> stands in a comment, name or CDATA of the XML; only text and attributes take values"
            )

    def _begin(self, token: re.Match[str]) -> None:
        self._open.append(_Open(len(self.parts)))
        self.parts += (b"", f"<{token['name']}".encode())
        for attribute in _ATTRIBUTE.finditer(token["attributes"]):
            begin = len(self.parts)
            self.parts += (b"", attribute[1].encode())
            self._leave_out(begin, self._add(attribute[2], in_attribute=True))
        self.parts.append(token["close"].encode())
        if "/" in token["close"]:
            self._end()

    def _end(self) -> None:
        element = self._open.pop()
        self._leave_out(element.begin, element.needs)
        if not self._open:
            self.root_needs = element.needs

    def _add(self, text: str, *, in_attribute: bool) -> tuple[str, ...]:
        """Append ``text`` with its values; the optional parameters among them."""
        needs: tuple[str, ...] = ()
        for piece in _split(text):
            if _STAND_IN.fullmatch(piece) is None:
                self.parts.append(piece.encode())
                continue
            name = self._names[ord(piece) - _STAND_INS]
            if self._scope.may_lack(name):
                needs += (name,)
            self.parts.append(_Value(name, in_attribute))
        return needs

    def _leave_out(self, begin: int, needs: tuple[str, ...]) -> None:
        if needs:
            self.parts[begin] = _Unless(needs, len(self.parts))


def _split(text: str) -> Iterator[str]:
    position = 0
    for found in _STAND_IN.finditer(text):
        if found.start() > position:
            yield text[position : found.start()]
        yield found[0]
        position = found.end()
    if position < len(text):
        yield text[position:]


def _check(text: str) -> None:
    """Raise ValueError where ``text`` is no XML document that is sent as it is."""
    parser = expat.ParserCreate("utf-8", " ")

    def refuse_type(*_: Any) -> None:
        raise ValueError("the XML template has a document type; remove it")

    def check_declaration(version: str, encoding: str | None, _: int) -> None:
        if version != "1.0" or (encoding or "utf-8").lower() != "utf-8":
            raise ValueError("the XML template declares another version than 1.0 or encoding than UTF-8; correct it")

    parser.StartDoctypeDeclHandler = refuse_type
    parser.XmlDeclHandler = check_declaration
    try:
        parser.Parse(text.encode(), True)
    except expat.ExpatError as error:
        raise ValueError(
            f"the XML template is not well-formed at line {error.lineno}: {expat.ErrorString(error.code)}; "
            "write \\< for the < of a tag that has no attributes"
        ) from None
