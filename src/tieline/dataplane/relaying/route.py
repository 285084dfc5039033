"""What a door decided on for a relayed request, and an exchange sends it by."""

from dataclasses import dataclass

from tieline.dataplane.attempt.prepare import Message, Prepared
from tieline.dataplane.snapshot.plan import Plan
from tieline.dataplane.snapshot.view import AppKey
from tieline.dataplane.tokens.holder import Holder


@dataclass(slots=True, repr=False)
class Route:
    """How an admitted request goes out; the same for every request in the same words.

    ``path`` is as it came, below the base URL, as a record shows it: app keys hidden. ``prepared`` has the head for the
    upstream but for what frames the body; None where the API's schemes have to prepare each request anew, for
    ``holder``.
    """

    plan: Plan
    key: AppKey
    path: str
    area: str | None
    level: str | None
    message: Message
    prepared: Prepared | None
    holder: Holder | None = None
