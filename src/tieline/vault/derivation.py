"""Keys made from keys: HKDF-SHA-256 (RFC 5869), one purpose each. It knows no formats and no storage."""

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tieline.core.secret import Secret

KEY_LENGTH = 32
_LABEL = "tieline/v1/"


def derive(key: Secret, purpose: str, length: int = KEY_LENGTH) -> bytes:
    """``length`` bytes for ``purpose`` from ``key`` (32 random bytes).

    The same purpose always gives the same bytes; bytes of one purpose say nothing about the key or another purpose.
    """
    return HKDF(SHA256(), length, salt=None, info=f"{_LABEL}{purpose}".encode()).derive(key.reveal_bytes())
