"""Connections to upstreams: kept, reused only where nothing is left over, repeated only where that is safe, ended."""

import asyncio
import socket
from typing import Any

import pytest

from tests.wire.conftest import StartStage, StartUpstream
from tests.wire.raw import Peer, Upstream, answer, chunked, saying, until
from tests.wire.stage import PROVIDER_KEY, Stage, definition
from tieline.wire import pool
from tieline.wire.deadlines import Deadlines
from tieline.wire.egress import EgressConnection


async def test_a_connection_is_reused(stage: Stage) -> None:
    """One after another, requests share a connection."""
    for _ in range(20):
        await stage.get()
    assert stage.upstream.accepted == 1


async def test_requests_at_once_have_connections_of_their_own(start_stage: StartStage) -> None:
    """HTTP/1.1 carries one exchange at a time; what was opened is kept for later."""
    all_asked = asyncio.Barrier(10)

    async def script(upstream: Upstream, peer: Peer) -> None:
        while True:
            await upstream.read(peer)
            await all_asked.wait()
            await peer.send(answer())

    stage = await start_stage(script)
    await asyncio.gather(*(stage.get() for _ in range(10)))
    await asyncio.gather(*(stage.get() for _ in range(10)))
    assert stage.upstream.accepted == 10
    assert stage.worker.service.pool.open_connections == 10


CLOSING = {
    "it says close": answer(b"hello", b"Connection: close"),
    "it says Close among others": answer(b"hello", b"Connection: foo, Close"),
    "HTTP/1.0": answer().replace(b"1.1", b"1.0"),
}


@pytest.mark.parametrize("raw", CLOSING.values(), ids=CLOSING)
async def test_a_connection_that_ends_is_not_reused(start_stage: StartStage, raw: bytes) -> None:
    """An answer may end its connection, even where the upstream leaves it open."""
    stage = await start_stage(saying(raw))
    for _ in range(3):
        assert (await stage.get()).body == b"hello"
    assert stage.upstream.accepted == 3


