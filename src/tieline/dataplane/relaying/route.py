"""What a door decided on for a relayed request, and an exchange sends it by."""

from dataclasses import dataclass

from tieline.dataplane.attempt.prepare import Message, Prepared
from tieline.dataplane.limits.bounds import BodyBound, Bounds
from tieline.dataplane.snapshot.plan import Plan
from tieline.dataplane.snapshot.view import AppKey
from tieline.dataplane.tokens.holder import Holder


@dataclass(slots=True, repr=False)
class Route:
    """How an admitted request goes out; the same for every request in the same words.

    ``path`` is as it came, below the base URL, as a record shows it: app keys hidden. ``prepared`` has the head for the
    upstream but for what frames the body; None where the API's schemes have to prepare each request anew, for
    ``holder``. ``body`` is the largest body, ``bounds`` are the limits that hold, None where there are none;
    ``asks_stream`` says that a WebSocket or nothing but a stream of events is asked for.
    """

    plan: Plan
    key: AppKey
    path: str
    area: str | None
    level: str | None
    message: Message
    prepared: Prepared | None
    body: BodyBound
    holder: Holder | None = None
    bounds: Bounds | None = None
    asks_stream: bool = False

    @property
    def sends(self) -> int:
        """How many requests of the upstream are answered for it."""
        return 1
