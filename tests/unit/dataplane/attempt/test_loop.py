"""The attempt loop with a sender that needs no socket: what it sends again, how often, and what it closes."""

import asyncio
import gc
import gzip
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import orjson
import pytest

from tests.unit.dataplane.attempt.fakes import (
    FakeHead,
    FakeSender,
    FakeSessions,
    message,
    per_user,
    plan,
    renewing,
    run,
)
from tieline.core.errors import (
    BodyTooLarge,
    MissingPermission,
    TielineError,
    UpstreamProtocolError,
    UpstreamUnreachable,
)
from tieline.dataplane.attempt.loop import SIGNED_MOST, Attempts, Job, Policy
from tieline.dataplane.attempt.prepare import Message, Prepared, Preparer, prepare, steady_appliers
from tieline.dataplane.attempt.target import Target
from tieline.dataplane.snapshot.calls import BoundedCache
from tieline.dataplane.tokens.holder import Holder
from tieline.schemes.base import Applier, Headers, Outgoing
from tieline.schemes.signal import BODY_MOST

RENEW_BY_BODY = {"status": [200], "body": {"path": "errcode", "equals": 42001}}
STALE = orjson.dumps({"errcode": 42001})
JSON = (b"Content-Type", b"application/json")
GZIP = (b"Content-Encoding", b"gzip")


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses take no time."""
    monkeypatch.setattr("tieline.dataplane.attempt.retry._FIRST", 0.0)


async def test_an_answer_is_handed_out_unread_and_open() -> None:
    """A plan that needs no judging looks at nothing but the status."""
    head = FakeHead()
    assert await run(FakeSender(head), await plan()) is head
    assert (head.closed, head.peeked) == (False, 0)


async def test_a_policy_that_retries_statuses_sends_again_what_may_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most as often as it says; the last answer is handed out whatever it is."""
    busy, gone, last = FakeHead(503), UpstreamUnreachable("gone"), FakeHead(503)
    sender = FakeSender(busy, gone, last)
    assert await run(sender, await plan(), Policy(3, idempotent=True, retries_status=True)) is last
    assert (busy.closed, last.closed, len(sender.heads)) == (True, False, 3)


NOT_AGAIN: dict[str, tuple[Policy, Callable[[], FakeSender]]] = {
    "impatient": (Policy(3, idempotent=True), lambda: FakeSender(FakeHead(503))),
    "not idempotent": (Policy(3, idempotent=False, retries_status=True), lambda: FakeSender(FakeHead(503))),
    "its body is gone": (
        Policy(3, idempotent=True, retries_status=True),
        lambda: FakeSender(FakeHead(503), can_repeat=False),
    ),
    "once": (Policy(1, idempotent=True, retries_status=True), lambda: FakeSender(FakeHead(503))),
    "no time": (Policy(3, idempotent=True, retries_status=True, end=0.0), lambda: FakeSender(FakeHead(503))),
    "asked to wait for too long": (
        Policy(3, idempotent=True, retries_status=True),
        lambda: FakeSender(FakeHead(503, (b"Retry-After", b"3600"))),
    ),
    "no passing trouble": (Policy(3, idempotent=True, retries_status=True), lambda: FakeSender(FakeHead(404))),
}


@pytest.mark.parametrize("name", NOT_AGAIN)
async def test_what_is_not_sent_again(name: str) -> None:
    """The answer is handed out, not closed."""
    policy, made = NOT_AGAIN[name]
    sender = made()
    head = await run(sender, await plan(), policy)
    assert not head.closed
    assert len(sender.heads) == 1


