"""Tries an API's verify request with its active credential, from a process that relays nothing.

It compiles the API afresh from the store and sends through an exit of its own, so that what an operator sees is what
the data plane would do.
"""

import asyncio
from dataclasses import dataclass

from tieline.core.errors import TielineError
from tieline.core.names import Environment
from tieline.dataplane.attempt.loop import Attempts, Job, Policy
from tieline.dataplane.attempt.prepare import Message, Preparer
from tieline.dataplane.attempt.send import ConversationSender
from tieline.dataplane.attempt.target import Target
from tieline.dataplane.snapshot.plan import Api, Plan
from tieline.dataplane.snapshot.view import Snapshot
from tieline.dataplane.tokens.sessions import TokenSessions
from tieline.ports.connections import ConnectionStore
from tieline.ports.snapshot import SnapshotSource
from tieline.vault.keyring import Keyring
from tieline.wire.deadlines import Deadlines
from tieline.wire.guard import Guard
from tieline.wire.pool import Pool
from tieline.wire.tls import Trust

_SECONDS = 20.0
_ANSWER_MOST = 1024 * 1024
_UNAUTHORIZED = frozenset({401, 403})


@dataclass(frozen=True, slots=True)
class Probed:
    """What a verify request showed: ``status`` is the upstream's, ``problem`` says what went wrong and what to do."""

    ok: bool
    status: int | None
    problem: str | None


class Probe:
    """Sends verify requests."""

    def __init__(
        self, source: SnapshotSource, connections: ConnectionStore, keyring: Keyring, guard: Guard, trust: Trust
    ) -> None:
        self._source = source
        self._connections = connections
        self._keyring = keyring
        self._guard = guard
        self._trust = trust

    async def probe(self, api_name: str, environment: Environment) -> Probed:
        """Send the verify request of the API and judge its answer. Never raises for what the upstream does."""
        deadlines = Deadlines()
        pool = Pool(self._guard, deadlines, self._trust)
        snapshot = Snapshot(self._source, self._keyring, self._guard, pool)
        deadlines.start()
        try:
            await snapshot.load(only=api_name)
            api = snapshot.api(api_name.encode())
            if api is None:
                return Probed(
                    False, None, "The definition or credential cannot be used; the log of the server says why."
                )
            return await _ask(Preparer(TokenSessions(self._connections, self._keyring)), api, environment)
        except TielineError as error:
            return Probed(False, None, error.public)
        except TimeoutError:
            return Probed(False, None, f"No whole answer came within {_SECONDS:g} s. Try again.")
        finally:
            pool.close()
            deadlines.stop()


async def _ask(preparer: Preparer, api: Api, environment: Environment) -> Probed:
    plan = api.plans[environment]
    if plan.problem is not None:
        raise plan.problem
    if plan.verify is None:
        return Probed(False, None, "The definition has no verify request. Add one: {method: GET, path: /models}.")
    path, _, query = plan.verify.path.partition("?")
    target = Target(path.encode(), query.encode())
    message = Message(plan.verify.method.encode(), target, [(b"Accept", b"*/*")], b"", 0)
    end = asyncio.get_running_loop().time() + _SECONDS
    sender = ConversationSender(plan, end)
    async with asyncio.timeout_at(end):
        reached = await Attempts(Job(plan, message, Policy(1, idempotent=False)), sender, preparer).run()
        try:
            await reached.read_all(_ANSWER_MOST)
        finally:
            reached.close()
    return _judge(plan, reached.status)


def _judge(plan: Plan, status: int) -> Probed:
    assert plan.verify is not None  # asked by the caller
    if plan.verify.accepts(status):
        return Probed(True, status, None)
    if status in _UNAUTHORIZED:
        why = f"{plan.title} refused the credential ({status}). Check it at the provider and set it again."
    else:
        why = f"{plan.title} answered {status}, expected {' or '.join(plan.verify.expect)}. Check base URL and verify."
    return Probed(False, status, why)
