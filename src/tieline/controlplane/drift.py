"""Drift of a call: where its answers no longer fit what is known of them, as the data plane counted it.

Owns when counts are out of date: once what is known of the answers changes.
"""

from collections.abc import Sequence

from tieline.access.caller import Caller, Role, require
from tieline.controlplane.apis import find_api
from tieline.controlplane.calls import find_call
from tieline.controlplane.compiled import definition_of
from tieline.controlplane.services import Services
from tieline.ports.drift import DriftRow


async def list_drift(services: Services, caller: Caller, api: str, call: str) -> Sequence[DriftRow]:
    """The places where a call's answers differ, most frequent first. Needs the role viewer. Raises ``NotFound``."""
    require(caller, Role.VIEWER)
    async with services.store.read() as rx:
        row = await find_api(rx.apis, api)
        find_call(definition_of(row.definition), call)
        return await rx.drift.of_call(row.id, call)