@pytest.mark.parametrize(
    ("policy", "flags", "again"),
    [
        (Policy(2, idempotent=True), {"stale": True}, True),
        (Policy(2, idempotent=True), {"stale": False}, False),
        (Policy(2, idempotent=False), {"stale": True}, False),
        (Policy(1, idempotent=True), {"stale": True}, False),
        (Policy(2, idempotent=False, retries_status=True), {"unsent": True}, True),
        (Policy(2, idempotent=False), {"unsent": True}, False),
        (Policy(2, idempotent=False, retries_status=True), {"unsent": False}, False),
    ],
)
async def test_a_connection_that_was_lost(policy: Policy, flags: dict[str, bool], *, again: bool) -> None:
    """What left nothing behind may go again; over a connection that had been idle at once, also for the impatient."""
    sender = FakeSender(UpstreamUnreachable("gone"), FakeHead())
    for name, value in flags.items():
        setattr(sender, name, value)
    if again:
        assert (await run(sender, await plan(), policy)).status == 200
    else:
        with pytest.raises(UpstreamUnreachable):
            await run(sender, await plan(), policy)


async def test_what_was_lost_before_the_loop_counts() -> None:
    """A relay's first send goes without it."""
    sender, lost = FakeSender(FakeHead()), UpstreamUnreachable("gone")
    sender.stale = True
    to = await plan()
    attempts = Attempts(Job(to, message(), Policy(1, idempotent=True)), sender, Preparer(FakeSessions()))
    with pytest.raises(UpstreamUnreachable):
        await attempts.run(lost)
    attempts = Attempts(Job(to, message(), Policy(2, idempotent=True)), sender, Preparer(FakeSessions()))
    assert (await attempts.run(lost)).status == 200


async def test_other_errors_are_not_tried_again() -> None:
    """An answer that cannot be read had arrived."""
    sender = FakeSender(UpstreamProtocolError("not HTTP"))
    with pytest.raises(UpstreamProtocolError):
        await run(sender, await plan(), Policy(3, idempotent=True, retries_status=True))


STALE_ANSWERS: dict[str, tuple[dict[str, Any] | None, Callable[[], FakeHead]]] = {
    "401": (None, lambda: FakeHead(401)),
    "200 with a body that says it": (RENEW_BY_BODY, lambda: FakeHead(200, JSON, body=STALE)),
    "200 with a compressed body": (RENEW_BY_BODY, lambda: FakeHead(200, JSON, GZIP, body=gzip.compress(STALE))),
    "a body of the largest size": (RENEW_BY_BODY, lambda: FakeHead(200, JSON, body=STALE.ljust(BODY_MOST))),
}


@pytest.mark.parametrize("name", STALE_ANSWERS)
async def test_a_stale_token_is_renewed_and_the_message_sent_again_once(name: str) -> None:
    """Whatever the method and however many attempts there are; a second refusal is handed out."""
    renew_on, answer = STALE_ANSWERS[name]
    first, second = answer(), answer()
    sender, sessions = FakeSender(first, second), FakeSessions()
    got = await run(sender, await renewing(renew_on), Policy(1, idempotent=False), sessions, message=message(b"POST"))
    assert got is second
    assert (first.closed, second.closed, sessions.renewed) == (True, False, 1)
    assert [head.rpartition(b"Bearer ")[2] for head in sender.heads] == [b"token-0\r\n", b"token-1\r\n"]


FRESH: dict[str, Callable[[], FakeHead]] = {
    "another body": lambda: FakeHead(200, JSON, body=b'{"errcode": 0}'),
    "no JSON": lambda: FakeHead(200, JSON, body=b"<html>"),
    "cut": lambda: FakeHead(200, JSON, body=None),
    "too large to be looked at": lambda: FakeHead(200, JSON, body=STALE + b" " * 70_000),
    "too large when it is decompressed": lambda: FakeHead(
        200, JSON, GZIP, body=gzip.compress(STALE.ljust(BODY_MOST + 1))
    ),
    "a coding nobody knows": lambda: FakeHead(200, JSON, (b"Content-Encoding", b"br"), body=STALE),
    "another status": lambda: FakeHead(201, JSON, body=STALE),
}


