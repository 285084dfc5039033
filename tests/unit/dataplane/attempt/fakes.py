"""A sender, an answer, tokens and plans that need no socket, for tests of attempts."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.wire.stage import definition
from tieline.core.errors import (
    TielineError,
    UpstreamProtocolError,
)
from tieline.dataplane.attempt.loop import Attempts, Job, Policy
from tieline.dataplane.attempt.prepare import Message, Prepared, Preparer
from tieline.dataplane.attempt.target import Target
from tieline.dataplane.snapshot.plan import Plan
from tieline.dataplane.snapshot.view import Snapshot
from tieline.dataplane.tokens.holder import Holder
from tieline.schemes.base import Applier, Outgoing
from tieline.schemes.flow import Renewal
from tieline.testing.dataplane import MemorySource
from tieline.testing.vault import memory_keyring
from tieline.wire.deadlines import Deadlines
from tieline.wire.guard import Guard
from tieline.wire.pool import Pool
from tieline.wire.tls import Trust


class FakeHead:
    """An answer. ``closed`` says that nobody reads it."""

    def __init__(self, status: int = 200, *headers: tuple[bytes, bytes], body: bytes | None = b"") -> None:
        self.status = status
        self.headers = list(headers)
        self.closed = False
        self.peeked = 0
        self._body = body

    async def peek(self, most: int) -> bytes | None:
        self.peeked += 1
        if self._body is None:
            raise UpstreamProtocolError("cut")
        return self._body if len(self._body) <= most else None

    def close(self) -> None:
        self.closed = True


class FakeSender:
    """Answers with what it was given, in turn; an error is raised."""

    def __init__(
        self, *answers: FakeHead | TielineError, can_repeat: bool = True, waiting: bytes | None = None
    ) -> None:
        self.unsent = False
        self.stale = False
        self.sent = True
        self.heads: list[bytes] = []
        self.messages: list[Message] = []
        self._answers = list(answers)
        self._can_repeat = can_repeat
        self._waiting = waiting

    async def send(self, message: Message, prepared: Prepared) -> FakeHead:
        self.heads.append(prepared.head)
        self.messages.append(message)
        answer = self._answers.pop(0)
        if isinstance(answer, TielineError):
            raise answer
        return answer

    def repeatable(self, message: Message) -> bool:
        assert message is not None
        return self._can_repeat

    def small(self) -> bool:
        return self._waiting is not None

    async def gather(self, most: int) -> bytes | None:
        assert self._waiting is not None
        return self._waiting if len(self._waiting) <= most else None


class Token(Applier):
    """Sends a token that is another each time."""

    constant = False

    def __init__(self, number: int) -> None:
        self._number = number

    def apply(self, outgoing: Outgoing) -> None:
        outgoing.headers.append((b"authorization", b"Bearer token-%d" % self._number))

    def secrets(self) -> Sequence[Any]:
        return ()


@dataclass
class FakeSessions:
    """Tokens without an issuer. ``renewed`` counts; ``error`` is what a renewal fails with."""

    renewed: int = 0
    error: TielineError | None = None
    asked: list[Holder] = field(default_factory=list)
    renewed_for: list[Holder] = field(default_factory=list)

    def current(self, plan: Plan, renewal: Renewal, holder: Holder) -> Applier | None:
        assert renewal in plan.auth
        self.asked.append(holder)
        return Token(self.renewed)

    async def ready(self, plan: Plan, renewal: Renewal, holder: Holder) -> Applier:
        assert renewal in plan.auth
        return Token(self.renewed)

    def connection_of(self, applier: Applier) -> str | None:
        return None

    async def renew(self, plan: Plan, renewal: Renewal, holder: Holder, stale: Applier) -> Applier:
        assert renewal in plan.auth
        assert isinstance(stale, Token)
        if self.error is not None:
            raise self.error
        self.renewed += 1
        self.renewed_for.append(holder)
        return Token(self.renewed)


async def plan(**changes: Any) -> Plan:
    """A compiled plan; its scheme is a bearer token unless ``auth`` is another."""
    source = MemorySource(await memory_keyring())
    source.put_api(definition(9, **changes))
    fields = {"client_id": "id", "client_secret": "a-secret"} if "auth" in changes else {"key": "a-secret"}
    source.put_credential("api", fields)
    guard = Guard(["127.0.0.1"])
    snapshot = Snapshot(source, source.keyring, guard, Pool(guard, Deadlines(), Trust()))
    await snapshot.load()
    api = snapshot.apis.get(b"api")
    assert api is not None
    assert api.plans["live"].problem is None
    return api.plans["live"]


async def renewing(renew_on: dict[str, Any] | None = None) -> Plan:
    """A plan whose token is renewed when the API says so."""
    auth: dict[str, Any] = {
        "scheme": "oauth2",
        "grant": "client_credentials",
        "token_url": "http://127.0.0.1:9/token",
    }
    return await plan(auth=auth | ({"renew_on": renew_on} if renew_on else {}))


async def per_user() -> Plan:
    """A plan with a token for each end user."""
    urls = {"token_url": "http://127.0.0.1:9/token", "authorize_url": "http://127.0.0.1:9/authorize"}
    return await plan(auth={"scheme": "oauth2", "grant": "authorization_code", "connections": "per_user", **urls})


def message(method: bytes = b"GET", path: bytes = b"/x") -> Message:
    """A message without a body."""
    return Message(method, Target(path, b""), [], b"", 0)


async def run(
    sender: FakeSender, to: Plan, policy: Policy | None = None, sessions: FakeSessions | None = None, **job: Any
) -> FakeHead:
    """What the loop hands out."""
    made = Job(to, job.pop("message", message()), policy or Policy(3, idempotent=True), **job)
    return await Attempts(made, sender, Preparer(sessions or FakeSessions())).run()
