"""AWS Signature Version 4: canonical requests, keys and signatures (AWS General Reference, "Signing AWS API requests").

Knows requests as bytes, no scheme and no credential store.
"""

import hashlib
import hmac
import time
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

from tieline.access.keyplaces import form_decoded
from tieline.schemes.base import Headers, Outgoing

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
EMPTY_PAYLOAD = hashlib.sha256(b"").hexdigest()
# What a proxy or a tracer on the way may change (as AWS's own SDKs leave them out), and what the signature goes into.
_UNSIGNED = frozenset(
    {
        b"authorization",
        b"baggage",
        b"connection",
        b"expect",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"traceparent",
        b"tracestate",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"user-agent",
        b"x-amzn-trace-id",
    }
)


def moment_of(seconds: float) -> str:
    """A time, in seconds since the epoch, as ``X-Amz-Date`` writes it."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(seconds))


def payload_hash(body: bytes) -> str:
    """What stands for the body in a canonical request."""
    return hashlib.sha256(body).hexdigest() if body else EMPTY_PAYLOAD


def encoded(text: bytes) -> bytes:
    """AWS's URI encoding: everything but unreserved characters, in upper case."""
    return quote(text, safe="~").encode()


def strict_query(query: bytes) -> bytes:
    """The same query in the one encoding that every service canonicalises alike, in its own order."""
    return b"&".join(encoded(name) + equals + encoded(value) for name, equals, value in _pairs(query))


def strict_path(path: bytes) -> bytes:
    """The same key of S3 in the one encoding that it is signed in: ``/%61+%2f`` and ``/a%2B/`` mean one object.

    S3 works the signature out of the key, whatever the encoding that came. Dot segments and empty ones are part of a
    key and stay.
    """
    return quote(unquote_to_bytes(path), safe="/~").encode()


def canonical_path(path: bytes, *, normalised: bool) -> bytes:
    """The canonical URI: for S3 the path as it is sent, for all other services normalised and encoded once more."""
    if not normalised:
        return path or b"/"
    kept: list[bytes] = []
    for segment in path.split(b"/"):
        if segment == b"..":
            del kept[-1:]
        elif segment not in {b"", b"."}:
            kept.append(segment)
    end = b"/" if kept and path.endswith(b"/") else b""
    return quote(b"/" + b"/".join(kept) + end, safe="/~").encode()


def _pairs(query: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    for each in query.split(b"&"):
        if each:
            name, equals, value = each.partition(b"=")
            yield form_decoded(name), equals, form_decoded(value)


@dataclass(frozen=True, slots=True)
class Canonical:
    """A canonical request, and the names in it that the signature says it covers."""

    text: bytes
    signed_headers: str


def signed_fields(headers: Headers, host: bytes) -> dict[bytes, bytes]:
    """The fields that are signed, canonical, by their lower-case names in order."""
    found: dict[bytes, list[bytes]] = {b"host": [host]}
    for name, value in headers:
        lower = name.lower()
        if lower not in _UNSIGNED:
            found.setdefault(lower, []).append(b" ".join(value.split()))
    return {name: b",".join(found[name]) for name in sorted(found)}


def canonical(outgoing: Outgoing, fields: dict[bytes, bytes], payload: str, *, normalised: bool) -> Canonical:
    """The canonical request of ``outgoing`` with ``fields`` of ``signed_fields``."""
    query = sorted((encoded(name), encoded(value)) for name, _, value in _pairs(outgoing.query))
    names = b";".join(fields)
    lines = (
        outgoing.method,
        canonical_path(outgoing.path, normalised=normalised),
        b"&".join(name + b"=" + value for name, value in query),
        *(name + b":" + value for name, value in fields.items()),
        b"",
        names,
        payload.encode(),
    )
    return Canonical(b"\n".join(lines), names.decode("ascii"))


class SigV4Signer:
    """Signs for one access key, region and service; the key of a day is derived once."""

    def __init__(self, access_key_id: str, secret_access_key: bytes, region: str, service: str) -> None:
        self._access_key_id = access_key_id
        self._secret = secret_access_key
        self._region = region
        self._service = service
        self._key = "", b""

    def credential(self, moment: str) -> str:
        """The access key with its scope, as ``Credential`` and ``X-Amz-Credential`` have it."""
        return f"{self._access_key_id}/{self._scope(moment)}"

    def sign(self, moment: str, request: Canonical) -> str:
        """The signature of a canonical request at ``moment``, in hexadecimal digits."""
        hashed = hashlib.sha256(request.text).hexdigest()
        text = "\n".join((ALGORITHM, moment, self._scope(moment), hashed))
        return hmac.digest(self._key_of(moment[:8]), text.encode(), "sha256").hex()

    def _scope(self, moment: str) -> str:
        return f"{moment[:8]}/{self._region}/{self._service}/aws4_request"

    def _key_of(self, day: str) -> bytes:
        known, key = self._key  # read and set as one: large requests are signed in threads
        if day != known:
            key = b"AWS4" + self._secret
            for part in (day, self._region, self._service, "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._key = day, key
        return key