@pytest.mark.parametrize("name", FRESH)
async def test_an_answer_that_does_not_say_so_renews_nothing(name: str) -> None:
    """It is handed out to be read as it came."""
    sessions, head = FakeSessions(), FRESH[name]()
    assert await run(FakeSender(head), await renewing(RENEW_BY_BODY), sessions=sessions) is head
    assert (head.closed, sessions.renewed) == (False, 0)


async def test_a_stream_is_not_held_back_to_be_judged() -> None:
    """It may never end."""
    head = FakeHead(200, (b"Content-Type", b"text/event-stream"), body=STALE)
    assert await run(FakeSender(head), await renewing(RENEW_BY_BODY)) is head
    assert head.peeked == 0


async def test_a_message_that_cannot_be_sent_again_renews_for_the_next() -> None:
    """Its answer is handed out without waiting for the issuer, whose refusal is for whoever asks next."""
    sessions = FakeSessions()
    head = FakeHead(401)
    assert await run(FakeSender(head, can_repeat=False), await renewing(), sessions=sessions) is head
    assert not head.closed
    await asyncio.sleep(0)
    assert sessions.renewed == 1
    troubles: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, trouble: troubles.append(trouble))
    failing = FakeSessions(error=UpstreamUnreachable("the issuer is away"))
    assert (await run(FakeSender(FakeHead(401), can_repeat=False), await renewing(), sessions=failing)).status == 401
    await asyncio.sleep(0)
    gc.collect()
    assert troubles == []


@pytest.mark.parametrize("can_repeat", [True, False])
async def test_it_is_the_end_users_token_that_is_renewed(*, can_repeat: bool) -> None:
    """Where the request names one and the scheme has such, before it goes again and for the next."""
    sessions, ann = FakeSessions(), Holder("app_1", "ann")
    sender = FakeSender(FakeHead(401), FakeHead(), can_repeat=can_repeat)
    await run(sender, await per_user(), sessions=sessions, holder=ann)
    await asyncio.sleep(0)
    assert set(sessions.asked) == {ann}
    assert sessions.renewed_for == [ann]


async def test_an_issuer_that_refuses_ends_it() -> None:
    """And the answer that asked for it is closed."""
    head = FakeHead(401)
    with pytest.raises(UpstreamUnreachable):
        await run(FakeSender(head), await renewing(), sessions=FakeSessions(error=UpstreamUnreachable("away")))
    assert head.closed


async def test_a_small_body_is_gathered_where_the_message_may_have_to_go_again() -> None:
    """And only there: a steady plan passes it on as it comes."""
    streamed = Message(b"POST", Target(b"/x", b""), [], None, 5)
    await run(sender := FakeSender(FakeHead(), waiting=b"small"), await renewing(), message=streamed)
    assert sender.messages[0].body == b"small"
    streamed = Message(b"POST", Target(b"/x", b""), [], None, 5)
    await run(sender := FakeSender(FakeHead(), waiting=b"small"), await plan(), message=streamed)
    assert sender.messages[0].body is None
    streamed = Message(b"POST", Target(b"/x", b""), [], None, 10**9)
    await run(sender := FakeSender(FakeHead()), await renewing(), message=streamed)
    assert sender.messages[0].body is None, "a large one is not held back for a repetition that may never come"


async def test_a_body_that_is_too_large_for_its_scheme_is_refused() -> None:
    """Nothing is sent."""
    sender = FakeSender(waiting=b"a" * (SIGNED_MOST + 1))
    with pytest.raises(BodyTooLarge):
        await run(sender, await renewing(), message=Message(b"POST", Target(b"/x", b""), [], None, None))
    assert sender.heads == []


def redirect(status: int, to: bytes) -> FakeHead:
    """An answer that leads elsewhere."""
    return FakeHead(status, (b"Location", to))


