"""Memory of open streams: what one worker's resident set grows by, for each stream that is open at the same time."""

import asyncio
from pathlib import Path

import uvloop

from bench.figures import TIELINE, Figure, Goal, Table
from bench.lineup import event_server
from bench.load.streams import streaming
from bench.process import BenchError, open_descriptors, resident_bytes
from bench.run import Run
from bench.systems import envoy, nginx
from bench.systems.product import DOORS, relaying
from bench.systems.system import System, Upstreams
from bench.upstreams import certificates

_WARM_STREAMS = 50
_SETTLE_EVENTS = 1.2  # each stream has had an event since all are open
_GONE_SECONDS = 10.0
_LOOKS = 50
_SPARE = 200
_KIB = 1024


def measure(run: Run) -> Table:
    """Each system freshly started, one at a time."""
    # A worker holds two connections for each stream.
    count = min(run.scale.open_streams, (run.descriptors - _SPARE) // 2)
    folder = run.folder / "memory"
    folder.mkdir()
    made = certificates.make(folder)
    settle = _SETTLE_EVENTS / run.scale.open_rate
    figures: list[Figure] = []
    with event_server(folder, run.scale.open_rate) as (_, port):
        upstreams = Upstreams(port, port, port, made)  # streams only: the other doors are not used
        with nginx.proxying(folder, upstreams, "bench") as system:
            figures.append(_figure(system, count, settle))
        program = envoy.binary()
        if program is not None:
            with envoy.proxying(program, folder, upstreams, "bench") as system:
                figures.append(_figure(system, count, settle))
        figures.append(_tieline(folder, upstreams, count, settle))
    table = Table("memory", f"Memory per open stream, {count:,} at once", "KiB", figures)
    if count < run.scale.open_streams:
        table.notes.append(f"Only {count:,} streams: a process may open no more than {run.descriptors:,} files here.")
    table.goals.append(Goal(table.title, table.median(TIELINE), 48, "KiB"))
    return table


def _tieline(folder: Path, upstreams: Upstreams, count: int, settle: float) -> Figure:
    with relaying(folder, upstreams) as (server, key):
        return _figure(server.system(DOORS, key), count, settle)


def _figure(system: System, count: int, settle: float) -> Figure:
    return uvloop.run(_grow(system, count, settle))


async def _grow(system: System, count: int, settle: float) -> Figure:
    (worker,) = system.workers
    url = system.door("streams")
    async with streaming(url, system.headers, _WARM_STREAMS):
        pass
    await asyncio.sleep(1)
    before, files = resident_bytes(worker), open_descriptors(worker)
    async with streaming(url, system.headers, count) as streams:
        await asyncio.sleep(settle)
        grown = resident_bytes(worker) - before
        ended = sum(each.ended for each in streams)
        if ended:
            raise BenchError(f"{system.name} ended {ended} of {count} streams")
    left = await _left_open(worker, files)
    facts: dict[str, str | float] = {"whole growth, MiB": round(grown / _KIB**2, 1), "files left open": left}
    return Figure(system.name, [grown / count / _KIB], facts)


async def _left_open(worker: int, before: int) -> int:
    """How many more files than ``before`` the process has open, some seconds after the streams were closed."""
    for _ in range(_LOOKS):
        if open_descriptors(worker) <= before:
            return 0
        await asyncio.sleep(_GONE_SECONDS / _LOOKS)
    return open_descriptors(worker) - before
