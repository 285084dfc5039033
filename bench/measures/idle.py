"""Idle memory: the resident set of every process of a Tieline that has an API, an app and a call behind it."""

import time

from bench.figures import Figure, Goal, Table
from bench.load.single import check
from bench.process import resident_bytes
from bench.run import Run
from bench.systems.product import serving
from bench.upstreams.answers import ANSWER

_QUIET_SECONDS = 2.0


def measure(run: Run) -> Table:
    """One Tieline, freshly started, used once and left alone."""
    folder = run.folder / "idle"
    folder.mkdir()
    with serving(folder) as server:
        server.add_api("openai", f"http://127.0.0.1:{run.lineup.answers.port}/v1")
        key = server.add_app(("openai",))
        check(server.system({"calls": "openai"}, key), "calls", ANSWER)
        time.sleep(_QUIET_SECONDS)
        parts = {
            "supervisor": resident_bytes(server.supervisor) / 1024**2,
            "control plane": resident_bytes(server.control) / 1024**2,
            "data-plane worker": resident_bytes(server.workers[0]) / 1024**2,
        }
    parts["all together"] = sum(parts.values())
    table = Table(
        "idle", "Idle resident memory", "MiB", [Figure(f"Tieline, {name}", [size]) for name, size in parts.items()]
    )
    both = parts["control plane"] + parts["data-plane worker"]
    table.goals.append(Goal("Idle memory of both planes together", both, 160, "MiB"))
    table.notes.append("Pages that the processes share (Python itself, libraries) are counted in each of them.")
    return table
