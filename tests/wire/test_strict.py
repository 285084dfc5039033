"""``audit: strict``: no answer is whole before its record is stored, and without a store there is none."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from tests.wire import calling
from tests.wire.calling import error, json_answer
from tests.wire.conftest import StartStage
from tests.wire.raw import Peer, Script, Upstream, answer, chunked, saying, until
from tests.wire.stage import Stage, definition
from tieline.core.errors import NotReady
from tieline.dataplane.records import strict
from tieline.ports.requests import RequestRecord

EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
FULL = NotReady("Request records could not be saved: check that the disk has room.", detail="disk full")


@dataclass
class Vault:
    """The durable side of a source's records: waits until it may go on, and may refuse."""

    stage: Stage
    free: asyncio.Event = field(default_factory=asyncio.Event)
    refusal: NotReady | None = None
    groups: list[list[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        source = self.stage.worker.source
        self._add = source.add_records
        source.add_records_durably = self.add  # type: ignore[method-assign]
        records = self.stage.worker.service.records
        records.strict._add = self.add

    async def add(self, records: Sequence[RequestRecord]) -> None:
        self.groups.append([record.path for record in records])
        await self.free.wait()
        if self.refusal is not None:
            raise self.refusal
        await self._add(records)

    @property
    def stored(self) -> list[str]:
        return [record.path for record in self.stage.worker.source.records]


async def asked(stage: Stage, raw: bytes | None = None) -> Peer:
    """A client that has sent a request."""
    client = await stage.connect()
    await client.send(raw or stage.request())
    return client


async def all_that_comes(client: Peer, marks: bytes, seconds: float = 0.3) -> bytes:
    """What a client gets until nothing has come for a while; it has ``marks`` in it."""
    found = b""
    try:
        async with asyncio.timeout(seconds):
            while True:
                found += await client.some(1)
    except TimeoutError:
        assert marks in found
        return found


def in_parts(*parts: bytes) -> Script:
    """A script that answers with ``parts``, which come one after another."""

    async def say(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        for part in parts:
            await peer.send(part)
            await asyncio.sleep(0.05)
        await peer.gone()

    return say


def chunk(data: bytes) -> bytes:
    """``data`` as one chunk."""
    return chunked(data)[:-5]


STREAM = in_parts(EVENTS + chunk(b"data: one\n\n"), chunk(b"data: two\n\ndata: [DONE]\n\n"), b"0\r\n\r\n")
HELLO = in_parts(answer(b"hel", length=5), b"lo")


async def test_an_answer_waits_for_its_record(start_stage: StartStage) -> None:
    """Nothing of an answer that came whole goes on before; then all of it does."""
    stage = await start_stage(audit="strict")
    vault = Vault(stage)
    client = await asked(stage)
    await until(lambda: bool(vault.groups))
    assert await client.is_quiet()
    vault.free.set()
    assert (await client.message()).body == b"hello"
    (record,) = stage.worker.source.records
    assert (record.status, record.bytes_out, record.outcome) == (200, 5, "complete")


async def test_many_wait_for_one_transaction(start_stage: StartStage) -> None:
    """What ends while a group is on its way goes with the next, all of it at once."""
    stage = await start_stage(audit="strict")
    vault = Vault(stage)
    first = await asked(stage, stage.request(b"GET", b"/first"))
    await until(lambda: bool(vault.groups))
    others = [await asked(stage, stage.request(b"GET", b"/%d" % number)) for number in range(20)]
    await until(lambda: len(stage.worker.service.records.strict._waiting) == 20)
    vault.free.set()
    for client in (first, *others):
        assert (await client.message()).status == 200
    assert [len(group) for group in vault.groups] == [1, 20]


async def test_a_stream_flows_and_its_closing_event_waits(start_stage: StartStage) -> None:
    """Deltas come as they do; what a client takes for the end comes with the record."""
    stage = await start_stage(STREAM, audit="strict")
    vault = Vault(stage)
    client = await asked(stage)
    got = await all_that_comes(client, b"data: two")
    assert b"[DONE]" not in got
    vault.free.set()
    rest = await all_that_comes(client, b"[DONE]")
    assert rest.endswith(b"0\r\n\r\n")


async def test_an_answer_in_parts_lacks_its_last_until_then(start_stage: StartStage) -> None:
    """By its Content-Length the client sees that it is not whole."""
    stage = await start_stage(HELLO, audit="strict")
    vault = Vault(stage)
    client = await asked(stage)
    assert (await all_that_comes(client, b"\r\n\r\nhel")).endswith(b"hel")
    vault.free.set()
    assert await client.some(2) == b"lo"


@pytest.mark.parametrize("call", ["plain", "file", "stream", "empty"])
async def test_calls_wait_alike(start_stage: StartStage, call: str) -> None:
    """Typed answers, files, streams and empty ones."""
    events = b"data: " + b'{"choices": [{"delta": {"content": "hi"}}]}' + b"\n\ndata: [DONE]\n\n"
    answers = {
        "plain": json_answer({"n": 1}),
        "file": answer(b"%PDF-bytes", b"Content-Type: application/pdf"),
        "stream": answer(events, b"Content-Type: text/event-stream"),
        "empty": b"HTTP/1.1 204 No Content\r\n\r\n",
    }
    calls = {
        "plain": {"path": "/x"},
        "file": {"path": "/x", "response": {"type": "file"}},
        "stream": {"path": "/x", "response": {"type": "stream"}},
        "empty": {"path": "/x", "response": {"type": "empty"}},
    }
    stage = await start_stage(saying(answers[call]), audit="strict", calls=calls)
    vault = Vault(stage)
    client = await asked(stage, calling.request(stage, call))
    await until(lambda: bool(vault.groups))
    last = {"plain": b'{"n":1}', "file": b"%PDF-bytes", "stream": b"event: done", "empty": b"204"}[call]
    got = await all_that_comes(client, b"" if call in {"plain", "empty"} else b"200 OK")
    assert last not in got
    vault.free.set()
    assert last in got + await all_that_comes(client, b"")
    (record,) = stage.worker.source.records
    assert (record.call, record.outcome) == (call, "complete")
    assert (record.bytes_out > 0) is (call != "empty")


async def test_a_refusal_waits_too(start_stage: StartStage) -> None:
    """What a good key is told of that API; a stranger's leaves no record and waits for none."""
    stage = await start_stage(audit="strict")
    vault = Vault(stage)
    client = await asked(stage, stage.request(b"GET", b"/a%00"))
    await until(lambda: bool(vault.groups))
    assert await client.is_quiet()
    assert (await stage.ask(stage.request(key=False))).status == 401
    vault.free.set()
    assert (await client.message()).status == 400
    assert [record.code for record in stage.worker.source.records] == ["invalid_request"]


async def test_other_apis_do_not_wait(start_stage: StartStage) -> None:
    """A store that hangs holds up those who asked for it, and nobody else."""
    stage = await start_stage(audit="strict")
    stage.worker.source.put_api({**definition(stage.upstream.port), "api": "other"})
    stage.worker.source.put_credential("other", {"key": "sk-other-provider-key"})
    both = stage.worker.source.put_key("api", "other")
    await stage.worker.caught_up()
    vault = Vault(stage)
    waiting = await asked(stage)
    await until(lambda: bool(vault.groups))
    other = stage.request().replace(b"/relay/api", b"/relay/other").replace(stage.key.encode(), both.encode())
    assert (await stage.ask(other)).body == b"hello"
    assert await waiting.is_quiet()
    vault.free.set()
    await waiting.message()


async def test_a_full_disk_refuses_before_anything_is_sent(start_stage: StartStage) -> None:
    """Whoever was on the way is told that the upstream was asked; the next are refused; then it is well again."""
    stage = await start_stage(audit="strict")
    vault = Vault(stage)
    vault.refusal = FULL
    vault.free.set()
    stage.worker.source.add_records = vault.add  # type: ignore[method-assign]
    found = await stage.get(b"/first")
    assert (found.status, error(found)["code"]) == (503, "not_recorded")
    assert (found.one(b"x-should-retry"), found.one(b"retry-after")) == (b"false", b"1")
    found = await stage.get(b"/second")
    assert (found.status, error(found)["code"], found.one(b"x-should-retry")) == (503, "not_ready", b"true")
    assert [seen.target for seen in stage.upstream.seen] == [b"/v1/first"]
    vault.refusal = None
    records = {record.path: record for record in await stage.worker.recorded(2)}
    assert (records["/first"].code, records["/first"].status) == ("not_recorded", 200)
    assert records["/relay/api/second"].code == "not_ready"
    assert (await stage.get(b"/third")).status == 200


async def test_a_store_that_hangs_ends_the_wait(start_stage: StartStage, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while the answer is withheld and others are refused; what the store took after all is stored once."""
    monkeypatch.setattr(strict, "PATIENCE_SECONDS", 0.1)
    stage = await start_stage(audit="strict")
    vault = Vault(stage)
    found = await stage.get(b"/slow")
    assert (found.status, error(found)["code"]) == (503, "not_recorded")
    assert error(await stage.get(b"/next"))["code"] == "not_ready"
    vault.free.set()
    records = await stage.worker.recorded(2)
    assert sorted(record.code or "" for record in records) == ["", "not_ready"]
    assert (await stage.get(b"/after")).status == 200
    assert len(await stage.worker.recorded(3)) == 3


async def test_a_stream_that_is_not_recorded_ends_in_an_error(start_stage: StartStage) -> None:
    """Nobody takes it for whole."""
    stage = await start_stage(STREAM, audit="strict")
    vault = Vault(stage)
    client = await asked(stage)
    await all_that_comes(client, b"data: one")
    vault.refusal = FULL
    vault.free.set()
    rest = await all_that_comes(client, b"event: error")
    assert b'"not_recorded"' in rest
    assert b"[DONE]" not in rest


async def test_a_large_answer_that_is_not_recorded_is_cut(start_stage: StartStage) -> None:
    """By its length the client sees that it is not whole."""
    stage = await start_stage(HELLO, audit="strict")
    vault = Vault(stage)
    client = await asked(stage)
    await all_that_comes(client, b"hel")
    vault.refusal = FULL
    vault.free.set()
    assert await client.is_over()


async def test_a_client_that_leaves_while_it_waits_is_recorded(start_stage: StartStage) -> None:
    """Once, and nothing is left under way."""
    stage = await start_stage(audit="strict")
    vault = Vault(stage)
    client = await asked(stage)
    await until(lambda: bool(vault.groups))
    client.reset()
    await stage.settled()
    vault.free.set()
    (record,) = await stage.worker.recorded(1)
    assert record.outcome == "complete"


async def test_environments_differ(start_stage: StartStage) -> None:
    """Live waits, development does not."""
    stage = await start_stage(audit="strict", environments={"development": {"audit": "batched"}})
    plans = stage.worker.service.snapshot.apis[b"api"].plans
    assert (plans["live"].strict, plans["development"].strict) == (True, False)
