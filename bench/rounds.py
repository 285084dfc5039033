"""Rounds of saturating load: the systems in turn, several times, each time in another order; CPU time per call."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.figures import Figure
from bench.load import wrk
from bench.machine import cores
from bench.meter import Meter, bottleneck
from bench.run import Scale
from bench.systems.system import Door, System

WARM_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Entrant:
    """One system in the rounds: where to call, with which script, whose processor time counts, who is upstream."""

    name: str
    url: str
    script: Path
    workers: tuple[int, ...]
    others: tuple[int, ...]
    upstream: int


def entrant(system: System, door: Door, upstream: int, folder: Path) -> Entrant:
    """A system as it takes part through one of its doors, showing its one key."""
    script = wrk.script(folder / f"{system.name.lower()}-{door}.lua", system.headers)
    return Entrant(system.name, system.door(door), script, system.workers, system.others, upstream)


@dataclass(slots=True)
class _Seen:
    calls_per_second: list[float]
    shares: list[float]
    others: list[float]
    held_by: list[str]


def saturate(entrants: Sequence[Entrant], scale: Scale) -> list[Figure]:
    """Load each entrant in ``scale.rounds`` rounds; a figure's rounds are microseconds of processor time per call."""
    figures = [Figure(each.name) for each in entrants]
    seen = [_Seen([], [], [], []) for _ in entrants]
    for each in entrants:
        wrk.run(each.url, each.script, WARM_SECONDS)
    for number in range(scale.rounds):
        for step in range(len(entrants)):
            at = (number + step) % len(entrants)
            figures[at].rounds.append(_round(entrants[at], scale.seconds, seen[at]))
    for figure, rounds in zip(figures, seen, strict=True):
        figure.facts = {
            "calls/s": round(statistics.median(rounds.calls_per_second)),
            "core used": f"{statistics.median(rounds.shares):.0%}",
            "other processes, µs/call": round(statistics.median(rounds.others), 2),
            "held up by": statistics.mode(rounds.held_by),
        }
    return figures


def _round(each: Entrant, seconds: float, seen: _Seen) -> float:
    with Meter({"workers": each.workers, "others": each.others, "upstream": (each.upstream,)}) as meter:
        outcome = wrk.run(each.url, each.script, seconds)
    share = meter.share("workers") / len(each.workers)
    seen.calls_per_second.append(outcome.calls / outcome.seconds)
    seen.shares.append(share)
    seen.others.append(meter.used["others"] / outcome.calls * 1e6)
    generator = outcome.generator_seconds / meter.seconds
    seen.held_by.append(bottleneck(share, meter.share("upstream"), generator, cores()))
    return meter.used["workers"] / outcome.calls * 1e6


def held_up(figures: Sequence[Figure]) -> list[str]:
    """A note that names who was held up by something else than itself."""
    found = [f"{figure.system} by {by}" for figure in figures if (by := figure.facts["held up by"]) != "the system"]
    return [f"Held up were {', '.join(found)}: calls/s say little there, CPU per call holds."] if found else []
