"""XML as JSON, by a fixed mapping. No entity is declared or fetched, no document type with content is read.

The mapping, which xmltodict made common: an element is a member under its name as written, prefix included; attributes
are members ``@name``; text beside attributes or elements is the member ``#text``; an element with text only is that
text, an empty one null; elements of one name in one parent are a list. ``xmlns`` declarations are left out. All values
are text.
"""

from collections.abc import Collection, Sequence
from typing import Any, Final
from xml.parsers import expat

from tieline.definitions.infer import paths
from tieline.definitions.infer.paths import Steps
from tieline.definitions.infer.unreadable import UnreadableAnswer
from tieline.definitions.model import Field

MOST_DEPTH: Final = paths.MOST_STEPS
MOST_ELEMENTS: Final = 500_000
_SLICE: Final = 64 * 1024
_TAG_MOST: Final = 1024 * 1024
"""Bytes of what expat takes at once; in between others run. It keeps what it cannot take yet (since 2.6 for longer)."""
TEXT: Final = "#text"
ATTRIBUTE: Final = "@"


def read_xml(text: str | bytes, fields: Sequence[Field] = ()) -> dict[str, Any]:
    """The document as JSON: an object with the root element as its one member.

    A list is what repeats anywhere in this document under the same names, or what ``fields`` say is a list, so that an
    element by itself is a list of one there. Raises ``UnreadableAnswer`` for what is no well-formed XML, declares
    entities, or is nested deeper than 64 elements.
    """
    tree = _Tree(_lists(fields))
    data = text.encode("utf-8", "replace") if isinstance(text, str) else text
    parser = expat.ParserCreate("utf-8" if isinstance(text, str) else None)
    parser.buffer_text = True
    parser.StartElementHandler = tree.start
    parser.EndElementHandler = tree.end
    parser.CharacterDataHandler = tree.text
    parser.StartDoctypeDeclHandler = tree.doctype
    parser.EntityDeclHandler = tree.entity
    parser.SkippedEntityHandler = tree.skipped
    try:
        for start in range(0, len(data), _SLICE):
            parser.Parse(data[start : start + _SLICE], False)
            if start + _SLICE - parser.CurrentByteIndex > _TAG_MOST:
                raise UnreadableAnswer("the answer has a tag or comment of more than a MiB; ask for less")
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        reason = f"{expat.ErrorString(error.code)} in line {error.lineno}"
        raise UnreadableAnswer(f"the answer is no well-formed XML: {reason}; check the answer's type") from None
    except LookupError:
        raise UnreadableAnswer("the answer names an encoding that is not known; ask for UTF-8") from None
    return tree.document()


def _lists(fields: Sequence[Field]) -> set[Steps]:
    """The places, as names alone, where fields say that a list stands."""
    found: set[Steps] = set()
    for one in fields:
        steps = paths.split(one.path)
        ends = [end for end, step in enumerate(steps) if step is None] + ([len(steps)] if one.list else [])
        found |= {tuple(step for step in steps[:end] if isinstance(step, str)) for end in ends}
    return found


class _Element:
    """An element that is open: its members so far, its text."""

    __slots__ = ("members", "name", "pieces")

    def __init__(self, name: str, attributes: dict[str, str]) -> None:
        self.name = name
        self.pieces: list[str] = []
        self.members: dict[str, list[Any]] = {
            ATTRIBUTE + key: [value]
            for key, value in attributes.items()
            if key != "xmlns" and not key.startswith("xmlns:")
        }


class _Tree:
    """Builds the document from the parser's events: at first every member is a list, at the end only what repeats."""

    def __init__(self, lists: Collection[Steps]) -> None:
        self._open = [_Element("", {})]
        self._lists = set(lists)
        self._count = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._count += 1 + len(attributes)
        if len(self._open) > MOST_DEPTH:
            raise UnreadableAnswer(f"the answer nests elements deeper than {MOST_DEPTH}; it cannot be read")
        if self._count > MOST_ELEMENTS:
            raise UnreadableAnswer(
                f"the answer has more than {MOST_ELEMENTS:,} elements and attributes; ask for less at a time"
            )
        self._open.append(_Element(name, attributes))

    def end(self, _name: str) -> None:
        element = self._open.pop()
        text = "".join(element.pieces).strip()
        value: Any = (text or None) if not element.members else element.members
        if element.members and text:
            element.members[TEXT] = [text]
        siblings = self._open[-1].members.setdefault(element.name, [])
        siblings.append(value)
        if len(siblings) == 2:
            self._lists.add((*(each.name for each in self._open[1:]), element.name))

    def text(self, text: str) -> None:
        self._open[-1].pieces.append(text)

    def doctype(self, _name: str, _system: str | None, _public: str | None, has_content: int) -> None:
        if has_content:
            raise UnreadableAnswer("the answer brings a document type of its own, which is not read; ask for plain XML")

    def entity(self, *_declaration: Any) -> None:
        raise UnreadableAnswer("the answer declares entities, which are not read; ask for plain XML")

    def skipped(self, name: str, _is_parameter: int) -> None:
        raise UnreadableAnswer(f"the answer uses the entity {name[:40]}, which XML does not know; ask for plain XML")

    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = self._settled(self._open[0].members, ())
        return found

    def _settled(self, value: Any, steps: Steps) -> Any:
        if not isinstance(value, dict):
            return value
        result: dict[str, Any] = {}
        for name, found in value.items():
            below = (*steps, name)
            items = [self._settled(each, below) for each in found]
            result[name] = items if below in self._lists else items[0]
        return result
