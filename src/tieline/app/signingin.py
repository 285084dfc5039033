"""The control plane's way to issuers: the data plane's own desk, loaded when somebody first signs in.

Owns the translation between the two planes' words. Tokens pass through it in memory and are sealed by who asked.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tieline.app.opening import Opened
from tieline.ports.connections import ConnectionKey
from tieline.ports.signins import SignInRow
from tieline.schemes.flow import DeviceSignIn, Pending, SignIn, Token
from tieline.settings import ServeSettings
from tieline.storage.snapshots import SqlSnapshots
from tieline.wire.guard import Guard

if TYPE_CHECKING:
    from tieline.dataplane.tokens.signin import Begun, SignInDesk, Target


class Issuers:
    """Asks issuers with the active credential of an API."""

    def __init__(self, settings: ServeSettings, opened: Opened, guard: Guard) -> None:
        self._settings = settings
        self._opened = opened
        self._guard = guard
        self._loaded: SignInDesk | None = None

    async def begin(self, whose: ConnectionKey, back: str, state: str) -> tuple[SignIn, bytes]:
        return await self._desk().begin(_target(whose), back, state)

    async def finish(self, sign_in: SignInRow, answer: Mapping[str, str]) -> Token:
        return await self._desk().finish(_target(sign_in.key), _begun(sign_in), answer)

    async def begin_device(self, whose: ConnectionKey) -> tuple[DeviceSignIn, bytes]:
        return await self._desk().begin_device(_target(whose))

    async def poll_device(self, sign_in: SignInRow) -> Token | Pending:
        return await self._desk().poll_device(_target(sign_in.key), _begun(sign_in))

    def _desk(self) -> "SignInDesk":
        if self._loaded is None:
            from tieline.dataplane.tokens.signin import SignInDesk  # noqa: PLC0415  see the module's docstring
            from tieline.wire.tls import Trust  # noqa: PLC0415

            source = SqlSnapshots(self._opened.database, self._settings.database_url)
            self._loaded = SignInDesk(source, self._opened.keyring, self._guard, Trust(self._settings.ca_bundle))
        return self._loaded


def _target(whose: ConnectionKey) -> "Target":
    from tieline.dataplane.tokens.signin import Target  # noqa: PLC0415  see the module's docstring

    return Target(whose.api_id, whose.environment, whose.position)


def _begun(row: SignInRow) -> "Begun":
    from tieline.dataplane.tokens.signin import Begun  # noqa: PLC0415  see the module's docstring

    return Begun(row.id, row.basis, row.kept)