@pytest.mark.parametrize(
    ("status", "method", "becomes"),
    [
        (301, b"POST", b"GET"),
        (302, b"POST", b"GET"),
        (303, b"PUT", b"GET"),
        (307, b"POST", b"POST"),
        (308, b"PUT", b"PUT"),
    ],
)
async def test_a_redirect_is_followed_by_the_method_it_asks_for(status: int, method: bytes, becomes: bytes) -> None:
    """RFC 9110 section 15.4."""
    first = redirect(status, b"/v1/there?a=1")
    sender = FakeSender(first, FakeHead())
    await run(sender, await plan(), Policy(1, idempotent=True, redirects=True), message=message(method))
    assert first.closed
    assert (sender.messages[1].method, sender.messages[1].target) == (becomes, Target(b"/there", b"a=1"))


async def test_a_head_request_stays_one_when_it_is_redirected() -> None:
    """RFC 9110 section 15.4.4."""
    sender = FakeSender(redirect(303, b"/v1/there"), FakeHead())
    await run(sender, await plan(), Policy(1, idempotent=True, redirects=True), message=message(b"HEAD"))
    assert [each.method for each in sender.messages] == [b"HEAD", b"HEAD"]


async def test_where_a_redirect_leads_is_tried_as_often_as_the_first() -> None:
    """It is another resource, which has failed nobody yet."""
    sender = FakeSender(FakeHead(503), redirect(302, b"/v1/there"), FakeHead(503), FakeHead())
    policy = Policy(2, idempotent=True, retries_status=True, redirects=True)
    assert (await run(sender, await plan(), policy)).status == 200


async def test_a_location_that_is_no_text_is_read_as_far_as_it_is() -> None:
    """Bytes that are no UTF-8 stand for one sign each; the redirect leads where that leads."""
    sender = FakeSender(redirect(302, b"/v1/a\xff"), FakeHead())
    await run(sender, await plan(), Policy(1, idempotent=True, redirects=True))
    assert sender.messages[1].target.path == b"/a%EF%BF%BD"


async def test_redirects_end() -> None:
    """After five hops the answer is handed out."""
    sender = FakeSender(*(redirect(307, b"/v1/%d" % n) for n in range(6)))
    assert (await run(sender, await plan(), Policy(1, idempotent=True, redirects=True))).status == 307
    assert len(sender.messages) == 6


@pytest.mark.parametrize(
    ("policy", "to"),
    [
        (Policy(1, idempotent=True), b"/v1/there"),
        (Policy(1, idempotent=True, redirects=True), b"http://elsewhere.example/v1/there"),
        (Policy(1, idempotent=True, redirects=True), b"http://[/"),
    ],
)
async def test_a_redirect_that_is_not_followed_is_handed_out(policy: Policy, to: bytes) -> None:
    """Because nobody asked for that, or it leads away."""
    head = redirect(302, to)
    assert await run(FakeSender(head), await plan(), policy) is head
    assert not head.closed


async def test_every_path_is_permitted_before_it_is_sent() -> None:
    """That of a redirect too; its answer is closed."""

    def permit(_method: bytes, path: bytes | None) -> None:
        if path == b"/there":
            raise MissingPermission("no")

    head = redirect(302, b"/v1/there")
    sender = FakeSender(head)
    with pytest.raises(MissingPermission):
        await run(sender, await plan(), Policy(1, idempotent=True, redirects=True), permit=permit)
    assert head.closed
    with pytest.raises(MissingPermission):
        await run(sender, await plan(), permit=permit, message=message(path=b"/there"))
    assert len(sender.heads) == 1


# Situations from reports about other products.


async def test_what_follows_a_renewal_is_retried_as_ever() -> None:
    """A passing trouble behind a stale token is still one (reported of a client whose refreshed request was final)."""
    sender = FakeSender(FakeHead(401), FakeHead(503), FakeHead())
    assert (await run(sender, await renewing(), Policy(2, idempotent=True, retries_status=True))).status == 200
    assert len(sender.heads) == 3
    sender = FakeSender(FakeHead(401), FakeHead(503), FakeHead(503), FakeHead())
    assert (await run(sender, await renewing(), Policy(2, idempotent=True, retries_status=True))).status == 503


