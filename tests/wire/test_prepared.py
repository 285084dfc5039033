"""Requests that are prepared one by one: the body waited for, one more try after a challenge, and never a third."""

import asyncio
import re
from typing import Any

import pytest

from tests.wire.conftest import StartStage
from tests.wire.raw import Message, Peer, Script, Upstream, answer, chunked
from tests.wire.stage import PROVIDER_KEY, Stage

DIGEST = {"scheme": "digest"}
IN_BODY = {"scheme": "api_key", "in": "body", "name": "token"}
FORM = b"Content-Type: application/x-www-form-urlencoded"
CHALLENGE = b'WWW-Authenticate: Digest realm="r", nonce="n%d", qop="auth", algorithm=SHA-256'


def challenging(*, accepts: bool = True) -> Script:
    """An upstream that wants proof of its latest nonce, and takes it, or never does."""
    nonces = [0]

    async def serve(upstream: Upstream, peer: Peer) -> None:
        while True:
            asked = await upstream.read(peer)
            proof = b'nonce="n%d"' % nonces[0]
            if accepts and any(proof in value for value in asked.every(b"authorization")):
                await peer.send(answer(b"welcome " + asked.body))
            else:
                nonces[0] += 1
                await peer.send(answer(b"who are you", CHALLENGE % nonces[0], status=b"401 Unauthorized"))

    return serve


async def start(start_stage: StartStage, script: Script, auth: Any, **changes: Any) -> Stage:
    """A stage whose API is authenticated by ``auth``."""
    stage = await start_stage(script, auth=auth, **changes)
    fields = {"key": PROVIDER_KEY} if auth is IN_BODY else {"username": "me", "password": PROVIDER_KEY}
    stage.worker.source.put_credential("api", fields)
    await stage.worker.caught_up()
    return stage


def targets(stage: Stage) -> list[tuple[bytes, bytes]]:
    """What the upstream saw: the body and whether there was proof."""
    return [(seen.body, b"".join(seen.every(b"authorization"))[:6]) for seen in stage.upstream.seen]


def counted(stage: Stage) -> list[list[bytes]]:
    """The count of the nonce in each request that the upstream saw."""
    return [re.findall(rb"nc=([0-9a-f]{8})", b"".join(seen.every(b"authorization"))) for seen in stage.upstream.seen]


async def test_a_challenge_is_met(start_stage: StartStage) -> None:
    """The client sees the answer to the second request only, which has the same body."""
    stage = await start(start_stage, challenging(), DIGEST)
    got = await stage.ask(stage.request(b"POST", body=b"hello"), method=b"POST")
    assert (got.status, got.body) == (200, b"welcome hello")
    assert targets(stage) == [(b"hello", b""), (b"hello", b"Digest")]
    assert stage.upstream.accepted == 1


async def test_the_next_request_needs_no_challenge(start_stage: StartStage) -> None:
    """The nonce is used again with the next count."""
    stage = await start(start_stage, challenging(), DIGEST)
    for _ in range(3):
        assert (await stage.get()).status == 200
    assert counted(stage) == [[], [b"00000001"], [b"00000002"], [b"00000003"]]


async def test_a_credential_that_is_refused_is_not_tried_for_ever(start_stage: StartStage) -> None:
    """The upstream's refusal is the answer."""
    stage = await start(start_stage, challenging(accepts=False), DIGEST)
    got = await stage.get()
    assert (got.status, got.body) == (401, b"who are you")
    assert len(stage.upstream.seen) == 2


async def test_a_body_in_pieces_is_repeated_whole(start_stage: StartStage) -> None:
    """Clients often send head and body apart."""
    stage = await start(start_stage, challenging(), DIGEST)
    client = await stage.connect()
    head, _, body = stage.request(b"POST", body=b"hello world").partition(b"\r\n\r\n")
    await client.send(head + b"\r\n\r\n")
    await asyncio.sleep(0.05)
    await client.send_bytewise(body)
    assert (await client.message(method=b"POST")).body == b"welcome hello world"


async def test_the_client_is_told_to_go_on_with_its_body(start_stage: StartStage) -> None:
    """A scheme that reads the body must not wait for a client that waits."""
    stage = await start(start_stage, challenging(), DIGEST)
    client = await stage.connect()
    head, _, body = stage.request(b"POST", b"/thing", b"Expect: 100-continue", body=b"hello").partition(b"\r\n\r\n")
    await client.send(head + b"\r\n\r\n")
    assert (await client.head()).status == 100
    await client.send(body)
    assert (await client.message(method=b"POST")).body == b"welcome hello"


