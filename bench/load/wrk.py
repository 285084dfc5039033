"""Calls in quantity: ``wrk`` with one thread, driven by a script written for each system.

Owns the script and how its outcome is read. A run in which anything but whole, good answers came is no measurement.
"""

import json
import re
import resource
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.load.request import BODY
from bench.machine import needed
from bench.process import BenchError

CONNECTIONS = 32
_OUTCOME = re.compile(r"^outcome (\d+) (\d+) (\d+) (\d+)$", re.MULTILINE)
_GRACE_SECONDS = 20.0

_REPORT = """
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("outcome %d %d %d %d\\n", summary.requests, summary.duration,
    e.connect + e.read + e.write + e.timeout, e.status))
end
"""
# Each request is made once, when wrk starts; then they go round and round.
_ROTATION = """
local made, at = {{}}, 0
function init(args)
  for key in io.lines({path}) do
    wrk.headers["Authorization"] = "Bearer " .. key
    made[#made + 1] = wrk.format()
  end
end
function request()
  at = at % #made + 1
  return made[at]
end
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run did: answers, the seconds it took, and the processor time that wrk itself used."""

    calls: int
    seconds: float
    generator_seconds: float


def script(path: Path, headers: Mapping[str, str], body: bytes = BODY) -> Path:
    """Write a script that posts ``body``, the benchmark's unless said, with ``headers``."""
    path.write_text(_settings(headers, body) + _REPORT, encoding="ascii")
    return path


def rotating_script(path: Path, keys: Sequence[str]) -> Path:
    """Write a script that shows each of ``keys`` in turn, request by request."""
    listed = path.with_suffix(".keys")
    listed.write_text("\n".join(keys), encoding="ascii")
    path.write_text(_settings({}) + _ROTATION.format(path=json.dumps(str(listed))) + _REPORT, encoding="ascii")
    return path


def run(url: str, with_script: Path, seconds: float, connections: int = CONNECTIONS) -> Outcome:
    """Load ``url`` for whole ``seconds``. Raises BenchError when an answer was not good or did not come."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    whole = max(1, round(seconds))
    options = ("-t1", f"-c{connections}", f"-d{whole}s", "--timeout", "10s", "-s", str(with_script))
    try:
        done = subprocess.run(
            [needed("wrk"), *options, url], capture_output=True, text=True, timeout=whole + _GRACE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise BenchError(f"wrk did not end {_GRACE_SECONDS:g} s after its time") from None
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = _OUTCOME.search(done.stdout)
    if found is None:
        raise BenchError(f"wrk failed: {(done.stderr or done.stdout).strip()[-300:]}")
    calls, microseconds, broken, refused = (int(group) for group in found.groups())
    if broken or refused or not calls:
        raise BenchError(f"{calls} calls to {url}: {refused} were refused and {broken} got no whole answer")
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Outcome(calls, microseconds / 1e6, used)


def _settings(headers: Mapping[str, str], body: bytes = BODY) -> str:
    # The strings are plain ASCII, which JSON and Lua quote alike.
    lines = [f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in headers.items()]
    return (
        "\n".join(['wrk.method = "POST"', 'wrk.headers["Content-Type"] = "application/json"', *lines])
        + f"\nwrk.body = {json.dumps(body.decode('ascii'))}\n"
    )
