"""Behind nginx and HAProxy: whatever they let through is read as they read it, and every client gets its own answer."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.wire.conftest import StartStage
from tests.wire.fronts import MARK, in_front
from tests.wire.raw import Peer, Upstream, answer
from tests.wire.stage import Stage
from tests.wire.test_ambiguous import MALFORMED, SMUGGLED, TARGET, line, post
from tests.wire.test_crosstalk import Mischief, Paired
from tests.wire.test_hangups import EVENTS
from tests.wire.test_websocket import ASK, echo

FRONTS = ("nginx", "haproxy")
VISITORS = 3
ANSWER_SECONDS = 0.2


@pytest.fixture(params=FRONTS)
def kind(request: pytest.FixtureRequest) -> str:
    """The proxy in front."""
    name: str = request.param
    return name


Front = tuple[Stage, int]


@pytest.fixture
async def front(
    kind: str,
    start_stage: StartStage,
    program: Callable[[str], str],
    free_port: Callable[[], int],
    tmp_path: Path,
) -> AsyncIterator[Front]:
    """A stage, and the port of the proxy in front of it."""
    stage = await start_stage(name_back)
    async with in_front(kind, program, tmp_path, (free_port(), stage.worker.port)) as port:
        yield stage, port


async def name_back(upstream: Upstream, peer: Peer) -> None:
    """Answer every request with its target."""
    while True:
        seen = await upstream.read(peer)
        await peer.send(answer(seen.target))


async def test_paired_requests_never_mix_behind_a_front(front: Front, soak: bool) -> None:
    """As directly: the proxy shares its connections to the worker among all its clients, and no answer goes astray."""
    stage, port = front
    # Both proxies mishandle interim answers, whoever sends them, in the versions that Debian 12 has.
    stage.upstream.script = Mischief(7, interim=False).serve
    paired = Paired(stage, port, 100_000 if soak else 2_000)
    await paired.run()
    assert paired.wrong == []
    assert paired.answered > paired.count * 0.8
    sys.stdout.write(f"{paired.count} paired requests, {paired.answered} answered, 0 mixed\n")


async def test_a_stream_arrives_as_it_is_made_behind_a_front(front: Front) -> None:
    """The first event is there while the upstream waits for the client to have read it."""
    stage, port = front
    read = asyncio.Event()

    async def script(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        await peer.send(EVENTS + b"9\r\ndata: 1\n\n\r\n")
        await read.wait()
        await peer.send(b"9\r\ndata: 2\n\n\r\n0\r\n\r\n")

    stage.upstream.script = script
    client = await Peer.connect(port)
    stage.clients.append(client)
    await client.send(stage.request())
    await client.head()
    assert b"data: 1" in await client.reader.readuntil(b"1\n\n")
    read.set()
    assert b"data: 2" in await client.reader.readuntil(b"2\n\n")


async def test_a_websocket_passes_a_front(front: Front) -> None:
    """What the client says after the handshake comes back."""
    stage, port = front
    stage.upstream.script = echo
    client = await Peer.connect(port)
    stage.clients.append(client)
    await client.send(stage.request(b"GET", b"/realtime", *ASK))
    assert (await client.head()).status == 101
    await client.send(b"frames")
    assert await client.some(6) == b"frames"


FIELD = 120  # the app key's field and another that fills up, so that lengths are known before the key is
BOTH = len(SMUGGLED) - len(b"KEY") + FIELD
HIDDEN = b"%x\r\n" % BOTH + SMUGGLED + b"\r\n0\r\n\r\n"
CODINGS = (
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding : chunked",
    b"Transfer-Encoding\t: chunked",
    b"Transfer-Encoding: \x0bchunked",
    b"Transfer-Encoding: \x0cchunked",
    b"Transfer-Encoding: chunked\x00",
    b"Transfer-Encoding:\tchunked",
    b"Transfer-Encoding: Chunked",
    b"Transfer-Encoding: chunked,",
    b"Transfer-Encoding: ,chunked",
    b'Transfer-Encoding: "chunked"',
    b"Transfer-Encoding: identity, chunked",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
    b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding:\r\n chunked",
    b"Transfer-Encoding\r\n : chunked",
    b"X: y\nTransfer-Encoding: chunked",
    b"X: y\rTransfer-Encoding: chunked",
    b"Transfer-Encoding\x00: chunked",
    b"Transfer_Encoding: chunked",
    b"\x00Transfer-Encoding: chunked",
    b"Transfer-\xc4\xb1ncoding: chunked",
    b"Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked",
)
SIZES = (
    b"0;a\n",
    b"0 \r\n",
    b"00\r\n",
    b"0\n",
    b"0\r",
    b"0x0\r\n",
    b"+0\r\n",
    b"-0\r\n",
    b"0;\x00\r\n",
    b"0_0\r\n",
    b"10000000000000000\r\n",
)
LENGTHS = (
    b"0, 0",
    b"+0",
    b"-0",
    b"0x0",
    b"00",
    b"0 ",
    b"\x0b0",
    b"0\x00",
    b"0_0",
    b"0.0",
    b"1e0",
    b"18446744073709551616",
)


def attacks() -> dict[str, bytes]:
    """Requests in which another one is hidden, which one of two readers might take for a request of its own."""
    found = {name: raw + SMUGGLED for name, raw in MALFORMED.items()}
    for coding in CODINGS:
        found[f"{coding!r} and a length"] = post(coding, b"Content-Length: %d" % BOTH, body=b"0\r\n\r\n" + SMUGGLED)
        found[f"a short length and {coding!r}"] = post(b"Content-Length: 4", coding, body=HIDDEN)
        found[f"{coding!r} alone"] = post(coding, body=HIDDEN)
    for size in SIZES:
        found[f"the last chunk {size!r}"] = post(b"Transfer-Encoding: chunked", body=size + b"\r\n" + SMUGGLED)
        found[f"a chunk before {size!r}"] = post(b"Transfer-Encoding: chunked", body=b"1\r\nZ\r\n" + size + SMUGGLED)
        body = b"2" + size[1:] + b"ab\r\n0\r\n\r\n"
        found[f"a first chunk with {size!r}"] = post(b"Transfer-Encoding: chunked", body=body + SMUGGLED)
    for length in LENGTHS:
        found[f"the length {length!r}"] = post(b"Content-Length: " + length, body=SMUGGLED)
        found[f"the length {length!r} and another"] = post(
            b"Content-Length: " + length, b"Content-Length: %d" % BOTH, body=SMUGGLED
        )
    return found | odd_requests()


def odd_requests() -> dict[str, bytes]:
    """Requests that are oddly made in other ways, each with another one behind or inside it."""
    length = b"Content-Length: %d" % BOTH
    return {
        "a body of a GET": line() + length + b"\r\n\r\n" + SMUGGLED,
        "a body of a HEAD": line(b"HEAD " + TARGET + b" HTTP/1.1") + length + b"\r\n\r\n" + SMUGGLED,
        "a length named by Connection": post(b"Connection: Content-Length", length, body=SMUGGLED),
        "a host named by Connection": post(b"Connection: Host", length, body=SMUGGLED),
        "a mark of its own": post(MARK + b": forged", length, body=SMUGGLED),
        "an expectation": post(b"Expect: 100-continue", length, body=SMUGGLED),
        "an odd expectation": post(b"Expect: 100-continue, x", length, body=SMUGGLED),
        "an upgrade with a body": post(b"Connection: upgrade", b"Upgrade: h2c", length, body=SMUGGLED),
        "a trailer with a coding": post(
            b"Transfer-Encoding: chunked", body=b"0\r\nTransfer-Encoding: chunked\r\n\r\n" + SMUGGLED
        ),
        "a trailer with a folded line": post(b"Transfer-Encoding: chunked", body=b"0\r\nX: y\r\n z\r\n\r\n" + SMUGGLED),
        "an answer that comes early": line(b"POST /healthz HTTP/1.1") + length + b"\r\n\r\n" + SMUGGLED,
        "a refusal that comes early": line(b"POST /relay/nothing HTTP/1.1") + length + b"\r\n\r\n" + SMUGGLED,
        "chunks in HTTP/1.0 that stays open": line(b"POST " + TARGET + b" HTTP/1.0")
        + b"Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"
        + HIDDEN,
    }


async def attack(stage: Stage, port: int, raw: bytes) -> Peer:
    """Send it in one piece, and wait a moment for an answer. The attacker stays, as ending would end what it began."""
    attacker = await Peer.connect(port)
    with contextlib.suppress(ConnectionError, TimeoutError):
        await attacker.send(raw.replace(b"KEY", (stage.bearer + b"\r\nX-Filler: ").ljust(FIELD, b"x")))
        async with asyncio.timeout(ANSWER_SECONDS):
            await attacker.reader.read(1)
    return attacker


async def visit(stage: Stage, port: int, name: bytes) -> bool:
    """Whether a client who comes afterwards gets the answer to its own request."""
    client = await Peer.connect(port)
    await client.send(stage.request(b"GET", b"/" + name))
    got = await client.message()
    client.close()
    return (got.status, got.body) == (200, b"/v1/" + name)


async def test_nothing_is_smuggled_past_a_front(front: Front) -> None:
    """Whatever is sent: only requests that the proxy knows of arrive, once each, and later clients get their own."""
    stage, port = front
    for number, (name, raw) in enumerate(attacks().items()):
        attacker = await attack(stage, port, raw)
        visits = [visit(stage, port, b"visitor-%d-%d" % (number, each)) for each in range(VISITORS)]
        assert all(await asyncio.gather(*visits)), name
        attacker.reset()
    marks = [seen.one(MARK) for seen in stage.upstream.seen]
    assert len(set(marks)) == len(marks) >= VISITORS * len(attacks())
    assert b"forged" not in marks
    sys.stdout.write(f"{len(attacks())} attacks, 0 smuggled\n")
