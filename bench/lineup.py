"""The line-up: one upstream of each kind and, in front of them, every system that is installed here.

Started once for all measures that compare systems. Owns the order of starting: Tieline mints the key that the others
compare with.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.load.single import check
from bench.process import Process, free_ports, python, running
from bench.systems import envoy, floor, nginx, peers
from bench.systems.product import DOORS, relaying
from bench.systems.system import System, Upstreams
from bench.upstreams import certificates
from bench.upstreams.answers import ANSWER, Answers, answering

EVENTS_PER_SECOND = 50.0


@dataclass(frozen=True, slots=True)
class Lineup:
    """Systems under test: ``proxies`` take part in every measure, ``peers`` in the calls alone.

    ``answers`` and ``events`` are the upstreams, ``missing`` says who is not installed.
    """

    proxies: tuple[System, ...]
    peers: tuple[System, ...]
    answers: Answers
    events: Process
    missing: tuple[str, ...]


@contextmanager
def standing(folder: Path, before: Path | None = None) -> Iterator[Lineup]:
    """Start everything; end it with the block. ``before`` is a checkout of another commit that takes part as well."""
    with ExitStack() as stack:
        made = certificates.make(folder)
        answers = stack.enter_context(answering(folder, made))
        events, port = stack.enter_context(event_server(folder, EVENTS_PER_SECOND))
        upstreams = Upstreams(answers.port, port, answers.tls_port, made)
        server, key = stack.enter_context(relaying(folder, upstreams))
        systems = [stack.enter_context(nginx.proxying(folder, upstreams, key))]
        missing = []
        program = envoy.binary()
        if program is None:
            missing.append("Envoy is not installed, so nothing is compared with it: `make bench` installs it.")
        else:
            systems.append(stack.enter_context(envoy.proxying(program, folder, upstreams, key)))
        systems.append(server.system(DOORS, key))
        if before is not None:
            older, its_key = stack.enter_context(relaying(folder, upstreams, name="before", source=before / "src"))
            systems.append(older.system(DOORS, its_key, "Tieline before"))
        bare = stack.enter_context(floor.proxying(folder, upstreams, key))
        others = [bare, *peers.standing(stack, folder, upstreams, key)]
        for system in (*systems, *others):
            for door in ("calls", "tls"):
                if door in system.doors:
                    check(system, door, ANSWER)
        yield Lineup(tuple(systems), tuple(others), answers, events, tuple(missing))


@contextmanager
def event_server(folder: Path, rate: float, name: str = "events") -> Iterator[tuple[Process, int]]:
    """Run the event server while the block lasts; gives it and its port."""
    (port,) = free_ports(1)
    words = ("--port", str(port), "--rate", str(rate))
    with running(name, python("bench.upstreams.events", *words), folder, ports=(port,)) as process:
        yield process, port
