"""Which deliveries are sent again and when, and what the log says of events."""

import asyncio
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tieline.controlplane.deliveries import PAUSES, Deliveries, message_of, outcome_of, words_of
from tieline.core.clock import SystemClock
from tieline.core.errors import NotReady
from tieline.ports.operator import Posted
from tieline.ports.webhooks import DeliveryRow, EventRow, Outcome, SealedWebhook
from tieline.vault.intake import SealedSecret

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
DATA: dict[str, Any] = {
    "budget": {"id": "bud_1", "name": "monthly"},
    "subject": None,
    "threshold": 80,
    "amount": {"usd": "10.00"},
    "spent": {"usd": "8.10"},
    "mode": "hard",
    "resets_at": "2026-12-01T00:00:00.000Z",
}
EVENT = EventRow("evt_1", "budget.threshold", NOW, DATA)
DELIVERY = DeliveryRow("dlv_1", "wh_1", EVENT, "pending", 1, NOW)
SEALED = SealedWebhook("wh_1", (1, SealedSecret("dk", b"", b"")), [])


@dataclass
class OneOutbox:
    """An outbox with deliveries of webhooks, by their ids; ``ended`` is what became of them."""

    waiting: dict[str, list[DeliveryRow]] = field(default_factory=dict)
    happened: list[tuple[EventRow, int]] = field(default_factory=list)
    ended: list[tuple[str, Outcome]] = field(default_factory=list)
    away: bool = False

    async def take(self, most: int) -> Sequence[tuple[EventRow, int]]:
        if self.away:
            raise NotReady("The store is away.")
        found, self.happened = self.happened, []
        return found

    async def due(self) -> Sequence[str]:
        return [name for name, rows in self.waiting.items() if rows]

    async def claim(self, webhook_id: str, most: int, seconds: int) -> Sequence[DeliveryRow]:
        return [self.waiting[webhook_id].pop(0)] if self.waiting[webhook_id] else []

    async def sealed(self, webhook_id: str) -> SealedWebhook | None:
        return replace(SEALED, id=webhook_id)

    async def end(self, delivery: DeliveryRow, outcome: Outcome) -> None:
        self.ended.append((delivery.webhook_id, outcome))

    async def tested(self, webhook_id: str, event: EventRow, outcome: Outcome) -> None: ...

    async def forget(self, before: datetime) -> None: ...


@dataclass
class Receivers:
    """Answers as told, by webhook; what hangs goes on when it is told to."""

    answers: dict[str, Posted] = field(default_factory=dict)
    hang: dict[str, asyncio.Event] = field(default_factory=dict)
    got: list[tuple[str, str, bytes]] = field(default_factory=list)

    async def post(self, webhook: SealedWebhook, message_id: str, body: bytes) -> Posted:
        self.got.append((webhook.id, message_id, body))
        if webhook.id in self.hang:
            await self.hang[webhook.id].wait()
        return self.answers.get(webhook.id, Posted(200))


async def turned(outbox: OneOutbox, receivers: Receivers) -> Deliveries:
    """One turn, and what it began, but for what hangs."""
    deliveries = Deliveries(outbox, receivers, SystemClock())
    await deliveries.turn()
    for _ in range(20):
        await asyncio.sleep(0)
    return deliveries


def test_a_delivery_is_tried_for_more_than_a_day_and_then_failed() -> None:
    """Eight attempts, each pause longer than the one before, within a tenth of what is written down."""
    for attempt, pause in enumerate(PAUSES, 1):
        outcome = outcome_of(Posted(500, "no"), attempt, NOW)
        assert outcome.next_at is not None
        assert 0.9 * pause <= (outcome.next_at - NOW).total_seconds() <= 1.1 * pause
    assert outcome_of(Posted(500, "no"), len(PAUSES) + 1, NOW) == Outcome("failed", NOW, 500, "no")
    assert sum(PAUSES) > 24 * 3_600


