"""A relayed request without a socket: who owns what in each state, how it ends, and that it ends once."""

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tests.unit.dataplane.attempt.fakes import FakeSessions, plan, renewing
from tieline.access.permissions import Permissions
from tieline.core.errors import TielineError, UpstreamProtocolError, UpstreamUnreachable
from tieline.dataplane.attempt.prepare import Message, Prepared, Preparer
from tieline.dataplane.attempt.target import Target
from tieline.dataplane.relaying.exchange import Exchange
from tieline.dataplane.relaying.route import Route
from tieline.dataplane.relaying.shared import Relaying
from tieline.dataplane.relaying.tunnel import Tunnel
from tieline.dataplane.snapshot.plan import Plan
from tieline.dataplane.snapshot.view import AppKey
from tieline.definitions.model import Usage
from tieline.metering.reading import UsageReading
from tieline.metering.usage.reader import UsageReader
from tieline.testing.requests import FakeClient
from tieline.testing.upstreams import FakeConnection, FakeLane
from tieline.wire.request import Request

KEY = AppKey(
    b"h", "key_1", "app_1", "App", frozenset({"api_api"}), "live", Permissions.from_json({"mode": "all"}), (), None,
    revoked=False, allowed={},
)  # fmt: skip
HEAD = b"GET /v1/x HTTP/1.1\r\nhost: up\r\n"
SECRET = b"a-secret-that-comes-back"
SSE = (b"Content-Type", b"text/event-stream")


@dataclass
class Ledger:
    """Notes how exchanges ended."""

    ends: list[tuple[str, str | None, int]] = field(default_factory=list)
    used: list[UsageReading | None] = field(default_factory=list)

    def ended(self, exchange: Exchange, outcome: str, error: TielineError | None) -> None:
        self.ends.append((outcome, error.code if error is not None else None, exchange.bytes_out))
        self.used.append(exchange.usage)


@dataclass
class Scene:
    """A client, its request and the exchange that serves it."""

    to: Plan
    lane: FakeLane
    client: FakeClient = field(default_factory=FakeClient)
    ledger: Ledger = field(default_factory=Ledger)
    sessions: FakeSessions = field(default_factory=FakeSessions)

    def open(self, method: bytes = b"GET", *, steady: bool = True, **fields: Any) -> tuple[Exchange, Request]:
        """Begin to serve a request with these fields."""
        request = self.client.request(method, b"/relay/api/x", noted=(b"idempotency-key",), **fields)
        message = Message(method, Target(b"/x", b""), [])
        prepared = Prepared(self.lane.lane, HEAD, [], None, (), self.to.reflections) if steady else None
        route = Route(self.to, KEY, "/x", None, None, message, prepared, self.to.body)
        exchange = Exchange(request, "req_1", route, Relaying(self.ledger, Preparer(self.sessions)))
        exchange.open()
        return exchange, request

    async def turn(self) -> None:
        """Let tasks go on until they wait."""
        for _ in range(10):
            await asyncio.sleep(0)


async def scene(*dialled: FakeConnection | TielineError, idle: tuple[FakeConnection, ...] = ()) -> Scene:
    """An API whose secret is masked, and connections to it."""
    return Scene(replace(await plan(), reflections=(SECRET,)), FakeLane(*dialled, idle=idle))


async def test_over_an_idle_connection_the_whole_answer_comes_back_without_a_task() -> None:
    """Head and body are masked, the connection is kept, and the ledger is told once."""
    up = FakeConnection(reused=True)
    found = await scene(idle=(up,))
    _, request = found.open()
    assert up.written == HEAD + b"\r\n"
    assert up.deadline == up.clock.now + found.to.first_byte
    up.answers(200, (b"X-Echo", SECRET), body=b"it is " + SECRET, length=30)
    assert SECRET not in found.client.written
    assert found.client.written.endswith(b"\r\n\r\nit is " + b"*" * len(SECRET))
    assert (found.client.tasks, up.ended, found.client.ended) == ([], "kept", "finished")
    assert found.ledger.ends == [("complete", None, 30)]
    assert request.answer_begun