async def test_a_key_goes_into_a_form(start_stage: StartStage) -> None:
    """The body grows by it, and its length is told anew; a chunked body too is sent with its length."""
    stage = await start(start_stage, greeting, IN_BODY)
    raw = stage.request(b"POST", b"/thing", FORM, b"Transfer-Encoding: chunked") + chunked(b"a=1", b"&b=2")
    assert (await stage.ask(raw, method=b"POST")).status == 200
    seen = stage.upstream.seen[0]
    assert seen.body == b"a=1&b=2&token=" + PROVIDER_KEY.encode()
    assert seen.one(b"content-length") == b"%d" % len(seen.body)
    assert seen.every(b"transfer-encoding") == []


async def greeting(upstream: Upstream, peer: Peer) -> None:
    """Says hello to everybody."""
    while True:
        await upstream.read(peer)
        await peer.send(answer())


async def test_a_client_that_leaves_while_its_body_is_awaited_leaves_nothing(start_stage: StartStage) -> None:
    """No connection to the upstream was opened, and no task waits."""
    stage = await start(start_stage, greeting, IN_BODY)
    client = await stage.connect()
    await client.send(stage.request(b"POST", b"/thing", FORM, body=b"a" * 10)[:-5])
    await asyncio.sleep(0.05)
    client.reset()
    await stage.settled()
    assert stage.upstream.accepted == 0


async def test_a_body_too_large_to_be_read_is_refused(start_stage: StartStage) -> None:
    """With the size it may have."""
    stage = await start(start_stage, greeting, IN_BODY, limits={"body": "32MiB"})
    client = await stage.connect()
    size = 17 * 1024 * 1024
    sending = asyncio.create_task(client.send(stage.request(b"POST", b"/thing", FORM, body=b"a" * size)))
    got: Message = await client.message(method=b"POST")
    sending.cancel()
    assert (got.status, got.one(b"tieline-error")) == (413, b"body_too_large")
    assert b"16 MiB" in got.body


@pytest.mark.parametrize("size", [70_000, 300_000])
async def test_a_large_body_is_not_held_back_for_a_challenge_that_may_not_come(
    start_stage: StartStage, size: int
) -> None:
    """Once the nonce is known the body is streamed."""
    stage = await start(start_stage, challenging(), DIGEST)
    await stage.get()
    got = await stage.ask(stage.request(b"POST", body=b"x" * size), method=b"POST")
    assert got.body == b"welcome " + b"x" * size


async def test_at_once_each_request_has_its_own_count(start_stage: StartStage) -> None:
    """Twenty clients on one nonce: no count is used twice."""
    stage = await start(start_stage, challenging(), DIGEST)
    await stage.get()
    answers = await asyncio.gather(*(stage.get() for _ in range(20)))
    assert {each.status for each in answers} == {200}
    counts = counted(stage)
    assert counts[0] == []
    assert len({each[0] for each in counts[1:]}) == len(counts[1:]) == 21


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        (b"application/json", b'{"q": 1}', b'{"q": 1,"acct":"acct1","key":"' + PROVIDER_KEY.encode() + b'"}'),
        (FORM.removeprefix(b"Content-Type: "), b"q=1", b"q=1&acct=acct1&key=" + PROVIDER_KEY.encode()),
    ],
)
async def test_shared_parameters_are_in_relayed_bodies(
    start_stage: StartStage, content_type: bytes, body: bytes, expected: bytes
) -> None:
    """As in those of calls, private ones too; a body that comes in pieces is read for it."""
    parameters = [
        {"name": "acct", "in": "body", "value": "acct1"},
        {"name": "key", "in": "body", "private": True},
    ]
    stage = await start_stage(None, parameters=parameters)
    stage.worker.source.put_credential("api", {"key": PROVIDER_KEY, "parameter.key": PROVIDER_KEY})
    await stage.worker.caught_up()
    kind = b"Content-Type: " + content_type
    for raw in (
        stage.request(b"POST", b"/thing", kind, body=body),
        stage.request(b"POST", b"/thing", kind, b"Transfer-Encoding: chunked") + chunked(body[:3], body[3:]),
    ):
        assert (await stage.ask(raw, method=b"POST")).status == 200
    assert [seen.body for seen in stage.upstream.seen] == [expected] * 2
