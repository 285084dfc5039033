"""Events on their way: each is told in the log, and delivered to the webhooks that want it until they have taken it.

States of a delivery, which the store keeps, so that a restart changes nothing:

    pending ── 2xx ──────────────────────────▶ delivered
       │ ▲
       │ └── anything else: after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h and 14 h, or when the receiver asks for it
       └──── the eighth time in vain, or 410 ─▶ failed

A webhook's deliveries go one after another, those of different webhooks beside one another: a receiver that is slow or
down holds up nobody else. A message may arrive twice, where a process died or an answer was lost: its id is the same.
"""

import asyncio
import logging
import random
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

import orjson

from tieline.core.clock import Clock, rfc3339
from tieline.core.errors import TielineError
from tieline.ports.operator import Posted, Poster
from tieline.ports.webhooks import DeliveryRow, EventRow, Outbox, Outcome

log = logging.getLogger("tieline.controlplane.deliveries")

PAUSES: Final = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400)
"""Seconds before each further attempt, as the specification of Standard Webhooks proposes; 32 hours in all."""
CLAIM_SECONDS: Final = 60
"""A delivery belongs to who claimed it for so long: more than one attempt takes."""
TAKEN_MOST: Final = 100
_JITTER: Final = 0.1


class Deliveries:
    """Sends what is due, one task for each webhook that has something."""

    def __init__(self, outbox: Outbox, poster: Poster, clock: Clock) -> None:
        self._outbox = outbox
        self._poster = poster
        self._clock = clock
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def turn(self) -> None:
        """Take what has happened, and begin to send what is due. Raises NotReady."""
        for event, full in await self._outbox.take(TAKEN_MOST):
            log.warning("%s", words_of(event), extra={"kind": event.kind})
            if full:
                log.warning(
                    "%s was not sent to %d webhooks, whose queues are full: see what their receivers answer "
                    "(tieline webhook list)",
                    event.kind,
                    full,
                )
        for webhook_id in await self._outbox.due():
            if webhook_id not in self._tasks:
                task = self._tasks[webhook_id] = asyncio.get_running_loop().create_task(self._send(webhook_id))
                task.add_done_callback(partial(self._sent, webhook_id))

    async def close(self) -> None:
        """Stop; what is under way is sent again by the next process."""
        for task in list(self._tasks.values()):
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()))

    def _sent(self, webhook_id: str, task: "asyncio.Task[None]") -> None:
        del self._tasks[webhook_id]
        if not task.cancelled() and (error := task.exception()) is not None:
            explained = error.explained if isinstance(error, TielineError) else type(error).__name__
            log.warning("deliveries to the webhook %s are tried again: %s", webhook_id, explained)

    async def _send(self, webhook_id: str) -> None:
        while claimed := await self._outbox.claim(webhook_id, 1, CLAIM_SECONDS):
            for delivery in claimed:
                sealed = await self._outbox.sealed(webhook_id)
                if sealed is None:
                    return
                posted = await self._poster.post(sealed, delivery.event.id, message_of(delivery.event))
                outcome = outcome_of(posted, delivery.attempts, self._clock.now())
                await self._outbox.end(delivery, outcome)
                if outcome.state == "failed":
                    log.warning("%s", _failed(delivery, posted))


def message_of(event: EventRow) -> bytes:
    """The body of a message: what happened, when, and the facts; the same bytes each time."""
    return orjson.dumps({"type": event.kind, "timestamp": rfc3339(event.at), "data": event.data})


def outcome_of(posted: Posted, attempts: int, now: datetime) -> Outcome:
    """What becomes of a delivery whose attempt number ``attempts`` was taken so; 0 for one that is not tried again."""
    if posted.ok:
        return Outcome("delivered", now, posted.status, None)
    if posted.gone or not 0 < attempts <= len(PAUSES):
        return Outcome("failed", now, posted.status, posted.problem, gone=posted.gone)
    seconds = PAUSES[attempts - 1] * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311  spreads load, no secret
    seconds = max(seconds, posted.retry_after or 0.0)
    return Outcome("pending", now, posted.status, posted.problem, now + timedelta(seconds=seconds))


def words_of(event: EventRow) -> str:
    """What the log says of an event, and what to do."""
    return _threshold(event.data) if event.kind == "budget.threshold" else event.kind


def _threshold(data: Mapping[str, Any]) -> str:
    name, whose = data["budget"]["name"], f" of {data['subject']}" if data["subject"] else ""
    begin = (
        f'the budget "{name}"{whose} has passed {data["threshold"]} %: {_sum(data["spent"])} of {_sum(data["amount"])} '
        "are spent"
    )
    resets = "it does not begin anew" if data["resets_at"] is None else f"it begins anew at {data['resets_at']}"
    then = "what goes beyond it is refused" if data["mode"] == "hard" else "nothing is refused"
    return f"{begin}; {then}, and {resets}. See who spends it (tieline budget show, tieline log list) or raise it"


def _sum(shown: Mapping[str, Any]) -> str:
    return f"{shown['usd']} USD" if "usd" in shown else f"{shown['tokens']} tokens"


def _failed(delivery: DeliveryRow, posted: Posted) -> str:
    return (
        f"{delivery.event.kind} ({delivery.event.id}) could not be delivered to the webhook {delivery.webhook_id}, "
        f"attempt {delivery.attempts} was the last: {posted.problem}"
    )
