"""Limits of keys and apps, as a client meets them: refused in words, freed however a request ends."""

import asyncio
import json
from typing import Any

import pytest

from tests.wire.conftest import StartStage
from tests.wire.raw import Message, Peer, Upstream, answer, until
from tests.wire.stage import Stage

MINUTE = {"rates": [{"requests": 3, "per": "minute"}]}


def error(message: Message) -> Any:
    """The error that an answer of Tieline's holds."""
    return json.loads(message.body)["error"]


async def limited(stage: Stage, **values: Any) -> None:
    """Give the stage's key these limits, app_limits or models."""
    stage.worker.source.change_key(stage.key, **values)
    await stage.worker.caught_up()


async def test_a_key_is_refused_beyond_its_rate(stage: Stage) -> None:
    """The fourth of three a minute is a 429 that says what is used up and when to come back; it reached no API."""
    await limited(stage, limits=MINUTE)
    assert [(await stage.get()).status for _ in range(3)] == [200] * 3
    refused = await stage.get()
    fields = dict(refused.headers)
    assert (refused.status, fields[b"tieline-error"], fields[b"x-should-retry"]) == (429, b"rate_limited", b"true")
    assert fields[b"retry-after"] == b"20"
    assert error(refused)["code"] == "rate_limited"
    assert "This app key may have 3 requests a minute" in error(refused)["message"]
    assert len(stage.upstream.seen) == 3


async def test_an_app_shares_its_rate_among_its_keys(stage: Stage) -> None:
    """Two keys of one app use up what the app has together."""
    await limited(stage, app_limits=MINUTE)
    other = stage.worker.source.put_key("api", app_limits=MINUTE)
    await stage.worker.caught_up()
    first = [(await stage.get()).status for _ in range(2)]
    stage.key = other
    assert [*first, (await stage.get()).status, (await stage.get()).status] == [200, 200, 200, 429]
    assert "This app" in error(await stage.get())["message"]


async def test_a_refused_request_takes_nothing(stage: Stage) -> None:
    """What does not fit the app's limit does not count against the key's own."""
    await limited(stage, limits={"rates": [{"requests": 4, "per": "day"}]}, app_limits=MINUTE)
    assert [(await stage.get()).status for _ in range(5)] == [200, 200, 200, 429, 429]
    await limited(stage, app_limits={})
    assert [(await stage.get()).status for _ in range(2)] == [200, 429]


@pytest.mark.parametrize("end", ["hangs up", "answered", "refused by the upstream"])
async def test_a_slot_is_free_when_its_request_has_ended(start_stage: StartStage, end: str) -> None:
    """One at a time: the second is refused while the first is under way, and served afterwards."""
    go = asyncio.Event()

    async def script(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        if not go.is_set():
            await go.wait()
            if end == "refused by the upstream":
                peer.reset()
                return
        await peer.send(answer(b"ok"))

    stage = await start_stage(script)
    await limited(stage, limits={"concurrent": 1})
    first = await stage.connect()
    await first.send(stage.request(b"POST", body=b"x"))
    await until(lambda: len(stage.upstream.seen) == 1)
    refused = await stage.get()
    assert (refused.status, error(refused)["code"]) == (429, "concurrency_limited")
    assert "1 request at once" in error(refused)["message"]
    if end == "hangs up":
        first.close()
        await until(lambda: stage.worker.service.listener.open_connections == 0)
        go.set()
    else:
        go.set()
        await first.message()
    assert (await stage.get()).status == 200
