"""Sealing and unsealing one value."""

import dataclasses

import pytest

from tieline.core.errors import ANSWERS
from tieline.vault.envelope import Place, SealBroken, Sealed, seal, unseal

KEY = bytes(range(32))
PLACE = Place("secrets", "cred_1", "key", 3, "live")
SECRET = b"sk-sandbox-not-a-real-key"


def test_what_was_sealed_opens_at_its_place() -> None:
    """The plaintext comes back under the same key and place."""
    assert unseal(KEY, seal(KEY, SECRET, PLACE), PLACE) == SECRET


def test_sealing_twice_gives_different_bytes() -> None:
    """The nonce is fresh each time, so equal secrets cannot be recognised."""
    first, second = seal(KEY, SECRET, PLACE), seal(KEY, SECRET, PLACE)
    assert first.nonce != second.nonce
    assert first.ciphertext != second.ciphertext


def test_a_ciphertext_is_sixteen_bytes_longer_than_its_plaintext() -> None:
    """A nonce of twelve bytes and a tag of sixteen: full-length AES-GCM."""
    sealed = seal(KEY, SECRET, PLACE)
    assert (len(sealed.nonce), len(sealed.ciphertext)) == (12, len(SECRET) + 16)


@pytest.mark.parametrize(
    "change",
    [{"table": "data_keys"}, {"row": "cred_2"}, {"field": "secret"}, {"version": 4}, {"environment": "development"}],
    ids=lambda change: next(iter(change)),
)
def test_a_ciphertext_does_not_open_at_another_place(change: dict[str, object]) -> None:
    """Every part of the place is bound to the ciphertext."""
    other = dataclasses.replace(PLACE, **change)  # type: ignore[arg-type]
    with pytest.raises(SealBroken):
        unseal(KEY, seal(KEY, SECRET, PLACE), other)


def test_a_ciphertext_does_not_open_under_another_key() -> None:
    """Another data key is refused."""
    with pytest.raises(SealBroken):
        unseal(bytes(32), seal(KEY, SECRET, PLACE), PLACE)


@pytest.mark.parametrize("length", [0, 1, 8, 11, 13, 24])
def test_a_nonce_of_another_length_is_refused(length: int) -> None:
    """AES-GCM would take other nonces; we never make them."""
    with pytest.raises(SealBroken):
        unseal(KEY, Sealed(bytes(length), seal(KEY, SECRET, PLACE).ciphertext), PLACE)


@pytest.mark.parametrize("length", [0, 1, 15])
def test_a_ciphertext_shorter_than_its_tag_is_refused(length: int) -> None:
    """Nothing is left to authenticate."""
    with pytest.raises(SealBroken):
        unseal(KEY, Sealed(bytes(12), bytes(length)), PLACE)


@pytest.mark.parametrize("length", [0, 16, 24, 31, 33])
def test_only_keys_of_256_bits_seal(length: int) -> None:
    """AES-128 and AES-192 keys, which the library would take, are programming errors."""
    with pytest.raises(ValueError, match="a sealing key has 32 bytes"):
        seal(bytes(length), SECRET, PLACE)


def test_parts_of_a_place_cannot_flow_into_each_other() -> None:
    """Lengths stand before the parts, so shifting a character between neighbours is another place."""
    assert Place("ab", "c", "f", 1, "live").aad() != Place("a", "bc", "f", 1, "live").aad()
    assert Place("t", "r", "f1", 1, "live").aad() != Place("t", "r", "f", 11, "live").aad()


def test_a_broken_seal_tells_the_place_to_the_log_only() -> None:
    """The public text says what to do; the row and field are for the log."""
    with pytest.raises(SealBroken) as caught:
        unseal(KEY, Sealed(bytes(12), bytes(20)), PLACE)
    assert "cred_1" not in caught.value.public
    assert "Set the credential again" in caught.value.public
    assert caught.value.detail == "sealed value of secrets/cred_1/key version 3 (live): the tag does not fit"
    assert ANSWERS[caught.value.code].status == 500
