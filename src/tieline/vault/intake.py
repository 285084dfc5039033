"""The vault's way in: secrets are sealed here and cannot be opened here.

Owns the size a secret may have. The control plane uses it; what a field may contain is known to the schemes.
"""

from dataclasses import dataclass

from tieline.core.errors import InvalidInput
from tieline.core.secret import Secret
from tieline.vault.envelope import Place, seal
from tieline.vault.keyring import Keyring

SECRET_MOST = 65_536


@dataclass(frozen=True, slots=True)
class SealedSecret:
    """A secret as it is stored: the data key that sealed it, the nonce (12 bytes), the ciphertext with its tag."""

    data_key_id: str
    nonce: bytes
    ciphertext: bytes


class Intake:
    """Seals secrets under the current data key."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def seal(self, place: Place, secret: Secret) -> SealedSecret:
        """Seal ``secret`` for ``place``; raises InvalidInput unless it has 1 to 65,536 bytes."""
        if not 0 < len(secret) <= SECRET_MOST:
            problem = f"has {len(secret):,} bytes" if secret else "is empty"
            raise InvalidInput(
                f"The value of {place.field} {problem}. Give 1 to {SECRET_MOST:,} bytes.", param=place.field
            )
        key_id, key = self._keyring.current
        sealed = seal(key.reveal_bytes(), secret.reveal_bytes(), place)
        return SealedSecret(key_id, sealed.nonce, sealed.ciphertext)
