"""Routes of the catalogue."""

from typing import Any

from fastapi import APIRouter

from tieline.controlplane import apis, catalogue
from tieline.web.api.shared import CallerHere, Listing, Shown

router = APIRouter(prefix="/catalogue", tags=["Catalogue"])


class EntryShown(Shown):
    """A ready-made definition."""

    name: str
    title: str
    documentation: str | None


class EntryWhole(EntryShown):
    """A ready-made definition with its content."""

    definition: dict[str, Any]


@router.get("")
async def list_catalogue(caller: CallerHere) -> Listing[EntryShown]:
    """List the ready-made definitions. Needs the role viewer."""
    entries = catalogue.list_entries(caller)
    shown = [EntryShown(name=each.name, title=each.title, documentation=each.documentation) for each in entries]
    return Listing(items=shown, next=None)


@router.get("/{entry}")
async def show_catalogue_entry(entry: str, caller: CallerHere) -> EntryWhole:
    """Show one ready-made definition. Needs the role viewer."""
    found = catalogue.show(caller, entry)
    return EntryWhole(
        name=found.entry.name,
        title=found.entry.title,
        documentation=found.entry.documentation,
        definition=dict(apis.as_json(found.definition)),
    )
