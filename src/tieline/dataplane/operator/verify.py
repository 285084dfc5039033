"""Tries an API's verify request with its active credential, and says in words what its answer means."""

import asyncio
from typing import Final

from tieline.core.errors import TielineError
from tieline.core.names import Environment
from tieline.dataplane.attempt.loop import Attempts, Job, Policy
from tieline.dataplane.attempt.prepare import Message
from tieline.dataplane.attempt.send import ConversationSender
from tieline.dataplane.attempt.target import Target
from tieline.dataplane.operator.opening import OpenedApi, Opening
from tieline.dataplane.snapshot.plan import Plan
from tieline.dataplane.tokens.holder import Holder
from tieline.ports.connections import EndUser
from tieline.ports.operator import VerifyResult

SECONDS: Final = 20.0
ANSWER_MOST: Final = 1024 * 1024
_UNAUTHORIZED = frozenset({401, 403})


class Verifier:
    """Sends verify requests; a ``ports.operator.Prober``."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening

    async def probe(self, api_name: str, environment: Environment, end_user: EndUser | None = None) -> VerifyResult:
        """Send the verify request of the API and judge its answer. Never raises for what the upstream does."""
        try:
            async with self._opening.api(api_name, "verify") as opened:
                return await _verified(opened, environment, Holder(*end_user) if end_user is not None else None)
        except TielineError as error:
            return VerifyResult(ok=False, status=None, problem=error.public)
        except TimeoutError:
            return VerifyResult(ok=False, status=None, problem=f"No whole answer came within {SECONDS:g} s. Try again.")


async def _verified(opened: OpenedApi, environment: Environment, holder: Holder | None) -> VerifyResult:
    plan = opened.plan(environment)
    if plan.verify is None:
        missing = "The definition has no verify request. Add one: {method: GET, path: /models}."
        return VerifyResult(ok=False, status=None, problem=missing)
    path, _, query = plan.verify.path.partition("?")
    target = Target(path.encode(), query.encode())
    message = Message(plan.verify.method.encode(), target, [(b"Accept", b"*/*")], b"", 0)
    end = asyncio.get_running_loop().time() + SECONDS
    job = Job(plan, message, Policy(1, idempotent=False), holder)
    async with asyncio.timeout_at(end):
        reached = await Attempts(job, ConversationSender(plan, end), opened.preparer).run()
        try:
            await reached.read_all(ANSWER_MOST)
        finally:
            reached.close()
    return _judged(plan, reached.status)


def _judged(plan: Plan, status: int) -> VerifyResult:
    assert plan.verify is not None  # asked by the caller
    if plan.verify.accepts(status):
        return VerifyResult(ok=True, status=status, problem=None)
    if status in _UNAUTHORIZED:
        why = f"{plan.title} refused the credential ({status}). Check it at the provider and set it again."
    else:
        why = f"{plan.title} answered {status}, expected {' or '.join(plan.verify.expect)}. Check base URL and verify."
    return VerifyResult(ok=False, status=status, problem=why)
