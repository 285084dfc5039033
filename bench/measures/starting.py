"""Starting: from the command to the line that says ready, on a new data directory and on one that is there."""

import shutil

from bench.figures import Figure, Goal, Table
from bench.run import Run
from bench.systems.product import serving

_GOAL_SECONDS = 1.5


def measure(run: Run) -> Table:
    """Start, end and start again, each round on a new directory."""
    folder = run.folder / "starting"
    first, later = Figure("Tieline, first start"), Figure("Tieline, later start")
    for _ in range(run.scale.starts):
        folder.mkdir()
        for figure in (first, later):
            with serving(folder) as server:
                figure.rounds.append(server.ready_seconds)
        shutil.rmtree(folder)
    table = Table("starting", "Start to ready", "s", [first, later])
    table.goals += [
        Goal(f"{table.title}: {figure.system}", figure.median, _GOAL_SECONDS, "s") for figure in table.figures
    ]
    return table
