"""Makes a request ready for its upstream: tokens waited for, shared values and secrets added, the body signed over.

For everything that the memoised path of ``relay`` cannot serve, and for every call: schemes that sign each request, that
read the body, that need a token, that listen for a challenge. Owns the order; what a scheme does is its own matter, and
whose turn it is to renew a token is the business of ``sessions``.
"""

from dataclasses import dataclass
from typing import Protocol

from tieline.dataplane.plan import Plan
from tieline.schemes.base import Applier
from tieline.schemes.flow import Renewal


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose token a request uses: an end user of an app, or (``user`` empty) the API's shared one."""

    app_id: str = ""
    user: str = ""


SHARED = Holder()


class Sessions(Protocol):
    """The tokens of renewing schemes, kept fresh; one renewal at a time for each token, whoever asks."""

    def current(self, plan: Plan, renewal: Renewal, holder: Holder) -> Applier | None:
        """The applier with the token in use, or None where it has to be got or renewed first."""

    async def ready(self, plan: Plan, renewal: Renewal, holder: Holder) -> Applier:
        """The applier with a token that is good now, got or renewed if it must be.

        Raises:
            ConnectionRequired: nobody has signed in yet.
            ReauthorizationRequired: the issuer refused for good; somebody has to sign in again.
            UpstreamError, DestinationNotAllowed: the issuer cannot be reached.
        """

    async def renew(self, plan: Plan, renewal: Renewal, holder: Holder, stale: Applier) -> Applier:
        """As ``ready``, after the API refused ``stale``; where another has renewed it since, that one."""
