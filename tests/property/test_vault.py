"""Ciphertexts that were altered or moved never open (security.md, section 3)."""

import dataclasses
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.core.secret import Secret
from tieline.dataplane.openings import Openings
from tieline.testing.vault import memory_keyring
from tieline.vault.envelope import Place, SealBroken, Sealed, seal, unseal
from tieline.vault.intake import Intake, SealedSecret
from tieline.vault.reveal import Revealer

FULL, REDUCED = 10_000, 1_000

text = st.text(max_size=20)
places = st.builds(Place, text, text, text, st.integers(0, 2**31), text)
keys = st.binary(min_size=32, max_size=32)


@given(keys, st.binary(max_size=2000), places)
def test_every_plaintext_comes_back_at_every_place(key: bytes, plaintext: bytes, place: Place) -> None:
    """Any bytes, any names."""
    assert unseal(key, seal(key, plaintext, place), place) == plaintext


@given(places, places)
def test_two_places_are_never_the_same_to_the_cipher(one: Place, other: Place) -> None:
    """Associated data is equal only for equal places."""
    assert (one.aad() == other.aad()) == (one == other)


@given(keys, st.binary(max_size=200), places, places)
def test_a_ciphertext_opens_nowhere_else(key: bytes, plaintext: bytes, here: Place, there: Place) -> None:
    """Whatever the two places are."""
    sealed = seal(key, plaintext, here)
    if here == there:
        assert unseal(key, sealed, there) == plaintext
    else:
        with pytest.raises(SealBroken):
            unseal(key, sealed, there)


@given(keys, st.binary(max_size=12), st.binary(max_size=100), places)
def test_bytes_that_were_never_sealed_do_not_open(key: bytes, nonce: bytes, ciphertext: bytes, place: Place) -> None:
    """Any rubbish gives SealBroken and no other error."""
    with pytest.raises(SealBroken):
        unseal(key, Sealed(nonce, ciphertext), place)


@dataclasses.dataclass
class Row:
    place: Place
    sealed: SealedSecret


def rows(intake: Intake, chance: random.Random, count: int) -> list[Row]:
    """Sealed secrets at ``count`` different places: a few rows, each with fields, versions and environments."""
    places = [
        Place(table, f"cred_{row}", field, version, environment)
        for table in ("secrets", "tokens")
        for row in range(5)
        for field in ("key", "secret")
        for version in (1, 2)
        for environment in ("live", "development")
    ]
    chosen = chance.sample(places, count)
    # The same length everywhere: a swap must fail for its place, not for its shape.
    return [Row(place, intake.seal(place, Secret(chance.randbytes(40)))) for place in chosen]


def flip(chance: random.Random, rows: list[Row]) -> Row:
    """One bit of nonce, ciphertext or tag is flipped."""
    row = chance.choice(rows)
    joined = bytearray(row.sealed.nonce + row.sealed.ciphertext)
    bit = chance.randrange(8 * len(joined))
    joined[bit // 8] ^= 1 << bit % 8
    return Row(row.place, SealedSecret(row.sealed.data_key_id, bytes(joined[:12]), bytes(joined[12:])))


def cut(chance: random.Random, rows: list[Row]) -> Row:
    """Nonce or ciphertext loses bytes at either end."""
    row = chance.choice(rows)
    nonce, ciphertext = row.sealed.nonce, row.sealed.ciphertext
    if chance.random() < 0.5:
        return Row(row.place, dataclasses.replace(row.sealed, nonce=shorter(chance, nonce)))
    return Row(row.place, dataclasses.replace(row.sealed, ciphertext=shorter(chance, ciphertext)))


def shorter(chance: random.Random, value: bytes) -> bytes:
    """``value`` without at least one byte of its beginning or end."""
    lost = chance.randint(1, len(value))
    return value[lost:] if chance.random() < 0.5 else value[:-lost]


def lengthen(chance: random.Random, rows: list[Row]) -> Row:
    """The ciphertext gains bytes."""
    row = chance.choice(rows)
    more = chance.randbytes(chance.randint(1, 20))
    return Row(row.place, dataclasses.replace(row.sealed, ciphertext=row.sealed.ciphertext + more))


def swap(chance: random.Random, rows: list[Row]) -> Row:
    """A whole ciphertext is put in another place: table, row, field, version or environment."""
    here, there = chance.sample(rows, 2)
    return Row(here.place, there.sealed)


def mix(chance: random.Random, rows: list[Row]) -> Row:
    """Nonce of one, ciphertext of another."""
    here, there = chance.sample(rows, 2)
    return Row(here.place, dataclasses.replace(here.sealed, nonce=there.sealed.nonce))


def rename(chance: random.Random, rows: list[Row]) -> Row:
    """The row names a data key that the vault does not have."""
    row = chance.choice(rows)
    return Row(row.place, dataclasses.replace(row.sealed, data_key_id="dk_elsewhere"))


@pytest.mark.parametrize("tamper", [flip, cut, lengthen, swap, mix, rename], ids=lambda tamper: tamper.__name__)
async def test_no_altered_or_moved_ciphertext_opens(
    tamper: Callable[[random.Random, list[Row]], Row], soak: bool
) -> None:
    """Every one of 10,000 is refused (1,000 outside the soak run)."""
    keyring = await memory_keyring()
    chance, intake, revealer = (
        random.Random(tamper.__name__),
        Intake(keyring),
        Revealer(keyring, Openings().witness("serve")),
    )
    known, refused = rows(intake, chance, 40), 0
    count = FULL if soak else REDUCED
    for _ in range(count):
        row = tamper(chance, known)
        try:
            revealer.reveal(row.place, row.sealed)
        except SealBroken:
            refused += 1
    assert refused == count
