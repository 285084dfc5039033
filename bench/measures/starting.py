"""Starting: from the command to the line that says ready, on a new data directory and on one that is there.

A round before the first is not counted: it compiles the modules, as an installation does.
"""

import shutil

from bench.figures import Figure, Goal, Table
from bench.run import Run
from bench.systems.product import serving

_GOAL_SECONDS = 1.5


def measure(run: Run) -> Table:
    """Start, end and start again, each round on a new directory."""
    folder = run.folder / "starting"
    first, later = Figure("Tieline, first start"), Figure("Tieline, later start")
    for number in range(run.scale.starts + 1):
        folder.mkdir()
        for figure in (first, later):
            with serving(folder) as server:
                if number:
                    figure.rounds.append(server.ready_seconds)
        shutil.rmtree(folder)
    table = Table("starting", "Start to ready", "s", [first, later])
    table.goals += [
        Goal(f"{table.title}: {figure.system}", figure.median, _GOAL_SECONDS, "s") for figure in table.figures
    ]
    return table