async def test_a_message_goes_again_with_its_body_and_its_fields() -> None:
    """Whatever it goes again for (reported of proxies and clients that sent an empty body the second time)."""
    sender = FakeSender(FakeHead(401), FakeHead(503), UpstreamUnreachable("gone"), FakeHead())
    sent = Message(b"PUT", Target(b"/x", b"a=1"), [(b"X-Own", b"1")], b"body", 4)
    await run(sender, await renewing(), Policy(3, idempotent=True, retries_status=True), message=sent)
    assert [(each.body, each.headers) for each in sender.messages] == [(b"body", [(b"X-Own", b"1")])] * 4
    assert all(b"X-Own: 1\r\n" in head for head in sender.heads)


async def test_a_key_that_never_changes_is_not_tried_again() -> None:
    """A 401 is the answer (reported of clients that repeat every 401, with the same key)."""
    sender = FakeSender(FakeHead(401, (b"WWW-Authenticate", b"Bearer")))
    assert (await run(sender, await plan(), Policy(3, idempotent=True, retries_status=True))).status == 401


async def test_a_token_that_is_refused_when_it_is_new_is_not_renewed_again() -> None:
    """Each answer would cost the issuer a token otherwise (reported of clients that loop)."""
    sessions = FakeSessions()
    sender = FakeSender(FakeHead(401), FakeHead(401), FakeHead(401))
    assert (
        await run(sender, await renewing(), Policy(9, idempotent=True, retries_status=True), sessions)
    ).status == 401
    assert (sessions.renewed, len(sender.heads)) == (1, 2)


async def test_a_post_that_becomes_a_get_leaves_what_describes_its_body() -> None:
    """And only that."""
    sent = Message(b"POST", Target(b"/x", b""), [(b"Content-Type", b"text/plain"), (b"X-Own", b"1")], b"body", 4)
    sender = FakeSender(redirect(303, b"/v1/there"), FakeHead())
    await run(sender, await plan(), Policy(1, idempotent=True, redirects=True), message=sent)
    last = sender.messages[1]
    assert (last.headers, last.body, last.length) == ([(b"X-Own", b"1")], b"", 0)


async def test_a_body_that_is_gone_cannot_follow_a_redirect() -> None:
    """The redirect is handed out."""
    head = redirect(307, b"/v1/there")
    sender = FakeSender(head, can_repeat=False)
    policy = Policy(1, idempotent=True, redirects=True)
    assert await run(sender, await plan(), policy, message=message(b"POST")) is head


BEFORE_A_PAUSE: dict[str, FakeHead | TielineError] = {
    "busy": FakeHead(503, (b"Retry-After", b"20")),
    "lost": UpstreamUnreachable("gone"),
}


