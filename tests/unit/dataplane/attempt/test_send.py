"""A call's message is sent over a conversation, without a socket: what is written, on which connection, until when."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping
from typing import Any, TypeVar

import pytest

from tests.unit.dataplane.attempt.fakes import FakeSessions, Token, per_user, plan
from tests.unit.dataplane.test_plan import compiled
from tieline.core.errors import UpstreamError, UpstreamResponseTooLarge, UpstreamTimeout, UpstreamUnreachable
from tieline.dataplane.attempt.prepare import Message, Prepared, Preparer
from tieline.dataplane.attempt.send import CallSender, ConversationSender, Order, UpstreamAnswer
from tieline.dataplane.attempt.target import Target
from tieline.dataplane.snapshot.plan import Plan
from tieline.dataplane.tokens.holder import Holder
from tieline.definitions.fill.request import FilePart, Filled, FilledBody, Piece
from tieline.testing.upstreams import FakeConnection, FakeLane
from tieline.wire.egress import Owner

HEAD = b"GET /v1/x HTTP/1.1\r\nhost: up\r\n"
SECRET = b"a-secret-that-comes-back"
FILE = Filled("POST", "/x", None, b"", [], FilledBody(b"text/plain", (FilePart("file"),), None))
Sent = TypeVar("Sent")


class Upload:
    """Files that come in two pieces, and pass as they are sent."""

    passes = True

    async def body(self, pieces: tuple[Piece, ...]) -> AsyncIterator[bytes]:
        assert pieces == FILE.body.pieces if FILE.body is not None else False
        yield b"one,"
        yield b"two"


class Kept(Upload):
    """Files that can be read again."""

    passes = False


class Lane(FakeLane):
    """Notes how long each dial may take."""

    def __init__(self, *dialled: Any, idle: tuple[FakeConnection, ...] = ()) -> None:
        super().__init__(*dialled, idle=idle)
        self.waits: list[float] = []

    async def dial(self, seconds: float) -> FakeConnection:
        self.waits.append(seconds)
        return await super().dial(seconds)


def message(method: bytes = b"GET", body: bytes | None = b"", length: int | None = 0) -> Message:
    """A message to ``/x``."""
    return Message(method, Target(b"/x", b"a=1"), [], body, length)


def prepared(lane: FakeLane, body: bytes | None = None) -> Prepared:
    """A message made ready, whose scheme may have made it another ``body``."""
    return Prepared(lane.lane, HEAD, [], body, (), (SECRET,))


def now() -> float:
    """The loop's clock."""
    return asyncio.get_running_loop().time()


async def under_way(work: Awaitable[Sent]) -> "asyncio.Future[Sent]":
    """``work``, as far as it goes until the upstream does something."""
    task = asyncio.ensure_future(work)
    for _ in range(10):
        await asyncio.sleep(0)
    return task


async def reached(up: FakeConnection, **answer: Any) -> UpstreamAnswer:
    """What a sender gives of this answer."""
    sender = ConversationSender(await plan(), now() + 60)
    sending = await under_way(sender.send(message(), prepared(Lane(idle=(up,)))))
    up.answers(answer.pop("status", 200), *answer.pop("headers", ()), **answer)
    return await sending


FRAMED: dict[str, tuple[Message, bytes | None, bytes]] = {
    "nothing": (message(), None, b"\r\n"),
    "POST of nothing": (message(b"POST"), None, b"content-length: 0\r\n\r\n"),
    "PUT of nothing": (message(b"PUT"), None, b"content-length: 0\r\n\r\n"),
    "PATCH of nothing": (message(b"PATCH"), None, b"content-length: 0\r\n\r\n"),
    "DELETE of nothing": (message(b"DELETE"), None, b"\r\n"),
    "a body": (message(b"POST", b"abc", 3), None, b"content-length: 3\r\n\r\nabc"),
    "a GET with a body": (message(b"GET", b"abc", 3), None, b"content-length: 3\r\n\r\nabc"),
    "a body that its scheme changed": (message(b"POST", b"abc", 3), b"changed", b"content-length: 7\r\n\r\nchanged"),
    "files": (message(b"POST", None, 7), None, b"content-length: 7\r\n\r\none,two"),
    "files without end": (
        message(b"POST", None, None),
        None,
        b"transfer-encoding: chunked\r\n\r\n4\r\none,\r\n3\r\ntwo\r\n0\r\n\r\n",
    ),
}


