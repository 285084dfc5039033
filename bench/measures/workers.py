"""Two workers against one: calls a second when both are loaded as far as the machine lets them."""

from bench.figures import Figure, Goal, Table
from bench.load import wrk
from bench.machine import CORES_FOR_SCALING, cores
from bench.rounds import Entrant, held_up, saturate
from bench.run import Run
from bench.systems.product import serving
from bench.systems.system import bearer

_LEAST = 1.8


def measure(run: Run) -> Table:
    """A Tieline with one worker and one with two in turn, behind the same upstream."""
    folder = run.folder / "workers"
    folder.mkdir()
    answers = run.lineup.answers
    entrants = []
    with serving(folder, name="one") as one, serving(folder, name="two", workers=2) as two:
        for name, server in (("1 worker", one), ("2 workers", two)):
            server.add_api("openai", f"http://127.0.0.1:{answers.port}/v1")
            script = wrk.script(folder / f"{len(server.workers)}.lua", bearer(server.add_app(("openai",))))
            others = (server.supervisor, server.control)
            entrants.append(Entrant(name, server.url("openai"), script, server.workers, others, answers.pid))
        costs = saturate(entrants, run.scale)
    figures = [
        Figure(
            cost.system, [float(cost.facts.pop("calls/s"))], {"CPU per call, µs": round(cost.median, 1), **cost.facts}
        )
        for cost in costs
    ]
    table = Table("workers", "Calls a second by number of workers", "calls/s", figures, notes=held_up(costs))
    gain = figures[1].median / figures[0].median
    enough = cores() >= CORES_FOR_SCALING
    table.goals.append(Goal("Two workers, against one", gain, _LEAST, "×", least=True, judged=enough))
    if not enough:
        table.notes.append(
            f"Two workers, the upstream and the generator share {cores()} cores here, so the gain of {gain:.2f} × "
            f"tells nothing about two workers; {CORES_FOR_SCALING} cores would."
        )
    return table