async def test_without_an_idle_connection_one_is_dialled() -> None:
    """By the attempt loop, in a task."""
    up = FakeConnection()
    found = await scene(up)
    found.open()
    await found.turn()
    up.answers(200, length=0)
    await found.turn()
    assert found.ledger.ends == [("complete", None, 0)]


async def test_what_cannot_be_dialled_is_refused() -> None:
    """Once; nothing is tried again."""
    found = await scene(UpstreamUnreachable("no connection"))
    found.open()
    await found.turn()
    assert found.client.written.startswith(b"HTTP/1.1 502 ")
    assert found.ledger.ends == [("refused", "upstream_unreachable", 0)]


@pytest.mark.parametrize(
    ("method", "noted", "again"),
    [(b"GET", (), True), (b"POST", (), False), (b"POST", ((b"Idempotency-Key", b"k"),), True)],
)
async def test_an_idle_connection_that_was_closed_meanwhile(
    method: bytes, noted: tuple[tuple[bytes, bytes], ...], *, again: bool
) -> None:
    """The request goes once more, over a new one, where it may arrive twice."""
    dead, fresh = FakeConnection(reused=True), FakeConnection()
    found = await scene(fresh, idle=(dead,))
    request = found.client.request(method, b"/relay/api/x", *noted, noted=(b"idempotency-key",))
    request.pieces, request.length = [b"body"], 4
    message = Message(method, Target(b"/x", b""), [])
    prepared = Prepared(found.lane.lane, HEAD, [], None, (), ())
    route = Route(found.to, KEY, "/x", None, None, message, prepared, found.to.body)
    Exchange(request, "req_1", route, Relaying(found.ledger, Preparer(found.sessions))).open()
    dead.fails()
    await found.turn()
    assert (fresh.written == dead.written) is again
    if again:
        fresh.answers(200, length=0)
        await found.turn()
    assert found.ledger.ends[0][0] == ("complete" if again else "refused")
    assert len(found.ledger.ends) == 1


async def test_a_body_goes_out_as_it_comes_and_its_connection_is_kept_only_once_it_is_whole() -> None:
    """An answer that comes before the body's end leaves a connection that cannot be used again."""
    for whole in (True, False):
        up = FakeConnection(reused=True)
        found = await scene(idle=(up,))
        exchange, request = found.open(b"POST", length=8, complete=False, pieces=[b"half"])
        request.complete = whole
        request.pieces = [b"rest"] if whole else []
        exchange.body_arrived()
        assert up.written.endswith(b"content-length: 8\r\n\r\nhalf" + (b"rest" if whole else b""))
        up.answers(200, length=0)
        assert up.ended == ("kept" if whole else "released")


async def test_what_comes_after_an_error_status_is_not_sent_on() -> None:
    """The upstream has seen enough."""
    up = FakeConnection(reused=True)
    found = await scene(idle=(up,))
    exchange, request = found.open(b"POST", length=8, complete=False, pieces=[b"half"])
    up.answers(413, length=2, body=b"n", done=False)
    request.pieces = [b"rest"]
    exchange.body_arrived()
    assert up.written.endswith(b"half")
    assert request.pieces == []


@pytest.mark.parametrize("known", [True, False], ids=["by its length", "as it comes"])
async def test_a_body_that_is_too_large_is_refused(*, known: bool) -> None:
    """Before anything is sent where its length says so."""
    up = FakeConnection(reused=True)
    found = await scene(idle=(up,))
    most = found.to.limits.body
    if known:
        found.open(b"POST", length=most + 1, complete=False)
        assert up.written == b""
    else:
        found.open(b"POST", length=None, chunked=True, complete=False, pieces=[b"x" * (most + 1)])
        assert up.ended == "aborted"
    assert found.client.written.startswith(b"HTTP/1.1 413 ")
    assert found.ledger.ends == [("refused", "body_too_large", 0)]


