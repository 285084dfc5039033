"""Connections to an upstream without a socket: they note what is written, and are told what the upstream says."""

from types import SimpleNamespace
from typing import Any, cast

from tieline.core.errors import TielineError, UpstreamError, UpstreamUnreachable
from tieline.wire.breaker import Breaker
from tieline.wire.egress import Answer, Dialled, EgressConnection, Owner
from tieline.wire.pool import Lane
from tieline.wire.retry_budget import RetryBudget


class FakeConnection:
    """An ``EgressConnection`` in memory. ``ended`` is ``released``, ``kept`` (to be used again) or ``aborted``."""

    def __init__(self, *, reused: bool = False) -> None:
        self.clock = SimpleNamespace(now=1000.0)
        self.deadline = 0.0
        self.reused = reused
        self.dialled: Dialled | None = None
        self.tunnelled = False
        self.reads_frames = False
        self.answer: Answer | None = None
        self.pieces: list[bytes] = []
        self.trailers: list[tuple[bytes, bytes]] = []
        self.complete = False
        self.written = b""
        self.ended = ""
        self.paused = False
        self.owner: Owner | None = None

    def begin(self, owner: Owner, **_asked: Any) -> None:
        self.owner = owner
        self.answer, self.pieces, self.complete = None, [], False

    def pass_to(self, owner: Owner) -> None:
        self.owner = owner

    def write(self, data: bytes) -> None:
        self.written += data

    def end_writing(self) -> None:
        self.ended = "half closed"

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def release(self, *, reusable: bool) -> None:
        self.owner = None
        self.ended = "kept" if reusable and self.complete else "released"

    def abort(self) -> None:
        self.owner = None
        self.ended = "aborted"

    # -- what the upstream does

    def answers(
        self,
        status: int,
        *headers: tuple[bytes, bytes],
        body: bytes = b"",
        length: int | None = None,
        chunked: bool = False,
        done: bool = True,
    ) -> None:
        """The head of an answer comes, with ``body``; ``length`` is its Content-Length, None where it has none."""
        self.answer = Answer(status, b"Reason", list(headers))
        self.answer.length = length
        self.answer.chunked = chunked
        self.sends(body, done=done)

    def sends(self, body: bytes, *, done: bool = False) -> None:
        """More of the body comes."""
        if body:
            self.pieces.append(body)
        self.complete = done
        assert self.owner is not None
        self.owner.answer_arrived(cast("EgressConnection", self))

    def fails(self, error: UpstreamError | None = None) -> None:
        """The upstream closes the connection."""
        owner, self.owner = self.owner, None
        assert owner is not None
        owner.upstream_failed(error or UpstreamUnreachable("The upstream closed the connection."))


class FakeLane:
    """A ``Lane`` that has ``idle`` connections, and dials those of ``dialled`` in turn; an error is raised."""

    def __init__(self, *dialled: FakeConnection | TielineError, idle: tuple[FakeConnection, ...] = ()) -> None:
        self.idle = list(idle)
        self.dialled = list(dialled)
        self.breaker = Breaker("upstream.test")
        self.retries = RetryBudget(self.breaker)

    def take(self) -> FakeConnection | None:
        return self.idle.pop(0) if self.idle else None

    async def connect(self, _who: str, seconds: float, *, fresh: bool = False) -> FakeConnection:
        assert fresh or not self.idle
        return await self.dial(seconds)

    async def dial(self, seconds: float) -> FakeConnection:
        found = self.dialled.pop(0)
        if isinstance(found, TielineError):
            raise found
        return found

    @property
    def lane(self) -> Lane:
        """It, as who sends sees it."""
        return cast("Lane", self)
