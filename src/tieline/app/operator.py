"""The control plane's way to upstreams: what the data plane does for an operator, loaded when somebody first asks.

Most control planes are never asked to verify, try or sign in, and the exit is a good part of the data plane.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from tieline.app.opening import OpenedStore, opening_log
from tieline.core.names import Environment
from tieline.definitions.infer.learning import StreamSample
from tieline.definitions.model import Stream
from tieline.ports.connections import ConnectionKey, EndUser
from tieline.ports.operator import OpenedBodies, Posted, TrialAnswer, TrialRun, VerifyResult
from tieline.ports.requests import RequestRecord
from tieline.ports.signins import SignInRow
from tieline.ports.webhooks import SealedWebhook
from tieline.schemes.flow import DeviceSignIn, Pending, SignIn, Token
from tieline.settings.model import ServeSettings
from tieline.storage.leases import SqlConnections
from tieline.storage.snapshots import SqlSnapshots
from tieline.wire.guard import Guard

if TYPE_CHECKING:
    from tieline.dataplane.operator.opening import Opening
    from tieline.dataplane.operator.replay import Replays
    from tieline.dataplane.operator.signin import SignIns
    from tieline.dataplane.operator.trial import Trial
    from tieline.dataplane.operator.verify import Verifier
    from tieline.dataplane.operator.webhooks import WebhookExit


class OperatorExit:
    """A ``Prober``, ``Trier``, ``Replayer``, ``Poster`` and ``Issuers`` of ``ports.operator``, over one opening."""

    def __init__(self, settings: ServeSettings, opened: OpenedStore, guard: Guard) -> None:
        self._settings = settings
        self._opened = opened
        self._guard = guard

    async def probe(self, api_name: str, environment: Environment, end_user: EndUser | None = None) -> VerifyResult:
        return await self._verifier.probe(api_name, environment, end_user)

    async def run(self, wanted: TrialRun) -> TrialAnswer:
        return await self._trial.run(wanted)

    def recognise_stream(self, body: bytes, content_type: str, known: Stream | None) -> StreamSample | None:
        return self._trial.recognise_stream(body, content_type, known)

    async def open_bodies(self, record: RequestRecord) -> OpenedBodies | None:
        return await self._replays.open_bodies(record)

    async def replay(self, record: RequestRecord, before: Callable[[], Awaitable[None]]) -> TrialAnswer:
        return await self._replays.replay(record, before)

    async def begin(self, key: ConnectionKey, back: str, state: str) -> tuple[SignIn, bytes]:
        return await self._sign_ins.begin(key, back, state)

    async def finish(self, sign_in: SignInRow, answer: Mapping[str, str]) -> Token:
        return await self._sign_ins.finish(sign_in, answer)

    async def begin_device(self, key: ConnectionKey) -> tuple[DeviceSignIn, bytes]:
        return await self._sign_ins.begin_device(key)

    async def poll_device(self, sign_in: SignInRow) -> Token | Pending:
        return await self._sign_ins.poll_device(sign_in)

    async def post(self, webhook: SealedWebhook, message_id: str, body: bytes) -> Posted:
        return await self._webhooks.post(webhook, message_id, body)

    @cached_property
    def _opening(self) -> "Opening":
        from tieline.dataplane.openings import Openings  # noqa: PLC0415  see the module's docstring
        from tieline.dataplane.operator.opening import Opening  # noqa: PLC0415
        from tieline.wire.tls import Trust  # noqa: PLC0415

        source = SqlSnapshots(self._opened.database, self._settings.database_url)
        connections = SqlConnections(self._opened.database)
        trust = Trust(self._settings.ca_bundle)
        openings = Openings(opening_log(self._opened, "control plane"))
        return Opening(source, connections, self._opened.keyring, self._guard, trust, openings)

    @cached_property
    def _verifier(self) -> "Verifier":
        from tieline.dataplane.operator.verify import Verifier  # noqa: PLC0415

        return Verifier(self._opening)

    @cached_property
    def _trial(self) -> "Trial":
        from tieline.dataplane.operator.trial import Trial  # noqa: PLC0415

        return Trial(self._opening)

    @cached_property
    def _webhooks(self) -> "WebhookExit":
        from tieline.dataplane.operator.webhooks import WebhookExit  # noqa: PLC0415

        opening = self._opening
        return WebhookExit(opening.keyring, opening.guard, opening.trust, opening.openings)

    @cached_property
    def _replays(self) -> "Replays":
        from tieline.dataplane.operator.replay import Replays  # noqa: PLC0415

        return Replays(self._opening)

    @cached_property
    def _sign_ins(self) -> "SignIns":
        from tieline.dataplane.operator.signin import SignIns  # noqa: PLC0415

        return SignIns(self._opening)
