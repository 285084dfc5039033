"""An API's calls made ready: each when it is first run, kept for as long as the plan that it belongs to.

Owns what is worked out once for each call. Knows nothing of callers and sends nothing.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeVar

from tieline.access.levels import Level
from tieline.access.verdict import Allowed
from tieline.core.errors import InvalidRequest
from tieline.core.secret import Secret
from tieline.dataplane.answers.streams.shape import Shape, shape_of
from tieline.dataplane.snapshot.page_items import PageItems
from tieline.definitions.fill.call import CompiledCall, compile_call
from tieline.definitions.fill.scope import Member, Surroundings
from tieline.definitions.infer.drift import Watch
from tieline.definitions.infer.shape import Shaper
from tieline.definitions.model import Call, Definition

_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
_TEXTUAL = frozenset({"xml", "csv"})
_SHAPED = frozenset({"json", "xml", "csv"})
_DEFAULTS = ((b"accept", b"*/*"), (b"accept-encoding", b"identity"), (b"user-agent", b"tieline"))
_serials = count(1)
REMEMBERED_MOST = 256
REMEMBERED_SIZE = 1024
Kept = TypeVar("Kept")


class Memory(dict[Hashable, Kept]):
    """What was worked out before, by what it was worked out from; begins anew when there are too many."""

    __slots__ = ()

    def keep(self, key: Hashable, found: Kept, size: int) -> Kept:
        """Remember ``found`` unless callers made it large (``size`` in bytes), and give it back."""
        if size <= REMEMBERED_SIZE:
            if len(self) >= REMEMBERED_MOST:
                self.clear()
            self[key] = found
        return found


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ReadyCall:
    """One call, ready to be run any number of times at once.

    ``private`` are the server's own values by parameter; ``defaults`` the headers that are sent unless the call says
    otherwise; ``repeatable`` says that its method may be sent twice by itself (RFC 9110 section 9.2.2); ``watch`` is
    None where no field is known. ``permitted`` remembers what which key may, ``heads`` how a request is sent: neither
    can grow old, for any change makes another key, or another plan with calls of its own.
    """

    name: str
    call: Call
    template: CompiledCall
    private: Mapping[str, Secret]
    method: bytes
    level: Level
    defaults: tuple[tuple[bytes, bytes], ...]
    repeatable: bool
    shaper: Shaper
    watch: Watch | None
    stream: Shape | None
    items: PageItems | None
    permitted: Memory[Allowed] = field(default_factory=Memory)
    heads: Memory[Any] = field(default_factory=Memory)

    @property
    def whole(self) -> bool:
        """Whether an answer of JSON is handed out as it came: nothing is known of its fields."""
        return self.call.response.type == "json" and not self.call.response.fields

    @property
    def wrapped(self) -> bool:
        """Whether the answer is handed out with its status, error and headers beside it."""
        response = self.call.response
        return response.include_errors or bool(response.capture_headers)


@dataclass(frozen=True, slots=True)
class Belongings:
    """What an API says for all its calls: its credential's ``fields``, and the names its schemes own (lower case)."""

    fields: Mapping[str, Secret] = field(repr=False)
    headers: frozenset[str] = frozenset()
    query: frozenset[str] = frozenset()


class Calls:
    """The calls of one plan. ``serial`` tells plans apart, so that nothing kept for one is taken for another's."""

    __slots__ = ("_belongings", "_definition", "_ready", "_surroundings", "serial")

    def __init__(self, definition: Definition, belongings: Belongings) -> None:
        self.serial = next(_serials)
        self._definition = definition
        self._belongings = belongings
        self._ready: dict[str, ReadyCall] = {}
        self._surroundings: Surroundings | None = None

    def find(self, name: str) -> ReadyCall | None:
        """The call ``name``, compiled if this is the first time; None where there is none.

        Raises:
            InvalidRequest: its templates set what belongs to the API's scheme; an operator has to change it.
        """
        found = self._ready.get(name)
        if found is None and name in self._definition.calls:
            found = self._ready[name] = self.ready(name, self._definition.calls[name])
        return found

    def ready(self, name: str, call: Call) -> ReadyCall:
        """``call`` made ready as if it were the plan's call ``name``, and not kept: for one that is being written.

        Raises:
            InvalidRequest: as ``find``.
        """
        try:
            template = compile_call(call, self._around())
        except ValueError as error:
            raise InvalidRequest(f"The call {name} cannot be run: {error}.", param=name) from None
        response, fields = call.response, self._belongings.fields
        own = {each.name.lower().encode() for each in call.headers}
        own |= {each.lower().encode() for each, one in call.parameters.items() if one.place == "header"}
        return ReadyCall(
            name=name,
            call=call,
            template=template,
            private=_private(name, call, fields),
            method=call.method.encode(),
            level=Level.READ if call.use_as == "data" else Level.WRITE,
            defaults=tuple(pair for pair in _DEFAULTS if pair[0] not in own),
            repeatable=call.method in _IDEMPOTENT or call.idempotency_header is not None,
            shaper=Shaper(response.fields if response.type in _SHAPED else ()),
            watch=_watch(call),
            stream=shape_of(response.stream, response.fields) if response.stream is not None else None,
            items=PageItems(call.pagination, response.fields) if call.pagination is not None else None,
        )

    def _around(self) -> Surroundings:
        if self._surroundings is None:
            definition, own = self._definition, self._belongings
            variables = {name: each.default for name, each in definition.variables.items() if each.default is not None}
            self._surroundings = Surroundings(variables, _members(definition, own.fields), own.headers, own.query)
        return self._surroundings


def _members(definition: Definition, fields: Mapping[str, Secret]) -> tuple[Member, ...]:
    """The shared parameters that go into bodies, with their values; a private one without a value is left out."""
    found: list[Member] = []
    for each in definition.parameters:
        if each.place != "body":
            continue
        secret = fields.get(f"parameter.{each.name}") if each.private else None
        value = secret.reveal_bytes().decode(errors="surrogateescape") if secret is not None else each.value
        if value is not None:
            found.append(Member(each, value))
    return tuple(found)


def _private(name: str, call: Call, fields: Mapping[str, Secret]) -> Mapping[str, Secret]:
    named: Sequence[str] = [each for each, one in call.parameters.items() if one.private]
    return {each: fields[f"call.{name}.{each}"] for each in named if f"call.{name}.{each}" in fields}


def _watch(call: Call) -> Watch | None:
    response = call.response
    if response.type not in _SHAPED or not response.fields:
        return None
    return Watch(response.fields, textual=response.type in _TEXTUAL)
