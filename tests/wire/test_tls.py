"""TLS towards upstreams: who is trusted, by which name, and what a failure tells."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trustme

from tests.wire.conftest import StartUpstream
from tests.wire.raw import Peer, Script, Upstream, answer, drop
from tests.wire.stage import PROVIDER_KEY, Stage, definition
from tests.wire.test_websocket import ASK, echo
from tieline.core.errors import SettingsError
from tieline.testing.dataplane import serving
from tieline.wire.tls import Trust, client_context

StartSecure = Callable[..., Awaitable[Stage]]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """The authority that the worker trusts."""
    return trustme.CA()


@pytest.fixture
def start_secure(
    stack: AsyncExitStack, start_upstream: StartUpstream, authority: trustme.CA, tmp_path: Path
) -> StartSecure:
    """Starts a worker that trusts ``authority`` before a TLS upstream with the certificate that is given."""

    async def start(
        certificate: trustme.LeafCert, script: Script | None = None, *, trusted: bool = True, **changes: object
    ) -> Stage:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        upstream = await start_upstream(script, ssl=context)
        bundle = tmp_path / "ca.pem"
        authority.cert_pem.write_to_path(str(bundle))
        trust = Trust(bundle) if trusted else Trust()
        worker = await stack.enter_async_context(serving(trust=trust))
        api = {"base_url": f"https://127.0.0.1:{upstream.port}/v1", **changes}
        worker.source.put_api(definition(upstream.port, **api))
        worker.source.put_credential("api", {"key": PROVIDER_KEY})
        stage = Stage(worker, upstream, worker.source.put_key("api"))
        await worker.caught_up()
        stack.push_async_callback(drop, stage.clients)
        return stage

    return start


async def refused(stage: Stage) -> bytes:
    """The message of the 502 ``upstream_tls_error`` that a request gets."""
    got = await stage.get()
    assert (got.status, got.one(b"tieline-error")) == (502, b"upstream_tls_error")
    assert got.one(b"x-should-retry") == b"true"
    assert stage.upstream.seen == []
    return got.body


async def test_a_trusted_upstream_is_spoken_to(start_secure: StartSecure, authority: trustme.CA) -> None:
    """With the bundle that signed it, and its connection is reused."""
    stage = await start_secure(authority.issue_cert("127.0.0.1"))
    for _ in range(3):
        assert (await stage.get()).body == b"hello"
    assert stage.upstream.accepted == 1


async def test_an_untrusted_upstream_is_refused(start_secure: StartSecure, authority: trustme.CA) -> None:
    """Without the bundle nothing is sent, and the error says what to do."""
    stage = await start_secure(authority.issue_cert("127.0.0.1"), trusted=False)
    assert b"--ca-bundle" in await refused(stage)


async def test_a_certificate_of_another_authority_is_refused(start_secure: StartSecure) -> None:
    """A bundle trusts its own authorities only."""
    await refused(await start_secure(trustme.CA().issue_cert("127.0.0.1")))


@pytest.mark.parametrize("name", ["127.0.0.2", "example.com", "localhost"])
async def test_a_certificate_of_another_name_is_refused(
    start_secure: StartSecure, authority: trustme.CA, name: str
) -> None:
    """The certificate must be for the host of the base URL."""
    await refused(await start_secure(authority.issue_cert(name)))


async def test_an_upstream_without_tls_is_a_tls_error(start_secure: StartSecure, authority: trustme.CA) -> None:
    """https to a plain server."""
    stage = await start_secure(authority.issue_cert("127.0.0.1"))
    plain = Upstream(lambda _, peer: peer.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"))
    await plain.start()
    await stage.configure(base_url=f"https://127.0.0.1:{plain.port}/v1")
    assert (await stage.get()).one(b"tieline-error") == b"upstream_tls_error"
    await plain.stop()


async def test_an_upstream_that_hangs_up_in_the_handshake_is_unreachable(
    start_secure: StartSecure, authority: trustme.CA
) -> None:
    """No TLS error: nothing was said about TLS."""
    stage = await start_secure(authority.issue_cert("127.0.0.1"))

    async def leave(upstream: Upstream, peer: Peer) -> None:
        peer.reset()

    rude = Upstream(leave)
    await rude.start()
    await stage.configure(base_url=f"https://127.0.0.1:{rude.port}/v1")
    assert (await stage.get()).one(b"tieline-error") in {b"upstream_unreachable", b"upstream_tls_error"}
    await rude.stop()


async def test_a_silent_handshake_ends(start_secure: StartSecure, authority: trustme.CA) -> None:
    """The time to connect includes the handshake."""
    stage = await start_secure(authority.issue_cert("127.0.0.1"))

    async def silent(upstream: Upstream, peer: Peer) -> None:
        await peer.gone()

    mute = Upstream(silent)
    await mute.start()
    await stage.configure(base_url=f"https://127.0.0.1:{mute.port}/v1", limits={"timeout": {"connect": "300ms"}})
    assert (await stage.get()).one(b"tieline-error") == b"upstream_timeout"
    await mute.until(lambda upstream: upstream.accepted == 1)
    await mute.until(lambda upstream: upstream.open == 0)
    await mute.stop()


async def test_large_bodies_go_both_ways(start_secure: StartSecure, authority: trustme.CA) -> None:
    """Records, not segments, carry them."""

    async def script(upstream: Upstream, peer: Peer) -> None:
        while True:
            seen = await upstream.read(peer)
            await peer.send(answer(seen.body))

    stage = await start_secure(authority.issue_cert("127.0.0.1"), script)
    body = bytes(range(256)) * 12_000
    assert (await stage.ask(stage.request(b"POST", body=body))).body == body


async def test_a_slow_client_holds_a_tls_upstream(start_secure: StartSecure, authority: trustme.CA) -> None:
    """Back-pressure passes through TLS."""
    sent = 0

    async def script(upstream: Upstream, peer: Peer) -> None:
        nonlocal sent
        await upstream.read(peer)
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n")
        while sent < 50_000_000:
            await peer.send(b"x" * 50_000)
            sent += 50_000
        await peer.gone()

    stage = await start_secure(authority.issue_cert("127.0.0.1"), script)
    client = await stage.connect(buffer=4096)
    await client.send(stage.request())
    await client.head()
    await asyncio.sleep(0.7)
    assert sent < 20_000_000
    assert len(await client.some(50_000_000)) == 50_000_000


async def test_a_connection_that_tls_ended_is_not_reused(start_secure: StartSecure, authority: trustme.CA) -> None:
    """An upstream's close while idle is seen before a POST is given to it."""

    async def script(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        await peer.send(answer())

    stage = await start_secure(authority.issue_cert("127.0.0.1"), script)
    for count in (1, 2, 3):
        assert (await stage.ask(stage.request(b"POST", body=b"x"))).body == b"hello"
        assert stage.upstream.accepted == count
        await stage.upstream.until(lambda upstream: upstream.open == 0)
        await asyncio.sleep(0.05)


async def test_a_tunnel_over_tls_ends_with_its_client(start_secure: StartSecure, authority: trustme.CA) -> None:
    """TLS cannot end one way only, so the client's end is the end; what it said last still arrives."""
    heard: list[bytes] = []

    async def script(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        await peer.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        heard.append(await peer.reader.read())

    stage = await start_secure(authority.issue_cert("127.0.0.1"), script)
    client = await stage.connect()
    await client.send(stage.request(b"GET", b"/realtime", *ASK))
    assert (await client.head()).status == 101
    await client.send(b"last words" * 10_000)
    client.end()
    await client.rest()
    await stage.upstream.until(lambda upstream: upstream.open == 0)
    assert heard == [b"last words" * 10_000]
    await stage.settled()


async def test_a_tunnel_over_tls_echoes(start_secure: StartSecure, authority: trustme.CA) -> None:
    """WebSockets over https."""
    stage = await start_secure(authority.issue_cert("127.0.0.1"), echo)
    client = await stage.connect()
    await client.send(stage.request(b"GET", b"/realtime", *ASK))
    assert (await client.head()).status == 101
    await client.send(b"ping" * 50_000)
    assert await client.some(200_000) == b"ping" * 50_000


def test_names_and_chains_are_always_checked() -> None:
    """No setting of the context is left to chance."""
    context = client_context(Trust())
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_bundle_that_cannot_be_used_is_said_at_the_start(tmp_path: Path, content: str | None) -> None:
    """The one line names the file."""
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SettingsError, match=r"ca\.pem"):
        client_context(Trust(path))


async def test_a_body_that_ends_with_a_tls_connection_is_whole(
    start_secure: StartSecure, authority: trustme.CA
) -> None:
    """With its close_notify."""

    async def script(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\nabc")

    stage = await start_secure(authority.issue_cert("127.0.0.1"), script)
    assert (await stage.get()).body == b"abc"
