"""The relayed call: processor time per call at 32 connections."""

from bench.figures import Table
from bench.rounds import entrant, held_up, saturate
from bench.run import Run


def measure(run: Run) -> Table:
    """Every system in turn, in front of the same upstream."""
    lineup = run.lineup
    entrants = [entrant(system, "calls", lineup.answers.pid, run.folder) for system in lineup.systems]
    figures = saturate(entrants, run.scale)
    table = Table("calls", "CPU per relayed call", "µs", figures, notes=[*lineup.missing, *held_up(figures)])
    table.promise("Envoy", 1.0)
    table.promise("nginx", 3.0)
    return table
