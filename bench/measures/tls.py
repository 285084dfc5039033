"""The relayed call to an upstream with TLS: connections reused, one cipher for all, the certificate checked by all."""

from bench.figures import Table
from bench.rounds import entrant, held_up, saturate
from bench.run import Run


def measure(run: Run) -> Table:
    """Every system that relays to the TLS upstream, in turn."""
    lineup = run.lineup
    entrants = [entrant(system, "tls", lineup.answers.pid, run.folder) for system in lineup.proxies]
    figures = saturate(entrants, run.scale)
    table = Table("tls", "CPU per call to a TLS upstream", "µs", figures, notes=held_up(figures))
    table.promise("Envoy", 1.2)
    return table
