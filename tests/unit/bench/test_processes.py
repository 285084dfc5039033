"""What the benchmark starts and reads: real processes, the real event server."""

import asyncio
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.lineup import event_server
from bench.load.files import download, upload
from bench.load.streams import streaming
from bench.meter import sampled
from bench.process import BenchError, children, cpu_seconds, python, running

GROWER = """
import mmap, pathlib, sys, time
folder = pathlib.Path(sys.argv[1])
def wait_for(name):
    while not (folder / name).exists():
        time.sleep(0.01)
(folder / "small").touch()
wait_for("grow")
memory = mmap.mmap(-1, 32 * 1024 * 1024)
memory.write(b"x" * len(memory))
(folder / "large").touch()
wait_for("shrink")
memory.close()
(folder / "small again").touch()
time.sleep(60)
"""


def wait_for(file: Path) -> None:
    """Return once ``file`` exists."""
    while not file.exists():
        time.sleep(0.01)


@pytest.fixture
def event_port(tmp_path: Path) -> Iterator[int]:
    """The port of an event server that sends 50 events a second."""
    with event_server(tmp_path, 50.0) as (_, port):
        yield port


def test_processor_time_counts_work_and_not_sleep() -> None:
    """Some hashing costs time, a nap costs next to none."""
    before = cpu_seconds(os.getpid())
    time.sleep(0.2)
    slept = cpu_seconds(os.getpid()) - before
    while time.process_time() - before < 0.1:
        hash(bytes(100_000))
    assert slept < 0.1 <= cpu_seconds(os.getpid()) - before


def test_a_program_that_ends_at_once_is_reported_with_its_words(tmp_path: Path) -> None:
    """Whoever runs the benchmark sees what the program said."""
    with (
        pytest.raises(BenchError, match=r"broken ended with status 1.*No module named bench\.nothing"),
        running("broken", python("bench.nothing"), tmp_path, ports=(1,)),
    ):
        pass


def test_no_process_outlives_its_block(tmp_path: Path) -> None:
    """After the block the process is gone."""
    with event_server(tmp_path, 1.0) as (process, _):
        assert process.pid in children(os.getpid())
    assert process.pid not in children(os.getpid())


def test_growth_of_memory_is_seen_while_it_lasts(tmp_path: Path) -> None:
    """32 MiB that a process takes and gives back are noticed in between.

    The process is a fresh one: in this one, memory that earlier tests gave back may be resident already.
    """
    with running("grower", [sys.executable, "-c", GROWER, str(tmp_path)], tmp_path) as grower:
        wait_for(tmp_path / "small")
        with sampled(grower.pid) as growth:
            (tmp_path / "grow").touch()
            wait_for(tmp_path / "large")
            while growth.most < 24 * 1024 * 1024:  # it stays large until told; only a failing sampler hangs
                time.sleep(0.01)
            (tmp_path / "shrink").touch()
            wait_for(tmp_path / "small again")
    assert growth.most >= 24 * 1024 * 1024


def test_files_go_up_and_down_whole(event_port: int) -> None:
    """Every byte arrives, stalls included."""
    size = 3_000_001
    assert upload(f"http://127.0.0.1:{event_port}/v1/files", {}, size) > 0
    assert download(f"http://127.0.0.1:{event_port}/v1/files/{size}/content", {}, size) > 0


async def test_streams_bring_their_events_at_their_rate(event_port: int) -> None:
    """Ten streams at 50 a second bring no more than some 500 events in a second, none of them ends."""
    async with streaming(f"http://127.0.0.1:{event_port}/v1/chat/completions", {}, 10) as streams:
        before, began = sum(each.events for each in streams), time.monotonic()
        await asyncio.sleep(1)
        came, took = sum(each.events for each in streams) - before, time.monotonic() - began
        assert not any(each.ended for each in streams)
    assert 10 < came <= 600 * took  # a busy machine may bring fewer, none may bring more
