"""Which keys exist, against a plain set."""

import random

from tieline.dataplane.snapshot import minted as module
from tieline.dataplane.snapshot.minted import MintedKeys


def test_it_says_what_a_set_says() -> None:
    """Added, taken out and added again, before and after they are sorted in."""
    randomness = random.Random(7)
    minted, model = MintedKeys(), set[bytes]()
    every = [randomness.randbytes(32) for _ in range(3 * module._NEW_MOST)]
    for start in range(0, len(every), 1000):
        minted.add(every[start : start + 1000])
        model.update(every[start : start + 1000])
        for gone in randomness.sample(every, 300):
            minted.discard(gone)
            model.discard(gone)
        for back in randomness.sample(every[: start + 1000], 100):
            minted.add([back])
            model.add(back)
        looked = randomness.sample(every, 500)
        assert [each in minted for each in looked] == [each in model for each in looked]
    assert [each in minted for each in every] == [each in model for each in every]
    assert randomness.randbytes(32) not in minted
