"""Routes of the audit log and of the vault's state: what operators look at to see that all is well."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, Field

from tieline.controlplane import audit, vault
from tieline.ports.audit import AuditFilter, AuditRow
from tieline.web.api.shared import CallerHere, Listing, PageAsked, ServicesHere, Shown, Strict, Time

router = APIRouter()


class EventShown(Shown):
    """An audit event: who did what to what."""

    seq: int
    id: str
    at: Time
    actor: str
    kind: str
    target: str
    data: dict[str, Any]


class ChainShown(Shown):
    """Whether the audit chain holds: how many events were read, and a sentence for each break.

    ``anchor`` is the end of a chain that holds, to be noted elsewhere; null where it is empty or broken.
    """

    ok: bool
    events: int
    breaks: list[str]
    anchor: str | None


class AnchorBody(Strict):
    """What to hold the chain against."""

    anchor: Annotated[str, Field(max_length=100)] | None = None


Word = Annotated[str, Field(min_length=1, max_length=200)]


class EventsAsked(PageAsked):
    """Which audit events: all that is given must fit."""

    actor: Word | None = Field(None, description="Who did it, as events say it, such as token:tok_….")
    kind: Word | None = Field(None, description="A kind such as key.created, or its noun for all of them: key.")
    target: Word | None = Field(None, description="The id of what it was done to.")
    since: AwareDatetime | None = Field(None, description="The earliest moment (RFC 3339).")
    until: AwareDatetime | None = Field(None, description="The first moment no more (RFC 3339).")
    text: Word | None = Field(None, description="What stands in the target or in the facts of the event.")

    def wanted(self) -> AuditFilter:
        """The filter as the control plane is asked for it."""
        return AuditFilter(self.actor, self.kind, self.target, self.since, self.until, self.text)


class DataKeyShown(Shown):
    """A data key and how many secrets it seals."""

    id: str
    root_key_id: str
    created_at: Time
    retired_at: Time | None
    secrets: int


def _event(row: AuditRow) -> EventShown:
    return EventShown(
        seq=row.seq, id=row.id, at=row.at, actor=row.actor, kind=row.kind, target=row.target, data=dict(row.data)
    )


@router.get("/audit", tags=["Audit"])
async def list_audit(
    asked: Annotated[EventsAsked, Query()], services: ServicesHere, caller: CallerHere
) -> Listing[EventShown]:
    """List audit events, newest first. Needs the role viewer."""
    page = await audit.list_events(services, caller, asked.request(), asked.wanted())
    return Listing[EventShown].of(page, _event)


@router.post("/audit/verify", tags=["Audit"])
async def verify_audit(services: ServicesHere, caller: CallerHere, body: AnchorBody | None = None) -> ChainShown:
    """Check the whole audit chain for edits, deletions, reorderings and a cut tail.

    With an ``anchor`` that was noted earlier, an older state that was put back with its head is found too.
    Needs the role viewer.
    """
    verdict = await audit.verify_chain(services, caller, body.anchor if body is not None else None)
    return ChainShown(
        ok=not verdict.breaks,
        events=verdict.events,
        breaks=list(verdict.breaks),
        anchor=str(verdict.anchor) if verdict.anchor is not None else None,
    )


@router.get("/vault", tags=["Vault"])
async def show_vault(services: ServicesHere, caller: CallerHere) -> Listing[DataKeyShown]:
    """List the vault's data keys, never their bytes. Needs the role viewer."""
    rows = await vault.status(services, caller)
    shown = [
        DataKeyShown(
            id=row.id,
            root_key_id=row.root_key_id,
            created_at=row.created_at,
            retired_at=row.retired_at,
            secrets=row.secrets,
        )
        for row in rows
    ]
    return Listing(items=shown, next=None)
