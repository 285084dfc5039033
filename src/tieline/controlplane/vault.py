"""The vault as operators may see it: which data keys there are and how much each seals. Never a key or a secret."""

from collections.abc import Sequence

from tieline.access.caller import Caller, Role, require
from tieline.controlplane.services import Services
from tieline.ports.data_keys import DataKeyRow


async def status(services: Services, caller: Caller) -> Sequence[DataKeyRow]:
    """The data keys, oldest first. Needs the role viewer."""
    require(caller, Role.VIEWER)
    async with services.store.read() as rx:
        return await rx.data_keys.list()
