"""A flood of unknown keys: it fills no table, asks the store for nothing, and keeps no good key out."""

import asyncio
import random
import sys
import time

import pytest

from tests.wire.conftest import StartStage
from tests.wire.stage import Stage
from tieline.access import appkey

LINES, AT_ONCE = 100, 10
SEED = 20_261_130


def stranger(randomness: random.Random) -> bytes:
    """A key of good form that nobody minted."""
    body = b"tl_live_" + "".join(randomness.choices(appkey._DIGITS.decode(), k=43)).encode()
    return body + appkey._checksum(body)


async def served(stage: Stage, request: bytes) -> None:
    """Ask with a good key until that is served: a machine that is too busy for anybody says so (503)."""
    while (found := await stage.ask(request)).status == 503:
        assert found.one(b"tieline-error") == b"overloaded"
        await asyncio.sleep(0.1)
    assert found.status == 200


@pytest.mark.timeout(1_800)
async def test_a_flood_of_unknown_keys_adds_no_row(start_stage: StartStage, soak: bool) -> None:
    """100,000 in soak: no record, no look-up of the store for any of them, and keys in use and new ones are served."""
    count = 100_000 if soak else 2_000
    stage = await start_stage()
    source, randomness = stage.worker.source, random.Random(SEED)
    look_up, looked = source.key_by_hash, 0

    async def counted(keyed_hash: bytes) -> object:
        nonlocal looked
        looked += 1
        return await look_up(keyed_hash)

    source.key_by_hash = counted  # type: ignore[method-assign, assignment]
    template = stage.request()
    lines = [await stage.connect() for _ in range(LINES)]
    statuses: dict[int, int] = {}
    good = new = 0
    slowest, began = 0.0, time.perf_counter()
    for turn in range(count // (LINES * AT_ONCE)):
        for line in lines:
            keys = [stranger(randomness) for _ in range(AT_ONCE)]
            await line.send(b"".join([template.replace(stage.key.encode(), key) for key in keys]))
        asked = time.perf_counter()
        await served(stage, template)
        slowest = max(slowest, time.perf_counter() - asked)
        good += 1
        if turn % 10 == 0:
            fresh = source.put_key("api")
            await stage.worker.caught_up()
            await served(stage, template.replace(stage.key.encode(), fresh.encode()))
            new += 1
        for line in lines:
            for _ in range(AT_ONCE):
                status = (await line.message()).status
                statuses[status] = statuses.get(status, 0) + 1
    took = time.perf_counter() - began
    assert set(statuses) <= {401, 429, 503}
    assert sum(statuses.values()) == count
    records = await stage.worker.recorded(good + new)
    assert len(records) == good + new
    assert looked <= new + 1, "the store was asked for strangers"
    assert stage.worker.service.records.strangers.total() == count - statuses.get(503, 0)
    sys.stdout.write(
        f"{count} unknown keys in {took:.1f} s: {statuses}, {looked} look-ups for {new + 1} good keys that were new, "
        f"{len(records)} records, all of good keys; a good key waited {slowest * 1000:.0f} ms at most\n"
    )
