"""What all doors do alike, without a socket: a request is judged until that is final, and served or refused once."""

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, cast

from tests.unit.dataplane.admission.test_admit import BEARER, HASH, PEPPER, Known, compiled, key
from tieline.access.limits import RequestLimits
from tieline.core.errors import MissingPermission, NotReady, TielineError
from tieline.dataplane.admission.admit import LOOKING_MOST, Admission, Admitted, Rejected
from tieline.dataplane.doors.door import HELD_MOST, Controls, Door, NeedsCall
from tieline.dataplane.ledger.ledger import Ledger
from tieline.dataplane.limits.bounds import BodyBound, Bounds, bounds_of
from tieline.dataplane.limits.held import Held
from tieline.dataplane.limits.limiter import Limiter
from tieline.dataplane.limits.table import NodeTables, open_files
from tieline.dataplane.snapshot.calls import Calls
from tieline.dataplane.snapshot.plan import Plan
from tieline.dataplane.snapshot.view import AppKey
from tieline.testing.ledger import MemoryLedger
from tieline.testing.requests import FakeClient
from tieline.wire.request import Request


@dataclass
class Refusals:
    """Notes what was refused."""

    codes: list[str] = field(default_factory=list)
    keys: list[AppKey | None] = field(default_factory=list)

    def takes(self, plan: Plan) -> bool:
        return True

    def refused(self, request: Request, request_id: str, rejected: Rejected, plan: Plan | None) -> None:
        self.codes.append(rejected.error.code)
        self.keys.append(rejected.key)


class FakeCalls:
    """Calls that are compiled when they are looked for."""

    def __init__(self, error: TielineError | None = None) -> None:
        self.found: list[str] = []
        self._error = error

    def find(self, name: str) -> None:
        if self._error is not None:
            raise self._error
        self.found.append(name)


class Unasked:
    """A plan of which a door asks nothing else where there are no budgets."""

    strict = False


class Way(NamedTuple):
    """A way that the door decides on, by a name."""

    name: str
    key: AppKey
    asks_stream: bool = False

    @property
    def bounds(self) -> Bounds | None:
        return self.key.bounds

    @property
    def plan(self) -> Plan:
        return cast("Plan", Unasked())

    @property
    def sends(self) -> int:
        return 1

    @property
    def body(self) -> BodyBound:
        raise AssertionError("nobody asks for it where there are no budgets")


class EveryDoor(Door[Way]):
    """Serves whatever ``decides`` gives, in turn, the last one for ever; an error is raised."""

    def __init__(self, known: Known, *decides: str | TielineError | FakeCalls) -> None:
        self.known = known
        self.admission = Admission(known, PEPPER)
        self.refusals = Refusals()
        self.served: list[str] = []
        self.decided = 0
        self._decides = decides
        tables = NodeTables.of(open_files(None), 0, 1)
        controls = Controls(Limiter(tables), Ledger(tables.limits, MemoryLedger({})))
        super().__init__(b"/relay/", self.admission, controls, self.refusals)

    def _decide(self, request: Request, admitted: Admitted) -> Way | NeedsCall:
        found = self._decides[min(self.decided, len(self._decides) - 1)]
        self.decided += 1
        if isinstance(found, TielineError):
            raise found
        if isinstance(found, FakeCalls):
            return NeedsCall(admitted, cast("Calls", found), "it")
        return Way(found, admitted.key)

    def _serve(self, request: Request, request_id: str, way: Way, held: Held | None) -> None:
        self.served.append(way.name)

    async def ask(self, client: FakeClient | None = None, **fields: Any) -> FakeClient:
        """Open a request, and wait until that is over."""
        client = client or FakeClient()
        self.open(client.request(b"GET", b"/relay/api/x", BEARER, **fields), "req_1")
        await asyncio.gather(*client.tasks, return_exceptions=True)
        return client


async def test_what_fits_no_limit_is_refused_with_its_key_and_decided_on_no_more() -> None:
    """The second of one a day is refused and recorded, whatever was decided on for it."""
    bounds = bounds_of(RequestLimits.from_json({"rates": [{"requests": 1, "per": "day"}]}), "key", "key_1")
    door = EveryDoor(Known(await compiled(), replace(key(), bounds=bounds)), "there")
    client = await door.ask(await door.ask())
    assert (door.served, door.refusals.codes) == (["there"], ["rate_limited"])
    assert b"HTTP/1.1 429 " in client.written


class Changing(Known):
    """A store that knows of a change which the snapshot has not heard of."""

    async def freshen(self) -> bool:
        await super().freshen()
        self.version += 1
        return True


