"""What was recorded of a request beside its record, opened for an operator, and sending it once more."""

import time
from typing import Final

from tieline.access.caller import Caller, Role, require
from tieline.audit.events import RequestBodiesOpened, RequestReplayed
from tieline.controlplane.apis import find_api
from tieline.controlplane.compiled import definition_in
from tieline.controlplane.inputs import not_found
from tieline.controlplane.services import Services
from tieline.core.errors import AlreadyExists, InvalidInput, NotFound
from tieline.core.pages import PageRequest
from tieline.ports.audit import AuditFilter
from tieline.ports.operator import OpenedBodies, TrialAnswer
from tieline.ports.requests import RequestRecord

_READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


async def open_bodies(services: Services, caller: Caller, request_id: str) -> tuple[RequestRecord, OpenedBodies]:
    """The recorded bodies of a request. Needs the role editor; the audit log says who opened them, before they are.

    Raises:
        NotFound: there is no such record, or no bodies of it, or none any more.
    """
    require(caller, Role.EDITOR)
    record = await _find(services, request_id)
    if record.bodies_until is None or record.bodies_until <= time.time():
        raise _none(record)
    async with services.store.write(caller) as tx:
        await tx.audit.add(RequestBodiesOpened(record.id, record.api or "", record.app_id or ""))
    found = await services.replayer.open_bodies(record)
    if found is None:
        raise _none(record)
    return record, found


async def replay(services: Services, caller: Caller, request_id: str, *, again: bool) -> TrialAnswer:
    """Send a recorded request once more, as an operator: no key, limit or budget is asked. Needs the role editor.

    Raises:
        NotFound: there is no such record.
        InvalidInput: it was refused before it was sent, or cannot be sent as it was.
        AlreadyExists: it changes something, was sent again before, and ``again`` does not say that this is meant.
    """
    require(caller, Role.EDITOR)
    record = await _find(services, request_id)
    if record.api is None:
        raise InvalidInput("This request was refused before anything was sent, so there is nothing to send again.")
    api = record.api

    async def before() -> None:
        """Leave word before it is sent: what has no event is not sent. Two at once take turns here."""
        async with services.store.write(caller) as tx:
            row = await find_api(tx.apis, api)
            reads = _reads(record, row.definition)
            earlier = await tx.audit.list(PageRequest(1), AuditFilter(kind=RequestReplayed.kind, target=record.id))
            if earlier.items and not (reads or again):
                at, who = earlier.items[0].at, earlier.items[0].actor
                raise AlreadyExists(
                    f"This request was sent again already, at {at:%Y-%m-%d %H:%M:%S} UTC by {who}, and it may change "
                    "something each time. Send it with again: true if that is what you want.",
                    param="again",
                )
            await tx.audit.add(
                RequestReplayed(record.id, api, record.environment or "live", record.method, record.path, record.call)
            )

    return await services.replayer.replay(record, before)


def _reads(record: RequestRecord, definition: str) -> bool:
    """Whether sending it again changes nothing, as far as its method or its call says."""
    if record.call is None:
        return record.method in _READS
    call = definition_in(definition, record.environment or "live").calls.get(record.call)
    return call is not None and call.use_as == "data"


async def _find(services: Services, request_id: str) -> RequestRecord:
    found = await services.records.find(request_id)
    if found is None:
        raise not_found("request record")
    return found


def _none(record: RequestRecord) -> NotFound:
    return NotFound(
        "No bodies of this request are recorded, or they have expired. To have those of later requests recorded, add "
        f"record_bodies: {{}} to the definition of {record.api or 'the API'}."
    )
