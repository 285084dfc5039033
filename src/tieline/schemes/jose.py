"""Signed JSON Web Tokens (RFC 7515, 7518, 7519, 8037): keys from what operators paste, and compact serialisation.

Keys and algorithms are joserfc's (``jose_keys``). The serialisation is our own: it is three lines, and joserfc's warns
of EdDSA at each use. There is no way to ``alg: none``.
"""

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from joserfc.jwk import Key

SYMMETRIC = ("HS256", "HS384", "HS512")
ASYMMETRIC = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)
ALGORITHMS = (*SYMMETRIC, *ASYMMETRIC)
ENCODINGS = ("text", "base64", "hex")


def load_key(algorithm: str, text: bytes, *, encoding: str = "text", short: bool = False) -> "Key":
    """The private or symmetric key in ``text`` for one of ``ALGORITHMS``: ``jose_keys.load_key``."""
    from tieline.schemes import jose_keys  # noqa: PLC0415  most processes never sign a JWT, and joserfc is 1.7 MiB

    return jose_keys.load_key(algorithm, text, encoding=encoding, short=short)


def signature(algorithm: str, key: "Key", message: bytes) -> bytes:
    """The signature of a JWS signing input."""
    from tieline.schemes import jose_keys  # noqa: PLC0415  as above

    return jose_keys.signature(algorithm, key, message)


def sign(algorithm: str, key: "Key", header: Mapping[str, Any], claims: Mapping[str, Any]) -> bytes:
    """A JWT in compact serialisation (RFC 7515 section 7.1); ``alg`` is added to the header."""
    message = encoded(orjson.dumps({"alg": algorithm, **header})) + b"." + encoded(orjson.dumps(claims))
    return message + b"." + encoded(signature(algorithm, key, message))


def encoded(data: bytes) -> bytes:
    """Base64url without padding (RFC 7515 section 2)."""
    return urlsafe_b64encode(data).rstrip(b"=")


def with_lines(pem: bytes) -> bytes:
    r"""PEM whose lines were joined by ``\n`` as JSON writes them, as keys copied out of JSON files are."""
    return pem.replace(b"\\n", b"\n") if b"\n" not in pem else pem