async def test_what_is_admitted_is_served_at_once_and_decided_on_once() -> None:
    """The second request in the same words is served by what was decided on for the first."""
    door = EveryDoor(Known(await compiled(), key()), "there")
    client = await door.ask(await door.ask())
    assert (door.served, door.decided, client.tasks) == (["there", "there"], 1, [])


async def test_what_the_door_refuses_is_looked_up_once() -> None:
    """Where nothing has changed it is refused and recorded, with its key."""
    door = EveryDoor(Known(await compiled(), key()), MissingPermission("no"))
    client = await door.ask()
    assert client.written.startswith(b"HTTP/1.1 403 ")
    assert (door.refusals.codes, door.refusals.keys) == (["missing_permission"], [door.known.keys[HASH]])
    assert (door.known.looks, door.served) == (["change"], [])


async def test_what_was_just_granted_is_served() -> None:
    """Once the store has told it."""
    door = EveryDoor(Changing(await compiled(), key()), MissingPermission("no"), "there")
    await door.ask()
    assert (door.served, door.refusals.codes) == (["there"], [])


async def test_a_store_that_always_has_news_ends_the_looks_all_the_same() -> None:
    """A change is looked for once for each request."""
    door = EveryDoor(Changing(await compiled(), key()), MissingPermission("no"))
    await door.ask()
    assert (door.known.looks, door.refusals.codes) == (["change"], ["missing_permission"])


async def test_an_unknown_key_is_looked_up_and_so_is_what_it_may_not() -> None:
    """First the key, then the change."""
    door = EveryDoor(Known(await compiled()), MissingPermission("no"))
    await door.ask()
    assert (door.known.looks, door.refusals.codes) == (["key", "change"], ["missing_permission"])


async def test_a_store_that_is_away_is_the_answer() -> None:
    """Not the refusal that could not be confirmed."""
    known = Known(await compiled(), key())
    known.error = NotReady("away")
    door = EveryDoor(known, MissingPermission("no"))
    assert (await door.ask()).written.startswith(b"HTTP/1.1 503 ")
    assert door.refusals.codes == ["not_ready"]


async def test_while_very_many_wait_the_next_are_answered_by_what_is_known() -> None:
    """Nobody fills the memory of a worker whose store hangs."""
    door = EveryDoor(Known(await compiled(), key()), MissingPermission("no"))
    door.admission.looking = LOOKING_MOST
    await door.ask()
    assert (door.known.looks, door.refusals.codes) == ([], ["missing_permission"])


async def test_a_call_is_compiled_before_it_is_decided_on_again() -> None:
    """In a thread, by its name; what keeps it from being compiled is the refusal."""
    calls = FakeCalls()
    door = EveryDoor(Known(await compiled(), key()), calls, "there")
    await door.ask()
    assert (door.served, calls.found) == (["there"], ["it"])
    broken = EveryDoor(Known(await compiled(), key()), FakeCalls(MissingPermission("broken")))
    await broken.ask()
    assert broken.refusals.codes == ["missing_permission"]


async def test_a_client_that_leaves_while_the_store_is_asked_leaves_nothing() -> None:
    """No answer, no record, no task."""

    class Hanging(Known):
        async def freshen(self) -> bool:
            await asyncio.Event().wait()
            return True

    door = EveryDoor(Hanging(await compiled(), key()), MissingPermission("no"))
    client = FakeClient()
    request = client.request(b"POST", b"/relay/api/x", BEARER, complete=False, pieces=[b"x" * (HELD_MOST + 1)])
    door.open(request, "req_1")
    await asyncio.sleep(0)
    assert request.sink is not None
    request.sink.body_arrived()
    assert client.held
    request.sink.client_gone()
    await asyncio.gather(*client.tasks, return_exceptions=True)
    assert (client.written, door.refusals.codes, door.served) == (b"", [], [])
    assert door.admission.looking == 0


async def test_a_request_that_is_about_to_fail_is_judged_again() -> None:
    """For whoever finds out later than the door: it is given what holds now, or the error is raised."""
    door = EveryDoor(Changing(await compiled(), key()), "there")
    client = FakeClient()
    request = client.request(b"GET", b"/relay/api/x", BEARER)
    admitted = door.admission.admit(request, b"/relay/")
    assert isinstance(admitted, Admitted)
    assert (await door.again(request, admitted, MissingPermission("no"))).name == "there"
    known = Known(await compiled(), key())
    error = MissingPermission("no")
    same = EveryDoor(known, "there")
    try:
        await same.again(request, admitted, error)
    except MissingPermission as raised:
        assert raised is error  # noqa: PT017  the very error, not one like it
    else:
        raise AssertionError
