"""Situations that people reported of request and audit logs elsewhere, rebuilt: what was lost, leaked or held up."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.storage.rows import record
from tests.wire.conftest import StartStage
from tests.wire.raw import Peer, Upstream, answer, chunked, saying, until
from tests.wire.stage import Stage, definition
from tests.wire.test_recorded_bodies import ON, kept
from tests.wire.test_strict import FULL, Vault, asked
from tieline.ports.requests import AppWords
from tieline.storage.recordfiles import DayFiles
from tieline.storage.records import fit

EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("body", [b'{"x": "a\\u0000b"}', b"\0\0\xff\xfe", b"\xe2\x82", b"\xed\xa0\xbd"])
async def test_odd_bytes_in_a_body_lose_no_record(start_stage: StartStage, body: bytes) -> None:
    """A NUL, in JSON too, or half a character: the transcript is there, byte for byte."""
    stage = await start_stage(saying(answer(body)), **ON)
    await stage.ask(stage.request(b"POST", b"/chat", body=body))
    (found,) = await kept(stage)
    assert found.request is not None
    assert (found.request.body, found.request.facts["exact"]) == (body, True)


async def test_one_odd_record_does_not_take_its_batch_with_it(tmp_path: Path) -> None:
    """What a database refuses in one text is mended; all others of the batch are stored as they are."""
    files = DayFiles(tmp_path / "records", fit)
    odd = record(path="/a\0b\ud800", named=AppWords("u\0", "\udfff"), reason="\0")
    await files.add([record(), odd, record()])
    await files.close()


async def test_recording_a_stream_holds_none_of_it_back(start_stage: StartStage) -> None:
    """The first event is with the client before the upstream has sent the second."""
    go_on = asyncio.Event()

    async def slow(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        await peer.send(EVENTS + chunked(b"data: one\n\n")[:-5])
        await go_on.wait()
        await peer.send(chunked(b"data: two\n\n"))
        await peer.gone()

    stage = await start_stage(slow, **ON)
    client = await asked(stage)
    async with asyncio.timeout(5):
        await client.reader.readuntil(b"data: one\n\n")
        go_on.set()
        await client.reader.readuntil(b"data: two\n\n")


async def test_a_large_answer_is_not_gathered_to_be_recorded(start_stage: StartStage) -> None:
    """Sixteen megabytes pass; what is kept in memory of them is what is recorded."""
    size = 16 * 1024 * 1024
    stage = await start_stage(saying(answer(b"y" * size)), **ON)
    seen: list[int] = []
    saver = stage.worker.service.records.bodies
    assert saver is not None
    keep = saver.keep

    def noted(whose: Any, asked_for: Any, copies: Any, status: int) -> int | None:
        seen.append(len(copies.answer))
        return keep(whose, asked_for, copies, status)

    saver.keep = noted  # type: ignore[method-assign, assignment]
    assert len((await stage.get()).body) == size
    await stage.worker.recorded(1)
    assert seen == [1024]


@pytest.mark.parametrize(
    "name",
    ["Authorization", "api-key", "X-Api-Key", "Cookie", "X-Goog-Api-Key", "X-Auth-Token", "X-Amz-Security-Token"],
)
async def test_headers_that_carry_secrets_are_in_no_record(start_stage: StartStage, name: str) -> None:
    """Whatever API they are of; of requests as of answers (``Set-Cookie``)."""
    upstream = answer(b"hello", b"Set-Cookie: session=a-secret-of-the-session")
    stage = await start_stage(saying(upstream), auth={"scheme": "none"}, **ON)
    field = f"{name}: a-secret-of-the-client".encode()
    head = stage.request(b"POST", b"/x", b"Tieline-Key: " + stage.key.encode(), field, key=False, body=b"{}")
    if name in {"Authorization", "api-key", "X-Api-Key"}:
        head = head.replace(field + b"\r\n", b"X-Forwarded-Authorization: a-secret-of-the-client\r\n")
    assert (await stage.ask(head)).status == 200
    (found,) = await kept(stage)
    assert "a-secret-of" not in repr(found)
    assert "a-secret-of" not in repr(stage.worker.source.records)


async def test_what_was_turned_off_is_not_kept_from_the_next_request_on(start_stage: StartStage) -> None:
    """No restart, no second switch somewhere else."""
    stage = await start_stage(**ON)
    await stage.ask(stage.request(b"POST", b"/chat", body=b"first"))
    await stage.worker.recorded(1)
    await stage.configure()
    await stage.ask(stage.request(b"POST", b"/chat", body=b"second"))
    first, second = await stage.worker.recorded(2)
    assert (first.bodies_until is None, second.bodies_until) == (False, None)


async def test_bodies_of_requests_at_once_do_not_mix(start_stage: StartStage) -> None:
    """Of several clients, and of one that sends its requests one behind the other."""

    async def echo(upstream: Upstream, peer: Peer) -> None:
        while True:
            await peer.send(answer((await upstream.read(peer)).body))

    stage = await start_stage(echo, **ON)
    bodies = [b"%d" % number * 50 for number in range(8)]
    clients = [await asked(stage, stage.request(b"POST", b"/x", body=body)) for body in bodies[:4]]
    behind = await asked(stage, b"".join(stage.request(b"POST", b"/x", body=body) for body in bodies[4:]))
    for client in (*clients, *[behind] * 4):
        await client.message()
    pairs = [(each.request.body, each.answer.body) for each in await kept(stage, 8) if each.request and each.answer]
    assert sorted(pairs) == sorted((body, body) for body in bodies)


async def test_what_waits_is_stored_when_a_worker_ends(start_stage: StartStage) -> None:
    """Records, those that answers waited for, and bodies: the last moments are not cut off."""
    stage = await start_stage(**ON)
    for _ in range(3):
        await stage.ask(stage.request(b"POST", b"/chat", body=b"last words"))
    records = stage.worker.service.records
    await records.close()
    assert len(stage.worker.source.records) == 3
    assert len(stage.worker.source.bodies) == 3


async def test_a_blocked_log_freezes_nobody_who_did_not_ask_for_it(start_stage: StartStage) -> None:
    """It neither answers nor fails: other APIs are served, and so are health and limits."""
    stage = await start_stage(audit="strict")
    await _other(stage)
    vault = Vault(stage)
    waiting = await asked(stage)
    await until(lambda: bool(vault.groups))
    for _ in range(5):
        other = stage.request().replace(b"/relay/api", b"/relay/other")
        assert (await stage.ask(other)).status == 200
        assert (await stage.ask(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")).status == 200
    vault.free.set()
    await waiting.message()


async def _other(stage: Stage) -> None:
    stage.worker.source.put_api({**definition(stage.upstream.port), "api": "other"})
    stage.worker.source.put_credential("other", {"key": "sk-other-provider-key"})
    stage.key = stage.worker.source.put_key("api", "other")
    await stage.worker.caught_up()


async def test_a_full_log_is_well_again_once_there_is_room(start_stage: StartStage) -> None:
    """Without a restart, and what was refused meanwhile is recorded as refused."""
    stage = await start_stage(audit="strict")
    vault = Vault(stage)
    vault.refusal = FULL
    vault.free.set()
    stage.worker.source.add_records = vault.add  # type: ignore[method-assign]
    codes = [(await stage.get()).one(b"tieline-error") for _ in range(3)]
    assert codes == [b"not_recorded", b"not_ready", b"not_ready"]
    vault.refusal = None
    found = sorted(str(each.code) for each in await stage.worker.recorded(3))
    assert found == ["not_ready", "not_ready", "not_recorded"]
    assert (await stage.get()).status == 200


async def test_a_log_that_somebody_deletes_is_begun_again(tmp_path: Path) -> None:
    """While it is open: nothing goes into a file that has no name any more."""
    files = DayFiles(tmp_path / "records", fit)
    await files.add([record()], durable=True)
    (path,) = (tmp_path / "records").glob("*.db")
    path.unlink()
    await files.add([record()], durable=True)
    assert path.exists()
    await files.close()


async def test_what_is_blocked_is_recorded_whatever_its_path_is(start_stage: StartStage) -> None:
    """Bytes that are no UTF-8, and what looks like an attack."""
    stage = await start_stage(audit="strict", areas=[{"area": "a", "levels": ["read"], "match": ["GET /a"]}])
    for path in (b"/x?a=1%9c%27union%20select", b"/%9c%27%00", b"/..%2f..%2fetc"):
        assert (await stage.get(path)).status in {200, 400, 403}
    assert len(await stage.worker.recorded(3)) == 3


async def test_an_answer_that_breaks_off_is_recorded_as_that(start_stage: StartStage) -> None:
    """Nobody finds ``complete`` in the log for what no client had whole."""

    async def cut(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        await peer.send(answer(b"hel", length=5))
        peer.close()

    stage = await start_stage(cut, audit="strict", **ON)
    client = await asked(stage)
    await client.rest()
    (one,) = await stage.worker.recorded(1)
    assert (one.outcome, one.bytes_out) == ("upstream_cut", 3)
