"""What every test may ask for: services, programs, ports, and how thorough to be. It knows nothing of the product.

The environment is read here, once, and then cleared of ``TIELINE_*`` so that programs under test start from their
defaults (an unknown name of that kind would, rightly, stop them).

| name | effect |
| --- | --- |
| ``TIELINE_SOAK=1`` | the long proofs run at their full counts |
| ``TIELINE_REQUIRE_SERVICES=1`` | a service or program that is missing fails a test instead of skipping it |
| ``TEST_POSTGRES`` | a superuser's URL, default ``postgresql://postgres@127.0.0.1:5432/postgres`` |
| ``TEST_REDIS`` | HOST:PORT, default ``127.0.0.1:6379`` |

Leaks are caught without a guard of our own: warnings are errors, so a socket, file or task that was never closed
fails the test that left it (pytest's unraisable-exception hook).
"""

import asyncio
import os
import secrets
import shutil
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from urllib.parse import urlsplit

import asyncpg
import pytest
from hypothesis import HealthCheck, Phase
from hypothesis import settings as hypothesis_settings

from tests.peers.issuer import FOLDER as ISSUER_FOLDER
from tests.peers.issuer import Issuer, issuing

SOAK = os.environ.get("TIELINE_SOAK") == "1"
REQUIRE_SERVICES = os.environ.get("TIELINE_REQUIRE_SERVICES") == "1"
POSTGRES = os.environ.get("TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres")
REDIS = os.environ.get("TEST_REDIS", "127.0.0.1:6379")
REDIS_DATABASES = 16

for name, examples, phases in (
    ("quick", 60, tuple(Phase)),
    ("soak", 3000, tuple(Phase)),
    ("mutate", 60, (Phase.explicit, Phase.generate)),  # a mutant is killed by the first example that notices it
):
    hypothesis_settings.register_profile(
        name,
        max_examples=examples,
        phases=phases,
        deadline=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
hypothesis_settings.load_profile("soak" if SOAK else "mutate" if "MUTANT_UNDER_TEST" in os.environ else "quick")


def missing(what: str) -> None:
    """Skip the test because ``what`` is not there, or fail it where services are required."""
    reason = f"{what} (install it with `make services`)"
    if REQUIRE_SERVICES:
        pytest.fail(f"TIELINE_REQUIRE_SERVICES=1 and {reason}", pytrace=False)
    pytest.skip(reason)


def pytest_configure() -> None:
    """What a shell runs in the background ignores SIGINT, and so would every program that tests start and interrupt."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def plain_environment() -> Iterator[None]:
    """No ``TIELINE_*`` name reaches the programs under test from outside."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("TIELINE_")]:
            patch.delenv(name)
        yield


@pytest.fixture(scope="session")
def soak() -> bool:
    """Whether the long proofs run at their full counts (``make soak``)."""
    return SOAK


@pytest.fixture(scope="session")
def program() -> Callable[[str], str]:
    """``program("nginx")`` is the path of an installed program; a missing one skips (or fails) the test."""

    def find(name: str) -> str:
        path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin:/sbin")
        if path is None:
            missing(f"the program {name} is not installed")
        assert path is not None
        return path

    return find


@pytest.fixture(scope="session")
def issuer(program: Callable[[str], str]) -> Iterator[Issuer]:
    """A real OAuth and OpenID Connect server; tests/peers/issuer.py says what it offers."""
    node = program("node")
    if not (ISSUER_FOLDER / "node_modules").is_dir():
        reason = "no `npm ci` in tests/peers/oidc yet: `make test` does it"
        (pytest.fail if REQUIRE_SERVICES else pytest.skip)(reason)
    with issuing(node) as running:
        yield running


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """``free_port()`` is a TCP port of 127.0.0.1 that nobody listens on now; each call gives another one."""
    given: set[int] = set()

    def find() -> int:
        while True:
            with closing(socket.socket()) as probe:
                probe.bind(("127.0.0.1", 0))
                port: int = probe.getsockname()[1]
            if port not in given:
                given.add(port)
                return port

    return find


def run_sql(statement: str) -> None:
    """Run one statement as the superuser, on a thread of its own so that any test may ask, with or without a loop."""
    failures: list[BaseException] = []

    async def execute() -> None:
        connection = await asyncpg.connect(POSTGRES, timeout=10)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    def run() -> None:
        try:
            asyncio.run(execute())
        except (OSError, TimeoutError, asyncpg.PostgresError) as failure:
            failures.append(failure)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


@pytest.fixture(scope="session")
def postgres() -> str:
    """The superuser's URL of a running PostgreSQL; none skips (or fails) the test."""
    try:
        run_sql("SELECT 1")
    except (OSError, TimeoutError, asyncpg.PostgresError) as failure:
        missing(f"PostgreSQL does not answer as {POSTGRES}: {failure}")
    return POSTGRES


@pytest.fixture
def postgres_url(postgres: str) -> Iterator[str]:
    """The URL of a fresh, empty PostgreSQL database, dropped after the test."""
    name = f"tieline_test_{secrets.token_hex(6)}"
    run_sql(f'CREATE DATABASE "{name}"')
    try:
        yield urlsplit(postgres)._replace(path=f"/{name}").geturl()
    finally:
        run_sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def redis_command(*words: str) -> bytes:
    """Send inline commands to Redis, one a line, and return the answers."""
    host, _, port = REDIS.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall("".join(f"{word}\r\n" for word in (*words, "QUIT")).encode())
        answer = b""
        while piece := connection.recv(4096):
            answer += piece
        return answer


@pytest.fixture
def redis_url(worker_id: str) -> Iterator[str]:
    """The URL of an empty Redis database that no other test process uses, emptied again after the test."""
    number = 1 + int(worker_id.removeprefix("gw") if worker_id != "master" else 0) % (REDIS_DATABASES - 1)
    try:
        redis_command(f"SELECT {number}", "FLUSHDB")
    except OSError as failure:
        missing(f"Redis does not answer at {REDIS}: {failure}")
    yield f"redis://{REDIS}/{number}"
    redis_command(f"SELECT {number}", "FLUSHDB")
