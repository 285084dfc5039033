"""Authenticated encryption bound to a place: AES-256-GCM (NIST SP 800-38D) with the place as associated data.

Owns the bytes of a ciphertext. It knows neither where keys come from nor where ciphertexts are kept. A ciphertext opens
only at the place it was sealed for: same table, row, field, version and environment.
"""

import secrets
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tieline.core.errors import TielineError
from tieline.vault.derivation import KEY_LENGTH

NONCE_LENGTH = 12
TAG_LENGTH = 16
_FORMAT = b"tieline/seal/1"


class SealBroken(TielineError):
    """A ciphertext that does not open at its place: altered, cut, moved, or sealed under another key.

    It is answered as an internal error; ``detail`` names the place, never a byte of the content.
    """


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sealed value stands: table, row (an id), field, version (from 0) and environment."""

    table: str
    row: str
    field: str
    version: int
    environment: str

    def aad(self) -> bytes:
        """The associated data: a format mark, then every part behind its length, so that no two places are equal."""
        parts = (self.table, self.row, self.field, str(self.version), self.environment)
        encoded = (part.encode() for part in parts)
        return _FORMAT + b"".join(len(part).to_bytes(4, "big") + part for part in encoded)

    def __str__(self) -> str:
        return f"{self.table}/{self.row}/{self.field} version {self.version} ({self.environment})"


@dataclass(frozen=True, slots=True)
class Sealed:
    """A random nonce (12 bytes), and the ciphertext with its tag (16 bytes longer than the plaintext)."""

    nonce: bytes
    ciphertext: bytes


def seal(key: bytes, plaintext: bytes, place: Place) -> Sealed:
    """Encrypt ``plaintext`` under ``key`` (32 bytes) for ``place``; raises ValueError for a key of another length."""
    nonce = secrets.token_bytes(NONCE_LENGTH)
    return Sealed(nonce, _cipher(key).encrypt(nonce, plaintext, place.aad()))


def unseal(key: bytes, sealed: Sealed, place: Place) -> bytes:
    """The plaintext that was sealed under ``key`` for ``place``; raises SealBroken for anything else."""
    cipher = _cipher(key)
    if len(sealed.nonce) != NONCE_LENGTH or len(sealed.ciphertext) < TAG_LENGTH:
        raise broken(place, "nonce or ciphertext has an impossible length")
    try:
        return cipher.decrypt(sealed.nonce, sealed.ciphertext, place.aad())
    except InvalidTag as error:
        raise broken(place, "the tag does not fit") from error


def broken(place: Place, why: str) -> SealBroken:
    """The error for a value at ``place`` that does not open; ``why`` goes to the log."""
    return SealBroken(
        "A stored secret cannot be opened: it was altered, or it was sealed under another key. Set the credential "
        "again, or restore the backup that belongs to this root key.",
        detail=f"sealed value of {place}: {why}",
    )


def _cipher(key: bytes) -> AESGCM:
    if len(key) != KEY_LENGTH:
        raise ValueError(f"a sealing key has {KEY_LENGTH} bytes, not {len(key)}")
    return AESGCM(key)
