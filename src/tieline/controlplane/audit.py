"""The audit log as operators read it: its events, newest first, and whether the chain holds."""

from tieline.access.caller import Caller, Role, require
from tieline.audit.chain import Anchor
from tieline.controlplane.inputs import checked_page
from tieline.controlplane.services import Services
from tieline.core.errors import InvalidInput
from tieline.core.pages import Page, PageRequest
from tieline.ports.audit import EVERYTHING, AuditFilter, AuditRow, AuditVerdict


async def list_events(
    services: Services, caller: Caller, page: PageRequest, wanted: AuditFilter = EVERYTHING
) -> Page[AuditRow]:
    """The audit events that are ``wanted``, newest first. Needs the role viewer."""
    require(caller, Role.VIEWER)
    async with services.store.read() as rx:
        return await rx.audit.list(checked_page(page, "aud"), wanted)


async def verify_chain(services: Services, caller: Caller, anchor: str | None = None) -> AuditVerdict:
    """Read the whole chain and report every edit, deletion, reordering and cut tail. Needs the role viewer.

    With the text of an ``anchor`` that was noted earlier, an older state that was put back is found too. Raises
    ``InvalidInput`` where it is none.
    """
    require(caller, Role.VIEWER)
    noted = _anchor(anchor) if anchor is not None else None
    async with services.store.read() as rx:
        return await rx.audit.verify(noted)


def _anchor(text: str) -> Anchor:
    try:
        return Anchor.from_text(text)
    except ValueError:
        msg = (
            "anchor must be a number, a dot and 64 hexadecimal digits: what an earlier verification or the log of the "
            "server said."
        )
        raise InvalidInput(msg, param="anchor") from None
