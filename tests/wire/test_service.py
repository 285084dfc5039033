"""A worker as a whole: its health, its store coming and going, its end."""

import asyncio
import logging

import pytest

from tests.wire.conftest import StartStage
from tests.wire.raw import Peer, Upstream, answer, until
from tests.wire.stage import PROVIDER_KEY, Stage, definition
from tieline.core.errors import NotReady
from tieline.dataplane import supervised
from tieline.dataplane.snapshot import view as snapshot
from tieline.testing.dataplane import MemorySource, serving
from tieline.testing.vault import memory_keyring


def ask(path: bytes, method: bytes = b"GET") -> bytes:
    """A request without a key."""
    return method + b" " + path + b" HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize("path", [b"/healthz", b"/readyz", b"/readyz?verbose"])
async def test_a_worker_says_that_it_is_well(stage: Stage, path: bytes) -> None:
    """Without any key, with GET and HEAD, again and again on one connection."""
    client = await stage.connect()
    for method in (b"GET", b"HEAD", b"GET"):
        await client.send(ask(path, method))
        assert (await client.message(method=method)).status == 200


async def test_a_body_to_the_health_check_is_not_read(stage: Stage) -> None:
    """An answer before the body ends the connection."""
    client = await stage.connect()
    await client.send(b"POST /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
    assert (await client.message()).one(b"connection") == b"close"
    assert await client.is_over()


async def test_without_its_store_a_worker_serves_for_five_seconds(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Known keys work a little longer; then nothing is allowed that could have been forbidden meanwhile."""
    monkeypatch.setattr(snapshot, "STALE_SECONDS", 2.0)
    monkeypatch.setattr(snapshot, "POLL_SECONDS", 0.2)
    assert (await stage.get()).status == 200
    stage.worker.source.away = True
    assert (await stage.get()).status == 200
    await until(lambda: not stage.worker.service.snapshot.fresh)
    for raw in (stage.request(), ask(b"/readyz")):
        got = await stage.ask(raw)
        assert (got.status, got.one(b"tieline-error")) == (503, b"not_ready")
        assert int(got.one(b"retry-after")) >= 1
    assert (await stage.ask(ask(b"/healthz"))).status == 200
    stage.worker.source.away = False
    await until(lambda: stage.worker.service.snapshot.fresh)
    assert (await stage.get()).status == 200


async def test_a_new_key_without_the_store_is_not_ready(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """What cannot be checked is not allowed, and not called wrong either."""
    key = stage.worker.source.put_key("api")
    stage.worker.source.away = True
    stage.key = key
    got = await stage.get()
    assert (got.status, got.one(b"tieline-error")) == (503, b"not_ready")


async def test_an_unforeseen_failure_of_the_follower_is_survived(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Revocations are seen again a moment later, and the failure is in the log."""
    monkeypatch.setattr(supervised, "PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(snapshot, "POLL_SECONDS", 0.1)
    source = stage.worker.source
    assert (await stage.get()).status == 200
    changes_since = source.changes_since
    failures = 0

    async def broken(version: int) -> object:
        nonlocal failures
        failures += 1
        if failures < 4:
            raise RuntimeError("a bug")
        return await changes_since(version)

    source.changes_since = broken  # type: ignore[method-assign, assignment]
    source.change_key(stage.key, revoked=True)
    await stage.worker.caught_up()
    assert (await stage.get()).one(b"tieline-error") == b"revoked_app_key"
    assert "snapshot failed and is begun again" in caplog.text


async def test_records_outlive_an_unforeseen_failure(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What could not be saved is saved later, once."""
    monkeypatch.setattr(supervised, "PAUSE_SECONDS", 0.05)
    source = stage.worker.source
    add_records = source.add_records
    failures = 0

    async def broken(records: object) -> None:
        nonlocal failures
        failures += 1
        if failures < 3:
            raise RuntimeError("a bug")
        await add_records(records)  # type: ignore[arg-type]

    source.add_records = broken  # type: ignore[method-assign]
    await stage.get()
    assert len(await stage.worker.recorded(1)) == 1
    assert failures == 3


async def test_a_definition_that_cannot_be_used_does_not_stop_the_others(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """It says so (424), and so does the log; everything else is served, and changes go on being seen."""
    source = stage.worker.source
    source.put_row("bad", "null")
    stage.key = source.put_key("api", "bad")
    for bad in ("no json", "[]", '{"tieline": "v1"}', '{"tieline": "v1", "api": "bad", "auth": {"scheme": "nope"}}'):
        source.put_row("bad", bad)
        await stage.worker.caught_up()
        for target in (b"/relay/bad/x", b"/call/bad/x"):
            raw = b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n" + stage.bearer + b"\r\n\r\n"
            got = await stage.ask(raw)
            assert (got.status, got.one(b"tieline-error")) == (424, b"definition_unusable")
        assert (await stage.get()).status == 200
    assert "the API bad cannot be used in live" in caplog.text


async def test_a_scheme_that_does_not_exist_does_not_stop_the_follower(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """A newer process may have stored what this one does not know."""
    text = stage.worker.source.rows["api_api"].definition.replace('"bearer"', '"hologram"')
    stage.worker.source.put_row("api", text)
    await stage.worker.caught_up()
    got = await stage.get()
    assert got.one(b"tieline-error") == b"definition_unusable"
    assert b"hologram" in got.body
    await stage.configure()
    assert (await stage.get()).status == 200


async def test_a_key_row_that_cannot_be_used_is_a_500(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """The request gets an answer, and the log the reason."""
    stage.key = stage.worker.source.put_key("api", from_ip=["nonsense"])
    got = await stage.get()
    assert (got.status, got.one(b"tieline-error")) == (500, b"internal_error")
    assert "nonsense" not in got.body.decode()


async def test_stopping_lets_what_runs_finish(start_stage: StartStage) -> None:
    """The answer under way is whole and says that the connection ends; nobody new is let in; the record is kept."""
    go = asyncio.Event()

    async def script(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        await go.wait()
        await peer.send(answer())

    stage = await start_stage(script)
    idle = await stage.connect()
    client = await stage.connect()
    await client.send(stage.request())
    await stage.upstream.until(lambda upstream: bool(upstream.seen))
    stopping = asyncio.create_task(stage.worker.service.stop(5))
    assert await idle.is_over()
    with pytest.raises(ConnectionError):
        await stage.connect()
    go.set()
    got = await client.message()
    assert (got.body, got.one(b"connection")) == (b"hello", b"close")
    await stopping
    assert [record.outcome for record in stage.worker.source.records] == ["complete"]


async def test_stopping_cuts_what_does_not_finish_and_records_it(start_stage: StartStage) -> None:
    """After the grace everything is closed at both ends, and nothing is lost of what happened."""

    async def script(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        await peer.gone()

    stage = await start_stage(script)
    clients = [await stage.connect() for _ in range(5)]
    for client in clients:
        await client.send(stage.request())
    await stage.upstream.until(lambda upstream: len(upstream.seen) == 5)
    await stage.worker.service.stop(0.1)
    assert stage.worker.service.listener.open_connections == 0
    assert stage.worker.service.pool.busy_connections == 0
    assert [record.outcome for record in stage.worker.source.records] == ["client_gone"] * 5
    assert len(stage.worker.service.deadlines) == 0


async def test_a_worker_that_is_about_to_end_is_not_ready(start_stage: StartStage) -> None:
    """A balancer hears of it before it happens."""
    stage = await start_stage()
    client = await stage.connect()
    await client.send(ask(b"/readyz")[:-2])
    await asyncio.sleep(0.05)
    stage.worker.service.retire()
    await client.send(b"\r\n")
    assert (await client.message()).status == 503


async def test_a_worker_whose_store_is_away_does_not_start() -> None:
    """Without a first snapshot there is nothing to serve."""
    source = MemorySource(await memory_keyring(), away=True)
    with pytest.raises(NotReady):
        async with serving(source):
            pass


async def test_a_change_under_load_is_seen_by_every_request_after_it(stage: Stage) -> None:
    """Requests that begin after a revocation was caught up with are refused, on every connection."""
    clients = [await stage.connect() for _ in range(10)]
    for client in clients:
        await client.send(stage.request())
        assert (await client.message()).status == 200
    stage.worker.source.change_key(stage.key, revoked=True)
    await stage.worker.caught_up()
    for client in clients:
        await client.send(stage.request())
        assert (await client.message()).status == 401
    assert len(stage.upstream.seen) == 10


async def test_the_log_has_no_secret(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever is logged of failures, keys are not."""
    caplog.set_level(logging.DEBUG)
    stage.worker.source.put_api(definition(1, base_url="http://127.0.0.1:1/v1"))
    await stage.worker.caught_up()
    await stage.get(b"/x?key=" + stage.key.encode())
    assert stage.key not in caplog.text
    assert PROVIDER_KEY not in caplog.text
