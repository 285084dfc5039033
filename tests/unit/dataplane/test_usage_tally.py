"""A worker's counts: exact, kept while the store is away, sent again as they were, bounded in words and not in sums."""

import asyncio
from typing import Any

import pytest

from tests.unit.dataplane.test_records import record
from tieline.dataplane import saving
from tieline.dataplane.records import usage as module
from tieline.dataplane.records.usage import UsageTally
from tieline.ports.requests import AppWords, RequestRecord, Sendings, Used
from tieline.ports.usage import Series, UsageBatch
from tieline.testing.dataplane import MemorySource
from tieline.testing.vault import memory_keyring

USED = Used(
    "gpt-4.1", None, {"input_tokens": 7, "images": 2, "output_tokens": 0}, 1_500, frozenset({"images"}), estimated=True
)


@pytest.fixture
async def source() -> MemorySource:
    """An empty store."""
    return MemorySource(await memory_keyring())


def ended(**more: Any) -> RequestRecord:
    """A request of the blog."""
    return record(1)._replace(**{"app": "blog", "at": 125.5, "duration_ms": 1.0, **more})


def sums(source: MemorySource) -> dict[Series, dict[str, int]]:
    """All that arrived, by series; durations left out."""
    found: dict[Series, dict[str, int]] = {}
    for batch in source.usage:
        for each in batch.counted:
            into = found.setdefault(each.series, {})
            for name, amount in each.measures.items():
                if not name.startswith("ms."):
                    into[name] = into.get(name, 0) + amount
    return found


async def test_a_request_is_counted_with_all_that_is_known_of_it(source: MemorySource) -> None:
    """What has no price is counted as such, and what is a guess too; a quantity of 0 is none."""
    tally = UsageTally(source)
    tally.listener(ended(used=USED, named=AppWords("ann", "nightly"), sending=Sendings(retries=2), cache="miss"))
    tally.listener(ended(status=503, cache="hit"))
    await tally.flush()
    assert [each.minute for each in source.usage[0].counted] == [120, 120]
    series = Series("live", "app_1", "blog", "key_1", "api")
    assert sums(source) == {
        series._replace(model="gpt-4.1", end_user="ann", tag="nightly"): {
            "requests": 1, "retries": 2, "q.input_tokens": 7, "q.images": 2, "priced": 1, "cost_nano": 1_500,
            "unpriced": 1, "u.images": 2, "estimated": 1, "estimated_nano": 1_500, "e.input_tokens": 7, "e.images": 2,
        },
        series: {"requests": 1, "errors": 1, "cached": 1},
    }  # fmt: skip


async def test_a_batch_whose_fate_is_unknown_is_sent_again_as_it_was(
    source: MemorySource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came since goes after it, in a batch of its own."""
    tally, sent, add = UsageTally(source), list[UsageBatch](), source.add_usage

    async def noted(batch: UsageBatch) -> None:
        sent.append(batch)
        await add(batch)

    monkeypatch.setattr(source, "add_usage", noted)
    tally.listener(ended())
    source.away = True
    await tally.flush()
    tally.listener(ended())
    await tally.flush()
    source.away = False
    await tally.flush()
    await tally.close()
    assert sent[0] is sent[1] is sent[2]
    assert [each.number for each in source.usage] == [1, 2]
    assert [each["requests"] for each in sums(source).values()] == [2]


async def test_too_many_words_are_counted_without_them(source: MemorySource, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the store is away memory is bounded; the sum is whole."""
    monkeypatch.setattr(module, "WAITING_MOST", 3)
    tally = UsageTally(source)
    for number in range(10):
        tally.listener(ended(named=AppWords(None, f"t{number}"), key_id=f"key_{number % 5}"))
    await tally.flush()
    found = sums(source)
    assert sum(each["requests"] for each in found.values()) == 10
    assert sorted(each.other for each in found) == [0, 0, 0, 1, 1, 1, 2]


async def test_batches_are_small(source: MemorySource, monkeypatch: pytest.MonkeyPatch) -> None:
    """None holds the store or the worker's loop for long."""
    monkeypatch.setattr(module, "_BATCH", 4)
    tally = UsageTally(source)
    for number in range(10):
        tally.listener(ended(api=f"api-{number}"))
    await tally.flush()
    assert [len(each.counted) for each in source.usage] == [4, 4, 2]


async def test_a_worker_that_ends_waits_for_the_store_only_so_long(
    source: MemorySource, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And says that the last is lost."""
    monkeypatch.setattr(saving, "CLOSE_SECONDS", 0.01)

    async def hangs(_batch: UsageBatch) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr(source, "add_usage", hangs)
    tally = UsageTally(source)
    tally.listener(ended())
    await tally.close()
    assert "usage" in caplog.text


async def test_memory_is_bounded_while_the_store_hangs(source: MemorySource, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records are counted though no save ends, with fewer words beyond the bound; nothing is lost when it does."""
    monkeypatch.setattr(module, "WAITING_MOST", 100)
    monkeypatch.setattr(module, "FLUSH_SECONDS", 0)
    tally, answers = UsageTally(source), asyncio.Event()
    stored = source.add_usage

    async def hanging(batch: UsageBatch) -> None:
        await answers.wait()
        await stored(batch)

    source.add_usage = hanging  # type: ignore[method-assign]
    tally.listener(ended())
    saving_, counting = asyncio.create_task(tally.flush()), asyncio.create_task(tally.keep_counting())
    for number in range(5_000):
        tally.listener(ended(named=AppWords(f"user {number}", None)))
        if number % 100 == 0:
            await asyncio.sleep(0)
    for _ in range(20):
        await asyncio.sleep(0)
    assert not tally._ended
    assert len(tally._waiting) <= 201
    counting.cancel()
    answers.set()
    await saving_
    await tally.flush()
    assert sum(each["requests"] for each in sums(source).values()) == 5_001
