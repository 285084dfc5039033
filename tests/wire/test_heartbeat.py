"""A heartbeat counts what its own process does, and nothing that the machine does beside it."""

import asyncio
import os
import subprocess
import sys

import pytest

from tests.heartbeat import Heartbeat, spend

pytestmark = pytest.mark.alone  # it measures how long a loop stands still
MOST = 0.05


async def test_work_of_others_is_no_gap() -> None:
    """Four programs that work all the time, on however few processors, and a thread that waits."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * (os.cpu_count() or 1))]
    try:
        async with Heartbeat() as beat:
            await asyncio.sleep(0.5)
    finally:
        for each in busy:
            each.kill()
            each.wait()
    assert beat.beats > 10
    assert beat.longest <= MOST


async def test_work_on_the_loop_is_the_loops_own() -> None:
    """Both figures tell of it."""
    async with Heartbeat() as beat:
        await asyncio.sleep(0.01)
        spend(0.1)
    assert beat.longest > MOST
    assert beat.own > MOST


async def test_a_lock_that_is_held_elsewhere_is_a_gap() -> None:
    """Though the loop's own thread has nothing to do."""
    async with Heartbeat() as beat:
        await asyncio.to_thread(spend, 0.1)
    assert beat.longest > MOST
    assert beat.own < MOST


async def test_a_thread_that_takes_turns_is_none() -> None:
    """As long as no call of it into C takes long."""

    def work() -> None:
        for _ in range(100):
            spend(0.001)

    async with Heartbeat() as beat:
        await asyncio.to_thread(work)
    assert beat.longest <= MOST
