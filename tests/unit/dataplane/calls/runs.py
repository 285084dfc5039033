"""Runs without sockets: an upstream that is a list of answers, and a receiver that remembers what it was given."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import orjson

from tests.unit.dataplane.test_plan import compiled
from tieline.access.permissions import Permissions
from tieline.core.errors import TielineError
from tieline.dataplane.answers.mask import Mask
from tieline.dataplane.answers.streams.items import Delta, Done, Failed
from tieline.dataplane.attempt.send import CallSender, Order, UpstreamAnswer
from tieline.dataplane.calls.arguments import Arguments
from tieline.dataplane.calls.results import FileHead, PageItem, PagesDone, RunItem, WholeAnswer
from tieline.dataplane.calls.run import CallRunner, CallTarget, Run, Terms
from tieline.dataplane.snapshot.plan import Plan
from tieline.dataplane.snapshot.view import AppKey
from tieline.dataplane.tokens.holder import Holder
from tieline.schemes.base import field_value

ANN, BOB = Holder("app_1", "ann"), Holder("app_1", "bob")


@dataclass
class Upstream:
    """What an upstream answers: a ``UpstreamAnswer`` without a connection. ``go`` is waited for before the body."""

    body: bytes = b"{}"
    status: int = 200
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    go: asyncio.Event | None = None
    mask: Mask = field(default_factory=lambda: Mask(()))
    bounded: bool = True
    sends: int = 1
    dialled: Any = None
    sent_at: float = 1.0
    answered_at: float = 2.0
    target: Any = None
    closed: bool = False
    read_: bool = False

    @property
    def length(self) -> int:
        return len(self.body)

    async def read(self) -> bytes:
        if self.go is not None:
            await self.go.wait()
        self.read_, was = True, self.read_
        return b"" if was else self.body

    def rest(self, most: int) -> bytes | None:
        """Whoever asks has to wait."""
        return None

    async def read_all(self, most: int) -> bytes:
        return await self.read()

    def header(self, name: bytes) -> bytes | None:
        return field_value(self.headers, name)

    def values(self, name: bytes) -> list[bytes]:
        return [value for each, value in self.headers if each.lower() == name]

    async def spend(self, seconds: float) -> None:
        """There is no connection to save."""

    def close(self) -> None:
        self.closed = True


class Way:
    """The way out: gives each order the next of ``answers``, the last one for ever. ``users`` have connections."""

    def __init__(self, *answers: Upstream | TielineError) -> None:
        self.answers = list(answers) or [Upstream()]
        self.orders: list[Order] = []
        self.users: dict[str, str] = {}

    async def send(self, order: Order) -> UpstreamAnswer:
        order.permit(order.call.method, b"/it")
        self.orders.append(order)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, TielineError):
            raise answer
        fresh = Upstream(answer.body, answer.status, answer.headers, answer.go)
        fresh.target = order.target
        return cast("UpstreamAnswer", fresh)

    async def connections(self, order: Order) -> frozenset[str]:
        return frozenset(self.users[order.holder.user] for _ in "x" if order.holder and order.holder.user in self.users)

    def connections_of(self, _plan: Plan, _reached: UpstreamAnswer) -> frozenset[str]:
        holder = self.orders[-1].holder
        return frozenset([self.users[holder.user]]) if holder is not None and holder.user in self.users else frozenset()


@dataclass
class Given:
    """A receiver that remembers."""

    wholes: list[bytes | None] = field(default_factory=list)
    given: list[RunItem] = field(default_factory=list)
    files: list[FileHead] = field(default_factory=list)
    data: bytes = b""
    ended: bool = False

    def whole(self, answer: WholeAnswer) -> None:
        self.wholes.append(answer.json)

    def begin_file(self, head: FileHead) -> None:
        self.files.append(head)

    async def piece(self, data: bytes) -> None:
        self.data += data

    def begin_events(self) -> None:
        """A list begins."""

    async def items(self, items: Sequence[RunItem]) -> None:
        self.given += items

    def end(self) -> None:
        self.ended = True

    @property
    def says(self) -> list[Any]:
        """What was given, in short."""
        short: dict[type, Callable[[Any], Any]] = {
            Delta: lambda item: item.text,
            Done: lambda _: "done",
            Failed: lambda item: item.error.code,
            PageItem: lambda item: orjson.loads(item.json),
            PagesDone: lambda item: item.more,
        }
        return [short[type(item)](item) for item in self.given]


class Stage:
    """A worker's runner over a ``Way``, one plan with calls, and one key that may do everything."""

    def __init__(self, way: Way, plan: Plan, key: AppKey) -> None:
        self.way = way
        self.plan = plan
        self.key = key
        self.runner = CallRunner(cast("CallSender", way))
        self.again: CallTarget | None = None
        self.looked = 0

    def run(self, call: str = "it", *, user: Holder | None = None, key: bytes | None = None, **more: Any) -> Run:
        """A run that is ready; ``more`` are parts of its target."""
        found = self.plan.calls.find(call)
        assert found is not None
        target = CallTarget(**{"plan": self.plan, "call": found, "key": self.key, **more})
        return Run(self.runner, target, Terms(user, key), self._again)

    async def ran(self, call: str = "it", values: Mapping[str, Any] | None = None, **how: Any) -> Given:
        """What a run of ``call`` gave."""
        given = Given()
        await self.run(call, **how).run(arguments(values), given)
        return given

    async def _again(self, error: TielineError) -> CallTarget:
        self.looked += 1
        if self.again is None:
            raise error
        return self.again


def arguments(values: Mapping[str, Any] | None = None) -> Arguments:
    """Arguments as a door reads them."""
    return Arguments(values or {}, digest=orjson.dumps(values or {}))


async def stage(*answers: Upstream | TielineError, permissions: Any = None, **calls: Any) -> Stage:
    """A stage whose API has these calls, ``it`` by default."""
    calls = calls or {"it": {"path": "/it"}}
    api = await compiled({"key": "sk-unit-provider-key"}, calls=calls)
    return Stage(Way(*answers), api.plans["live"], app_key(permissions))


def app_key(permissions: Any = None, key_id: str = "key_1") -> AppKey:
    """A key with these permissions, all unless said."""
    rights = Permissions.from_json(permissions or {"mode": "all"})
    return AppKey(b"", key_id, "app_1", "An app", frozenset(), "live", rights, (), None, revoked=False, allowed={})
