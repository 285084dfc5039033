"""Signatures of messages to webhooks, as the specification of Standard Webhooks 1.0 has them (standardwebhooks.com).

A secret is ``whsec_`` and 24 to 64 random bytes in base64. Signed is ``id.timestamp.body`` by HMAC-SHA256; a message
may bear several signatures, each behind its version, so that a secret can be replaced and no message is refused.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence

from tieline.core.secret import Secret

PREFIX = "whsec_"
_BYTES = 32


def mint() -> Secret:
    """A new secret, as it is shown and stored."""
    return Secret.from_text(PREFIX + base64.b64encode(secrets.token_bytes(_BYTES)).decode())


def signed(keys: Sequence[Secret], message_id: str, timestamp: int, body: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """The header fields of a message that is sent at ``timestamp`` (seconds since the epoch), signed with each key."""
    text = b"%b.%d.%b" % (message_id.encode(), timestamp, body)
    return (
        (b"webhook-id", message_id.encode()),
        (b"webhook-timestamp", b"%d" % timestamp),
        (b"webhook-signature", b" ".join(_signature(key, text) for key in keys)),
    )


def _signature(key: Secret, text: bytes) -> bytes:
    raw = base64.b64decode(key.reveal_bytes().removeprefix(PREFIX.encode()))
    return b"v1," + base64.b64encode(hmac.new(raw, text, hashlib.sha256).digest())
