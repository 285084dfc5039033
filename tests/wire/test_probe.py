"""The verify request: sent as the data plane would send it, judged in words that say what to do."""

import asyncio
from typing import Any

import pytest

from tests.wire.conftest import StartUpstream
from tests.wire.raw import Peer, Script, Upstream, answer, chunked, saying, saying_once
from tests.wire.stage import PROVIDER_KEY, definition
from tieline.dataplane.operator.opening import Opening
from tieline.dataplane.operator.verify import Verifier
from tieline.ports.operator import VerifyResult
from tieline.testing.connections import MemoryConnections
from tieline.testing.dataplane import MemorySource
from tieline.testing.vault import memory_keyring
from tieline.wire.guard import Guard
from tieline.wire.tls import Trust

VERIFY = {"method": "GET", "path": "/models?limit=1"}


async def probed(upstream: Upstream, *, key: bool = True, guard: Guard | None = None, **changes: Any) -> VerifyResult:
    """What verifying the API with these changes shows."""
    changes.setdefault("verify", VERIFY)
    source = MemorySource(await memory_keyring())
    described = definition(upstream.port, **{"verify": VERIFY, **changes})
    source.put_api({name: value for name, value in described.items() if value is not None})
    if key:
        source.put_credential("api", {"key": PROVIDER_KEY})
    probe = Verifier(Opening(source, MemoryConnections(), source.keyring, guard or Guard(["127.0.0.1"]), Trust()))
    return await probe.probe("api", "live")


async def test_a_good_credential_is_well(start_upstream: StartUpstream) -> None:
    """The request has the provider's key, the base path and the query; its connection is not kept."""
    upstream = await start_upstream()
    assert await probed(upstream) == VerifyResult(ok=True, status=200, problem=None)
    assert upstream.seen[0].line == b"GET /v1/models?limit=1 HTTP/1.1"
    assert upstream.seen[0].one(b"authorization") == b"Bearer " + PROVIDER_KEY.encode()
    await upstream.until(lambda upstream: upstream.open == 0)


@pytest.mark.parametrize("status", [b"401 Unauthorized", b"403 Forbidden"])
async def test_a_refused_credential_is_said(start_upstream: StartUpstream, status: bytes) -> None:
    """With what to do about it."""
    got = await probed(await start_upstream(saying(answer(b"no", status=status))))
    assert (got.ok, got.status) == (False, int(status[:3]))
    assert "refused the credential" in (got.problem or "")


async def test_another_status_is_said_with_what_was_expected(start_upstream: StartUpstream) -> None:
    """A wrong base URL mostly shows as 404."""
    got = await probed(await start_upstream(saying(answer(b"?", status=b"404 Not Found"))))
    assert (got.ok, got.status) == (False, 404)
    assert "404, expected 2xx" in (got.problem or "")


async def test_another_status_may_be_expected(start_upstream: StartUpstream) -> None:
    """Some APIs answer a good key with 204 or 422."""
    upstream = await start_upstream(saying(b"HTTP/1.1 204 No Content\r\n\r\n"))
    assert (await probed(upstream, verify={**VERIFY, "expect": ["204", "4xx"]})).ok


ANSWERS: dict[str, Script] = {
    "chunks": saying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"ab", b"c")),
    "the connection's end": saying_once(b"HTTP/1.1 200 OK\r\n\r\nab", b"c"),
    "interim answers": saying(b"HTTP/1.1 103 Hints\r\nX: y\r\n\r\n" + answer()),
}


@pytest.mark.parametrize("script", ANSWERS.values(), ids=ANSWERS)
async def test_every_framing_is_understood(start_upstream: StartUpstream, script: Script) -> None:
    """The same parser as everywhere."""
    assert (await probed(await start_upstream(script))).ok


async def test_head_has_no_body(start_upstream: StartUpstream) -> None:
    """A verify by HEAD does not wait for one."""
    upstream = await start_upstream(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"))
    assert (await probed(upstream, verify={"method": "HEAD", "path": "/"})).ok


async def test_no_credential_is_said(start_upstream: StartUpstream) -> None:
    """With the command that sets it; nothing is sent."""
    upstream = await start_upstream()
    got = await probed(upstream, key=False)
    assert not got.ok
    assert "tieline credential set" in (got.problem or "")
    assert upstream.accepted == 0


async def test_no_verify_request_is_said(start_upstream: StartUpstream) -> None:
    """A definition may have none."""
    source = MemorySource(await memory_keyring())
    source.put_api(definition((await start_upstream()).port))
    source.put_credential("api", {"key": PROVIDER_KEY})
    got = await Verifier(Opening(source, MemoryConnections(), source.keyring, Guard(["127.0.0.1"]), Trust())).probe(
        "api", "live"
    )
    assert not got.ok
    assert "verify" in (got.problem or "")


async def test_an_api_that_does_not_exist_is_said(start_upstream: StartUpstream) -> None:
    """Or one that cannot be used."""
    source = MemorySource(await memory_keyring())
    probe = Verifier(Opening(source, MemoryConnections(), source.keyring, Guard(), Trust()))
    assert not (await probe.probe("nothing", "live")).ok


async def leave(upstream: Upstream, peer: Peer) -> None:
    """Hang up."""


async def lie(upstream: Upstream, peer: Peer) -> None:
    """Promise more than there is."""
    await upstream.read(peer)
    await peer.send(answer(b"abc", length=10))


async def flood(upstream: Upstream, peer: Peer) -> None:
    """Send without end."""
    await upstream.read(peer)
    await peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        await peer.send(b"x" * 65536)


@pytest.mark.parametrize("script", [leave, lie, flood, saying(b"nonsense\r\n\r\n")])
async def test_a_hostile_upstream_is_a_problem_and_no_failure(start_upstream: StartUpstream, script: Script) -> None:
    """It is never raised, and nothing stays open."""
    upstream = await start_upstream(script)
    got = await probed(upstream)
    assert not got.ok
    assert got.problem
    await upstream.until(lambda upstream: upstream.open == 0)


async def test_a_silent_upstream_is_given_up(start_upstream: StartUpstream, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within the API's own patience."""

    async def script(upstream: Upstream, peer: Peer) -> None:
        await peer.gone()

    upstream = await start_upstream(script)
    got = await probed(upstream, limits={"timeout": {"first_byte": "100ms"}})
    assert "took too long" in (got.problem or "")
    await upstream.until(lambda upstream: upstream.open == 0)


async def test_an_inner_address_is_refused(start_upstream: StartUpstream) -> None:
    """The same guard as everywhere."""
    upstream = await start_upstream()
    got = await probed(upstream, guard=Guard())
    assert "--allow-destination" in (got.problem or "")
    assert upstream.accepted == 0


async def test_a_fetch_that_is_cancelled_leaves_nothing(start_upstream: StartUpstream) -> None:
    """Whoever waits may leave."""

    async def script(upstream: Upstream, peer: Peer) -> None:
        await peer.gone()

    upstream = await start_upstream(script)
    task = asyncio.create_task(probed(upstream))
    await upstream.until(lambda upstream: upstream.accepted == 1)
    task.cancel()
    await asyncio.wait([task])
    await upstream.until(lambda upstream: upstream.open == 0)
