"""Records are gathered, saved in batches, and kept while the store is away, up to a bound."""

import asyncio
import time

import pytest

from tieline.dataplane import saving
from tieline.dataplane.records import recorder as module
from tieline.dataplane.records.recorder import Records
from tieline.ports.requests import RequestRecord
from tieline.testing.dataplane import MemorySource
from tieline.testing.vault import memory_keyring


def record(number: int) -> RequestRecord:
    """Some record."""
    return RequestRecord(
        f"req_{number}",
        0.0,
        "app_1",
        "key_1",
        "api",
        "live",
        "GET",
        "/",
        None,
        None,
        200,
        None,
        1.0,
        1.0,
        0,
        0,
        "complete",
    )


@pytest.fixture
async def source() -> MemorySource:
    """An empty store."""
    return MemorySource(await memory_keyring())


async def test_what_waits_is_saved(source: MemorySource) -> None:
    """Once."""
    records = Records(source)
    records._waiting.extend([record(1), record(2)])
    records._used["key_1"] = 5.0
    await records.flush()
    await records.flush()
    assert [each.id for each in source.records] == ["req_1", "req_2"]
    assert source.used == {"key_1": 5.0}


async def test_what_cannot_be_saved_waits(source: MemorySource, caplog: pytest.LogCaptureFixture) -> None:
    """In order, with what came since; a later use of a key is not overwritten by an earlier one."""
    records = Records(source)
    source.away = True
    records._waiting.append(record(1))
    records._used["key_1"] = 5.0
    await records.flush()
    records._waiting.append(record(2))
    records._used["key_1"] = 9.0
    await records.flush()
    source.away = False
    await records.flush()
    assert [each.id for each in source.records] == ["req_1", "req_2"]
    assert source.used == {"key_1": 9.0}
    assert records.given_up == 0


async def test_the_oldest_are_given_up_beyond_the_bound(
    source: MemorySource, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Memory is bounded, and what was lost is counted."""
    monkeypatch.setattr(module, "WAITING_MOST", 3)
    records = Records(source)
    source.away = True
    for number in range(5):
        records._gather(record(number))
        await records.flush()
    source.away = False
    await records.flush()
    assert [each.id for each in source.records] == ["req_2", "req_3", "req_4"]
    assert records.given_up == 2


async def test_records_alone_are_not_saved_twice_when_only_the_keys_fail(
    source: MemorySource, caplog: pytest.LogCaptureFixture
) -> None:
    """What was saved is not kept for another time."""
    records = Records(source)
    records._waiting.append(record(1))
    records._used["key_1"] = 5.0
    touch_keys = source.touch_keys
    batches: list[int] = []
    add_records = source.add_records

    async def counting(batch: list[RequestRecord]) -> None:
        batches.append(len(batch))
        await add_records(batch)

    async def away(used: object) -> None:
        source.away = True
        await touch_keys({})

    source.add_records, source.touch_keys = counting, away  # type: ignore[method-assign, assignment]
    await records.flush()
    source.away, source.touch_keys = False, touch_keys  # type: ignore[method-assign]
    await records.flush()
    assert batches == [1]
    assert source.used == {"key_1": 5.0}


async def test_a_save_outlives_who_asked_for_it(source: MemorySource) -> None:
    """The worker stops in the middle of a save: its batch is not sent again, and what came since goes after it."""
    records = Records(source)
    add_records, answer, batches = source.add_records, asyncio.Event(), []

    async def slow(batch: list[RequestRecord]) -> None:
        batches.append([each.id for each in batch])
        await answer.wait()
        await add_records(batch)

    source.add_records = slow  # type: ignore[method-assign, assignment]
    records._gather(record(1))
    saving = asyncio.create_task(records.flush())
    await asyncio.sleep(0)
    saving.cancel()
    await asyncio.wait([saving])
    records._gather(record(2))
    closing = asyncio.create_task(records.close())
    answer.set()
    await closing
    assert batches == [["req_1"], ["req_2"]]


async def test_a_store_that_hangs_fills_no_memory(
    source: MemorySource, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It never answers: what waits stays bounded, what is lost is counted, the log says so, and an end comes."""
    monkeypatch.setattr(module, "WAITING_MOST", 3)
    monkeypatch.setattr(saving, "HANGING_SECONDS", 0)
    monkeypatch.setattr(saving, "CLOSE_SECONDS", 0.05)
    records = Records(source)
    never = asyncio.Event()

    async def hanging(batch: object) -> None:
        await never.wait()

    source.add_records = hanging  # type: ignore[method-assign, assignment]
    records._gather(record(0))
    running = asyncio.create_task(records.flush())
    await asyncio.sleep(0.01)
    for number in range(1, 6):
        records._gather(record(number))
    assert [each.id for each in records._waiting] == ["req_3", "req_4", "req_5"]
    assert records.given_up == 2
    await records.close()
    running.cancel()
    assert "the store has not answered" in caplog.text
    assert "they are lost" in caplog.text


async def test_the_last_uses_of_many_keys_are_saved_some_at_a_time(source: MemorySource) -> None:
    """A hundred thousand keys are not all saved at once; a worker that ends saves the rest."""
    records = Records(source)
    now = time.time()
    records._used |= {f"key_{number}": now for number in range(module.TOUCHED_MOST * 3)}
    await records.flush()
    assert len(source.used) == module.TOUCHED_MOST
    await records.close()
    assert len(source.used) == module.TOUCHED_MOST * 3


async def test_an_end_without_a_store_does_not_wait_for_ever(
    source: MemorySource, caplog: pytest.LogCaptureFixture
) -> None:
    """What cannot be saved is given up with the process."""
    records = Records(source)
    records._used |= {f"key_{number}": 5.0 for number in range(module.TOUCHED_MOST * 3)}
    source.away = True
    await records.close()
    assert source.used == {}
