"""An API's calls compiled: each when it is first run, kept for as long as the plan that it belongs to.

Owns what is worked out once for each call. Knows nothing of callers and sends nothing.
"""

import logging
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, TypeVar

from tieline.access.levels import Level
from tieline.access.verdict import Allowed
from tieline.core.errors import DefinitionUnusable, TielineError
from tieline.core.secret import Secret
from tieline.dataplane.answers.streams.shape import Shape, shape_of
from tieline.dataplane.snapshot.page_items import PageItems
from tieline.definitions.fill.call import CompiledCall, compile_call
from tieline.definitions.fill.scope import Member, Surroundings
from tieline.definitions.infer.drift import Watch
from tieline.definitions.infer.shape import Shaper
from tieline.definitions.model import Call, Definition
from tieline.definitions.problems import DefinitionError
from tieline.definitions.slots import surroundings_of
from tieline.wire import framing

log = logging.getLogger("tieline.dataplane.snapshot.calls")

_TEXTUAL = frozenset({"xml", "csv"})
_SHAPED = frozenset({"json", "xml", "csv"})
_DEFAULTS = ((b"accept", b"*/*"), (b"accept-encoding", b"identity"), (b"user-agent", b"tieline"))
_serials = count(1)
ENTRIES_MOST = 256
ENTRY_BYTES_MOST = 1024
Kept = TypeVar("Kept")


class BoundedCache(dict[Hashable, Kept]):
    """What was worked out before, by what it was worked out from; all of it is dropped when there are 256 entries."""

    __slots__ = ()

    def keep(self, key: Hashable, found: Kept, size: int) -> Kept:
        """Remember ``found`` unless callers made it large (``size`` in bytes), and give it back."""
        if size <= ENTRY_BYTES_MOST:
            if len(self) >= ENTRIES_MOST:
                self.clear()
            self[key] = found
        return found


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ReadyCall:
    """One call, ready to be run any number of times at once.

    ``private`` are the server's own values by parameter; ``defaults`` the headers that are sent unless the call says
    otherwise; ``repeatable`` says that its method may be sent twice by itself (RFC 9110 section 9.2.2); ``watch`` is
    None where no field is known. ``whole``: an answer of JSON is handed out as it came; ``wrapped``: with its status,
    error and headers beside it. ``permitted`` caches what which key may, ``ways`` the same by the path
    that is filled, ``heads`` how a request is sent. Entries need no expiry: a change makes another key, by which they
    are found, or another plan with calls of its own.
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
    whole: bool
    wrapped: bool
    permitted: BoundedCache[Allowed] = field(default_factory=BoundedCache)
    ways: BoundedCache[Any] = field(default_factory=BoundedCache)
    heads: BoundedCache[Any] = field(default_factory=BoundedCache)


@dataclass(frozen=True, slots=True)
class Belongings:
    """What an API says for all its calls: its credential's ``fields``, and the names its schemes own (lower case)."""

    fields: Mapping[str, Secret] = field(repr=False)
    headers: frozenset[str] = frozenset()
    query: frozenset[str] = frozenset()


class Calls:
    """The calls of one plan, each compiled when it is first asked for and kept for as long as the plan is.

    Without a ``definition`` there is a ``problem``, which every call has. ``serial`` tells plans apart, so that nothing
    kept for one is taken for another's.
    """

    __slots__ = ("_belongings", "_definition", "_problem", "_ready", "_surroundings", "serial")

    def __init__(
        self, definition: Definition | None, belongings: Belongings, problem: TielineError | None = None
    ) -> None:
        self.serial = next(_serials)
        self._definition = definition
        self._belongings = belongings
        self._problem = problem
        self._ready: dict[str, ReadyCall | DefinitionUnusable] = {}
        self._surroundings: Surroundings | None = None

    def __contains__(self, name: str) -> bool:
        """Whether there is a call ``name``, which may not be compiled yet. Raises the problem that all calls have."""
        if self._definition is None:
            raise self._problem or DefinitionUnusable("The definition cannot be used. An operator corrects it.")
        return name in self._definition.calls

    def known(self, name: str) -> ReadyCall | None:
        """The call ``name`` if it was compiled before. Raises DefinitionUnusable where it could not be."""
        found = self._ready.get(name)
        if isinstance(found, DefinitionUnusable):
            raise found
        return found

    def find(self, name: str) -> ReadyCall | None:
        """The call ``name``, compiled if this is the first time, which may take long: ask for it in a thread.

        None where there is no such call. Two threads may compile the same call at once; one of the results is kept.

        Raises:
            DefinitionUnusable: the call cannot be compiled; an operator has to change it.
        """
        if name not in self:
            return None
        if name not in self._ready:
            assert self._definition is not None  # else there are no calls
            self._ready.setdefault(name, self._compiled(name, self._definition))
        return self.known(name)

    def _compiled(self, name: str, definition: Definition) -> ReadyCall | DefinitionUnusable:
        try:
            return _ready_call(name, definition.calls[name], self._around(definition), self._belongings.fields)
        except ValueError as error:
            why = f"{error}."
        except DefinitionError as error:
            why = f"{error.problems[0]}."
        except Exception:
            log.exception("the call %s of %s cannot be compiled", name, definition.api)
            why = "the log of the server says why."
        return DefinitionUnusable(f"The call {name} cannot be run: {why} An operator corrects it.", param=name)

    def _around(self, definition: Definition) -> Surroundings:
        if self._surroundings is None:
            own = self._belongings
            variables = surroundings_of({name: each.default for name, each in definition.variables.items()})
            self._surroundings = replace(
                variables, members=_members(definition, own.fields), headers=own.headers, query=own.query
            )
        return self._surroundings


def _ready_call(name: str, call: Call, around: Surroundings, fields: Mapping[str, Secret]) -> ReadyCall:
    response = call.response
    own = {each.name.lower().encode() for each in call.headers}
    own |= {each.lower().encode() for each, one in call.parameters.items() if one.place == "header"}
    return ReadyCall(
        name=name,
        call=call,
        template=compile_call(call, around),
        private=_private(name, call, fields),
        method=call.method.encode(),
        level=Level.READ if call.use_as == "data" else Level.WRITE,
        defaults=tuple(pair for pair in _DEFAULTS if pair[0] not in own),
        repeatable=call.method.encode() in framing.IDEMPOTENT or call.idempotency_header is not None,
        shaper=Shaper(response.fields if response.type in _SHAPED else (), response.unknown),
        watch=_watch(call),
        stream=shape_of(response.stream, response.fields, response.unknown) if response.stream is not None else None,
        items=PageItems(call.pagination, response.fields, response.unknown, textual=response.type == "xml")
        if call.pagination is not None
        else None,
        whole=response.type == "json" and not response.fields and response.unknown != "drop",
        wrapped=response.include_errors or bool(response.capture_headers),
    )


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
