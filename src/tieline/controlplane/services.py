"""What every operation of the control plane works with, handed in by the composition root."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tieline.core.clock import Clock
from tieline.ports.operator import Issuers, Poster, Prober, Replayer, Trier
from tieline.ports.recordsearch import RecordSearch
from tieline.ports.store import Store
from tieline.ports.webhooks import Outbox
from tieline.telemetry.metrics.node import NodeMetrics
from tieline.vault.intake import Intake

LIVE_VIEWS_MOST: Final = 20
"""Views of requests as they come, at once; each asks the store four times a second."""


@dataclass(frozen=True, slots=True)
class Services:
    """The outside world of the control plane.

    ``check_destination(host)`` raises ``DestinationNotAllowed`` where ``host`` is literally an address that the egress
    guard refuses. ``console_url`` is what browsers open the console by, without a slash at its end; ``return_origins``
    are where they may go after a sign-in besides. The peppers are the keys of the hashes that app keys and admin tokens
    are stored as (``keyring.derive("app-key")`` and ``keyring.derive("admin-token")``). ``live_views`` counts
    who follows requests; ``metrics`` are those of the node, None where nobody counts.
    """

    store: Store
    records: RecordSearch
    intake: Intake
    prober: Prober
    trier: Trier
    replayer: Replayer
    issuers: Issuers
    poster: Poster
    outbox: Outbox
    clock: Clock
    check_destination: Callable[[str], None]
    app_key_pepper: bytes = field(repr=False)
    token_pepper: bytes = field(repr=False)
    console_url: str
    return_origins: tuple[str, ...] = ()
    metrics: NodeMetrics | None = None
    live_views: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(LIVE_VIEWS_MOST))
