"""The control plane's way to try an API: the data plane's own probe, loaded when somebody first asks.

Owns the translation of its verdict. Most control planes are never asked, and the exit is a good part of the data plane.
"""

from typing import TYPE_CHECKING

from tieline.app.opening import Opened
from tieline.core.names import Environment
from tieline.ports.connections import EndUser
from tieline.ports.operator import VerifyResult
from tieline.settings import ServeSettings
from tieline.storage.leases import SqlConnections
from tieline.storage.snapshots import SqlSnapshots
from tieline.wire.guard import Guard

if TYPE_CHECKING:
    from tieline.dataplane.operator.verify import Probe


class Prober:
    """Sends an API's verify request with its active credential."""

    def __init__(self, settings: ServeSettings, opened: Opened, guard: Guard) -> None:
        self._settings = settings
        self._opened = opened
        self._guard = guard
        self._probe: Probe | None = None

    async def probe(self, api_name: str, environment: Environment, end_user: EndUser | None = None) -> VerifyResult:
        """Whether the API answers its verify request as its definition expects."""
        if self._probe is None:
            self._probe = self._load()
        found = await self._probe.probe(api_name, environment)
        return VerifyResult(found.ok, found.status, found.problem)

    def _load(self) -> "Probe":
        from tieline.dataplane.operator.verify import Probe  # noqa: PLC0415  see the module's docstring
        from tieline.wire.tls import Trust  # noqa: PLC0415

        source = SqlSnapshots(self._opened.database, self._settings.database_url)
        connections = SqlConnections(self._opened.database)
        return Probe(source, connections, self._opened.keyring, self._guard, Trust(self._settings.ca_bundle))