async def test_a_body_that_turns_out_too_large_cuts_the_answer_that_has_begun() -> None:
    """Nobody takes it for whole."""
    up = FakeConnection(reused=True)
    found = await scene(idle=(up,))
    exchange, request = found.open(b"POST", length=None, chunked=True, complete=False, pieces=[b"x"])
    up.answers(200, body=b"begun", done=False)
    request.pieces = [b"x" * (found.to.limits.body + 1)]
    exchange.body_arrived()
    assert (up.ended, found.client.ended) == ("aborted", "closed")
    assert found.ledger.ends == [("refused", "body_too_large", 5)]


async def test_an_upstream_that_hangs_up_before_it_answered() -> None:
    """Is told as what it is; an answer that was begun is never begun again."""
    up = FakeConnection(reused=True)
    found = await scene(idle=(up,))
    found.open(b"POST")
    up.fails(UpstreamProtocolError("not HTTP"))
    assert found.client.written.startswith(b"HTTP/1.1 502 ")
    assert found.ledger.ends == [("refused", "upstream_protocol_error", 0)]


async def test_an_upstream_that_hangs_up_in_the_middle() -> None:
    """A body is cut without its proper end."""
    up = FakeConnection(reused=True)
    found = await scene(idle=(up,))
    found.open()
    up.answers(200, body=b"half", done=False)
    up.fails(UpstreamProtocolError("in the middle"))
    assert found.client.ended == "closed"
    assert not found.client.written.endswith(b"0\r\n\r\n")
    assert found.ledger.ends == [("upstream_cut", "upstream_protocol_error", 4)]


async def test_an_upstream_that_hangs_up_in_a_stream_of_events() -> None:
    """The stream ends with an event that says so, without the half of one that was held back."""
    up = FakeConnection(reused=True)
    found = await scene(idle=(up,))
    found.open()
    up.answers(200, SSE, body=b"data: 1\n\ndata: 2", done=False)
    up.fails(UpstreamProtocolError("in the middle"))
    assert b"data: 2" not in found.client.written
    assert b"event: error\ndata: {" in found.client.written
    assert found.client.written.endswith(b"\r\n0\r\n\r\n")
    assert found.client.ended == "finished"


async def test_a_client_that_leaves_ends_everything_once() -> None:
    """In whatever state: attempting, sending, answering."""
    for step in range(3):
        up = FakeConnection(reused=step > 0)
        found = await scene(up, idle=(up,) if step else ())
        exchange, _ = found.open()
        await found.turn()
        if step == 2:
            up.answers(200, body=b"half", done=False)
        exchange.client_gone()
        exchange.client_gone()
        await found.turn()
        assert up.ended == "aborted"
        assert [end[0] for end in found.ledger.ends] == ["client_gone"]
        assert all(task.done() for task in found.client.tasks)


async def test_a_slow_client_holds_the_upstream_back() -> None:
    """Until it caught up; how long the whole may take still holds."""
    up = FakeConnection(reused=True)
    found = await scene(idle=(up,))
    exchange, _ = found.open()
    up.answers(200, body=b"half", done=False)
    exchange.client_paused()
    assert (up.paused, up.deadline) == (True, up.clock.now + found.to.limits.total)
    exchange.client_resumed()
    assert (up.paused, up.deadline) == (False, up.clock.now + found.to.limits.idle)


async def test_a_body_waits_for_its_connection_within_bounds() -> None:
    """64 KiB of it, or a thousand pieces; no more is read until it goes out."""
    for pieces, held in (([b"x" * 60_000], False), ([b"x" * 70_000], True), ([b"x"] * 2000, True)):
        up = FakeConnection()
        found = await scene(up)
        exchange, _ = found.open(b"POST", length=100_000, complete=False, pieces=pieces)
        exchange.body_arrived()
        assert bool(found.client.held) is held
        await found.turn()
        assert not found.client.held
        assert up.written.endswith(b"".join(pieces))
        exchange.client_gone()
        await found.turn()