@pytest.mark.parametrize("name", BEFORE_A_PAUSE)
async def test_it_is_waited_before_the_next_try(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """As long as the upstream asks for, or as long as is customary."""
    monkeypatch.setattr("tieline.dataplane.attempt.retry._FIRST", 20.0)
    monkeypatch.setattr("tieline.dataplane.attempt.retry._LONGEST", 20.0)
    sender = FakeSender(BEFORE_A_PAUSE[name], FakeHead())
    going = asyncio.create_task(run(sender, await plan(), Policy(2, idempotent=True, retries_status=True)))
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(sender.heads) == 1
    assert not going.done()
    going.cancel()
    await asyncio.gather(going, return_exceptions=True)


class Listening(Applier):
    """Signs with the nonce of the challenge that it heard last; an answer without one tells it nothing."""

    constant = False
    listens = True

    def __init__(self) -> None:
        self._nonce = b"none"

    def apply(self, outgoing: Outgoing) -> None:
        outgoing.headers.append((b"authorization", b"nonce " + self._nonce))

    def answered(self, sent: Headers, status: int, headers: Headers) -> bool:
        given = [value for name, value in headers if name == b"Nonce"]
        assert (b"authorization", b"nonce " + self._nonce) in sent
        self._nonce = given[0] if given else self._nonce
        return status == 401 and bool(given)

    def secrets(self) -> Sequence[Any]:
        return ()


async def test_a_challenge_is_answered_once_without_a_new_token() -> None:
    """The scheme hears of every answer, and says whether the message, prepared anew, may succeed."""
    sessions = FakeSessions()
    to = replace(await plan(), auth=(Listening(),), steady=False)
    sender = FakeSender(FakeHead(401, (b"Nonce", b"one")), FakeHead())
    assert (await run(sender, to, Policy(1, idempotent=False), sessions)).status == 200
    assert [head.rpartition(b"nonce ")[2] for head in sender.heads] == [b"none\r\n", b"one\r\n"]
    assert sessions.renewed == 0
    sender = FakeSender(FakeHead(401), FakeHead())
    assert (await run(sender, to, Policy(1, idempotent=False), sessions)).status == 401


async def test_a_head_is_worked_out_once_for_the_same_words() -> None:
    """Of a steady plan: for the same method, target and fields, whatever the body; others have their own."""
    to, heads, sender = await plan(), BoundedCache[Prepared](), FakeSender(*[FakeHead() for _ in range(4)])
    first = Message(b"POST", Target(b"/x", b""), [(b"X-Own", b"1")], b"one", 3)
    for sent in (first, replace(first, body=b"another"), replace(first, headers=[]), replace(first, method=b"PUT")):
        await run(sender, to, message=sent, heads=heads)
    assert len(heads) == 3
    assert sender.heads[0] is sender.heads[1]
    assert len(set(sender.heads)) == 3
    assert {kept.body for kept in heads.values()} == {None}


async def test_a_message_that_is_ready_goes_out_as_it_is() -> None:
    """Until a redirect makes it another."""
    to = await plan()
    made = prepare(to, steady_appliers(to), message(path=b"/ready"))
    sender = FakeSender(redirect(302, b"/v1/there"), FakeHead())
    await run(sender, to, Policy(1, idempotent=True, redirects=True), prepared=made)
    assert sender.heads[0] is made.head
    assert sender.heads[1].startswith(b"GET /v1/there ")


async def test_methods_are_permitted_with_their_paths() -> None:
    """Of what is sent first, and of what a redirect turns it into."""
    permitted: list[tuple[bytes, bytes | None]] = []
    sender = FakeSender(redirect(303, b"/v1/there"), FakeHead())
    policy = Policy(1, idempotent=True, redirects=True)

    def permit(method: bytes, path: bytes | None) -> None:
        permitted.append((method, path))

    await run(sender, await plan(), policy, permit=permit, message=message(b"POST"))
    assert permitted == [(b"POST", b"/x"), (b"GET", b"/there")]


async def test_what_was_permitted_before_is_not_asked_for_again() -> None:
    """That very target: where an equal one is put in its place, or a redirect leads on, the permit is asked."""
    permitted: list[bytes | None] = []

    def permit(_method: bytes, path: bytes | None) -> None:
        permitted.append(path)

    first = message()
    sender = FakeSender(redirect(302, b"/v1/there"), FakeHead())
    policy = Policy(1, idempotent=True, redirects=True)
    await run(sender, await plan(), policy, permit=permit, message=first, permitted=first.target)
    assert permitted == [b"/there"]
    other = first.target._replace()
    await run(FakeSender(FakeHead()), await plan(), permit=permit, message=first, permitted=other)
    assert permitted == [b"/there", b"/x"]


async def test_a_pause_that_would_outlast_the_call_is_not_begun() -> None:
    """What the upstream asks for comes too late; a shorter one does not."""
    end = asyncio.get_running_loop().time() + 10
    policy = Policy(2, idempotent=True, retries_status=True, end=end)
    sender = FakeSender(FakeHead(503, (b"Retry-After", b"15")))
    assert (await run(sender, await plan(), policy)).status == 503
    sender = FakeSender(FakeHead(503, (b"Retry-After", b"0")), FakeHead())
    assert (await run(sender, await plan(), policy)).status == 200
