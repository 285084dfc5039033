"""What an order of a call comes to: what is sent, how often, until when, with whose token."""

import asyncio
from typing import Any

import orjson
import pytest

from tests.unit.dataplane.attempt.fakes import FakeSessions, Token, per_user, plan
from tests.unit.dataplane.attempt.test_send import FILE, HEAD, Lane, Upload, now, reached, under_way
from tests.unit.dataplane.test_plan import compiled
from tieline.core.errors import UpstreamUnreachable
from tieline.dataplane.attempt.prepare import Prepared, Preparer
from tieline.dataplane.attempt.send import CallSender, Order
from tieline.dataplane.attempt.target import Target
from tieline.dataplane.snapshot.plan import Plan
from tieline.dataplane.tokens.holder import Holder
from tieline.definitions.fill.request import Filled, FilledBody
from tieline.testing.upstreams import FakeConnection, FakeLane


def lane_to(to: Plan, monkeypatch: pytest.MonkeyPatch, *ups: FakeConnection | UpstreamUnreachable) -> Lane:
    """The lane of ``to`` leads to ``ups``."""
    lane = Lane(*ups)
    monkeypatch.setattr("tieline.dataplane.attempt.prepare._way", lambda plan, *_: (plan.origin, lane.lane))
    return lane


async def order(filled: Filled | None = None, **call: Any) -> Order:
    """An order of the call ``it`` of an API of such a call."""
    shared = {name: call.pop(name) for name in ("limits", "shared") if name in call}
    more = {"limits": shared.get("limits", {}), "parameters": shared.get("shared", [])}
    api = await compiled({"key": "sk-unit-provider-key"}, calls={"it": {"path": "/x", **call}}, **more)
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


async def test_an_order_with_files_sends_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """As they come."""
    made = await order(FILE, method="POST")
    made.upload = Upload()
    text = await written(made, monkeypatch)
    assert text.endswith(b"\r\ntransfer-encoding: chunked\r\n\r\n4\r\none,\r\n3\r\ntwo\r\n0\r\n\r\n")


async def test_an_order_with_files_of_a_known_size_says_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the upstream need not take chunks."""
    assert FILE.body is not None
    sized = FilledBody(FILE.body.content_type, FILE.body.pieces, 7)
    made = await order(Filled("POST", "/x", None, b"", [], sized), method="POST")
    made.upload = Upload()
    assert (await written(made, monkeypatch)).endswith(b"\r\ncontent-length: 7\r\n\r\none,two")


async def test_what_a_calls_own_body_says_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who wrote the definition wrote the call as well as what its calls share; what the body leaves out is added."""
    shared = [{"name": name, "in": "body", "value": "of all"} for name in ("site", "zone")]
    body = FilledBody(b"application/json", (b'{"site":"own"}',), 14)
    made = await order(Filled("POST", "/x", None, b"", [], body), method="POST", shared=shared)
    _, _, sent = (await written(made, monkeypatch)).partition(b"\r\n\r\n")
    assert orjson.loads(sent) == {"site": "own", "zone": "of all"}


async def test_an_order_takes_its_turn_for_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where connections are limited."""
    monkeypatch.setattr("tieline.dataplane.attempt.retry._FIRST", 0.0)
    made = await order()
    made.who = "key_1"
    lane = lane_to(made.plan, monkeypatch, *(UpstreamUnreachable("no") for _ in range(5)))
    with pytest.raises(UpstreamUnreachable):
        await CallSender(Preparer(FakeSessions())).send(made)
    assert set(lane.turns) == {"key_1"}


async def test_an_order_asks_for_no_permit_that_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of that very target; for another it does."""
    asked: list[bytes | None] = []
    for is_permitted in (True, False):
        made = await order()
        made.permit = lambda _method, path: asked.append(path)
        made.target = Target(b"/there", b"")
        made.permitted = made.target if is_permitted else None
        await written(made, monkeypatch)
        assert asked == ([] if is_permitted else [b"/there"])


async def test_an_order_without_a_body_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """A POST of nothing has length 0."""
    assert (await written(await order(method="POST"), monkeypatch)).endswith(b"\r\ncontent-length: 0\r\n\r\n")


async def test_an_order_is_sent_with_the_token_of_whom_it_is_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """And its head is not kept for another's."""
    made, sessions, ann = await order(), SignedIn(), Holder("app_1", "ann")
    made.plan, made.holder = await per_user(), ann
    up = FakeConnection()
    lane_to(made.plan, monkeypatch, up)
    sending = await under_way(CallSender(Preparer(sessions)).send(made))
    up.answers(200, length=0)
    await sending
    assert sessions.asked == [ann]
    assert b"\r\nauthorization: Bearer token-0\r\n" in up.written
    assert not made.call.heads


async def test_the_head_of_a_steady_call_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the next one in the same words."""
    made = await order()
    await written(made, monkeypatch)
    assert len(made.call.heads) == 1


async def test_a_retry_that_would_come_too_late_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is handed out as it is."""
    made, up = await order(), FakeConnection()
    made.end = now() + 5
    lane_to(made.plan, monkeypatch, up)
    sending = await under_way(CallSender(Preparer(FakeSessions())).send(made))
    up.answers(503, (b"Retry-After", b"20"), length=0)
    for _ in range(10):
        await asyncio.sleep(0)
    assert sending.done()
    assert (await sending).status == 503
