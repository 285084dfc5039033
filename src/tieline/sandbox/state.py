"""What the sandbox remembers while it runs: counters, files, shelves of stored objects. Nothing outlives it."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import Any, Generic, TypeVar

from starlette.requests import HTTPConnection

from tieline.core.clock import Clock, SystemClock
from tieline.sandbox.fields import Fields
from tieline.sandbox.ledger import Ledger
from tieline.sandbox.refusal import Refusal
from tieline.sandbox.stats import Stats

Thing = TypeVar("Thing")
ROOM = 1_000  # things of one kind that are kept; the oldest go first


class BoundedStore(Generic[Thing]):
    """Stored things of one kind by id, in order of arrival, at most :data:`ROOM` of them.

    ``kind`` is what a refusal calls them; ``forget`` is told of each thing that leaves.
    """

    def __init__(self, kind: str, forget: Callable[[Thing], None] | None = None) -> None:
        self.kind = kind
        self._forget = forget
        self._things: OrderedDict[str, Thing] = OrderedDict()

    def put(self, identity: str, thing: Thing) -> Thing:
        """Keep ``thing`` and give it back."""
        self._things[identity] = thing
        while len(self._things) > ROOM:
            self._leave(self._things.popitem(last=False)[1])
        return thing

    def get(self, identity: str) -> Thing:
        """The thing with this id; a 404 :class:`Refusal` where there is none."""
        if identity not in self._things:
            raise Refusal(404, f"No such {self.kind}: {identity}", param="id", code=None)
        return self._things[identity]

    def find(self, identity: str) -> Thing | None:
        """The thing with this id, or None."""
        return self._things.get(identity)

    def remove(self, identity: str) -> None:
        """Take the thing away; a 404 :class:`Refusal` where there is none."""
        self.get(identity)
        self._leave(self._things.pop(identity))

    def _leave(self, thing: Thing) -> None:
        if self._forget:
            self._forget(thing)

    def __iter__(self) -> Iterator[Thing]:
        return iter(tuple(self._things.values()))

    def __len__(self) -> int:
        return len(self._things)


@dataclass(frozen=True, slots=True)
class StoredFile:
    """An uploaded or produced file: what the API shows of it and where its bytes are."""

    shown: dict[str, Any]
    path: Path


def _unlink(file: StoredFile) -> None:
    file.path.unlink(missing_ok=True)


@dataclass
class Sandbox:
    """Everything one running sandbox knows."""

    clock: Clock = field(default_factory=SystemClock)
    stats: Stats = field(default_factory=Stats)
    ledger: Ledger = field(default_factory=Ledger)
    files: BoundedStore[StoredFile] = field(default_factory=lambda: BoundedStore("File object", _unlink))
    uploads: BoundedStore[dict[str, Any]] = field(default_factory=lambda: BoundedStore("Upload"))
    batches: BoundedStore[dict[str, Any]] = field(default_factory=lambda: BoundedStore("batch"))
    chats: BoundedStore[dict[str, Any]] = field(default_factory=lambda: BoundedStore("chat completion"))
    responses: BoundedStore[dict[str, Any]] = field(default_factory=lambda: BoundedStore("response"))
    conversations: BoundedStore[dict[str, Any]] = field(default_factory=lambda: BoundedStore("conversation"))
    vector_stores: BoundedStore[dict[str, Any]] = field(default_factory=lambda: BoundedStore("vector store"))
    attempts: dict[str, int] = field(default_factory=dict)
    _folder: TemporaryDirectory[str] | None = None

    def now(self) -> int:
        """Whole seconds since 1970."""
        return int(self.clock.now().timestamp())

    def new_path(self) -> Path:
        """A path for a new file in the sandbox's own temporary folder."""
        if self._folder is None:
            self._folder = TemporaryDirectory(prefix="tieline-sandbox-")
        return Path(self._folder.name) / token_hex(16)

    def close(self) -> None:
        """Remove every file."""
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None


def sandbox_of(connection: HTTPConnection) -> Sandbox:
    """The sandbox that serves this request."""
    sandbox = connection.app.state.sandbox
    assert isinstance(sandbox, Sandbox)
    return sandbox


def new_id(prefix: str) -> str:
    """An id as OpenAI makes them, such as ``resp_`` and 32 random hex digits."""
    return prefix + token_hex(16)


def page(query: Fields, items: list[dict[str, Any]], *, order: str = "desc") -> dict[str, Any]:
    """A page of ``items`` (oldest first), by the query's ``limit``, ``order``, ``after`` and ``before``.

    An empty page names "" as its first and last id, since the published document wants a string there.
    """
    limit = query.integer("limit", 1, 10_000) or 20
    newest_first = query.choice("order", ("asc", "desc"), order) == "desc"
    items = list(reversed(items)) if newest_first else items
    ids = [item["id"] for item in items]
    after, before = query.maybe("after"), query.maybe("before")
    if after in ids:
        items = items[ids.index(after) + 1 :]
    elif before in ids:
        items = items[: ids.index(before)]
    shown = items[:limit]
    return {
        "object": "list",
        "data": shown,
        "first_id": shown[0]["id"] if shown else "",
        "last_id": shown[-1]["id"] if shown else "",
        "has_more": len(items) > limit,
    }
