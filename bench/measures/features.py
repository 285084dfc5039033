"""What each control of a relayed call costs: one Tieline, loaded by turns with keys and APIs that have more of them.

The request record cannot be turned off, and is in every row; ``python -m bench.instructions`` tells its part.
"""

from typing import Any, Final

from bench.figures import TIELINE, Goal, Table
from bench.instructions import APIS, LIMITS
from bench.load import wrk
from bench.measures.call import DEFINITION
from bench.rounds import Entrant, held_up, saturate
from bench.run import Run
from bench.systems.nginx import PROVIDER_KEY
from bench.systems.product import GRANTS, Serving, serving
from bench.systems.system import bearer

BARE: Final = "Tieline, bare key"
_APP: Final = "features"
_BUDGET: Final = {"amount": {"usd": "1000000"}, "period": "total"}
_ROWS: Final[tuple[tuple[str, str, dict[str, Any]], ...]] = (
    (BARE, "plain", {}),
    ("+ limits", "plain", {"limits": LIMITS}),
    ("+ usage and its price", "priced", {}),
    ("+ usage and budget", "priced", {"budget": _BUDGET}),
    (TIELINE, "priced", {"limits": LIMITS, "budget": _BUDGET}),
)
"""Name, API and what the key has. Budgets are looked for as soon as there is any, so those rows have a server apart."""


def measure(run: Run) -> Table:
    """Two Tielines, one without budgets; the last row has everything."""
    folder = run.folder / "features"
    folder.mkdir()
    with serving(folder) as without, serving(folder, name="budgets") as with_budgets:
        entrants: list[Entrant] = []
        for server, has_budget in ((without, False), (with_budgets, True)):
            rows = [row for row in _ROWS if ("budget" in row[2]) is has_budget]
            keys = _furnish(server, run.lineup.answers.port, [more for _, _, more in rows])
            for (name, api, _), key in zip(rows, keys, strict=True):
                script = wrk.script(folder / f"{len(entrants)}.lua", bearer(key))
                others = (server.supervisor, server.control)
                entrants.append(Entrant(name, server.url(api), script, server.workers, others, run.lineup.answers.pid))
        figures = saturate(entrants, run.scale)
    table = Table("features", "CPU per relayed call, by control", "µs", figures, notes=held_up(figures))
    bare, everything = table.median(BARE), table.median(TIELINE)
    more = everything - bare if bare is not None and everything is not None else None
    table.goals.append(Goal("Limits, usage, price and budget of a call together", more, 8.0, "µs"))
    return table


def _furnish(server: Serving, port: int, keys: list[dict[str, Any]]) -> list[str]:
    """Both APIs, and a key with each of ``keys``."""
    for name in ("plain", "priced"):
        definition = {**DEFINITION, "api": name, "base_url": f"http://127.0.0.1:{port}/v1", **APIS[name]}
        server.send("POST", "/apis", {"name": name, "definition": definition})
        server.send("PUT", f"/apis/{name}/credentials/live", {"fields": {"key": PROVIDER_KEY}})
    server.add_app(("plain", "priced"))
    permissions = {"mode": "restricted", "grants": {"plain": GRANTS, "priced": GRANTS}}
    server.send("POST", "/apps", {"name": _APP, "apis": ["plain", "priced"]})
    made = []
    for at, more in enumerate(keys):
        body = {"name": f"key {at}", "permissions": permissions, **more}
        made.append(str(server.send("POST", f"/apps/{_APP}/keys", body)["secret"]))
    return made
