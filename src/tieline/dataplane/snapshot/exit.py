"""The way out of an API's requests: to its hosts only, over connections that are its credential's alone."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass

from tieline.core.errors import CredentialMissing
from tieline.core.urls import Origin
from tieline.wire.guard import Guard
from tieline.wire.pool import Lane
from tieline.wire.tls import TlsIdentity


@dataclass(frozen=True, slots=True, repr=False)
class Exit:
    """Where one plan's requests may go. ``lane`` gives connections of the pool; ``credential`` says whose they are."""

    guard: Guard
    hosts: tuple[str, ...]
    credential: str
    identity: TlsIdentity | None
    lane: Callable[[Origin, str, TlsIdentity | None], Lane]

    def lane_to(self, origin: Origin, identity: TlsIdentity | None = None) -> Lane:
        """Connections to ``origin`` as ``identity``, where a token is bound to one, else as the API's own.

        Raises:
            DestinationNotAllowed: the credential may not go there.
            CredentialMissing: the client certificate cannot be used.
        """
        return self._lane(origin, self.credential, identity or self.identity)

    def lane_to_issuer(self, origin: Origin, identity: TlsIdentity | None) -> Lane:
        """Connections to a token's issuer, apart from those that carry requests of apps. Raises as ``lane_to``."""
        return self._lane(origin, f"{self.credential}/issuer", identity)

    def _lane(self, origin: Origin, credential: str, identity: TlsIdentity | None) -> Lane:
        self.guard.check_host(origin.host, self.hosts)
        try:
            return self.lane(origin, credential, identity)
        except ssl.SSLError as error:
            raise CredentialMissing(
                "The client certificate of the API cannot be used: it does not fit its key, or is none. An operator "
                "sets the credential again.",
                detail=str(error),
            ) from None