@pytest.mark.parametrize(("sent", "body", "expected"), FRAMED.values(), ids=FRAMED)
async def test_a_message_is_framed_by_what_is_known_of_its_body(
    sent: Message, body: bytes | None, expected: bytes
) -> None:
    """RFC 9112 section 6; a method that means to send something says so also where it is nothing (RFC 9110 8.6)."""
    up = FakeConnection()
    sender = ConversationSender(await plan(), now() + 60, FILE, Upload())
    sending = await under_way(sender.send(sent, prepared(Lane(up), body)))
    assert up.written == HEAD + expected
    up.answers(204, length=0)
    assert (await sending).status == 204


class Asked(FakeConnection):
    """Notes how it was begun."""

    how: Mapping[str, Any]

    def begin(self, owner: Owner, **asked: Any) -> None:
        self.how = asked
        super().begin(owner)


@pytest.mark.parametrize("method", [b"HEAD", b"GET"])
async def test_an_answer_to_head_has_no_body(method: bytes) -> None:
    """Whatever its length says; the connection has to know."""
    up = Asked()
    sending = await under_way(ConversationSender(await plan(), now() + 60).send(message(method), prepared(Lane(up))))
    up.answers(200, length=0)
    await sending
    assert up.how == {"head_only": method == b"HEAD", "expects_upgrade": False}


async def test_an_idle_connection_is_used_before_one_is_dialled() -> None:
    """What it gives is what it was asked for."""
    up = FakeConnection(reused=True)
    lane = Lane(idle=(up,))
    sender = ConversationSender(await plan(), now() + 60)
    sending = await under_way(sender.send(message(), prepared(lane)))
    assert (sender.stale, sender.unsent) == (True, False)
    up.answers(200, (b"X-Own", b"1"), (b"x-own", b"2"), body=b"abc", length=3)
    answer = await sending
    assert (sender.stale, answer.status, answer.length, answer.target) == (False, 200, 3, Target(b"/x", b"a=1"))
    assert (answer.header(b"x-own"), answer.values(b"x-own"), answer.values(b"other")) == (b"1", [b"1", b"2"], [])
    assert answer.prepared.head == HEAD
    assert 0 < answer.sent_at <= answer.answered_at
    assert (await answer.read_all(10), up.ended) == (b"abc", "kept")
    assert SECRET not in answer.mask.body(b"it is " + SECRET)


async def test_after_a_stale_connection_a_new_one_is_dialled() -> None:
    """The other idle ones may be as dead."""
    stale, fresh = FakeConnection(reused=True), FakeConnection()
    lane = Lane(fresh, idle=(stale, FakeConnection(reused=True)))
    sender = ConversationSender(await plan(), now() + 60)
    sending = await under_way(sender.send(message(), prepared(lane)))
    stale.fails()
    with pytest.raises(UpstreamUnreachable):
        await sending
    assert (sender.stale, sender.unsent, stale.ended) == (True, False, "aborted")
    sending = await under_way(sender.send(message(), prepared(lane)))
    assert (sender.stale, sender.unsent, fresh.written) == (False, False, HEAD + b"\r\n")
    fresh.answers(200, length=0)
    assert (await sending).status == 200


async def test_what_could_not_be_dialled_was_not_sent() -> None:
    """So that it may be tried again, whatever its method; also where an earlier try was sent."""
    lane = Lane(UpstreamUnreachable("no"), idle=(FakeConnection(),))
    sender = ConversationSender(await plan(), now() + 60)
    assert sender.unsent
    sending = await under_way(sender.send(message(), prepared(lane)))
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    with pytest.raises(UpstreamUnreachable):
        await sender.send(message(), prepared(lane))
    assert (sender.unsent, sender.stale) == (True, False)


async def test_nobody_dials_longer_than_the_call_may_take() -> None:
    """Nor longer than the limit for it; a call whose time is over dials no more."""
    to = await plan(limits={"timeout": {"connect": "3s"}})
    lane = Lane(UpstreamUnreachable("no"), UpstreamUnreachable("no"))
    for seconds in (60.0, 2.0):
        with pytest.raises(UpstreamUnreachable):
            await ConversationSender(to, now() + seconds).send(message(), prepared(lane))
    assert lane.waits[0] == 3
    assert 1 < lane.waits[1] <= 2
    with pytest.raises(UpstreamTimeout):
        await ConversationSender(to, now()).send(message(), prepared(Lane(FakeConnection())))


