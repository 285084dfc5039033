"""What a token was got with, as a mark that is kept beside it: a token of another client is not used.

Any edit of a scheme's options counts, but for those that say nothing to the issuer. Where a person signs in, the values
of the credential that are no secrets count (the client's id), so that a client's secret can be changed and nobody has
to sign in again; where none does, every value counts, and the next token is simply got with the new ones.
"""

import hmac
import json
from collections.abc import Mapping
from typing import Any

from tieline.schemes.connections import OPTION as CONNECTIONS
from tieline.schemes.flow import Renewal
from tieline.schemes.signal import OPTION as RENEW_ON

PURPOSE = "connection"
_SILENT = frozenset({CONNECTIONS, RENEW_ON})


def fingerprint_of(renewal: Renewal, pepper: bytes) -> bytes:
    """32 bytes, keyed by ``pepper`` because they stand for secrets too."""
    scheme, options = renewal.scheme, renewal.options
    by_person = scheme.needs_sign_in(options)
    counted = [field.name for field in scheme.fields(options) if not (by_person and field.secret)]
    text = json.dumps(
        {
            "scheme": scheme.name,
            "options": {name: value for name, value in options.items() if name not in _SILENT},
            "values": {name: renewal.secrets[name].reveal_bytes().hex() for name in counted if name in renewal.secrets},
        },
        sort_keys=True,
        default=_plain,
    )
    return hmac.digest(pepper, text.encode(), "sha256")


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else str(value)
