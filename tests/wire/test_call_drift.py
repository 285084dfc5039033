"""Drift of calls on its way from an answer to the store."""

import asyncio
from typing import Any

import pytest

from tests.wire import calling
from tests.wire.calling import json_answer, result
from tests.wire.conftest import StartStage
from tests.wire.raw import saying, until
from tieline.dataplane import saving
from tieline.ports.drift import DriftRecord

FIELDS = [{"path": "id", "type": "integer"}, {"path": "name", "type": "text"}]
CALLS: dict[str, Any] = {"read": {"path": "/things", "response": {"type": "json", "fields": FIELDS}}}
SEEN = {("id", "type", "integer", "text", 1), ("name", "missing", "text", "", 1), ("extra", "new", "", "boolean", 1)}


def told(records: list[DriftRecord]) -> set[tuple[str, str, str, str, int]]:
    """What was told, without of what."""
    return {(each.path, each.kind, each.expected, each.found, each.count) for each in records}


async def test_an_answer_that_differs_is_handed_out_and_told(start_stage: StartStage) -> None:
    """As it is: nothing is dropped for it; the store hears of each place once."""
    stage = await start_stage(saying(json_answer({"id": "seven", "extra": True})), calls=CALLS)
    assert result(await calling.run(stage, "read")) == {"id": "seven", "extra": True}
    service, source = stage.worker.service, stage.worker.source
    await service.drift_flush.flush()
    assert told(source.drifts) == SEEN
    assert {(each.api, each.environment, each.call) for each in source.drifts} == {("api", "live", "read")}
    await service.drift_flush.flush()
    assert len(source.drifts) == len(SEEN)


async def test_an_answer_that_fits_is_told_nothing_of(start_stage: StartStage) -> None:
    """No row for it, and no transaction."""
    stage = await start_stage(saying(json_answer({"id": 7, "name": "x"})), calls=CALLS)
    await calling.run(stage, "read")
    await stage.worker.service.drift_flush.flush()
    assert stage.worker.source.drifts == []


async def test_while_the_store_is_away_counts_add_up(start_stage: StartStage) -> None:
    """They are told once it is back, none lost and none twice."""
    stage = await start_stage(saying(json_answer({"id": "seven", "extra": True})), calls=CALLS)
    service, source = stage.worker.service, stage.worker.source
    await calling.run(stage, "read")
    source.away = True
    await service.drift_flush.flush()
    assert source.drifts == []
    source.away = False
    await calling.run(stage, "read")
    await service.drift_flush.flush()
    assert {each.count for each in source.drifts} == {2}


async def test_a_worker_that_ends_tells_what_it_counted(start_stage: StartStage) -> None:
    """With its last breath."""
    stage = await start_stage(saying(json_answer({"id": "seven", "extra": True})), calls=CALLS)
    await calling.run(stage, "read")
    await stage.worker.service.stop(1)
    assert told(stage.worker.source.drifts) == SEEN


async def test_a_store_that_hangs_keeps_no_worker_from_ending(
    start_stage: StartStage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One batch is on its way, what comes since is counted on, the log says both, and an end comes."""
    stage = await start_stage(saying(json_answer({"id": "seven", "extra": True})), calls=CALLS)
    service, source = stage.worker.service, stage.worker.source
    monkeypatch.setattr(saving, "HANGING_SECONDS", 0)
    monkeypatch.setattr(saving, "CLOSE_SECONDS", 0.05)
    batches: list[int] = []

    async def hanging(drifts: list[DriftRecord]) -> None:
        batches.append(len(drifts))
        await asyncio.Event().wait()

    source.add_drifts = hanging  # type: ignore[method-assign, assignment]
    await calling.run(stage, "read")
    flushing = asyncio.create_task(service.drift_flush.flush())
    await until(lambda: "the store has not answered" in caplog.text)
    flushing.cancel()
    await calling.run(stage, "read")
    await service.stop(1)
    assert batches == [len(SEEN)]
    assert {each.count for each in service.calls.runner.drifts.taken()} == {1}
    assert "it is lost" in caplog.text
