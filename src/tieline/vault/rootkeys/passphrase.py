"""A root key made from a passphrase by Argon2id (RFC 9106) with the salt that the store keeps.

The cost follows security.md rule 7: 64 MiB, three passes, one lane; about 0.2 s on one core.
"""

import secrets
import unicodedata

from argon2.low_level import Type, hash_secret_raw

from tieline.core.errors import RootKeyError
from tieline.core.secret import Secret
from tieline.vault.derivation import KEY_LENGTH
from tieline.vault.rootkeys.key import RootKey

LENGTH_LEAST = 15
SALT_LENGTH = 16
_PASSES = 3
_MEMORY_KIB = 64 * 1024
_LANES = 1


def new_salt() -> bytes:
    """16 random bytes for a new vault."""
    return secrets.token_bytes(SALT_LENGTH)


def load(passphrase: Secret, salt: bytes) -> RootKey:
    """The root key that ``passphrase`` and ``salt`` give. It takes a while: call it on a thread.

    The passphrase is brought to Unicode form NFC first (RFC 8265, section 4.2), so that it gives the same key from any
    keyboard. Raises RootKeyError when it is shorter than 15 characters or no UTF-8.
    """
    try:
        text = unicodedata.normalize("NFC", passphrase.reveal_bytes().decode())
    except UnicodeDecodeError as error:
        raise RootKeyError("The root key's passphrase is not UTF-8 text. Give it as UTF-8.") from error
    if len(text) < LENGTH_LEAST:
        raise RootKeyError(
            f"The root key's passphrase is too short: {len(text)} characters. Give at least {LENGTH_LEAST}."
        )
    raw = hash_secret_raw(text.encode(), salt, _PASSES, _MEMORY_KIB, _LANES, KEY_LENGTH, Type.ID)
    return RootKey.of(Secret(raw))
