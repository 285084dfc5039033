"""The root key as a value: 32 bytes and the id that names them without telling anything of them.

Owns the id and the two ways a key is written (base64url, hex). It knows no files and no environment.
"""

import base64
import re
from dataclasses import dataclass
from typing import Self

from tieline.core.errors import RootKeyError
from tieline.core.secret import Secret
from tieline.vault.derivation import KEY_LENGTH, derive

_ID_BYTES = 6
_BASE64URL = re.compile(rb"[A-Za-z0-9_-]{43}=?")
_HEX = re.compile(rb"[0-9A-Fa-f]{64}")


@dataclass(frozen=True, slots=True)
class RootKey:
    """The key that wraps the data keys, and its id: ``rk_`` and 12 hex digits derived from it by HKDF."""

    key: Secret
    id: str

    @classmethod
    def of(cls, key: Secret) -> Self:
        """The root key with these bytes; raises ValueError unless there are 32."""
        if len(key) != KEY_LENGTH:
            raise ValueError(f"a root key has {KEY_LENGTH} bytes, not {len(key)}")
        return cls(key, f"rk_{derive(key, 'root key id', _ID_BYTES).hex()}")


def decode(text: Secret) -> Secret:
    """The 32 bytes written as base64url (43 characters, ``=`` optional) or hex (64); raises ValueError for other text.

    White space around the text is ignored, since editors and shells add a newline.
    """
    value = text.reveal_bytes().strip()
    if _HEX.fullmatch(value):
        return Secret(bytes.fromhex(value.decode()))
    if _BASE64URL.fullmatch(value):
        return Secret(base64.urlsafe_b64decode(value[:43] + b"="))
    raise ValueError("neither 32 bytes of base64url nor of hex")


def encode(key: Secret) -> Secret:
    """``key`` as base64url without padding."""
    return Secret(base64.urlsafe_b64encode(key.reveal_bytes()).rstrip(b"="))


def mismatch(expected: str, given: str) -> RootKeyError:
    """The error for a root key that is not the one the vault was made with; both are key ids."""
    return RootKeyError(
        f"This is not the vault's root key: expected {expected}, given {given}. Start with the root key that this "
        "vault was made with."
    )
