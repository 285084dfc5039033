"""What the sandbox counts about itself, for tests and benches. Knows no endpoint."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Stats:
    """Counters since the start; the ``open_…`` ones are of this moment."""

    requests: Counter[str] = field(default_factory=Counter)
    open_connections: int = 0
    open_streams: int = 0
    streams: int = 0
    cancelled_streams: int = 0
    cancelled_requests: int = 0

    def shown(self) -> dict[str, Any]:
        """The counters as JSON for ``GET /sandbox/stats``."""
        return {
            "requests": dict(self.requests),
            "requests_total": sum(self.requests.values()),
            "open_connections": self.open_connections,
            "open_streams": self.open_streams,
            "streams": self.streams,
            "cancelled_streams": self.cancelled_streams,
            "cancelled_requests": self.cancelled_requests,
        }