async def test_credentials_do_not_share_connections(start_stage: StartStage) -> None:
    """The same upstream under two APIs: each has connections of its own."""
    stage = await start_stage()
    source = stage.worker.source
    source.put_api(definition(stage.upstream.port, api="other"))
    source.put_credential("other", {"key": "sk-sandbox-" + "another-not-real"})
    key = source.put_key("other").encode()
    await stage.worker.caught_up()
    await stage.get()
    await stage.ask(b"GET /relay/other/x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + key + b"\r\n\r\n")
    assert stage.upstream.accepted == 2


async def test_a_new_credential_gets_new_connections(stage: Stage) -> None:
    """What was opened with the old key is closed, and carries nothing any more."""
    await stage.get()
    stage.worker.source.put_credential("api", {"key": "sk-sandbox-" + "rotated-not-real"})
    await stage.worker.caught_up()
    await stage.upstream.until(lambda upstream: upstream.open == 0)
    await stage.get()
    assert stage.upstream.accepted == 2
    assert stage.upstream.seen[1].one(b"authorization") == b"Bearer sk-sandbox-" + b"rotated-not-real"


async def test_a_change_during_a_request_does_not_end_it(start_stage: StartStage) -> None:
    """What is under way finishes with the old key; its connection is closed and not kept."""
    go = asyncio.Event()

    async def script(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        await go.wait()
        await peer.send(answer())
        await peer.gone()

    stage = await start_stage(script)
    asked = asyncio.create_task(stage.get())
    await stage.upstream.until(lambda upstream: bool(upstream.seen))
    stage.worker.source.put_credential("api", {"key": "sk-sandbox-" + "rotated-not-real"})
    await stage.worker.caught_up()
    go.set()
    assert (await asked).body == b"hello"
    await stage.upstream.until(lambda upstream: upstream.open == 0)


async def test_a_removed_api_ends_its_connections(stage: Stage) -> None:
    """Nothing stays open for what is gone."""
    await stage.get()
    stage.worker.source.drop_api("api")
    await stage.worker.caught_up()
    await stage.upstream.until(lambda upstream: upstream.open == 0)
    assert (await stage.get()).one(b"tieline-error") == b"unknown_api"


async def test_idle_connections_are_closed_in_time(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """An idle connection does not stay for ever."""
    monkeypatch.setattr(pool, "IDLE_SECONDS", 0.2)
    await stage.get()
    assert stage.worker.service.pool.open_connections == 1
    await stage.upstream.until(lambda upstream: upstream.open == 0)
    assert stage.worker.service.pool.open_connections == 0


async def test_no_more_than_so_many_idle_connections_are_kept(
    start_stage: StartStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A burst does not leave its connections behind."""
    monkeypatch.setattr(pool, "IDLE_MOST", 3)

    async def script(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        await until(lambda: len(upstream.seen) == 8)
        await peer.send(answer())
        await peer.gone()

    stage = await start_stage(script)
    await asyncio.gather(*(stage.get() for _ in range(8)))
    assert stage.worker.service.pool.open_connections == 3


class Wire:
    """The transport of a connection that is fed by hand, its owner and its lane in one."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.deadlines = Deadlines()

    def get_extra_info(self, name: str) -> socket.socket:
        """The socket that the kernel is asked about."""
        return self.sock

    def answer_arrived(self, connection: EgressConnection) -> None:
        """The answer came."""
        connection.release(reusable=True)

    def give(self, connection: EgressConnection) -> None:
        """It goes back."""


async def test_the_kernel_is_not_asked_within_the_turn_in_which_a_connection_was_given_back() -> None:
    """Only of one that was used again before; a turn later it is asked, and tells of what waits to be read."""
    upstream, ours = socket.socketpair()
    with upstream, ours:
        wire: Any = Wire(ours)
        wire.deadlines.start()
        connection = EgressConnection(wire)
        connection.connection_made(wire)
        for proven in (False, True):
            connection.begin(wire, head_only=False, expects_upgrade=False)
            connection.data_received(answer())
            upstream.send(b"stray")
            assert connection.quiet is proven
            await asyncio.sleep(0.02)
            assert not connection.quiet
            ours.recv(100)
        wire.deadlines.stop()


class TestStaleConnections:
    """Upstreams close connections that were idle, sometimes at the very moment they are used."""

    @pytest.fixture
    async def stale(self, start_stage: StartStage) -> Stage:
        """An upstream that hangs up on a connection's second request, unless it is the first of a new connection."""

        async def script(upstream: Upstream, peer: Peer) -> None:
            await upstream.read(peer)
            await peer.send(answer())
            await upstream.read(peer)

        return await start_stage(script)

    async def test_a_connection_closed_while_idle_is_not_used(self, start_stage: StartStage) -> None:
        """An end that is known costs nobody a request, not even a POST."""

        async def script(upstream: Upstream, peer: Peer) -> None:
            await upstream.read(peer)
            await peer.send(answer())

        stage = await start_stage(script)
        for count in range(1, 5):
            assert (await stage.ask(stage.request(b"POST", body=b"x"))).body == b"hello"
            await stage.upstream.until(lambda upstream: upstream.open == 0)
            assert stage.upstream.accepted == count

    @pytest.mark.parametrize("times", [1, 4])
    async def test_a_connection_closed_in_this_moment_is_not_used(self, start_stage: StartStage, times: int) -> None:
        """An end that the loop has not read yet is seen too, also by a connection that was used again and again."""
        stage = await start_stage()
        for _ in range(times):
            await stage.get()
        await asyncio.sleep(0.02)
        client = await stage.connect()
        peer = next(iter(stage.upstream._peers))
        with client.duplicate() as asking, peer.duplicate() as leaving:
            asking.send(stage.request(b"POST", body=b"x"))
            leaving.shutdown(socket.SHUT_RDWR)
        assert (await client.message()).body == b"hello"
        assert stage.upstream.accepted == 2

    @pytest.mark.parametrize("method", [b"GET", b"OPTIONS", b"DELETE", b"PUT"])
    async def test_a_request_that_may_be_repeated_is(self, stale: Stage, method: bytes) -> None:
        """The client notices nothing; the upstream has seen the request twice, once on a new connection."""
        await stale.get()
        assert (await stale.ask(stale.request(method, body=b"body"))).body == b"hello"
        assert [seen.body for seen in stale.upstream.seen] == [b"", b"body", b"body"]
        assert stale.upstream.accepted == 2

    @pytest.mark.parametrize("method", [b"POST", b"PATCH"])
    async def test_a_request_that_may_not_be_repeated_is_a_502(self, stale: Stage, method: bytes) -> None:
        """It may have been carried out; the client decides."""
        await stale.get()
        got = await stale.ask(stale.request(method, body=b"body"))
        assert got.one(b"tieline-error") == b"upstream_unreachable"
        assert stale.upstream.accepted == 1

    async def test_an_idempotency_key_lets_a_post_be_repeated(self, stale: Stage) -> None:
        """The client says that repeating does no harm."""
        await stale.get()
        got = await stale.ask(stale.request(b"POST", b"/thing", b"Idempotency-Key: 1", body=b"body"))
        assert got.body == b"hello"
        assert stale.upstream.seen[-1].one(b"idempotency-key") == b"1"

    @pytest.mark.parametrize("body", [b"x" * 100_000, None], ids=["large", "chunked"])
    async def test_a_body_that_was_passed_on_is_not_repeated(self, stale: Stage, body: bytes | None) -> None:
        """What was not kept cannot be sent again."""
        await stale.get()
        if body is None:
            client = await stale.connect()
            await client.send(stale.request(b"PUT", b"/thing", b"Transfer-Encoding: chunked"))
            await asyncio.sleep(0.05)
            await client.send(chunked(b"late"))
            got = await client.message()
        else:
            got = await stale.ask(stale.request(b"PUT", body=body))
        assert got.one(b"tieline-error") == b"upstream_unreachable"

    async def test_an_answer_that_began_is_not_asked_for_again(self, start_stage: StartStage) -> None:
        """A byte of an answer means that the upstream took the request."""

        async def script(upstream: Upstream, peer: Peer) -> None:
            await upstream.read(peer)
            await peer.send(answer())
            await upstream.read(peer)
            await peer.send(b"H")

        stage = await start_stage(script)
        await stage.get()
        assert (await stage.get()).one(b"tieline-error") == b"upstream_protocol_error"
        assert stage.upstream.accepted == 1

    async def test_a_new_connection_that_fails_is_not_repeated(self, start_stage: StartStage) -> None:
        """Only what was idle may have ended by itself."""

        async def script(upstream: Upstream, peer: Peer) -> None:
            await upstream.read(peer)

        stage = await start_stage(script)
        assert (await stage.get()).status == 502
        assert stage.upstream.accepted == 1

    async def test_one_attempt_means_none_again(self, start_stage: StartStage) -> None:
        """``retry: {attempts: 1}`` switches repeating off."""

        async def script(upstream: Upstream, peer: Peer) -> None:
            await upstream.read(peer)
            await peer.send(answer())
            await upstream.read(peer)

        stage = await start_stage(script, limits={"retry": {"attempts": 1}})
        await stage.get()
        assert (await stage.get()).status == 502
        assert stage.upstream.accepted == 1

    async def test_a_client_that_leaves_during_a_repeat_is_forgotten(self, stale: Stage) -> None:
        """A second dial is cancelled like the first."""
        await stale.get()
        await stale.upstream.until(lambda upstream: upstream.open == 1)
        client = await stale.connect()
        await client.send(stale.request())
        await stale.upstream.until(lambda upstream: len(upstream.seen) >= 2)
        client.reset()
        await stale.settled()


async def test_an_upstream_that_answers_without_reading_loses_its_connection(start_stage: StartStage) -> None:
    """Bytes that are still on their way to it are not followed by another request."""
    quiet: list[Peer] = []

    async def script(upstream: Upstream, peer: Peer) -> None:
        quiet.append(peer)
        await peer.head()
        await asyncio.sleep(0.3)
        await peer.send(answer(b"%d" % upstream.accepted))
        await asyncio.sleep(5)

    stage = await start_stage(script)
    client = await stage.connect()
    sending = asyncio.create_task(client.send(stage.request(b"POST", b"/thing", body=b"x" * 30_000_000)))
    assert (await client.message()).body == b"1"
    assert (await stage.get()).body == b"2"
    sending.cancel()
    await asyncio.wait([sending])


async def test_two_apis_of_one_name_do_not_exist(stage: Stage, start_upstream: StartUpstream) -> None:
    """A definition that moves elsewhere takes its requests with it."""
    other = await start_upstream(saying(answer(b"moved")))
    await stage.get()
    stage.worker.source.put_api(definition(other.port))
    await stage.worker.caught_up()
    assert (await stage.get()).body == b"moved"
    assert other.seen[0].one(b"authorization") == b"Bearer " + PROVIDER_KEY.encode()
