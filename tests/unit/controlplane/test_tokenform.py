"""The form of admin tokens: what is minted is recognised, what is mistyped is not."""

import random
import re

from tieline.controlplane import tokenform


def test_a_minted_token_has_the_form() -> None:
    """Prefix, 43 random and 6 check characters; no two are equal."""
    made = {tokenform.mint().reveal_bytes() for _ in range(100)}
    assert len(made) == 100
    for token in made:
        assert re.fullmatch(rb"tla_[0-9A-Za-z]{49}", token)
        assert tokenform.has_form(token)


def test_every_typing_error_in_one_place_is_found() -> None:
    """A CRC finds all single-character errors."""
    token = tokenform.mint().reveal_bytes()
    dice = random.Random(1)
    for place in range(len(token)):
        other = dice.choice([letter for letter in b"0aZ_-" if letter != token[place]])
        assert not tokenform.has_form(token[:place] + bytes([other]) + token[place + 1 :])


def test_cut_and_padded_tokens_are_refused() -> None:
    """Exactly one length fits."""
    token = tokenform.mint().reveal_bytes()
    for odd in (b"", token[:-1], token + b"0", token + b"\n", b" " + token, token.upper(), b"tla_"):
        assert not tokenform.has_form(odd)


def test_the_hash_depends_on_pepper_and_token() -> None:
    """32 bytes that tell neither."""
    first, second = tokenform.mint().reveal_bytes(), tokenform.mint().reveal_bytes()
    hashes = {tokenform.keyed_hash(pepper, token) for pepper in (b"a" * 32, b"b" * 32) for token in (first, second)}
    assert len(hashes) == 4
    assert {len(each) for each in hashes} == {32}
