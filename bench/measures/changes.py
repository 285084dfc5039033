"""Changes: how long another API's calls wait while an API of very many calls is added, gets credentials and changes."""

import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from bench.figures import TIELINE, Figure, Goal, Table
from bench.load.single import calling
from bench.run import Run
from bench.systems.nginx import PROVIDER_KEY
from bench.systems.product import serving
from bench.systems.system import bearer

CALLS = 3_000
_CREDENTIALS = 5
_BEFORE = 200
_AFTER = 300


def measure(run: Run) -> Table:
    """One connection calls without a pause; the longest call of each change is a round. The console is not watched."""
    folder = run.folder / "changes"
    folder.mkdir()
    figures = []
    with serving(folder) as server, calling(server.url("openai")) as caller:
        server.add_api("openai", f"http://127.0.0.1:{run.lineup.answers.port}/v1")
        request = caller.request(bearer(server.add_app(("openai",))))

        def longest(change: Callable[[], object]) -> float:
            """The longest call in ms from before ``change`` until its effect is over."""
            waits = [caller.call(request) for _ in range(_BEFORE)]
            thread = threading.Thread(target=change)
            thread.start()
            while thread.is_alive():
                waits.append(caller.call(request))
            thread.join()
            waits += [caller.call(request) for _ in range(_AFTER)]
            return max(waits) * 1e3

        def put(number: int) -> None:
            body = {"fields": {"key": f"{PROVIDER_KEY}-{number}"}}
            server.send("PUT", "/apis/big/credentials/live?activate=true", body)

        def add() -> None:
            server.send("POST", "/apis", {"name": "big", "definition": _definition("Big")})

        def change() -> None:
            server.send("PUT", "/apis/big", {"definition": _definition("Bigger")})

        figures.append(Figure("nothing changes", [longest(lambda: None)]))
        figures.append(Figure("API added", [longest(add)]))
        figures.append(Figure(TIELINE, [longest(partial(put, number)) for number in range(_CREDENTIALS)]))
        figures.append(Figure("definition changed", [longest(change)]))
    title = f"Longest call of another API while one with {CALLS:,} calls is changed; {TIELINE}: gets a credential"
    table = Table("changes", title, "ms", figures)
    table.goals.append(Goal("Longest wait of others while a credential is set", max(figures[2].rounds), 50, "ms"))
    return table


def _definition(title: str) -> Mapping[str, Any]:
    """An API whose calls have what calls have: parameters, a header, a body, types."""
    call = {
        "path": "/things/<id>",
        "method": "POST",
        "parameters": {"id": {}, "text": {}, "kind": {"in": "query", "optional": True, "pattern": "[a-z]+"}},
        "headers": [{"name": "X-Id", "value": "id <id>"}],
        "body": {"type": "json", "template": {"a": ["<text>", 1, 2], "b": {"c": "<text>"}}},
        "response": {"fields": [{"path": f"field{number}", "type": "text"} for number in range(8)]},
    }
    return {
        "tieline": "v1",
        "api": "big",
        "title": title,
        "base_url": "https://big.example.com",
        "auth": {"scheme": "bearer"},
        "calls": {f"call{number}": call for number in range(CALLS)},
    }