async def test_an_answer_that_is_judged_is_not_seen_by_the_client_before() -> None:
    """A stale token is renewed, and the client gets the second answer only."""
    first, second = FakeConnection(), FakeConnection()
    lane = FakeLane(first, second)
    to = await renewing()
    found = Scene(replace(to, exit=replace(to.exit, lane=lambda *_: lane.lane), lane=lane.lane), lane)
    found.open(b"POST", steady=False, length=4, pieces=[b"body"])
    await found.turn()
    assert first.written.endswith(b"\r\n\r\nbody")
    first.answers(401, length=0)
    await found.turn()
    assert found.client.written == b""
    assert second.written.endswith(b"\r\n\r\nbody")
    assert b"token-1" in second.written
    second.answers(200, body=b"yes", length=3)
    await found.turn()
    assert found.client.written.endswith(b"yes")
    assert (found.sessions.renewed, found.ledger.ends) == (1, [("complete", None, 3)])


async def test_a_switch_makes_a_tunnel_of_both_connections() -> None:
    """Bytes go both ways, masked towards the client; the end is complete whoever makes it."""
    up = FakeConnection(reused=True)
    found = await scene(idle=(up,))
    _, request = found.open(upgrade=True)
    up.answers(101, body=b"early", done=False)
    assert isinstance(request.sink, Tunnel)
    assert isinstance(up.owner, Tunnel)
    assert found.client.written.endswith(b"\r\n\r\nearly")
    request.sink.client_bytes(b"hello")
    assert up.written.endswith(b"hello")
    up.owner.tunnel_bytes(SECRET)
    assert found.client.written.endswith(b"*" * len(SECRET))
    request.sink.client_ended()
    assert up.ended == "half closed"
    up.fails()
    assert found.client.ended == "closed"
    assert found.ledger.ends == [("complete", None, 5 + len(SECRET))]


async def test_a_batch_of_connections_that_died_together_costs_one_try() -> None:
    """The second goes over a new connection (reported of a proxy that took the next dead one from its pool)."""
    dead, dead_too, fresh = FakeConnection(reused=True), FakeConnection(reused=True), FakeConnection()
    found = await scene(fresh, idle=(dead, dead_too))
    found.open()
    dead.fails()
    await found.turn()
    assert dead_too.written == b""
    fresh.answers(200, length=0)
    await found.turn()
    assert found.ledger.ends == [("complete", None, 0)]


async def renewing_scene(lane: FakeLane, body: int | None = None) -> Scene:
    """An API whose token may have to be renewed, and which takes so many bytes of a body."""
    to = await renewing()
    limits = replace(to.limits, body=body) if body is not None else to.limits
    return Scene(replace(to, exit=replace(to.exit, lane=lambda *_: lane.lane), lane=lane.lane, limits=limits), lane)


async def test_an_upstream_that_hangs_up_on_an_attempt_is_told() -> None:
    """Nobody waits for an answer that will not come."""
    up = FakeConnection()
    found = await scene(up)
    found.open(b"POST")
    await found.turn()
    up.fails()
    await found.turn()
    assert found.ledger.ends == [("refused", "upstream_unreachable", 0)]


async def test_interim_answers_go_on_but_for_the_one_that_was_given_already() -> None:
    """The client got its 100 from here."""
    up = FakeConnection(reused=True)
    found = await scene(idle=(up,))
    exchange, _ = found.open()
    exchange.interim_arrived(100, [])
    assert found.client.written == b""
    exchange.interim_arrived(103, [(b"Link", b"</style>; rel=preload"), (b"X-Echo", SECRET)])
    assert found.client.written.startswith(b"HTTP/1.1 103 \r\n")
    assert SECRET not in found.client.written


