"""Every client gets its own answer and nobody else's, whatever the upstream does to its connections.

What an upstream says after it was asked the next question is its answer to that question, whatever it means by it; so
the strays here come with the answer before. Those that come later, while a connection is idle, are in the tests of
faults.
"""

import asyncio
import random
import sys
from dataclasses import dataclass, field

from tests.wire.conftest import StartStage
from tests.wire.raw import Message, Peer, Upstream, answer, chunked
from tests.wire.stage import Stage

LANES = 40


class Mischief:
    """An upstream that answers with the request's token, in random framing, and misbehaves in between."""

    def __init__(self, seed: int, *, interim: bool = True) -> None:
        self.random = random.Random(seed)
        self.interim = interim

    def reply(self, token: bytes) -> bytes:
        """An answer that holds ``token``."""
        kind = self.random.randrange(5)
        padding = b"." * self.random.choice([0, 0, 10, 5000, 70_000])
        if kind == 0:
            cut = self.random.randrange(len(token))
            body = chunked(
                *[piece for piece in (token[:cut], token[cut:], padding) if piece], trailers=b"X-T: " + token + b"\r\n"
            )
            return b"HTTP/1.1 200 OK\r\nX-Token: %b\r\nTransfer-Encoding: chunked\r\n\r\n%b" % (token, body)
        if kind == 1 and self.interim:
            hints = b"HTTP/1.1 103 Early Hints\r\nX-Token: " + token + b"\r\n\r\n"
            return hints * self.random.randrange(1, 4) + answer(token + padding, b"X-Token: " + token)
        return answer(token + padding, b"X-Token: " + token)

    async def serve(self, upstream: Upstream, peer: Peer) -> None:
        """Answer, and sometimes say too much, too little, or leave."""
        while True:
            seen = await peer.message()
            token = seen.target.rpartition(b"/")[2]
            assert seen.body in {b"", token}, (token, seen.body[:80])
            if self.random.random() < 0.2:
                await asyncio.sleep(self.random.random() * 0.005)
            raw = self.reply(token)
            fate = self.random.random()
            if fate < 0.03:
                raw += answer(b"stray " + token, b"X-Token: stray")
            elif fate < 0.08:
                await peer.send(raw[: self.random.randrange(len(raw))])
                peer.reset()
                return
            elif fate < 0.10:
                return
            elif fate < 0.12:
                raw = b"HTTP/1.1 400 Bad Request\r\nX-Token: %b\r\nContent-Length: %d\r\n\r\n%b" % (
                    token,
                    len(token),
                    token,
                )
            await peer.send(raw)


@dataclass
class Paired:
    """``count`` requests over ``LANES`` connections to ``port``, each with its own token, and what came of them."""

    stage: Stage
    port: int
    count: int
    wrong: list[object] = field(default_factory=list)
    answered: int = 0

    async def run(self) -> None:
        """Ask everything."""
        await asyncio.gather(*(self._lane(number) for number in range(LANES)))

    async def _lane(self, number: int) -> None:
        pick = random.Random(number)
        client = await Peer.connect(self.port)
        for turn in range(self.count // LANES):
            token = b"t%d-%d-%d" % (number, turn, pick.randrange(10**9))
            method = pick.choice([b"GET", b"GET", b"POST", b"PUT"])
            body = token if method in {b"POST", b"PUT"} else None
            try:
                await client.send(self.stage.request(method, b"/" + token, body=body))
                got = await client.message()
            except (ConnectionError, asyncio.IncompleteReadError):
                client.close()
                client = await Peer.connect(self.port)
                continue
            if not belongs(got, token):
                self.wrong.append((token, got))
            self.answered += got.status in {200, 400}
            if b"close" in got.every(b"connection"):
                client.close()
                client = await Peer.connect(self.port)
        client.close()


async def test_paired_requests_never_mix(start_stage: StartStage, soak: bool) -> None:
    """Each answer that is an upstream's holds the token of its request in head, body and trailers, and no other's."""
    stage = await start_stage(Mischief(7).serve)
    paired = Paired(stage, stage.worker.port, 100_000 if soak else 3_000)
    await paired.run()
    assert paired.wrong == []
    assert paired.answered > paired.count * 0.8
    sys.stdout.write(f"{paired.count} paired requests, {paired.answered} answered, 0 mixed\n")


def belongs(got: Message, token: bytes) -> bool:
    """Whether an answer is an upstream's to exactly this token, or an error of Tieline or of a proxy before it."""
    if got.every(b"tieline-error") or got.status == 502:
        return b"X-Token" not in got.raw
    tokens = {value for _, value in got.trailers} | set(got.every(b"x-token"))
    tokens |= {value for each in got.interim for value in each.every(b"x-token")}
    return tokens == {token} and got.body.rstrip(b".") == token
