"""The vault's way in and its only way out."""

import dataclasses

import pytest

from tieline.core.errors import InvalidInput
from tieline.core.secret import Secret
from tieline.testing.vault import memory_keyring
from tieline.vault.envelope import Place, SealBroken
from tieline.vault.intake import Intake
from tieline.vault.reveal import Revealer

PLACE = Place("secrets", "cred_1", "key", 1, "live")
SECRET = Secret(b"sk-sandbox-not-a-real-key")


class Told(list[Place]):
    """A witness that remembers."""

    def opened(self, place: Place) -> None:
        self.append(place)


async def test_a_sealed_secret_is_revealed_at_its_place() -> None:
    """What was taken in comes out as a Secret, sealed meanwhile under the current data key."""
    keyring = await memory_keyring()
    sealed = Intake(keyring).seal(PLACE, SECRET)
    assert sealed.data_key_id == keyring.current[0]
    assert Revealer(keyring, Told()).reveal(PLACE, sealed) == SECRET


async def test_a_sealed_secret_is_not_revealed_elsewhere() -> None:
    """A thief of the store cannot move a ciphertext to a row he may use."""
    keyring = await memory_keyring()
    sealed = Intake(keyring).seal(PLACE, SECRET)
    with pytest.raises(SealBroken):
        Revealer(keyring, Told()).reveal(dataclasses.replace(PLACE, row="cred_2"), sealed)


async def test_a_witness_is_told_of_each_opening_and_of_no_failure() -> None:
    """Where nothing came out, nothing was opened."""
    keyring, told = await memory_keyring(), Told()
    sealed, revealer = Intake(keyring).seal(PLACE, SECRET), Revealer(keyring, told)
    revealer.reveal(PLACE, sealed)
    with pytest.raises(SealBroken):
        revealer.reveal(dataclasses.replace(PLACE, row="cred_2"), sealed)
    assert told == [PLACE]


async def test_a_secret_of_another_vault_is_not_revealed() -> None:
    """Its data key is unknown here, and naming one of ours does not help."""
    ours, theirs = await memory_keyring(), await memory_keyring()
    sealed = Intake(theirs).seal(PLACE, SECRET)
    renamed = dataclasses.replace(sealed, data_key_id=ours.current[0])
    for each in (sealed, renamed):
        with pytest.raises(SealBroken):
            Revealer(ours, Told()).reveal(PLACE, each)


@pytest.mark.parametrize("length", [1, 65_536])
async def test_secrets_of_every_size_in_bounds_are_taken(length: int) -> None:
    """One byte to 64 KiB."""
    keyring = await memory_keyring()
    secret = Secret(b"x" * length)
    assert Revealer(keyring, Told()).reveal(PLACE, Intake(keyring).seal(PLACE, secret)) == secret


@pytest.mark.parametrize(("length", "text"), [(0, "is empty"), (65_537, "has 65,537 bytes")])
async def test_secrets_out_of_bounds_are_refused(length: int, text: str) -> None:
    """The error names the field and what may be given, not the value."""
    intake = Intake(await memory_keyring())
    with pytest.raises(InvalidInput, match=f"The value of key {text}. Give 1 to 65,536 bytes.") as caught:
        intake.seal(PLACE, Secret(b"x" * length))
    assert caught.value.param == "key"