async def test_an_answer_is_waited_for_as_the_limits_say() -> None:
    """For its first byte, then between pieces, and never beyond the end."""
    to, up = await plan(limits={"timeout": {"idle": "7s"}}), FakeConnection()
    sending = await under_way(ConversationSender(to, 1e9).send(message(), prepared(Lane(up))))
    assert up.deadline == up.clock.now + to.first_byte
    up.answers(200, body=b"a", done=False)
    await sending
    assert up.deadline == up.clock.now + 7
    late = FakeConnection()
    sending = await under_way(ConversationSender(to, now() + 5).send(message(), prepared(Lane(late))))
    assert 0 < late.deadline <= now() + 5
    sending.cancel()


PEEKED: dict[str, tuple[int, bytes | None]] = {"within": (6, b"abcdef"), "beyond": (5, None)}


@pytest.mark.parametrize(("most", "peeked"), PEEKED.values(), ids=PEEKED)
async def test_what_was_peeked_at_is_read_again(most: int, peeked: bytes | None) -> None:
    """Whether it was whole or not."""
    up = FakeConnection()
    answer = await reached(up, body=b"abc", done=False)
    peeking = await under_way(answer.peek(most))
    up.sends(b"def", done=True)
    assert await peeking == peeked
    assert (await answer.read(), await answer.read()) == (b"abcdef", b"")


async def test_no_more_is_peeked_at_than_may_be() -> None:
    """The rest, which may be without end, stays with whoever reads it."""
    up = FakeConnection()
    answer = await reached(up, body=b"abcd", done=False)
    assert await answer.peek(3) is None
    up.sends(b"ef", done=True)
    assert await answer.read_all(10) == b"abcdef"


async def test_an_answer_is_not_taken_for_whole_before_its_end() -> None:
    """Where as much came as may be peeked at, more may follow."""
    up = FakeConnection()
    answer = await reached(up, body=b"abc", done=False)
    peeking = await under_way(answer.peek(3))
    assert not peeking.done()
    up.sends(b"d")
    assert await peeking is None


async def test_an_answer_that_breaks_off_while_it_is_peeked_at_says_so_twice() -> None:
    """Once to the judge, once to the reader, who gets what came before."""
    up = FakeConnection()
    answer = await reached(up, body=b"abc", done=False)
    peeking = await under_way(answer.peek(10))
    up.fails()
    with pytest.raises(UpstreamError):
        await peeking
    assert await answer.read() == b"abc"
    with pytest.raises(UpstreamError):
        await answer.read()


async def test_an_answer_that_is_too_large_is_not_read() -> None:
    """Also where all of it is here."""
    with pytest.raises(UpstreamResponseTooLarge):
        await (await reached(FakeConnection(), body=b"abcdef")).read_all(5)


async def test_what_is_left_is_spent_so_that_the_connection_is_used_again() -> None:
    """If it comes in time; what does not, or breaks off, is no concern of whoever asked."""
    up, slow, cut = FakeConnection(), FakeConnection(), FakeConnection()
    answer = await reached(up, body=b"abc", done=False)
    spending = await under_way(answer.spend(60))
    up.sends(b"def")
    await asyncio.sleep(0)
    up.sends(b"", done=True)
    await spending
    assert up.ended == "kept"
    answer = await reached(slow, body=b"abc", done=False)
    await answer.spend(0)
    answer.close()
    assert slow.ended == "aborted"
    spending = await under_way((await reached(cut, body=b"abc", done=False)).spend(60))
    cut.fails()
    await spending


async def test_a_body_that_comes_as_it_is_sent_goes_once() -> None:
    """Files that can be read again, and what is at hand, go as often as they must."""
    to = await plan()
    streamed = message(b"POST", None, None)
    assert not ConversationSender(to, 0, FILE, Upload()).repeatable(streamed)
    assert not ConversationSender(to, 0, FILE, Upload()).small()
    assert ConversationSender(to, 0, FILE, Upload()).repeatable(message(b"POST", b"abc", 3))
    assert ConversationSender(to, 0, FILE, Kept()).repeatable(streamed)
    assert ConversationSender(to, 0).repeatable(streamed)


