"""The relayed stream: processor time per server-sent event, 100 streams at once, 50 events a second on each."""

import asyncio
import resource
import statistics

import uvloop

from bench.figures import Figure, Table
from bench.lineup import EVENTS_PER_SECOND, Lineup
from bench.load.streams import streaming
from bench.meter import Meter
from bench.process import BenchError
from bench.run import Run
from bench.systems.system import System

STREAMS = 100
_SETTLE_SECONDS = 0.5
_DELIVERED_LEAST = 0.97
_BUSY = 0.9


def measure(run: Run) -> Table:
    """Every system in turn, in front of the same event server."""
    lineup, scale = run.lineup, run.scale
    systems = lineup.proxies
    figures = {system.name: Figure(system.name) for system in systems}
    seen: dict[str, list[_Round]] = {system.name: [] for system in systems}
    for number in range(scale.stream_rounds):
        for step in range(len(systems)):
            system = systems[(number + step) % len(systems)]
            done = uvloop.run(_round(system, lineup, scale.stream_seconds))
            figures[system.name].rounds.append(done.cost)
            seen[system.name].append(done)
    for name, figure in figures.items():
        figure.facts = {
            "events/s": round(statistics.median(each.per_second for each in seen[name])),
            "events per read": round(statistics.median(each.per_read for each in seen[name]), 2),
            "core used": f"{statistics.median(each.share for each in seen[name]):.0%}",
        }
    notes = sorted({note for rounds in seen.values() for each in rounds for note in each.notes})
    table = Table("streams", "CPU per relayed stream event", "µs", list(figures.values()), notes=notes)
    table.promise("Envoy", 0.9)
    table.promise("nginx", 1.7)
    return table


class _Round:
    """What one round came to: µs per event, events per second and per read, the part of a core used."""

    def __init__(self, events: int, reads: int, meter: Meter) -> None:
        if not events:
            raise BenchError("no event came through")
        self.cost = meter.used["workers"] / events * 1e6
        self.per_second = events / meter.seconds
        self.per_read = events / max(1, reads)
        self.share = meter.share("workers")
        self.notes: list[str] = []


async def _round(system: System, lineup: Lineup, seconds: float) -> _Round:
    meter = Meter({"workers": system.workers, "upstream": (lineup.events.pid,)})
    async with streaming(system.door("streams"), system.headers, STREAMS) as streams:
        await asyncio.sleep(_SETTLE_SECONDS)
        events, reads = sum(each.events for each in streams), sum(each.reads for each in streams)
        mine = _own_seconds()
        with meter:
            await asyncio.sleep(seconds)
        events = sum(each.events for each in streams) - events
        reads = sum(each.reads for each in streams) - reads
        client = (_own_seconds() - mine) / meter.seconds
        if any(each.ended for each in streams):
            raise BenchError(f"{system.name} ended streams that the upstream keeps open")
    done = _Round(events, reads, meter)
    wanted = STREAMS * EVENTS_PER_SECOND
    if done.per_second < _DELIVERED_LEAST * wanted:
        done.notes.append(f"{system.name}: {done.per_second:.0f} of {wanted:.0f} events a second came through.")
    for name, share in (("upstream", meter.share("upstream")), ("generator", client)):
        if share > _BUSY:
            done.notes.append(f"The {name} was the bottleneck with {system.name}: it used {share:.0%} of a core.")
    return done


def _own_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
