"""The audit log as operators read it: its events, newest first, and whether the chain holds."""

from tieline.access.caller import Caller, Role, require
from tieline.controlplane.inputs import checked_page
from tieline.controlplane.services import Services
from tieline.core.pages import Page, PageRequest
from tieline.ports.audit import AuditRow, AuditVerdict


async def list_events(services: Services, caller: Caller, page: PageRequest) -> Page[AuditRow]:
    """Audit events, newest first. Needs the role viewer."""
    require(caller, Role.VIEWER)
    async with services.store.read() as rx:
        return await rx.audit.list(checked_page(page, "aud"))


async def verify_chain(services: Services, caller: Caller) -> AuditVerdict:
    """Read the whole chain and report every edit, deletion, reordering and cut tail. Needs the role viewer."""
    require(caller, Role.VIEWER)
    async with services.store.read() as rx:
        return await rx.audit.verify()
