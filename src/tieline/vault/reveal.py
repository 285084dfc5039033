"""The vault's only way out. Whoever imports this module can see secrets; import-linter keeps the list short."""

from tieline.core.secret import Secret
from tieline.vault.envelope import Place, Sealed, unseal
from tieline.vault.intake import SealedSecret
from tieline.vault.keyring import Keyring


class Revealer:
    """Opens sealed secrets, in the data plane."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def reveal(self, place: Place, sealed: SealedSecret) -> Secret:
        """The secret that was sealed for ``place``.

        Raises SealBroken when it was altered, moved from another place, or sealed under a data key that this process
        does not have; ``Keyring.refresh`` fetches one that another process has added meanwhile.
        """
        key = self._keyring.get(sealed.data_key_id)
        return Secret(unseal(key.reveal_bytes(), Sealed(sealed.nonce, sealed.ciphertext), place))
