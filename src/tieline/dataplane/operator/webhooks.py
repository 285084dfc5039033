"""Sends a message to a webhook through the guarded exit, signed with what the vault holds: ``ports.operator.Poster``.

The address is resolved and checked anew each time, as an upstream's is; a redirect is an answer like any other, and no
byte of a body is read, so that nobody reads through a webhook what only this server can reach.
"""

import ssl
import time
from dataclasses import dataclass, field
from typing import Final

from tieline.core.dates import retry_after
from tieline.core.errors import DestinationNotAllowed, TielineError, UpstreamError, UpstreamTimeout, UpstreamTlsError
from tieline.core.secret import Secret
from tieline.core.urls import Url, parse_url
from tieline.dataplane.openings import Openings
from tieline.ports.operator import Posted
from tieline.ports.webhooks import SealedWebhook, place_of
from tieline.schemes.base import field_value
from tieline.schemes.standard_webhooks import signed
from tieline.vault.envelope import SealBroken
from tieline.vault.keyring import Keyring
from tieline.vault.reveal import Revealer
from tieline.wire.deadlines import Deadlines
from tieline.wire.fetch import FetchLimits, fetch_head
from tieline.wire.guard import Guard
from tieline.wire.pool import Pool
from tieline.wire.tls import Trust

SECONDS: Final = 15.0
"""What a receiver has to answer, as the specification advises (15 to 30 seconds)."""
RETRY_AFTER_MOST: Final = 86_400
_LIMITS: Final = FetchLimits(connect=5.0, total=SECONDS)
_OK: Final = range(200, 300)
_REDIRECTS: Final = range(300, 400)


@dataclass(frozen=True, slots=True)
class WebhookExit:
    """Sends messages with what it is given."""

    keyring: Keyring
    guard: Guard
    trust: Trust
    openings: Openings = field(default_factory=Openings)

    async def post(self, webhook: SealedWebhook, message_id: str, body: bytes) -> Posted:
        """As ``ports.operator.Poster`` says."""
        try:
            url, keys = await self._opened(webhook)
        except SealBroken:
            return Posted(None, "Its secret cannot be opened. Make the webhook anew.")
        deadlines = Deadlines()
        pool = Pool(self.guard, deadlines, self.trust)
        deadlines.start()
        try:
            lane = pool.lane(url.origin, webhook.id)
            answer = await fetch_head(lane, _message(url, keys, message_id, body), _LIMITS)
        except DestinationNotAllowed as error:
            return Posted(None, error.public)
        except UpstreamError as error:
            return Posted(None, _why(error, url.origin.host))
        finally:
            pool.close()
            deadlines.stop()
            await self.openings.flush()
        return _posted(answer.status, field_value(answer.headers, b"retry-after"))

    async def _opened(self, webhook: SealedWebhook) -> tuple[Url, list[Secret]]:
        """Where to send, and what to sign with. Raises SealBroken."""
        revealer = Revealer(self.keyring, self.openings.witness("webhook"))

        def revealed() -> tuple[Secret, list[Secret]]:
            version, sealed = webhook.url
            keys = [revealer.reveal(place_of(webhook.id, "secret", number), each) for number, each in webhook.secrets]
            return revealer.reveal(place_of(webhook.id, "url", version), sealed), keys

        url, keys = await revealer.opened(revealed)
        return parse_url(url.reveal_bytes().decode()), keys


def _message(url: Url, keys: list[Secret], message_id: str, body: bytes) -> bytes:
    target = (url.path or "/") + ("" if url.query is None else f"?{url.query}")
    fields = b"".join(b"%b: %b\r\n" % pair for pair in signed(keys, message_id, int(time.time()), body))
    return (
        b"POST %b HTTP/1.1\r\nhost: %b\r\nuser-agent: tieline\r\naccept-encoding: identity\r\n"
        b"content-type: application/json\r\ncontent-length: %d\r\n%b\r\n%b"
    ) % (target.encode(), url.origin.authority, len(body), fields, body)


def _posted(status: int, asked: bytes | None) -> Posted:
    if status in _OK:
        return Posted(status)
    wait = None if asked is None else retry_after(asked.decode("latin-1"), time.time())
    if status == 410:
        problem = "The receiver says that it is gone (410): nothing more is sent. Give the webhook another URL."
    elif status in _REDIRECTS:
        problem = f"The receiver answered with a redirect ({status}), which is not followed. Give the URL it leads to."
    else:
        problem = f"The receiver answered {status}. It has to answer 200 to 299; look into its log."
    return Posted(status, problem, None if wait is None else min(wait, RETRY_AFTER_MOST))


def _why(error: TielineError, host: str) -> str:
    if isinstance(error, UpstreamTimeout):
        return f"{host} did not answer within {SECONDS:g} s. A receiver answers first and works afterwards."
    if isinstance(error, UpstreamTlsError) or isinstance(error.__cause__, ssl.SSLError):
        return f"{host} has no certificate that is trusted. Renew it, or give Tieline its authority (--ca-bundle)."
    return f"{host} cannot be reached or does not speak HTTP. Check that the receiver runs, and its URL."
