"""The vault's only way out. Whoever imports this module can see secrets; import-linter keeps the list short."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from tieline.core.secret import Secret
from tieline.vault.envelope import Place, SealBroken, Sealed, unseal
from tieline.vault.intake import SealedSecret
from tieline.vault.keyring import Keyring

Opened = TypeVar("Opened")


class Witness(Protocol):
    """Is told of every secret that was opened, so that the audit log can say so."""

    def opened(self, place: Place) -> None:
        """The secret at ``place`` was opened."""
        ...


class Revealer:
    """Opens sealed secrets, in the data plane, before a ``witness``."""

    def __init__(self, keyring: Keyring, witness: Witness) -> None:
        self._keyring = keyring
        self._witness = witness

    def reveal(self, place: Place, sealed: SealedSecret) -> Secret:
        """The secret that was sealed for ``place``.

        Raises SealBroken when it was altered, moved from another place, or sealed under a data key that this process
        does not have; see ``opened``.
        """
        key = self._keyring.get(sealed.data_key_id)
        secret = Secret(unseal(key.reveal_bytes(), Sealed(sealed.nonce, sealed.ciphertext), place))
        self._witness.opened(place)
        return secret

    async def opened(self, opening: Callable[[], Opened]) -> Opened:
        """What ``opening`` gives, which reveals; once more with newer keys where a seal does not open.

        Another process may have sealed with a data key that it added meanwhile. Raises SealBroken.
        """
        try:
            return opening()
        except SealBroken:
            await self._keyring.refresh()
            return opening()
