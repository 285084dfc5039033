"""What the slots of a call's templates stand for, and the values of one run in every form that templates ask for.

Knows no template's syntax but that of slots, and no body type.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote, quote_plus

import orjson

from tieline.core.errors import BodyTooLarge, TielineError
from tieline.definitions import template
from tieline.definitions.fill.json_text import UnwritableError, write_json
from tieline.definitions.fill.values import ParameterRule, invalid, text_of
from tieline.definitions.model import SharedParameter
from tieline.definitions.template import Slot

BODY_MOST = 16 * 1024 * 1024
_PLAIN = 2**63
_SMALL = 1024
"""Characters of a text that is written anew each time it is asked for: quicker than to keep it."""
_Text = TypeVar("_Text", str, bytes)
_Made = TypeVar("_Made")
Pieces = tuple[str | Slot, ...]


@dataclass(frozen=True, slots=True)
class Member:
    """A shared parameter that goes into bodies, and its value: that of the definition, or the private one."""

    parameter: SharedParameter
    value: str = field(repr=False)

    @property
    def key(self) -> str:
        """Its name among the values of a run; the dot keeps it apart from the call's own parameters."""
        return f"parameter.{self.parameter.name}"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an API says for all of its calls.

    ``variables`` are the API's, by name, and ``absent`` those without a value, which are left out with what holds them;
    ``members`` its shared parameters in bodies; ``headers`` (lower case) and ``query`` the names that its scheme owns
    and no call may set.
    """

    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    members: tuple[Member, ...] = ()
    headers: frozenset[str] = frozenset()
    query: frozenset[str] = frozenset()
    absent: frozenset[str] = frozenset()

    def knows(self, name: str) -> bool:
        """Whether the API has a variable called ``name``."""
        return name in self.variables or name in self.absent


@dataclass(frozen=True, slots=True)
class SlotScope:
    """The names that slots may have. Compiling raises ValueError with what is wrong with a template."""

    rules: Mapping[str, ParameterRule]
    surroundings: Surroundings

    def split(self, text: str, *, files: bool = False) -> Pieces:
        """The literal texts and slots of ``text``; ``files`` allows slots of files."""
        pieces = tuple(piece if isinstance(piece, Slot) else piece.text for piece in template.parse(text).pieces)
        for slot in slots_of(pieces):
            known = self.rules.get(slot)
            if known is None and not self.surroundings.knows(slot):
                raise ValueError(f"<{slot}> is no parameter of this call and no variable; add it to parameters")
        if not files:
            self.refuse_files(pieces)
        return pieces

    def refuse_files(self, pieces: Pieces) -> None:
        """Raise ValueError where a file stands in what is text."""
        for name in slots_of(pieces):
            if self.kind(name) == "file":
                raise ValueError(f"the file <{name}> cannot stand here; give it a part of its own in a multipart body")

    def needs(self, pieces: Pieces) -> tuple[str, ...]:
        """The names without which a text is left out: what is optional, absent or shared among those it holds."""
        return tuple(name for name in slots_of(pieces) if self.may_lack(name))

    def may_lack(self, name: str) -> bool:
        """Whether a run may have no value for ``name``: an optional parameter, absent variable or shared value."""
        return "." in name or name in self.surroundings.absent or (name in self.rules and self.rules[name].optional)

    def refuse_optional(self, pieces: Pieces, where: str) -> None:
        """Raise ValueError where something optional stands in what cannot be left out."""
        for name in self.needs(pieces):
            raise ValueError(f"the optional <{name}> stands in the {where}, which is never left out; give it a default")

    def kind(self, name: str | None) -> str:
        """The type of the parameter ``name``, text for a variable, nothing for None."""
        if name is None:
            return ""
        return self.rules[name].kind if name in self.rules else "text"

    def listed(self, pieces: Pieces) -> str | None:
        """The list parameter that ``pieces`` are exactly, None for anything else."""
        name = whole(pieces)
        return name if self.kind(name) == "list" else None


def slots_of(pieces: Pieces) -> tuple[str, ...]:
    """The names of the slots in ``pieces``, each once."""
    return tuple(dict.fromkeys(piece.name for piece in pieces if isinstance(piece, Slot)))


def whole(pieces: Pieces) -> str | None:
    """The name of the slot that ``pieces`` are exactly, None where they are anything else."""
    if len(pieces) == 1 and isinstance(pieces[0], Slot):
        return pieces[0].name
    return None


class ValueForms:
    """The values of one run, in the forms that templates ask for, each made once.

    Every method raises InvalidParameter, which names the parameter, where a value has no such form.
    """

    __slots__ = ("_kept", "values")

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values
        self._kept: dict[tuple[str, str], Any] = {}

    def lacks(self, needs: Sequence[str]) -> bool:
        """Whether something of ``needs`` was not given."""
        return any(name not in self.values for name in needs)

    def text(self, name: str) -> str:
        """The value as text; empty where it is optional and not given."""
        value = self.values.get(name, "")
        if type(value) is str:
            return value
        if type(value) is int and -_PLAIN < value < _PLAIN:
            return str(value)
        found: str | None = self._kept.get(("text", name))
        return found if found is not None else self._keep("text", name, _made(text_of, value, name))

    def json(self, name: str) -> bytes:
        """The value as JSON of its type."""
        value = self.values[name]
        if type(value) is str and value.isascii() and len(value) < _SMALL:
            return orjson.dumps(value)
        found: bytes | None = self._kept.get(("json", name))
        return found if found is not None else self._keep("json", name, _made(write_json, value, name))

    def inside(self, name: str) -> bytes:
        """The value as text inside a JSON string, without its quotes."""
        found: bytes | None = self._kept.get(("inside", name))
        return (
            found if found is not None else self._keep("inside", name, _made(orjson.dumps, self.text(name), name)[1:-1])
        )

    def form(self, name: str) -> str:
        """The value as text by the rules of forms (WHATWG URL, section 5.2)."""
        found: str | None = self._kept.get(("form", name))
        return found if found is not None else self._keep("form", name, quote_plus(self.text(name)))

    def query(self, name: str) -> str:
        """The value as text in a query: as in a form, with blanks as ``%20``, which every server reads."""
        found: str | None = self._kept.get(("query", name))
        return found if found is not None else self._keep("query", name, quote(self.text(name), safe=""))

    def utf8(self, name: str) -> bytes:
        """The value as text in UTF-8."""
        found: bytes | None = self._kept.get(("utf8", name))
        return found if found is not None else self._keep("utf8", name, _made(str.encode, self.text(name), name))

    def items(self, name: str) -> list[str]:
        """The items of a list as texts."""
        found: list[str] | None = self._kept.get(("items", name))
        if found is None:
            found = self._keep("items", name, [_made(_item, item, name) for item in self.values[name]])
        return found

    def _keep(self, form: str, name: str, made: _Made) -> _Made:
        self._kept[form, name] = made
        return made


def _item(value: Any) -> str:
    text = text_of(value)
    text.encode()  # the items of a list have not been looked at yet: a lone surrogate is found here
    return text


def _made(make: Callable[[Any], _Made], value: Any, name: str) -> _Made:
    try:
        return make(value)
    except UnwritableError as error:
        raise invalid(name, str(error)) from None
    except (UnicodeEncodeError, orjson.JSONEncodeError):
        raise invalid(name, "holds half a character (a lone surrogate); remove it") from None


def joined(empty: _Text, parts: Sequence[_Text], most: int, refusal: Callable[[], TielineError]) -> _Text:
    """``parts`` as one, ``empty`` if none, unless they are more than ``most`` long; looks before it copies."""
    if sum(map(len, parts)) > most:
        raise refusal()
    return empty.join(parts)


def body_too_large() -> BodyTooLarge:
    """What a body without files of more than 16 MiB is refused with."""
    return BodyTooLarge(
        f"The body that this call makes of its parameters is larger than {BODY_MOST // 1024**2} MiB. "
        "Give less, or send the large part as a file."
    )
