"""The relayed call: processor time per call at 32 connections."""

from bench.figures import Goal, Table
from bench.rounds import entrant, held_up, saturate
from bench.run import Run
from bench.systems import floor

_DEARER = {"Portkey": 15.0, "LiteLLM": 100.0}


def measure(run: Run) -> Table:
    """Every system in turn, in front of the same upstream."""
    lineup = run.lineup
    entrants = [entrant(system, "calls", lineup.answers.pid, run.folder) for system in (*lineup.proxies, *lineup.peers)]
    figures = saturate(entrants, run.scale)
    table = Table("calls", "CPU per relayed call", "µs", figures, notes=[*lineup.missing, *held_up(figures)])
    table.promise("Envoy", 0.8)
    table.promise("nginx", 3.5)
    table.promise(floor.NAME, 2.0)
    for peer, times in _DEARER.items():
        ratio = table.ratio(peer)
        if ratio is not None:
            table.goals.append(Goal(f"Times that a call costs more in {peer}", 1 / ratio, times, "×", least=True))
    return table
