"""Keys of JSON Web Signatures and what they sign with: joserfc's, loaded where a key is used (ADR 25)."""

import warnings
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping

import orjson
from cryptography.exceptions import UnsupportedAlgorithm
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, JWKRegistry, Key, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from tieline.schemes.jose import SYMMETRIC, with_lines

_RSA_LEAST = 2048
_SHORTEST = 14  # bytes: the 112 bits of NIST SP 800-131A, below which nobody should sign anything
_KINDS: Mapping[str, type[RSAKey | ECKey | OKPKey]] = {"RS": RSAKey, "PS": RSAKey, "ES": ECKey, "Ed": OKPKey}


def load_key(algorithm: str, text: bytes, *, encoding: str = "text", short: bool = False) -> Key:
    """The private or symmetric key in ``text`` for one of ``ALGORITHMS``.

    It is a JWK (RFC 7517), PEM, or, for HMAC, the secret itself in ``encoding``. ``short`` takes an HMAC secret that is
    shorter than its hash, which RFC 7518 section 3.2 forbids and some providers give out. Raises ValueError with a text
    that completes "The key …".
    """
    key = _parsed(algorithm, text.strip(), encoding)
    try:
        JWSRegistry.algorithms[algorithm].check_key(key)
    except (JoseError, ValueError):
        raise ValueError(f"does not fit {algorithm}. Give the key that was made for it, or change algorithm") from None
    if not key.is_private:
        raise ValueError("is a public key, which signs nothing. Give the private one")
    if isinstance(key, OctKey):
        _check_length(algorithm, key, short=short)
    if isinstance(key, RSAKey) and key.private_key is not None and key.private_key.key_size < _RSA_LEAST:
        raise ValueError(f"is an RSA key of less than {_RSA_LEAST} bits (RFC 7518 section 3.3). Make a longer one")
    return key


def signature(algorithm: str, key: Key, message: bytes) -> bytes:
    """The signature of a JWS signing input."""
    return JWSRegistry.algorithms[algorithm].sign(message, key)


def _parsed(algorithm: str, text: bytes, encoding: str) -> Key:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)  # what it warns of is refused below
            if text.startswith(b"{"):
                return _jwk(text)
            if algorithm in SYMMETRIC:
                return OctKey.import_key(_secret(text, encoding))
            return _KINDS[algorithm[:2]].import_key(with_lines(text))
    except (ValueError, TypeError, KeyError, JoseError, UnsupportedAlgorithm):
        if b"ENCRYPTED" in text:
            raise ValueError("is encrypted with a password. Give it without one") from None
        kind = "the secret as it was given to you" if algorithm in SYMMETRIC else "a private key in PEM"
        raise ValueError(f"cannot be read. Give {kind}, or a JWK") from None


def _jwk(text: bytes) -> Key:
    found = orjson.loads(text)
    if isinstance(found.get("keys"), list) and len(found["keys"]) == 1:
        found = found["keys"][0]
    return JWKRegistry.import_key(found)


def _secret(text: bytes, encoding: str) -> bytes:
    if b"-----BEGIN" in text:
        raise ValueError
    if encoding == "hex":
        return bytes.fromhex(text.decode())
    if encoding == "base64":
        try:
            plain = text.translate(bytes.maketrans(b"-_", b"+/")).rstrip(b"=")
            return b64decode(plain + b"=" * (-len(plain) % 4), validate=True)
        except Base64Error:
            raise ValueError from None
    return text


def _check_length(algorithm: str, key: OctKey, *, short: bool) -> None:
    least = int(algorithm[2:]) // 8
    length = len(key.raw_value)
    if length < _SHORTEST:
        raise ValueError(f"has {length} bytes, which anybody can guess. {algorithm} needs {least}")
    if length < least and not short:
        raise ValueError(
            f"has {length} bytes; {algorithm} needs {least} (RFC 7518 section 3.2). Use a longer one, or write "
            "short_key: true if the provider gives no other"
        )
