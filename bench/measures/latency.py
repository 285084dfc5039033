"""Added latency: one connection, one call after the other, against the same upstream called directly."""

from bench.figures import TIELINE, Figure, Goal, Table, percentile
from bench.load.single import calling
from bench.run import Run

_WARM_CALLS = 50
_DIRECT = "direct"


def measure(run: Run) -> Table:
    """The upstream itself and every system in turn, in short blocks, so that all see the same moods of the machine."""
    lineup, scale = run.lineup, run.scale
    direct_url = f"http://127.0.0.1:{lineup.answers.port}/v1/chat/completions"
    targets: list[tuple[str, str, dict[str, str]]] = [(_DIRECT, direct_url, {})]
    targets += [(system.name, system.door("calls"), dict(system.headers)) for system in lineup.proxies]
    taken: dict[str, list[list[float]]] = {name: [] for name, _, _ in targets}
    for number in range(scale.latency_rounds):
        for step in range(len(targets)):
            name, url, headers = targets[(number + step) % len(targets)]
            with calling(url) as caller:
                request = caller.request(headers)
                for _ in range(_WARM_CALLS):
                    caller.call(request)
                taken[name].append([caller.call(request) for _ in range(scale.latency_calls)])
    figures = [_figure(name, taken[name], taken[_DIRECT]) for name in taken if name != _DIRECT]
    table = Table("latency", "Added latency at one connection", "ms", figures)
    direct = [each for block in taken[_DIRECT] for each in block]
    table.notes.append(
        f"Direct to the upstream a call takes {percentile(direct, 0.5) * 1e3:.3f} ms (p50), "
        f"{percentile(direct, 0.99) * 1e3:.3f} ms (p99)."
    )
    mine = next(figure for figure in figures if figure.system == TIELINE)
    table.goals.append(Goal("Added latency, p50", mine.median, 0.25, "ms"))
    table.goals.append(Goal("Added latency, p99", float(mine.facts["p99, ms"]), 1.0, "ms"))
    return table


def _figure(name: str, blocks: list[list[float]], direct: list[list[float]]) -> Figure:
    """Rounds are the p50 of each block less that of the direct block of the same round, in ms."""
    rounds = [
        (percentile(mine, 0.5) - percentile(theirs, 0.5)) * 1e3 for mine, theirs in zip(blocks, direct, strict=True)
    ]
    mine = [each for block in blocks for each in block]
    theirs = [each for block in direct for each in block]
    tail = (percentile(mine, 0.99) - percentile(theirs, 0.99)) * 1e3
    return Figure(name, rounds, {"p99, ms": round(tail, 3)})
