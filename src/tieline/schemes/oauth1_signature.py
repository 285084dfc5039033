"""Signatures of OAuth 1.0 (RFC 5849 section 3.4): the base string, the methods, and the keys they take.

Knows requests as bytes, no scheme and no credential.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable, Sequence
from urllib.parse import quote

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tieline.access.keyplaces import form_decoded
from tieline.core.urls import Origin

Pairs = Sequence[tuple[bytes, bytes]]
PLAINTEXT = "PLAINTEXT"
_HMAC = {"HMAC-SHA1": "sha1", "HMAC-SHA256": "sha256", "HMAC-SHA512": "sha512"}
_RSA: dict[str, type[hashes.SHA1 | hashes.SHA256 | hashes.SHA512]] = {
    "RSA-SHA1": hashes.SHA1,
    "RSA-SHA256": hashes.SHA256,
    "RSA-SHA512": hashes.SHA512,
}
METHODS = (*_HMAC, *_RSA, PLAINTEXT)


class UnusableKeyError(ValueError):
    """The private key is no RSA key in PEM without a password."""


def takes_private_key(method: str) -> bool:
    """Whether the signature is made with an RSA key rather than with shared secrets."""
    return method in _RSA


def encoded(text: bytes) -> bytes:
    """Percent-encoding of RFC 5849 section 3.6: all but unreserved characters."""
    return quote(text, safe="~").encode()


def pairs_of(form: bytes) -> Pairs:
    """The decoded pairs of a query or a form, in order (RFC 5849 section 3.4.1.3.1)."""
    split = [each.partition(b"=") for each in form.split(b"&") if each]
    return [(form_decoded(name), form_decoded(value)) for name, _, value in split]


def base_string(method: bytes, origin: Origin, path: bytes, pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The signature base string (RFC 5849 section 3.4.1); ``pairs`` are decoded, of query, header and form alike."""
    uri = origin.scheme.encode() + b"://" + origin.authority + (path or b"/")
    normal = b"&".join(b"=".join(pair) for pair in sorted((encoded(name), encoded(value)) for name, value in pairs))
    return b"&".join((method.upper(), encoded(uri), encoded(normal)))


def body_hash(method: str, body: bytes) -> bytes:
    """The value of ``oauth_body_hash`` (the OAuth Request Body Hash extension): the signature method's own hash."""
    name = method.partition("-")[2].lower() or "sha1"
    return base64.b64encode(hashlib.new(name, body, usedforsecurity=False).digest())


class OAuth1Signer:
    """A signature method with its key: shared secrets, or an RSA key in PEM. Raises UnusableKeyError."""

    def __init__(self, method: str, consumer_secret: bytes, token_secret: bytes, private_key: bytes = b"") -> None:
        self.method = method
        self._secrets = encoded(consumer_secret) + b"&" + encoded(token_secret)
        self._key = _rsa_key(private_key) if takes_private_key(method) else None

    @property
    def shared(self) -> bytes:
        """What ``PLAINTEXT`` sends: both secrets, encoded and joined (RFC 5849 section 3.4.4)."""
        return self._secrets

    def sign(self, base: bytes) -> bytes:
        """The value of ``oauth_signature`` for a base string."""
        if self._key is not None:
            return base64.b64encode(self._key.sign(base, padding.PKCS1v15(), _RSA[self.method]()))
        if self.method == PLAINTEXT:
            return self._secrets
        return base64.b64encode(hmac.digest(self._secrets, base, _HMAC[self.method]))


def _rsa_key(pem: bytes) -> rsa.RSAPrivateKey:
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise UnusableKeyError from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise UnusableKeyError
    return key
