"""A call's message is sent over a conversation, without a socket: what is written, on which connection, until when."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeVar, cast

import pytest

from tests.unit.dataplane.attempt.fakes import plan
from tieline.core.errors import UpstreamError, UpstreamResponseTooLarge, UpstreamTimeout, UpstreamUnreachable
from tieline.dataplane.answers.usage_listener import UsageListener
from tieline.dataplane.attempt.prepare import Message, Prepared
from tieline.dataplane.attempt.send import ConversationSender, UpstreamAnswer
from tieline.dataplane.attempt.target import Target
from tieline.definitions.fill.request import FilePart, Filled, FilledBody, Piece
from tieline.testing.upstreams import FakeConnection, FakeLane
from tieline.wire.egress import Dialled, Owner

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
    """Notes how long each dial may take, and whose turn it is."""

    def __init__(self, *dialled: Any, idle: tuple[FakeConnection, ...] = ()) -> None:
        super().__init__(*dialled, idle=idle)
        self.waits: list[float] = []
        self.turns: list[str] = []

    async def connect(self, who: str, seconds: float, *, fresh: bool = False) -> FakeConnection:
        self.turns.append(who)
        return await super().connect(who, seconds, fresh=fresh)

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


async def test_what_is_said_of_a_send_is_said_of_the_last_one() -> None:
    """Of one that went out whole, of one that was not dialled, and of one for which no time was left."""
    lane = Lane(UpstreamUnreachable("no"), idle=(up := FakeConnection(),))
    sender = ConversationSender(await plan(), end := now() + 60)
    sending = await under_way(sender.send(message(), prepared(lane)))
    up.answers(200, length=0)
    await sending
    assert (sender.unsent, sender.sent) == (False, True)
    with pytest.raises(UpstreamUnreachable):
        await sender.send(message(), prepared(lane))
    assert (sender.unsent, sender.sent) == (True, False)
    sender._end = end - 3600
    with pytest.raises(UpstreamTimeout):
        await sender.send(message(), prepared(lane))
    assert (sender.unsent, sender.sent) == (False, False)


async def test_an_answer_tells_how_it_was_reached() -> None:
    """How often it was asked for, and how long the connection took that was opened last, not one that was open."""
    first, taken, second = FakeConnection(), FakeConnection(reused=True), FakeConnection()
    first.dialled, taken.dialled, second.dialled = Dialled(1.0, None), Dialled(2.0, None), Dialled(3.0, 4.0)
    sender, told = ConversationSender(await plan(), now() + 60), []
    for up in (taken, first, taken, second):
        sending = await under_way(sender.send(message(), prepared(Lane(up))))
        up.answers(503, length=0)
        answer = await sending
        told.append((answer.sends, answer.dialled))
    assert told == [(1, None), (2, first.dialled), (3, first.dialled), (4, second.dialled)]


SIZES: dict[str, tuple[Message, bytes | None, int]] = {
    "nothing": (message(), None, 0),
    "a body": (message(b"POST", b"abc", 3), None, 3),
    "a body that its scheme changed": (message(b"POST", b"abc", 3), b"changed", 7),
    "files": (message(b"POST", None, 7), None, 7),
    "files without end": (message(b"POST", None, None), None, 0),
}


@pytest.mark.parametrize(("sent", "body", "size"), SIZES.values(), ids=SIZES)
async def test_an_answer_tells_how_much_was_sent_for_it(sent: Message, body: bytes | None, size: int) -> None:
    """In bytes, where somebody knows it."""
    up = FakeConnection()
    sender = ConversationSender(await plan(), now() + 60, FILE, Upload())
    sending = await under_way(sender.send(sent, prepared(Lane(up), body)))
    up.answers(200, length=0)
    assert (await sending).asked_bytes == size


@pytest.mark.parametrize(
    ("head", "bounded"), [({"length": 0}, True), ({"chunked": True}, True), ({"length": None}, False)]
)
async def test_an_answer_tells_whether_its_end_can_be_told_from_a_cut(head: dict[str, Any], *, bounded: bool) -> None:
    """By its length or its chunks; one that ends with its connection may have been cut."""
    assert (await reached(FakeConnection(), **head)).bounded is bounded


class Heard:
    """Hears what is read."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def feed(self, data: bytes) -> None:
        self.pieces.append(data)


READ: dict[str, Callable[[UpstreamAnswer], Awaitable[bytes]]] = {
    "in pieces": lambda answer: answer.read(),
    "whole": lambda answer: answer.read_all(10),
    "at once": lambda answer: asyncio.to_thread(lambda: answer.rest(10) or b""),
}


@pytest.mark.parametrize("way", READ)
async def test_whoever_listens_hears_what_is_read(way: str) -> None:
    """As it came, whichever way it is read."""
    heard, answer = Heard(), await reached(FakeConnection(), body=b"abc", length=3)
    answer.listener = cast("UsageListener", heard)
    assert await READ[way](answer) == b"abc"
    assert heard.pieces == [b"abc"]


async def test_who_asks_waits_for_its_turn() -> None:
    """Where connections are limited, by the id of its key."""
    lane = Lane(UpstreamUnreachable("no"))
    with pytest.raises(UpstreamUnreachable):
        await ConversationSender(await plan(), now() + 60, who="key_1").send(message(), prepared(lane))
    assert lane.turns == ["key_1"]


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


async def test_whoever_gives_up_waiting_leaves_no_connection_open() -> None:
    """A call that is cancelled while its answer is waited for cuts it."""
    up = FakeConnection()
    sending = await under_way(ConversationSender(await plan(), now() + 60).send(message(), prepared(Lane(up))))
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    assert up.ended == "aborted"


async def test_a_call_dials_as_long_as_any_time_is_left() -> None:
    """However little."""
    lane = Lane(UpstreamUnreachable("no"))
    with pytest.raises(UpstreamUnreachable):
        await ConversationSender(await plan(), now() + 0.9).send(message(), prepared(lane))
    assert 0 < lane.waits[0] <= 0.9
