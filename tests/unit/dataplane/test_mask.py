"""A secret that comes back is hidden, wherever pieces are cut, and nothing else is held back or changed."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.dataplane.answers.mask import StreamMask, mask

SECRET = b"sk-sandbox-unit-1"
OTHER = b"other-secret-22"


def streamed(pieces: list[bytes], *secrets: bytes) -> list[bytes]:
    """What comes out for each piece, the last one being the last."""
    stream = StreamMask(secrets)
    return [stream.feed(piece, last=number == len(pieces) - 1) for number, piece in enumerate(pieces)]


def test_a_secret_becomes_stars_of_its_length() -> None:
    """Every occurrence, of every secret."""
    data = b"a" + SECRET + b"b" + SECRET + OTHER
    assert mask(data, [SECRET, OTHER]) == b"a" + b"*" * 17 + b"b" + b"*" * 32


@pytest.mark.parametrize("cut", range(len(SECRET) + 1))
def test_a_secret_cut_in_two_is_found(cut: int) -> None:
    """At each of its bytes."""
    pieces = [b"<" + SECRET[:cut], SECRET[cut:] + b">"]
    assert b"".join(streamed(pieces, SECRET)) == b"<" + b"*" * 17 + b">"


def test_nothing_is_held_back_without_reason() -> None:
    """A piece that cannot be the beginning of a secret passes at once: no event waits for the next one."""
    assert streamed([b"data: one\n\n", b"data: two\n\n", b""], SECRET) == [b"data: one\n\n", b"data: two\n\n", b""]


def test_what_only_began_like_a_secret_is_passed_on() -> None:
    """With the piece that shows that it is none, or at the end."""
    assert streamed([b"ask-", b"no", b"sk"], SECRET) == [b"a", b"sk-no", b"sk"]


@given(
    parts=st.lists(st.sampled_from([b"s", b"sk", b"sk-", SECRET[:9], SECRET, OTHER, OTHER[:5], b"-", b"\n", b"xyz"])),
    cuts=st.lists(st.integers(0, 200)),
)
def test_cutting_changes_nothing(parts: list[bytes], cuts: list[int]) -> None:
    """Masked in pieces a body is what it is when masked whole; its length stays."""
    body = b"".join(parts)
    places = [0, *sorted(cut for cut in cuts if cut < len(body)), len(body)]
    pieces = [body[start:end] for start, end in pairwise(places)]
    got = b"".join(streamed(pieces, SECRET, OTHER))
    assert got == mask(body, [SECRET, OTHER])
    assert len(got) == len(body)
    assert SECRET not in got


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=8))
def test_secrets_that_repeat_themselves_do_not_come_through(noise: bytes, cuts: list[int]) -> None:
    """Secrets whose end is their beginning are the hard ones."""
    secret = b"abababababab"
    body = noise + b"ab" * 9 + noise + secret
    places = [0, *sorted(cut for cut in cuts if cut < len(body)), len(body)]
    pieces = [body[start:end] for start, end in pairwise(places)]
    assert secret not in b"".join(streamed(pieces, secret))
