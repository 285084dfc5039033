"""Routes of the audit log and of the vault's state: what operators look at to see that all is well."""

from typing import Any

from fastapi import APIRouter

from tieline.controlplane import audit, vault
from tieline.ports.audit import AuditRow
from tieline.web.api.shared import CallerHere, Listing, PageHere, ServicesHere, Shown, Time

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
    """Whether the audit chain holds: how many events were read, and a sentence for each break."""

    ok: bool
    events: int
    breaks: list[str]


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
async def list_audit(page: PageHere, services: ServicesHere, caller: CallerHere) -> Listing[EventShown]:
    """List audit events, newest first. Needs the role viewer."""
    return Listing[EventShown].of(await audit.list_events(services, caller, page.request()), _event)


@router.post("/audit/verify", tags=["Audit"])
async def verify_audit(services: ServicesHere, caller: CallerHere) -> ChainShown:
    """Check the whole audit chain for edits, deletions, reorderings and a cut tail. Needs the role viewer."""
    verdict = await audit.verify_chain(services, caller)
    return ChainShown(ok=not verdict.breaks, events=verdict.events, breaks=list(verdict.breaks))


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