@pytest.mark.parametrize(("most", "gathered"), [(7, b"one,two"), (6, None)])
async def test_a_body_is_gathered_up_to_its_bound(most: int, gathered: bytes | None) -> None:
    """For a scheme that has to read it."""
    assert await ConversationSender(await plan(), 0, FILE, Upload()).gather(most) == gathered


# -- orders


def lane_to(to: Plan, monkeypatch: pytest.MonkeyPatch, *ups: FakeConnection | UpstreamUnreachable) -> Lane:
    """The lane of ``to`` leads to ``ups``."""
    lane = Lane(*ups)
    monkeypatch.setattr("tieline.dataplane.attempt.prepare._way", lambda plan, *_: (plan.origin, lane.lane))
    return lane


async def order(filled: Filled | None = None, **call: Any) -> Order:
    """An order of the call ``it`` of an API of such a call."""
    limits = call.pop("limits", {})
    api = await compiled({"key": "sk-unit-provider-key"}, calls={"it": {"path": "/x", **call}}, limits=limits)
    found = api.plans["live"].calls.find("it")
    assert found is not None
    return Order(api.plans["live"], found, filled or Filled(call.get("method", "GET"), "/x", None, b"", [], None))


async def written(sent: Order, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """What an order comes to."""
    up = FakeConnection()
    lane_to(sent.plan, monkeypatch, up)
    sending = await under_way(CallSender(Preparer(FakeSessions())).send(sent))
    up.answers(200, length=0)
    await sending
    return up.written


async def test_an_order_sends_what_its_call_was_filled_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """Line, customary fields, its own fields, the type of its body, its secret, and its body."""
    body = FilledBody(b"text/plain", (b"abc",), 3)
    made = await order(Filled("POST", "/x", None, b"a=1", [(b"x-own", b"1")], body), method="POST")
    head, _, sent = (await written(made, monkeypatch)).partition(b"\r\n\r\n")
    assert sent == b"abc"
    assert head.split(b"\r\n") == [
        b"POST /v1/x?a=1 HTTP/1.1",
        b"host: api.example.com",
        b"accept: */*",
        b"accept-encoding: identity",
        b"user-agent: tieline",
        b"x-own: 1",
        b"content-type: text/plain",
        b"Authorization: Bearer sk-unit-provider-key",
        b"content-length: 3",
    ]


async def test_a_body_of_several_texts_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """No file is in it, so it is at hand."""
    made = await order(Filled("POST", "/x", None, b"", [], FilledBody(b"text/plain", (b"a", b"b"), 2)), method="POST")
    assert (await written(made, monkeypatch)).endswith(b"content-length: 2\r\n\r\nab")


async def test_an_order_may_go_elsewhere_than_its_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the next page of a list does."""
    made = await order()
    made.target = Target(b"/next", b"page=2")
    assert (await written(made, monkeypatch)).startswith(b"GET /v1/next?page=2 HTTP/1.1\r\n")


async def test_a_key_against_repetition_is_sent_in_the_calls_own_field(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller's, or a new one of 32 hexadecimal digits each time."""
    keys = []
    for key in ("mine", "", ""):
        made = await order(idempotency={"header": "Idem-Key"}, method="POST")
        made.key = key
        lines = (await written(made, monkeypatch)).split(b"\r\n")
        keys += [line.removeprefix(b"Idem-Key: ") for line in lines if line.startswith(b"Idem-Key: ")]
    assert keys[0] == b"mine"
    assert len(set(keys)) == 3
    assert {len(bytes.fromhex(key.decode())) for key in keys[1:]} == {16}


TRIES: dict[str, tuple[dict[str, Any], dict[str, Any], int]] = {
    "as the API says": ({}, {"retry": {"attempts": 2}}, 2),
    "as the call says": ({"retry": {"attempts": 4}}, {"retry": {"attempts": 2}}, 4),
    "once": ({"retry": {"attempts": 1}}, {"retry": {"attempts": 2}}, 1),
    "not what arrives twice": ({"method": "POST", "retry": {"attempts": 4}}, {}, 1),
}


@pytest.mark.parametrize(("call", "limits", "tries"), TRIES.values(), ids=TRIES)
async def test_an_order_is_tried_as_often_as_was_said(
    monkeypatch: pytest.MonkeyPatch, call: dict[str, Any], limits: dict[str, Any], tries: int
) -> None:
    """Answers that may pass are tried again."""
    monkeypatch.setattr("tieline.dataplane.attempt.retry._FIRST", 0.0)
    made = await order(limits=limits, **call)
    ups = [FakeConnection() for _ in range(6)]
    lane_to(made.plan, monkeypatch, *ups)
    sending = await under_way(CallSender(Preparer(FakeSessions())).send(made))
    for up in ups[:tries]:
        up.answers(503, length=0)
        for _ in range(20):
            await asyncio.sleep(0)
    assert (await sending).status == 503
    assert [bool(up.written) for up in ups] == [True] * tries + [False] * (6 - tries)


TIMES: dict[str, tuple[dict[str, Any], dict[str, Any], float]] = {
    "as the API says": ({}, {"timeout": {"total": "4s"}}, 4.0),
    "as the call says": ({"timeout": "3s"}, {"timeout": {"total": "4s"}}, 3.0),
}


@pytest.mark.parametrize(("call", "limits", "seconds"), TIMES.values(), ids=TIMES)
async def test_an_order_ends_when_its_time_is_over(
    monkeypatch: pytest.MonkeyPatch, call: dict[str, Any], limits: dict[str, Any], seconds: float
) -> None:
    """Counted from when it is sent."""
    made = await order(limits=limits, **call)
    up = FakeConnection()
    lane_to(made.plan, monkeypatch, up)
    up.clock.now = before = now()
    sending = await under_way(CallSender(Preparer(FakeSessions())).send(made))
    assert before + seconds <= up.deadline <= now() + seconds
    sending.cancel()
    made, late = await order(limits=limits, **call), FakeConnection()
    late.clock.now = now()
    made.end = late.clock.now + 2
    lane_to(made.plan, monkeypatch, late)
    sending = await under_way(CallSender(Preparer(FakeSessions())).send(made))
    assert late.deadline == made.end
    sending.cancel()


@pytest.mark.parametrize("follows", [False, True])
async def test_a_redirect_is_followed_where_the_call_says_so(monkeypatch: pytest.MonkeyPatch, *, follows: bool) -> None:
    """Over a connection of its own."""
    made = await order(follow_redirects=follows)
    first, second = FakeConnection(), FakeConnection()
    lane_to(made.plan, monkeypatch, first, second)
    sending = await under_way(CallSender(Preparer(FakeSessions())).send(made))
    first.answers(302, (b"Location", b"/v1/there"), length=0)
    for _ in range(10):
        await asyncio.sleep(0)
    assert second.written.startswith(b"GET /v1/there HTTP/1.1\r\n") == follows
    if follows:
        second.answers(200, length=0)
    assert (await sending).status == (200 if follows else 302)


async def test_a_key_that_never_changes_rests_on_no_connection() -> None:
    """Nobody signed in to it."""
    made, sender = await order(), CallSender(Preparer(FakeSessions()))
    answer = await reached(FakeConnection())
    assert await sender.connections(made) == frozenset()
    assert sender.connections_of(made.plan, answer) == frozenset()


class SignedIn(FakeSessions):
    """Tokens of connections that people signed in to."""

    def connection_of(self, applier: Any) -> str | None:
        return "con_1" if isinstance(applier, Token) else None


async def test_an_order_rests_on_the_connection_of_whom_it_is_for() -> None:
    """Where each end user has one."""
    made, sessions, ann = await order(), SignedIn(), Holder("app_1", "ann")
    made.plan, made.holder = await per_user(), ann
    assert await CallSender(Preparer(sessions)).connections(made) == {"con_1"}
    assert sessions.asked == [ann]


@pytest.mark.parametrize(("grant", "found"), [("authorization_code", {"con_1"}), ("client_credentials", set[str]())])
async def test_an_answer_rests_on_the_connections_that_people_signed_in_to(grant: str, found: set[str]) -> None:
    """A token that the API's own credential gets is not another one's tomorrow."""
    auth = {"scheme": "oauth2", "grant": grant, "token_url": "http://127.0.0.1:9/token"}
    more = {"authorize_url": "http://127.0.0.1:9/authorize"} if grant == "authorization_code" else {}
    to = await plan(auth=auth | more)
    sender, made = CallSender(Preparer(SignedIn())), await order()
    made.plan = to
    assert await sender.connections(made) == found
    answer = await reached(FakeConnection())
    answer.prepared = Prepared(FakeLane().lane, HEAD, [], None, (Token(1),), ())
    assert sender.connections_of(to, answer) == found