async def test_a_client_that_waits_to_be_asked_for_a_body_that_is_gathered_is_asked() -> None:
    """Else it would wait for ever; the body is framed by its length then, however it came."""
    up = FakeConnection()
    found = await renewing_scene(FakeLane(up))
    exchange, request = found.open(b"POST", steady=False, length=4, complete=False, expects=True)
    await found.turn()
    assert found.client.written == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert up.written == b""
    request.pieces, request.complete = [b"bo", b"dy"], True
    exchange.body_arrived()
    await found.turn()
    assert up.written.endswith(b"content-length: 4\r\n\r\nbody")


async def test_a_body_that_is_gathered_may_not_be_larger_than_the_api_takes() -> None:
    """Whatever its length said; one of exactly that size may."""
    for size, status in ((5, b"413"), (4, b"200")):
        up = FakeConnection()
        found = await renewing_scene(FakeLane(up), body=4)
        found.open(b"POST", steady=False, length=4, pieces=[b"x" * size])
        await found.turn()
        if status == b"200":
            up.answers(200, length=0)
            await found.turn()
        assert found.client.written[9:12] == status


async def test_an_answer_that_is_given_back_leaves_its_connection_for_the_next() -> None:
    """The renewed request goes over the connection that brought the refusal."""
    up, other = FakeConnection(reused=True), FakeConnection()
    lane = FakeLane(other, idle=(up,))
    found = await renewing_scene(lane)
    found.open(steady=False)
    await found.turn()
    up.answers(401, length=0)
    lane.idle.append(up)
    await found.turn()
    assert up.written.count(b"GET /v1/x HTTP/1.1") == 2
    assert other.written == b""
    up.answers(200, length=0)
    await found.turn()
    assert found.ledger.ends == [("complete", None, 0)]


async def test_what_comes_over_a_switched_connection_before_the_client_knows_is_kept() -> None:
    """The attempt loop looks at the switch first."""
    up = FakeConnection()
    found = await scene(up)
    found.open(upgrade=True)
    await found.turn()
    up.answers(101, body=b"early ", done=False)
    assert up.owner is not None
    up.owner.tunnel_bytes(b"later")
    await found.turn()
    assert found.client.written.endswith(b"\r\n\r\nearly later")


async def test_the_end_of_a_chunked_body_goes_out_though_no_bytes_come_with_it() -> None:
    """And nothing does where a body of known length has nothing new."""
    up = FakeConnection(reused=True)
    found = await scene(idle=(up,))
    exchange, request = found.open(b"POST", length=None, chunked=True, complete=False, pieces=[b"x"])
    request.complete = True
    exchange.body_arrived()
    assert up.written.endswith(b"1\r\nx\r\n0\r\n\r\n")
    sized = FakeConnection(reused=True)
    found = await scene(idle=(sized,))
    exchange, _ = found.open(b"POST", length=4, complete=False, pieces=[b"bo"])
    exchange.body_arrived()
    assert sized.written.endswith(b"\r\n\r\nbo")
    assert sized.deadline == sized.clock.now + found.to.limits.total


@pytest.mark.parametrize(
    ("method", "status", "leaves", "used"),
    [
        (b"POST", 200, False, UsageReading("m", None, {"input_tokens": 3})),
        (b"POST", 200, True, None),
        (b"POST", 400, False, None),
        (b"GET", 200, False, None),
    ],
)
async def test_the_ledger_is_told_what_was_used(
    method: bytes, status: int, *, leaves: bool, used: UsageReading | None
) -> None:
    """Of answers that did what was asked, and did it now: what is read again was used before."""
    up = FakeConnection(reused=True)
    found = await scene(idle=(up,))
    found.to = replace(found.to, usage=UsageReader(Usage("openai")))
    exchange, _ = found.open(method)
    body = b'{"model":"m","usage":{"prompt_tokens":3}}'
    if leaves:
        exchange.client_gone()
    else:
        up.answers(status, (b"Content-Type", b"application/json"), body=body, length=len(body))
    assert found.ledger.used == [used]
