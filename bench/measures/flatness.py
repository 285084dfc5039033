"""Flatness: a call in a large installation against a call in a small one, and what a key costs that nobody used yet.

Two Tielines run side by side. Each gets calls that show its keys in rotation, so that every call shows another key than
the one before on its connection; in the large one all keys were used once before it counts.
"""

from pathlib import Path

from bench.figures import Goal, Table, percentile
from bench.keys import add_keys
from bench.load import wrk
from bench.load.single import calling
from bench.meter import Meter
from bench.process import resident_bytes
from bench.rounds import Entrant, saturate
from bench.run import Run
from bench.systems.product import Serving, serving
from bench.systems.system import bearer

FEW = 10
_PROBE_SECONDS = 1.0
_MARGIN = 1.15
_OTHER_API = "tieline: v1\napi: {name}\ntitle: Another\nbase_url: http://127.0.0.1:{port}/v1\nauth: {{scheme: none}}\n"


def measure(run: Run) -> Table:
    """A small and a large installation in turn, behind the same upstream."""
    folder = run.folder / "flatness"
    folder.mkdir()
    answers = run.lineup.answers
    with serving(folder, name="small") as small, serving(folder, name="large") as large:
        few = _furnish(small, answers.port, FEW)
        for number in range(run.scale.apis):
            name = f"other-{number}"
            large.send("POST", "/apis", {"name": name, "definition": _OTHER_API.format(name=name, port=answers.port)})
        many = _furnish(large, answers.port, run.scale.keys)
        cold = _cold(large, many[-run.scale.cold_keys :])
        warm, notes = _warm(large, many, folder, run.scale.warm_seconds)
        title = f"{warm:,} keys, {run.scale.apis + 1:,} APIs"
        figures = saturate(
            [
                _entrant(f"{FEW} keys, 1 API", small, folder, few, answers.pid),
                _entrant(title, large, folder, many[:warm], answers.pid),
            ],
            run.scale,
        )
        for figure, server in zip(figures, (small, large), strict=True):
            figure.facts["worker, MiB"] = round(resident_bytes(server.workers[0]) / 1024**2, 1)
    table = Table("flatness", "CPU per call by size of the installation", "µs", figures, notes=notes)
    table.goals.append(Goal(f"{title}, against {FEW} keys", figures[1].median / figures[0].median, 1.1, "×"))
    table.goals.append(
        Goal(f"Call with a key never seen, of {len(many):,}, p99", percentile(cold, 0.99) * 1e3, 5, "ms")
    )
    table.notes.append(
        f"A call whose key was never seen takes {percentile(cold, 0.5) * 1e3:.2f} ms (p50), "
        f"{percentile(cold, 0.99) * 1e3:.2f} ms (p99) at one connection."
    )
    return table


def _furnish(server: Serving, port: int, keys: int) -> list[str]:
    server.add_api("openai", f"http://127.0.0.1:{port}/v1")
    server.add_app(("openai",))
    return add_keys(server.data_dir, keys)


def _cold(server: Serving, keys: list[str]) -> list[float]:
    """Seconds of the first call with each of ``keys``."""
    with calling(server.url("openai")) as caller:
        requests = [caller.request(bearer(key)) for key in keys]
        for _ in range(3):
            caller.call(requests[0])  # the connection to the upstream is open from here on
        return [caller.call(request) for request in requests[1:]]


def _warm(server: Serving, keys: list[str], folder: Path, most: float) -> tuple[int, list[str]]:
    """Use every key once, as far as ``most`` seconds reach; returns how many were used, from the first on."""
    url, script = server.url("openai"), wrk.rotating_script(folder / "warm.lua", keys)
    probe = wrk.run(url, script, _PROBE_SECONDS)
    wanted = len(keys) / (probe.calls / probe.seconds) * _MARGIN
    with Meter({"worker": server.workers}) as meter:
        outcome = wrk.run(url, script, min(most, wanted))
    used = min(len(keys), outcome.calls)
    cost = meter.used["worker"] / outcome.calls * 1e6
    notes = [f"The first calls with {used:,} keys took the worker {cost:.0f} µs of CPU each."]
    if used < len(keys):
        notes.append(f"Of {len(keys):,} keys in the store only {used:,} are in rotation: {most:g} s warmed no more.")
    return used, notes


def _entrant(name: str, server: Serving, folder: Path, keys: list[str], upstream: int) -> Entrant:
    script = wrk.rotating_script(folder / f"{len(keys)}.lua", keys)
    return Entrant(name, server.url("openai"), script, server.workers, (server.supervisor, server.control), upstream)