def test_a_receiver_may_ask_for_more_time_and_not_for_less() -> None:
    """Retry-After is heeded where it is longer than the pause."""
    slow = outcome_of(Posted(429, "slow", retry_after=900.0), 1, NOW).next_at
    quick = outcome_of(Posted(503, "slow", retry_after=1.0), 2, NOW).next_at
    assert slow == NOW + timedelta(seconds=900)
    assert quick is not None
    assert quick > NOW + timedelta(seconds=200)


def test_410_ends_it_and_the_webhook() -> None:
    """The receiver does not want any more."""
    outcome = outcome_of(Posted(410, "gone"), 1, NOW)
    assert (outcome.state, outcome.gone, outcome.next_at) == ("failed", True, None)


def test_a_message_is_the_same_bytes_each_time() -> None:
    """Its type, when it happened and the facts; nothing else."""
    assert message_of(EVENT) == message_of(replace(EVENT))
    assert json.loads(message_of(EVENT)) == {
        "type": "budget.threshold",
        "timestamp": "2026-11-30T12:00:00.000Z",
        "data": DATA,
    }


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({}, 'the budget "monthly" has passed 80 %: 8.10 USD of 10.00 USD are spent; what goes beyond it is refused'),
        ({"mode": "warn"}, "nothing is refused, and it begins anew at 2026-12-01"),
        ({"resets_at": None}, "it does not begin anew"),
        ({"subject": "app_1:ann"}, '"monthly" of app_1:ann has'),
        ({"amount": {"tokens": 100}, "spent": {"tokens": 90}}, "90 tokens of 100 tokens"),
    ],
)
def test_the_log_says_what_happened_and_what_to_do(change: dict[str, Any], says: str) -> None:
    """With the commands that show who spends."""
    words = words_of(replace(EVENT, data=DATA | change))
    assert says in words
    assert "tieline budget show" in words


async def test_what_happened_is_a_warning_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Also where no webhook is; a queue that is full is another."""
    with caplog.at_level(logging.WARNING):
        await turned(OneOutbox(happened=[(EVENT, 2)]), Receivers())
    assert [record.getMessage()[:30] for record in caplog.records] == [
        'the budget "monthly" has passe',
        "budget.threshold was not sent ",
    ]


async def test_a_slow_receiver_holds_up_no_other() -> None:
    """Each webhook's deliveries go one after another, and beside those of others."""
    outbox = OneOutbox({"wh_1": [DELIVERY] * 2, "wh_2": [replace(DELIVERY, webhook_id="wh_2")] * 3})
    receivers = Receivers(hang={"wh_1": asyncio.Event()})
    deliveries = await turned(outbox, receivers)
    assert [name for name, _ in outbox.ended] == ["wh_2"] * 3
    assert [name for name, _, _ in receivers.got].count("wh_1") == 1
    await deliveries.turn()  # it is not begun a second time
    receivers.hang["wh_1"].set()
    for _ in range(20):
        await asyncio.sleep(0)
    assert [name for name, _ in outbox.ended].count("wh_1") == 2
    await deliveries.close()


async def test_the_last_attempt_in_vain_is_told_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """With what the receiver answered."""
    outbox = OneOutbox({"wh_1": [replace(DELIVERY, attempts=8)]})
    with caplog.at_level(logging.WARNING):
        await turned(outbox, Receivers({"wh_1": Posted(500, "The receiver answered 500.")}))
    assert "could not be delivered to the webhook wh_1, attempt 8 was the last" in caplog.text
    assert [outcome.state for _, outcome in outbox.ended] == ["failed"]


async def test_a_store_that_is_away_is_the_caller_s_to_hear() -> None:
    """Nothing was taken, so nothing is lost."""
    outbox = OneOutbox(away=True, happened=[(EVENT, 0)])
    with pytest.raises(NotReady):
        await Deliveries(outbox, Receivers(), SystemClock()).turn()
    assert outbox.happened


async def test_closing_leaves_what_is_under_way_to_the_next_process() -> None:
    """It was claimed for a minute, and its outcome is not known."""
    outbox = OneOutbox({"wh_1": [DELIVERY]})
    deliveries = await turned(outbox, Receivers(hang={"wh_1": asyncio.Event()}))
    await deliveries.close()
    assert outbox.ended == []
