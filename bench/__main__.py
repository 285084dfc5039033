"""``python -m bench``: the command line of the benchmark. See ``bench/README.md``."""

import argparse
import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from http.client import HTTPException
from pathlib import Path
from types import FrameType
from typing import Any

from bench import machine, report
from bench.figures import Table
from bench.measures import (
    call,
    calls,
    changes,
    features,
    files,
    flatness,
    idle,
    latency,
    memory,
    starting,
    streams,
    tls,
    workers,
)
from bench.process import ROOT, BenchError
from bench.profile import profile
from bench.run import FULL, QUICK, Run, open_run

MEASURES: dict[str, Callable[[Run], Table]] = {
    "calls": calls.measure,
    "features": features.measure,
    "call": call.measure,
    "streams": streams.measure,
    "latency": latency.measure,
    "tls": tls.measure,
    "memory": memory.measure,
    "files": files.measure,
    "flatness": flatness.measure,
    "changes": changes.measure,
    "starting": starting.measure,
    "idle": idle.measure,
    "workers": workers.measure,
}
OWN_FOLDER = ROOT / "bench"


def main(words: Sequence[str] | None = None) -> int:
    """Measure and report. Returns 0 when all was measured, whether goals are met or not; 1 when something was not."""
    given = _arguments(words)
    signal.signal(signal.SIGTERM, _interrupt)
    descriptors = machine.raise_descriptor_limit()
    try:
        with (
            tempfile.TemporaryDirectory(prefix="tieline-bench-") as folder,
            open_run(QUICK if given.quick else FULL, Path(folder), descriptors, given.before) as run,
        ):
            if given.profile:
                print(profile(run), end="")
                return 0
            tables = [_measured(name, run) for name in given.only or MEASURES]
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted; nothing was written", file=sys.stderr)
        return 130
    _publish(report.results(machine.describe(), quick=given.quick, tables=tables), given)
    return 1 if any("failed" in table for table in tables) else 0


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure Tieline beside nginx and Envoy.")
    parser.add_argument("--quick", action="store_true", help="short rounds and small counts: a look in about a minute")
    parser.add_argument("--only", action="append", choices=list(MEASURES), help="this measure alone (repeat for more)")
    parser.add_argument("--out", type=Path, help="where RESULTS.md and results.json go; bench/ after a whole full run")
    parser.add_argument("--update", action="store_true", help="with --only: replace these measures in bench/ alone")
    parser.add_argument("--before", type=Path, help="a checkout of another commit, measured in the same rounds")
    parser.add_argument("--profile", action="store_true", help="profile the worker under calls instead of measuring")
    given = parser.parse_args(words)
    if given.update and (given.quick or not given.only or given.out):
        parser.error("--update goes with --only, and neither with --quick nor with --out")
    return given


def _measured(name: str, run: Run) -> dict[str, Any]:
    """One measure as JSON values; one that cannot be done says why and does not keep the others from being done."""
    begun = time.monotonic()
    print(f"{name} …", file=sys.stderr, end=" ", flush=True)
    before = machine.busy()
    try:
        table = MEASURES[name](run).as_json()
    except (BenchError, OSError, HTTPException) as error:
        print(f"failed: {error}", file=sys.stderr)
        return {"name": name, "title": name, "failed": str(error), "systems": [], "goals": [], "notes": []}
    if before > machine.QUIET:
        table["notes"].append(f"The machine was not quiet: others used {before:.0%} of it just before.")
    seconds = time.monotonic() - begun
    print(f"{seconds:.0f} s", file=sys.stderr)
    return {**table, "seconds": round(seconds, 1)}


def _publish(data: report.Results, given: argparse.Namespace) -> None:
    """Print the report; write it where that was asked for, and into the repository after a whole full run."""
    if given.update:
        data = report.merged(json.loads((OWN_FOLDER / "results.json").read_text(encoding="utf-8")), data)
    print(report.markdown(data))
    whole = not given.quick and not given.only and not any("failed" in table for table in data["measures"])
    folder = given.out or (OWN_FOLDER if whole or given.update else None)
    if folder is not None:
        report.write(folder, data)
        print(f"written: RESULTS.md and results.json in {folder}", file=sys.stderr)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
