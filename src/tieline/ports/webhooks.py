"""Events, the webhooks that they are sent to, their deliveries, and who reads, changes and sends them.

An event is noted in the transaction of what made it happen, so it is neither lost nor told twice; a delivery is one
event on its way to one webhook.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, Protocol

from tieline.core.pages import Page, PageRequest
from tieline.vault.envelope import Place
from tieline.vault.intake import SealedSecret

EVENTS: Final = ("budget.threshold",)
"""What a webhook can be sent; beside it, ``webhook.test`` goes to the one that is tested."""
TEST: Final = "webhook.test"

WebhookState = Literal["active", "paused", "gone"]
DeliveryState = Literal["pending", "delivered", "failed"]
SealedField = Literal["url", "secret"]


@dataclass(frozen=True, slots=True)
class EventRow:
    """Something that happened. ``data`` holds nothing secret, as it is sent as it is."""

    id: str
    kind: str
    at: datetime
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class WebhookRow:
    """A webhook without its secret and without what stands behind the ``origin`` of its URL, which may be one too.

    ``state`` is ``gone`` where its receiver said so (410). ``dropped`` counts deliveries that its queue had no room
    for, ``pending`` those that wait.
    """

    id: str
    name: str
    origin: str
    events: tuple[str, ...]
    state: WebhookState
    created_at: datetime
    created_by: str
    dropped: int = 0
    pending: int = 0


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """An event on its way to a webhook.

    ``status`` is what the receiver last answered, ``problem`` why that was no success, ``next_at`` when it is tried
    again, None where it is over.
    """

    id: str
    webhook_id: str
    event: EventRow
    state: DeliveryState
    attempts: int
    created_at: datetime
    next_at: datetime | None = None
    last_at: datetime | None = None
    status: int | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class SealedWebhook:
    """Where to send and what to sign with, sealed; each with its version. Of secrets, those that sign now."""

    id: str
    url: tuple[int, SealedSecret] = field(repr=False)
    secrets: Sequence[tuple[int, SealedSecret]] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an attempt: over for good, or tried again at ``next_at``. ``gone``: nothing more is sent there."""

    state: DeliveryState
    at: datetime
    status: int | None
    problem: str | None
    next_at: datetime | None = None
    gone: bool = False


def place_of(webhook_id: str, name: SealedField, version: int) -> Place:
    """Where a sealed field of a webhook stands."""
    return Place("webhook_secrets", webhook_id, name, version, "live")


class WebhookReader(Protocol):
    """Webhooks and their deliveries, to read."""

    async def get(self, id_or_name: str) -> WebhookRow | None: ...

    async def list(self, page: PageRequest) -> Page[WebhookRow]: ...

    async def deliveries(self, webhook_id: str, page: PageRequest) -> Page[DeliveryRow]:
        """The deliveries of a webhook, newest first."""
        ...

    async def sealed(self, webhook_id: str, now: datetime) -> SealedWebhook | None:
        """What a delivery needs; None where there is no such webhook."""
        ...


class WebhookWriter(WebhookReader, Protocol):
    """Changes to webhooks."""

    async def count(self) -> int:
        """How many there are."""
        ...

    async def add(self, row: WebhookRow) -> bool:
        """Add a webhook; False where the name is taken."""
        ...

    async def replace(self, row: WebhookRow) -> bool:
        """Change a webhook's name, origin, events and state; False where the name is taken."""
        ...

    async def next_version(self, webhook_id: str, name: SealedField) -> int:
        """The version that the next value of a field has."""
        ...

    async def put(self, webhook_id: str, name: SealedField, version: int, sealed: SealedSecret) -> None:
        """Keep another value of a field. Of ``url``, only the newest is kept."""
        ...

    async def end_secrets(self, webhook_id: str, at: datetime) -> None:
        """Secrets that are there sign until ``at`` at the most."""
        ...

    async def remove(self, webhook_id: str) -> None:
        """Delete a webhook with its secrets and deliveries."""
        ...


class Outbox(Protocol):
    """Events on their way. Every method is one transaction, and raises ``NotReady`` while there is no store.

    Several processes may send from one outbox: what one has taken, no other takes.
    """

    async def take(self, most: int) -> Sequence[tuple[EventRow, int]]:
        """Take events that nobody has taken yet, and queue each for the active webhooks that want it.

        With each event, how many webhooks had no room for it.
        """
        ...

    async def due(self) -> Sequence[str]:
        """The active webhooks with deliveries that are due."""
        ...

    async def claim(self, webhook_id: str, most: int, seconds: int) -> Sequence[DeliveryRow]:
        """Deliveries of an active webhook that are due, oldest first; nobody else gets them for ``seconds``.

        Their ``attempts`` count the one that is made now.
        """
        ...

    async def sealed(self, webhook_id: str) -> SealedWebhook | None:
        """What a delivery needs; None where there is no such webhook."""
        ...

    async def end(self, delivery: DeliveryRow, outcome: Outcome) -> None:
        """Note what became of an attempt."""
        ...

    async def tested(self, webhook_id: str, event: EventRow, outcome: Outcome) -> None:
        """Note an event that was sent to one webhook at once, and what became of it."""
        ...

    async def forget(self, before: datetime) -> None:
        """Delete events that happened before, with their deliveries, and secrets that sign no more."""
        ...
