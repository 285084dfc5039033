"""Routes of webhooks."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from pydantic import Field

from tieline.controlplane import webhooks
from tieline.controlplane.webhooks import MintedWebhook, WebhookChange
from tieline.core.urls import URL_MOST
from tieline.ports.operator import Posted
from tieline.ports.webhooks import EVENTS, DeliveryRow, WebhookRow
from tieline.web.api.shared import CallerHere, Listing, PageHere, ServicesHere, Shown, Strict, Time, Title

router = APIRouter(prefix="/webhooks", tags=["Webhooks"])

Events = Annotated[
    list[str],
    Field(
        min_length=1,
        max_length=20,
        description=f"What it is sent: {', '.join(EVENTS)}.",
        examples=[list(EVENTS)],
    ),
]
Address = Annotated[
    str,
    Field(
        max_length=URL_MOST,
        description="Where messages are posted to. It is sealed, as it may hold a token; only its origin is shown.",
        examples=["https://hooks.example.com/tieline"],
    ),
]


class WebhookBody(Strict):
    """A webhook to make."""

    name: Title
    url: Address
    events: Events = Field(default_factory=lambda: list(EVENTS))


class WebhookPatch(Strict):
    """What shall change about a webhook; what is left out stays."""

    name: Title | None = None
    url: Address | None = None
    events: Events | None = None
    paused: bool | None = Field(None, description="True: events that happen now are not sent. False: they are again.")


class WebhookRotation(Strict):
    """How long, in seconds, messages are signed with the old secret too."""

    overlap: int = Field(86_400, ge=0, le=webhooks.OVERLAP_MOST)


class WebhookShown(Shown):
    """A webhook, without its secret and without what stands behind the origin of its URL.

    ``state`` is ``gone`` where its receiver answered 410. ``pending`` deliveries wait, ``dropped`` ones
    found the queue full.
    """

    id: str
    name: str
    origin: str
    events: list[str]
    state: Literal["active", "paused", "gone"]
    pending: int
    dropped: int
    created_at: Time
    created_by: str


class WebhookMinted(WebhookShown):
    """A webhook with its secret, which is never shown again."""

    secret: str


class PostedShown(Shown):
    """How a receiver took a test: ``problem`` says why that is no success."""

    ok: bool
    status: int | None
    problem: str | None


class DeliveryShown(Shown):
    """An event on its way to a webhook. ``message_id`` is sent as ``webhook-id``, the same in each attempt."""

    id: str
    message_id: str
    type: str
    happened_at: Time
    data: dict[str, Any]
    state: Literal["pending", "delivered", "failed"]
    attempts: int
    created_at: Time
    last_at: Time | None
    next_at: Time | None
    status: int | None
    problem: str | None


def _members(row: WebhookRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "origin": row.origin,
        "events": list(row.events),
        "state": row.state,
        "pending": row.pending,
        "dropped": row.dropped,
        "created_at": row.created_at,
        "created_by": row.created_by,
    }


def _shown(row: WebhookRow) -> WebhookShown:
    return WebhookShown(**_members(row))


def _minted(made: MintedWebhook, response: Response) -> WebhookMinted:
    response.headers["Cache-Control"] = "no-store"
    return WebhookMinted(**_members(made.row), secret=made.secret.reveal_bytes().decode())


def _delivery(row: DeliveryRow) -> DeliveryShown:
    return DeliveryShown(
        id=row.id,
        message_id=row.event.id,
        type=row.event.kind,
        happened_at=row.event.at,
        data=dict(row.event.data),
        state=row.state,
        attempts=row.attempts,
        created_at=row.created_at,
        last_at=row.last_at,
        next_at=row.next_at,
        status=row.status,
        problem=row.problem,
    )


@router.post("", status_code=201)
async def create_webhook(
    body: WebhookBody, response: Response, services: ServicesHere, caller: CallerHere
) -> WebhookMinted:
    """Make a webhook. Its secret is in this answer and nowhere else, ever. Needs the role editor."""
    made = await webhooks.create(services, caller, body.name, body.url, body.events)
    response.headers["Location"] = f"/api/v1/webhooks/{made.row.id}"
    return _minted(made, response)


@router.get("")
async def list_webhooks(page: PageHere, services: ServicesHere, caller: CallerHere) -> Listing[WebhookShown]:
    """List webhooks. Needs the role viewer."""
    return Listing[WebhookShown].of(await webhooks.list_webhooks(services, caller, page.request()), _shown)


@router.get("/{webhook}")
async def show_webhook(webhook: str, services: ServicesHere, caller: CallerHere) -> WebhookShown:
    """Show a webhook, by id or name. Needs the role viewer."""
    return _shown(await webhooks.show(services, caller, webhook))


@router.patch("/{webhook}")
async def change_webhook(webhook: str, body: WebhookPatch, services: ServicesHere, caller: CallerHere) -> WebhookShown:
    """Change a webhook; another URL makes one that was gone active again. Needs the role editor."""
    wanted = WebhookChange(body.name, body.url, body.events, body.paused)
    return _shown(await webhooks.change(services, caller, webhook, wanted))


@router.post("/{webhook}/rotate")
async def rotate_webhook(
    webhook: str, body: WebhookRotation, response: Response, services: ServicesHere, caller: CallerHere
) -> WebhookMinted:
    """Give a webhook another secret, shown this once; the old one signs too for the overlap. Needs the role editor."""
    return _minted(await webhooks.rotate(services, caller, webhook, body.overlap), response)


@router.post("/{webhook}/test")
async def test_webhook(webhook: str, services: ServicesHere, caller: CallerHere) -> PostedShown:
    """Send a test message to a webhook at once, and tell how it was taken. Needs the role editor."""
    posted: Posted = await webhooks.test(services, caller, webhook)
    return PostedShown(ok=posted.ok, status=posted.status, problem=posted.problem)


@router.get("/{webhook}/deliveries")
async def list_deliveries(
    webhook: str, page: PageHere, services: ServicesHere, caller: CallerHere
) -> Listing[DeliveryShown]:
    """What was sent to a webhook, and what waits to be, newest first. Needs the role viewer."""
    found = await webhooks.list_deliveries(services, caller, webhook, page.request())
    return Listing[DeliveryShown].of(found, _delivery)


@router.delete("/{webhook}", status_code=204)
async def remove_webhook(webhook: str, services: ServicesHere, caller: CallerHere) -> None:
    """Delete a webhook with its secret and its deliveries. Needs the role editor."""
    await webhooks.remove(services, caller, webhook)
