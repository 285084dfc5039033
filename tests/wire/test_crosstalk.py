"""Nothing of one answer reaches another request: paired requests over connections that live long, upstreams that lie.

One lie no client can see through: an answer sent unasked while the next request is already on its way looks like the
answer to that one. It stays within one API and credential, as connections do (``wire.pool``).
"""

import asyncio
import random
from collections import Counter

from tests.wire.conftest import StartStage
from tests.wire.raw import Peer, Upstream, answer, chunked
from tests.wire.stage import Stage

CLIENTS = 24
HONEST = ("whole", "pieces", "chunked", "slow", "closing", "gone", "empty")
LYING = ("twice", "stray head", "short", "cut", "silent", "torn chunk")


async def play(upstream: Upstream, peer: Peer) -> None:
    """Answer each request with its token, in the manner that its path names, truthful or not."""
    while True:
        request = await peer.message()
        manner, token = request.target.split(b"/")[2:]
        assert request.body == b"body of " + token
        if not await act(peer, manner.decode().replace("%20", " "), token):
            return


async def act(peer: Peer, manner: str, token: bytes) -> bool:
    """One answer; whether the connection goes on."""
    stray = answer(b"stray of " + token)
    if manner == "pieces":
        for piece in (b"HTTP/1.1 200 OK\r\nContent-Le", b"ngth: %d\r\n\r\n" % len(token), token[:3], token[3:]):
            await peer.send(piece)
    elif manner == "chunked":
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(token[:4], token[4:]))
    elif manner == "slow":
        await asyncio.sleep(random.random() * 0.01)
        await peer.send(answer(token))
    elif manner == "twice":
        await peer.send(answer(token) + stray)
    elif manner == "stray head":
        await peer.send(answer(token) + stray[:20])
    elif manner == "empty":
        await peer.send(b"HTTP/1.1 204 No Content\r\nx-token: " + token + b"\r\n\r\n")
    else:
        return await end(peer, manner, token)
    return manner not in {"twice", "stray head"}


async def end(peer: Peer, manner: str, token: bytes) -> bool:
    """The manners after which the connection is over, and the plain one."""
    if manner == "closing":
        await peer.send(answer(token, b"Connection: close"))
    elif manner == "gone":
        await peer.send(answer(token))
    elif manner == "short":
        await peer.send(answer(token, length=len(token) + 9))
    elif manner == "cut":
        await peer.send(answer(token)[:-5])
    elif manner == "torn chunk":
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n" + token)
    elif manner == "whole":
        await peer.send(answer(token))
        return True
    return False


class Pairs:
    """A client that keeps asking and notes how each answer fits its request."""

    def __init__(self, stage: Stage, number: int) -> None:
        self._stage = stage
        self._number = number
        self._random = random.Random(number)
        self._peer: Peer | None = None
        self.counts: Counter[str] = Counter()

    async def run(self, count: int) -> None:
        for turn in range(count):
            lies = self._random.random() < 0.15
            manner = self._random.choice(LYING if lies else HONEST)
            token = b"token-%d-%d-%08x" % (self._number, turn, self._random.getrandbits(32))
            self.counts[await self._pair(manner, token, honest=not lies)] += 1

    async def _pair(self, manner: str, token: bytes, *, honest: bool) -> str:
        path = b"/" + manner.encode().replace(b" ", b"%20") + b"/" + token
        raw = self._stage.request(b"POST", path, body=b"body of " + token)
        peer = self._peer = self._peer or await self._stage.connect()
        try:
            await peer.send(raw)
            message = await peer.message()
        except (ConnectionError, asyncio.IncompleteReadError):
            self._peer = None
            return "broken" if honest else "cut"
        if b"close" in message.every(b"connection"):
            self._peer = None
            peer.close()
        if message.status == 204:
            return "right" if message.one(b"x-token") == token else "wrong"
        if message.status == 200:
            return "right" if message.body == token else "wrong"
        return f"{'honest' if honest else 'lying'} {message.status}"


async def test_no_answer_reaches_another_request(start_stage: StartStage, soak: bool) -> None:
    """Every whole answer is that of its own request; only upstreams that lie or hang up cost an answer."""
    stage = await start_stage(play, limits={"timeout": {"first_byte": "5s", "idle": "5s"}})
    clients = [Pairs(stage, number) for number in range(CLIENTS)]
    count = (100_000 if soak else 2_400) // CLIENTS
    await asyncio.gather(*(client.run(count) for client in clients))
    counts = sum((client.counts for client in clients), Counter[str]())
    assert counts["wrong"] == 0
    assert counts["broken"] == 0, counts
    assert counts["right"] >= 0.85 * count * CLIENTS * 0.95, counts
    # a connection that the upstream closes just then costs the one POST that met it, which must not be repeated
    assert counts["honest 502"] <= 0.15 * count * CLIENTS, counts
