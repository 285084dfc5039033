"""Whatever is done to an audit chain without its key, verification finds it."""

import dataclasses
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tieline.audit.chain import EMPTY, ChainedRecord, Head, canonical_json, extend, verify

KEY = b"a key of the tests"
AT = datetime(2026, 11, 23, 7, 0, tzinfo=UTC)
texts = st.text(max_size=12)
facts = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def chains(draw: st.DrawFn, least: int = 1) -> tuple[list[tuple[ChainedRecord, bytes]], Head]:
    """A sound chain of up to twelve records."""
    head, links = EMPTY, []
    for seq in range(1, draw(st.integers(least, 12)) + 1):
        data = canonical_json(draw(st.dictionaries(texts, facts, max_size=3)))
        record = ChainedRecord(
            seq, f"aud_{seq}", AT + timedelta(seconds=seq), draw(texts), "api.added", draw(texts), data
        )
        mac, head = extend(KEY, head, record)
        links.append((record, mac))
    return links, head


@given(chains())
def test_a_sound_chain_verifies(chain: tuple[list[tuple[ChainedRecord, bytes]], Head]) -> None:
    """Nothing was done, nothing is found."""
    assert verify(KEY, *chain) == []


@given(chains(), st.data())
def test_any_edit_is_found(chain: tuple[list[tuple[ChainedRecord, bytes]], Head], data: st.DataObject) -> None:
    """One field of one record, or one bit of its mac."""
    links, head = chain
    place = data.draw(st.integers(0, len(links) - 1))
    record, mac = links[place]
    field = data.draw(st.sampled_from(["id", "actor", "kind", "target", "data", "at", "mac"]))
    if field == "mac":
        bit = data.draw(st.integers(0, 255))
        mac = bytes(byte ^ (1 << bit % 8 if number == bit // 8 else 0) for number, byte in enumerate(mac))
    elif field == "at":
        record = dataclasses.replace(record, at=record.at + timedelta(microseconds=data.draw(st.integers(1, 10**9))))
    else:
        before = getattr(record, field)
        changed: dict[str, Any] = {field: data.draw(texts.filter(lambda text: text != before))}
        record = dataclasses.replace(record, **changed)
    links[place] = (record, mac)
    assert verify(KEY, links, head) != []


@given(chains(least=2), st.data())
def test_any_deletion_or_cut_is_found(
    chain: tuple[list[tuple[ChainedRecord, bytes]], Head], data: st.DataObject
) -> None:
    """Any non-empty set of records, at the start, in the middle or at the end."""
    links, head = chain
    gone = data.draw(st.sets(st.integers(0, len(links) - 1), min_size=1))
    assert verify(KEY, [one for number, one in enumerate(links) if number not in gone], head) != []


@given(chains(least=2), st.data())
def test_any_reordering_is_found(chain: tuple[list[tuple[ChainedRecord, bytes]], Head], data: st.DataObject) -> None:
    """Any other order, whether the numbers move with the records or stay in their places."""
    links, head = chain
    order = data.draw(st.permutations(range(len(links))).filter(lambda found: list(found) != sorted(found)))
    moved = [links[number] for number in order]
    renumbered = [(dataclasses.replace(record, seq=place), mac) for place, (record, mac) in enumerate(moved, 1)]
    assert verify(KEY, moved, head) != []
    assert verify(KEY, renumbered, head) != []


@given(chains(), st.integers(0, 20), st.binary(min_size=32, max_size=32), st.binary(max_size=32))
def test_no_head_can_be_made_up(
    chain: tuple[list[tuple[ChainedRecord, bytes]], Head], seq: int, mac: bytes, signature: bytes
) -> None:
    """A head that we did not sign is found, whichever record it claims to end with."""
    links, head = chain
    for forged in (Head(seq, mac, signature), Head(seq, links[min(seq, len(links)) - 1][1], head.signature)):
        if forged != head:
            assert verify(KEY, links[:seq], forged) != [] or (seq == 0 and forged == EMPTY)


@given(st.dictionaries(texts, facts, max_size=6), st.randoms())
def test_canonical_json_is_canonical(value: dict[str, object], chance: Random) -> None:
    """The order in which a mapping was built leaves no trace."""
    items = list(value.items())
    chance.shuffle(items)
    assert canonical_json(dict(items)) == canonical_json(value)
