"""Where the worker's time goes during the call benchmark: cProfile inside it, under the same load.

The profiler makes every Python call several times dearer, so its shares point to what to look at and its times are no
figures.
"""

import os
import pstats
import signal
import time
from io import StringIO
from pathlib import Path

from bench.load import wrk
from bench.process import ROOT, BenchError
from bench.run import Run
from bench.systems.product import serving
from bench.systems.system import bearer

_ROWS = 40
_INSIDE = Path(__file__).parent / "profiling"  # what the worker runs as it starts
_WRITE_SECONDS = 10.0


def profile(run: Run) -> str:
    """Load a Tieline whose worker profiles itself; returns the functions that took longest."""
    folder = run.folder / "profile"
    folder.mkdir()
    written = folder / "worker.prof"
    searched = os.pathsep.join(filter(None, (str(_INSIDE), os.environ.get("PYTHONPATH"))))
    added = {"PYTHONPATH": searched, "BENCH_PROFILE": str(written)}
    with serving(folder, added=added) as server:
        server.add_api("openai", f"http://127.0.0.1:{run.lineup.answers.port}/v1")
        script = wrk.script(folder / "calls.lua", bearer(server.add_app(("openai",))))
        url = server.url("openai")
        wrk.run(url, script, 1)
        os.kill(server.workers[0], signal.SIGUSR1)
        calls = wrk.run(url, script, run.scale.seconds).calls
        os.kill(server.workers[0], signal.SIGUSR2)
        _wait_for(written)
        text = StringIO()
        pstats.Stats(str(written), stream=text).sort_stats("tottime").print_stats(_ROWS)
    return f"{calls} calls\n{text.getvalue().strip()}\n".replace(f"{ROOT}/", "")


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + _WRITE_SECONDS
    size = -1
    while not path.exists() or path.stat().st_size != size or not size:
        size = path.stat().st_size if path.exists() else -1
        if time.monotonic() > deadline:
            raise BenchError("the worker wrote no profile")
        time.sleep(0.2)
