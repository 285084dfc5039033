"""Nothing inside is dialled: watched at sockets that listen where no request may arrive."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.wire.conftest import StartUpstream
from tests.wire.raw import Message, Upstream, answer, drop, saying
from tests.wire.stage import PROVIDER_KEY, Stage, definition
from tieline.core.urls import Origin
from tieline.testing.dataplane import serving
from tieline.wire.guard import Endpoint, Guard

Addresses = list[str]


class NamedGuard(Guard):
    """The real guard with a resolver of its own, which gives ``answers`` one after another."""

    def __init__(self, allow: Addresses, answers: list[Addresses]) -> None:
        super().__init__(allow)
        self.answers = answers
        self.asked = 0

    async def resolve(self, origin: Origin, **_: Any) -> list[Endpoint]:
        async def lookup(host: str, port: int, *, type: int) -> list[tuple[Any, ...]]:
            found = self.answers[min(self.asked, len(self.answers) - 1)]
            self.asked += 1
            if not found:
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            return [(socket.AF_INET, type, 6, "", (address, port)) for address in found]

        return await super().resolve(origin, resolver=lookup)


@pytest.fixture
def trap() -> Iterator[socket.socket]:
    """A socket of this machine on which no connection may ever arrive, whatever its address is called."""
    with socket.create_server(("0.0.0.0", 0), backlog=64) as listening:
        listening.setblocking(False)
        yield listening


def caught(trap: socket.socket) -> int:
    """How many connections arrived at ``trap``."""
    count = 0
    while True:
        try:
            trap.accept()[0].close()
        except BlockingIOError:
            return count
        count += 1


async def stage_with(stack: AsyncExitStack, guard: Guard, upstream: Upstream, **changes: Any) -> Stage:
    """A worker that asks ``guard``."""
    worker = await stack.enter_async_context(serving(guard=guard))
    worker.source.put_api(definition(upstream.port, **changes))
    worker.source.put_credential("api", {"key": PROVIDER_KEY})
    stage = Stage(worker, upstream, worker.source.put_key("api"))
    await worker.caught_up()
    stack.push_async_callback(drop, stage.clients)
    return stage


INSIDE = ["127.0.0.1", "127.9.9.9", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]", "[::]", "localhost"]


@pytest.mark.parametrize("host", INSIDE)
async def test_a_base_url_that_points_inward_is_not_dialled(
    stack: AsyncExitStack, start_upstream: StartUpstream, trap: socket.socket, host: str
) -> None:
    """Loopback in every notation is refused unless the operator opened it."""
    port = trap.getsockname()[1]
    upstream = await start_upstream()
    stage = await stage_with(stack, Guard(), upstream, base_url=f"http://{host}:{port}/v1")
    for _ in range(2):
        got = await stage.get()
        assert (got.status, got.one(b"tieline-error")) == (403, b"destination_not_allowed")
    assert caught(trap) == 0


async def test_a_name_that_leads_inward_is_not_dialled(
    stack: AsyncExitStack, start_upstream: StartUpstream, trap: socket.socket
) -> None:
    """One inner address among outer ones refuses them all."""
    port = trap.getsockname()[1]
    upstream = await start_upstream()
    for answers in (["127.0.0.1"], ["93.184.216.34", "127.0.0.1"], ["127.0.0.1", "93.184.216.34"]):
        guard = NamedGuard([], [answers])
        stage = await stage_with(stack, guard, upstream, base_url=f"http://api.example.com:{port}/v1")
        assert (await stage.get()).one(b"tieline-error") == b"destination_not_allowed"
    assert caught(trap) == 0


async def test_a_rebinding_name_is_judged_each_time_it_is_dialled(
    stack: AsyncExitStack, start_upstream: StartUpstream, trap: socket.socket
) -> None:
    """A resolver that changes its answer between dials changes nothing: what is checked is what is dialled."""
    upstream = await start_upstream(saying(answer(b"outside", b"Connection: close")))
    guard = NamedGuard(["127.0.0.9"], [["127.0.0.9"], ["127.0.0.1"]] * 5)
    port = trap.getsockname()[1]
    impatient = {"timeout": {"first_byte": "50ms"}}
    stage = await stage_with(stack, guard, upstream, base_url=f"http://rebind.example.com:{port}/v1", limits=impatient)
    codes = [got.every(b"tieline-error") for got in [await stage.get() for _ in range(6)]]
    assert [b"destination_not_allowed"] in codes
    accepted = [place for place in accepts(trap) if place != "127.0.0.9"]
    assert accepted == []


def accepts(trap: socket.socket) -> list[str]:
    """The local addresses at which connections arrived."""
    places: list[str] = []
    while True:
        try:
            connection, _ = trap.accept()
        except BlockingIOError:
            return places
        with connection:
            places.append(connection.getsockname()[0])


async def test_one_lookup_serves_one_dial(stack: AsyncExitStack, start_upstream: StartUpstream) -> None:
    """There is no second lookup between the check and the connection."""
    upstream = await start_upstream(saying(answer(b"hello", b"Connection: close")))
    guard = NamedGuard(["127.0.0.1"], [["127.0.0.1"], ["10.0.0.1"]])
    stage = await stage_with(stack, guard, upstream, base_url=f"http://api.example.com:{upstream.port}/v1")
    assert (await stage.get()).body == b"hello"
    assert guard.asked == 1
    assert upstream.seen[0].one(b"host") == b"api.example.com:%d" % upstream.port


async def test_a_name_that_leads_nowhere_is_unreachable(stack: AsyncExitStack, start_upstream: StartUpstream) -> None:
    """502, and the name is said."""
    upstream = await start_upstream()
    stage = await stage_with(stack, NamedGuard([], [[]]), upstream, base_url="http://nowhere.example.com/v1")
    got = await stage.get()
    assert (got.status, got.one(b"tieline-error")) == (502, b"upstream_unreachable")
    assert b"nowhere.example.com" in got.body


async def test_an_address_that_never_answers_holds_nobody_up(
    stack: AsyncExitStack, start_upstream: StartUpstream
) -> None:
    """RFC 8305: the next address is tried beside it, and the one that accepts is the peer that was checked."""
    upstream = await start_upstream()
    silent = socket.socket()
    stack.enter_context(silent)
    silent.bind(("127.0.0.2", upstream.port))
    silent.listen(0)
    for _ in range(4):  # a full backlog drops whoever comes next
        waiting = socket.socket()
        stack.enter_context(waiting)
        waiting.setblocking(False)
        waiting.connect_ex(("127.0.0.2", upstream.port))
    guard = NamedGuard(["127.0.0.0/8"], [["127.0.0.2", "127.0.0.1"]])
    stage = await stage_with(stack, guard, upstream, base_url=f"http://two.example.com:{upstream.port}/v1")
    assert (await stage.get()).status == 200


async def test_the_next_address_is_tried(stack: AsyncExitStack, start_upstream: StartUpstream) -> None:
    """A name with several addresses works as long as one of them answers."""
    upstream = await start_upstream()
    guard = NamedGuard(["127.0.0.0/8"], [["127.0.0.77", "127.0.0.1"]])
    stage = await stage_with(stack, guard, upstream, base_url=f"http://api.example.com:{upstream.port}/v1")
    assert (await stage.get()).body == b"hello"


async def test_tieline_does_not_call_itself(stack: AsyncExitStack, start_upstream: StartUpstream) -> None:
    """Its own listeners are closed to it even where loopback is open."""
    upstream = await start_upstream()
    ports: list[int] = []
    guard = Guard(["127.0.0.0/8"], lambda: [("127.0.0.1", port) for port in ports])
    stage = await stage_with(stack, guard, upstream)
    ports.append(stage.worker.port)
    await stage.configure(base_url=f"http://127.0.0.1:{stage.worker.port}/relay/api")
    assert (await stage.get()).one(b"tieline-error") == b"destination_not_allowed"


async def test_a_credential_is_not_sent_to_a_host_it_is_not_bound_to(
    stack: AsyncExitStack, start_upstream: StartUpstream
) -> None:
    """The credential's own hosts come before the definition's."""
    upstream = await start_upstream()
    stage = await stage_with(stack, Guard(["127.0.0.1"]), upstream)
    stage.worker.source.put_credential("api", {"key": PROVIDER_KEY}, hosts=["api.example.com"])
    await stage.worker.caught_up()
    assert (await stage.get()).one(b"tieline-error") == b"destination_not_allowed"
    assert upstream.accepted == 0


async def test_redirects_inward_are_returned(
    stack: AsyncExitStack, start_upstream: StartUpstream, trap: socket.socket
) -> None:
    """Every redirect is the client's to follow, without any secret in it."""
    where = b"Location: http://127.0.0.1:%d/latest/meta-data" % trap.getsockname()[1]
    for status in (b"301 Moved", b"302 Found", b"303 See Other", b"307 Temporary", b"308 Permanent"):
        upstream = await start_upstream(saying(answer(b"", where, status=status)))
        stage = await stage_with(stack, Guard(["127.0.0.1"]), upstream)
        got: Message = await stage.get()
        assert got.status == int(status[:3])
        assert PROVIDER_KEY.encode() not in got.raw
    await asyncio.sleep(0.05)
    assert caught(trap) == 0
