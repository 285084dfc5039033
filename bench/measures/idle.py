"""Idle memory: the resident set of every process of a Tieline that has an API, an app and a call behind it.

Once after the start that made its database, once after a start on that database, as all starts but one are.
"""

import time

from bench.figures import Figure, Goal, Table
from bench.load.single import check
from bench.process import resident_bytes
from bench.run import Run
from bench.systems.product import Serving, serving
from bench.upstreams.answers import ANSWER

_QUIET_SECONDS = 2.0


def measure(run: Run) -> Table:
    """One Tieline: set up, used once and left alone; started again, used once and left alone."""
    folder = run.folder / "idle"
    folder.mkdir()
    with serving(folder) as server:
        server.add_api("openai", f"http://127.0.0.1:{run.lineup.answers.port}/v1")
        key = server.add_app(("openai",))
        first = _held(server, key)
    with serving(folder) as server:
        server.send("GET", "/apis")
        later = _held(server, key)
    table = Table("idle", "Idle resident memory", "MiB", [])
    for start, parts in (("first start", first), ("later start", later)):
        both = parts["control plane"] + parts["data-plane worker"]
        parts["all together"] = sum(parts.values())
        table.figures += [Figure(f"Tieline, {start}: {name}", [size]) for name, size in parts.items()]
        table.goals.append(Goal(f"Idle memory of both planes together, {start}", both, 160, "MiB"))
    table.notes.append("Pages that the processes share (Python itself, libraries) are counted in each of them.")
    return table


def _held(server: Serving, key: str) -> dict[str, float]:
    """MiB of each process, after a call and some rest."""
    check(server.system({"calls": "openai"}, key), "calls", ANSWER)
    time.sleep(_QUIET_SECONDS)
    return {
        "supervisor": resident_bytes(server.supervisor) / 1024**2,
        "control plane": resident_bytes(server.control) / 1024**2,
        "data-plane worker": resident_bytes(server.workers[0]) / 1024**2,
    }
