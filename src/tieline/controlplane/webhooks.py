"""Webhooks: URLs that events are sent to. Made with a secret that is shown once, changed, rotated, tested, removed.

A URL may hold a token, so it is sealed as the secret is, and only its origin is shown. Events are sent by
``deliveries``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from tieline.access.caller import Caller, Role, require
from tieline.audit.events import WebhookChanged, WebhookCreated, WebhookRemoved, WebhookRotated, WebhookTested
from tieline.controlplane.deliveries import message_of, outcome_of
from tieline.controlplane.inputs import checked_name, checked_page, not_found
from tieline.controlplane.services import Services
from tieline.core.errors import AlreadyExists, InvalidInput
from tieline.core.ids import new_id
from tieline.core.names import is_title
from tieline.core.pages import Page, PageRequest
from tieline.core.secret import Secret
from tieline.core.urls import full_url, parse_url
from tieline.ports.operator import Posted
from tieline.ports.store import Writing
from tieline.ports.webhooks import (
    EVENTS,
    TEST,
    DeliveryRow,
    EventRow,
    SealedField,
    WebhookReader,
    WebhookRow,
    WebhookState,
    place_of,
)
from tieline.schemes.standard_webhooks import mint

WEBHOOKS_MOST: Final = 50
OVERLAP_MOST: Final = 30 * 86_400


@dataclass(frozen=True, slots=True)
class MintedWebhook:
    """A webhook with a secret just made, which is never shown again."""

    row: WebhookRow
    secret: Secret


@dataclass(frozen=True, slots=True)
class WebhookChange:
    """What shall change about a webhook; None stays. While ``paused``, nothing is sent or queued."""

    name: str | None = None
    url: str | None = None
    events: Sequence[str] | None = None
    paused: bool | None = None


async def create(services: Services, caller: Caller, name: str, url: str, events: Sequence[str]) -> MintedWebhook:
    """Make a webhook. Needs the role editor.

    Raises:
        InvalidInput: the name, the URL or an event cannot be, or there are too many webhooks.
        DestinationNotAllowed: the URL leads to an address that the egress guard refuses.
        AlreadyExists: another webhook has the name.
    """
    require(caller, Role.EDITOR)
    whole, origin = _checked_url(services, url)
    row = WebhookRow(
        new_id("wh"),
        checked_name(name, "wh", "webhooks"),
        origin,
        _checked_events(events),
        "active",
        services.clock.now(),
        caller.id,
    )
    secret = mint()
    async with services.store.write(caller) as tx:
        if await tx.webhooks.count() >= WEBHOOKS_MOST:
            raise InvalidInput(f"There are {WEBHOOKS_MOST} webhooks, and no more can be made. Remove one first.")
        if not await tx.webhooks.add(row):
            raise _taken()
        await _put(services, tx, row.id, "url", Secret.from_text(whole))
        await _put(services, tx, row.id, "secret", secret)
        await tx.audit.add(WebhookCreated(target=row.id, name=row.name, origin=origin, events=row.events))
    return MintedWebhook(row, secret)


async def list_webhooks(services: Services, caller: Caller, page: PageRequest) -> Page[WebhookRow]:
    """Webhooks. Needs the role viewer."""
    require(caller, Role.VIEWER)
    async with services.store.read() as rx:
        return await rx.webhooks.list(checked_page(page, "wh"))


async def show(services: Services, caller: Caller, webhook: str) -> WebhookRow:
    """One webhook by id or name. Needs the role viewer. Raises ``NotFound``."""
    require(caller, Role.VIEWER)
    async with services.store.read() as rx:
        return await _find(rx.webhooks, webhook)


async def change(services: Services, caller: Caller, webhook: str, wanted: WebhookChange) -> WebhookRow:
    """Change a webhook. Needs the role editor. Another URL makes one that was gone active again.

    Raises:
        NotFound: there is no such webhook.
        InvalidInput, DestinationNotAllowed, AlreadyExists: as for ``create``.
    """
    require(caller, Role.EDITOR)
    url = None if wanted.url is None else _checked_url(services, wanted.url)
    async with services.store.write(caller) as tx:
        before = await _find(tx.webhooks, webhook)
        after = replace(
            before,
            name=before.name if wanted.name is None else checked_name(wanted.name, "wh", "webhooks"),
            origin=before.origin if url is None else url[1],
            events=before.events if wanted.events is None else _checked_events(wanted.events),
            state=_state(before, wanted),
        )
        if after == before and url is None:
            return before
        if not await tx.webhooks.replace(after):
            raise _taken()
        if url is not None:
            await _put(services, tx, after.id, "url", Secret.from_text(url[0]))
        facts = (after.name, after.origin, after.events, after.state)
        await tx.audit.add(WebhookChanged(after.id, *facts, moved=url is not None))
        return after


async def rotate(services: Services, caller: Caller, webhook: str, overlap: int) -> MintedWebhook:
    """Give a webhook another secret; messages are signed with both for ``overlap`` seconds. Needs the role editor.

    Raises:
        NotFound: there is no such webhook.
        InvalidInput: the overlap is longer than 30 days.
    """
    require(caller, Role.EDITOR)
    if not 0 <= overlap <= OVERLAP_MOST:
        raise InvalidInput(f"overlap is in seconds and must be 0 to {OVERLAP_MOST}.", param="overlap")
    secret = mint()
    async with services.store.write(caller) as tx:
        row = await _find(tx.webhooks, webhook)
        await tx.webhooks.end_secrets(row.id, services.clock.now() + timedelta(seconds=overlap))
        await _put(services, tx, row.id, "secret", secret)
        await tx.audit.add(WebhookRotated(target=row.id, name=row.name, overlap=overlap))
        return MintedWebhook(row, secret)


async def test(services: Services, caller: Caller, webhook: str) -> Posted:
    """Send a test event to a webhook at once, whatever its state; how it was taken. Needs the role editor.

    Raises ``NotFound``.
    """
    require(caller, Role.EDITOR)
    async with services.store.read() as rx:
        row = await _find(rx.webhooks, webhook)
        sealed = await rx.webhooks.sealed(row.id, services.clock.now())
    if sealed is None:
        raise not_found("webhook")
    event = EventRow(new_id("evt"), TEST, services.clock.now(), {"webhook": {"id": row.id, "name": row.name}})
    posted = await services.poster.post(sealed, event.id, message_of(event))
    async with services.store.write(caller) as tx:
        row = await _find(tx.webhooks, row.id)
        await tx.audit.add(WebhookTested(target=row.id, name=row.name, ok=posted.ok, status=posted.status))
    await services.outbox.tested(row.id, event, replace(outcome_of(posted, 0, services.clock.now()), gone=False))
    return posted


async def remove(services: Services, caller: Caller, webhook: str) -> None:
    """Delete a webhook with its secret and its deliveries. Needs the role editor. Raises ``NotFound``."""
    require(caller, Role.EDITOR)
    async with services.store.write(caller) as tx:
        row = await _find(tx.webhooks, webhook)
        await tx.webhooks.remove(row.id)
        await tx.audit.add(WebhookRemoved(target=row.id, name=row.name))


async def list_deliveries(services: Services, caller: Caller, webhook: str, page: PageRequest) -> Page[DeliveryRow]:
    """What was sent to a webhook and waits to be, newest first. Needs the role viewer. Raises ``NotFound``."""
    require(caller, Role.VIEWER)
    async with services.store.read() as rx:
        row = await _find(rx.webhooks, webhook)
        return await rx.webhooks.deliveries(row.id, checked_page(page, "dlv"))


async def _find(webhooks: WebhookReader, webhook: str) -> WebhookRow:
    row = await webhooks.get(webhook) if is_title(webhook) else None
    if row is None:
        raise not_found("webhook")
    return row


async def _put(services: Services, tx: Writing, webhook_id: str, name: SealedField, value: Secret) -> None:
    version = await tx.webhooks.next_version(webhook_id, name)
    sealed = services.intake.seal(place_of(webhook_id, name, version), value)
    await tx.webhooks.put(webhook_id, name, version, sealed)


def _state(before: WebhookRow, wanted: WebhookChange) -> WebhookState:
    if wanted.paused is not None:
        return "paused" if wanted.paused else "active"
    return "active" if before.state == "gone" and wanted.url is not None else before.state


def _checked_url(services: Services, url: str) -> tuple[str, str]:
    """The URL in its one form, and its origin. Raises InvalidInput, DestinationNotAllowed."""
    try:
        whole = full_url(url)
    except ValueError as error:
        raise InvalidInput(f"url cannot be used: {error}.", param="url") from None
    origin = parse_url(whole).origin
    services.check_destination(origin.host)
    return whole, str(origin)


def _checked_events(events: Sequence[str]) -> tuple[str, ...]:
    if not events or any(each not in EVENTS for each in events):
        raise InvalidInput(f"events are one or more of: {', '.join(EVENTS)}.", param="events")
    return tuple(dict.fromkeys(events))


def _taken() -> AlreadyExists:
    return AlreadyExists("Another webhook has this name. Choose another name, or change that one.", param="name")
