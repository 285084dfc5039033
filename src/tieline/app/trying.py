"""The control plane's way to try calls: the data plane's own trial and eyes, loaded when somebody first asks.

Owns the translation between their values.
"""

from typing import TYPE_CHECKING

from tieline.app.opening import Opened
from tieline.definitions.infer.lesson import StreamSeen
from tieline.definitions.model import Stream
from tieline.ports.operator import TrialAnswer, TrialRun
from tieline.settings import ServeSettings
from tieline.storage.leases import SqlConnections
from tieline.storage.snapshots import SqlSnapshots
from tieline.wire.guard import Guard

if TYPE_CHECKING:
    from tieline.dataplane.operator.trial import Trial


class Trier:
    """Runs a call once, and looks at answers as the data plane would."""

    def __init__(self, settings: ServeSettings, opened: Opened, guard: Guard) -> None:
        self._settings = settings
        self._opened = opened
        self._guard = guard
        self._trial: Trial | None = None

    async def run(self, attempt: TrialRun) -> TrialAnswer:
        """What the upstream answered."""
        from tieline.dataplane.operator import trial  # noqa: PLC0415  see the module's docstring

        if self._trial is None:
            self._trial = self._load()
        files = {
            name: trial.TrialFile(each.filename, each.content_type, each.content)
            for name, each in attempt.files.items()
        }
        asked = trial.Attempt(attempt.api, attempt.call, attempt.environment, attempt.values, files)
        found = await self._trial.run(asked)
        return TrialAnswer(found.status, found.headers, found.body, found.whole)

    def sight(self, body: bytes, content_type: str, known: Stream | None) -> StreamSeen | None:
        """The stream that ``body`` is the beginning of, or None."""
        return sight(body, content_type, known)

    def _load(self) -> "Trial":
        from tieline.dataplane.operator.trial import Trial  # noqa: PLC0415  see the module's docstring
        from tieline.wire.tls import Trust  # noqa: PLC0415

        source = SqlSnapshots(self._opened.database, self._settings.database_url)
        connections = SqlConnections(self._opened.database)
        return Trial(source, connections, self._opened.keyring, self._guard, Trust(self._settings.ca_bundle))


def sight(body: bytes, content_type: str, known: Stream | None) -> StreamSeen | None:
    """What ``Trier.sight`` gives, for whoever runs nothing."""
    from tieline.dataplane.answers.streams import sighting  # noqa: PLC0415  as above

    found = sighting.sight(body, content_type, known)
    return None if found is None else StreamSeen(found.stream, found.events, found.text)
