"""The audit chain as plain values: what is hashed, how it is extended, and which breaks are told."""

import dataclasses
from datetime import UTC, datetime, timedelta, timezone

import pytest

from tieline.audit.chain import (
    EMPTY,
    GENESIS,
    Anchor,
    ChainedRecord,
    Head,
    Verification,
    canonical_json,
    extend,
    link,
    sign_head,
    verify,
)

KEY = b"a key of the tests"
AT = datetime(2026, 11, 23, 7, 0, tzinfo=UTC)


def record(seq: int, **fields: object) -> ChainedRecord:
    """A record."""
    values = {"id": f"aud_{seq}", "actor": "token:tok_1", "kind": "api.added", "target": "api_1", "data": "{}"}
    return ChainedRecord(seq=seq, at=AT, **(values | fields))  # type: ignore[arg-type]


def chain(length: int) -> tuple[list[tuple[ChainedRecord, bytes]], Head]:
    """A sound chain and its head."""
    head, links = EMPTY, []
    for seq in range(1, length + 1):
        mac, head = extend(KEY, head, record(seq))
        links.append((record(seq), mac))
    return links, head


def test_a_sound_chain_has_no_breaks() -> None:
    """What was linked verifies."""
    links, head = chain(5)
    assert verify(KEY, links, head) == []


def test_an_empty_chain_is_sound() -> None:
    """Nothing was written, nothing is broken."""
    assert verify(KEY, [], EMPTY) == []


@pytest.mark.parametrize("field", ["id", "at", "actor", "kind", "target", "data"])
def test_every_field_is_linked(field: str) -> None:
    """An edit of any field breaks the chain at that record."""
    links, head = chain(3)
    changed = AT + timedelta(microseconds=1) if field == "at" else "other"
    links[1] = (dataclasses.replace(links[1][0], **{field: changed}), links[1][1])  # type: ignore[arg-type]
    assert [found.seq for found in verify(KEY, links, head)] == [2]


def test_one_edit_is_one_break() -> None:
    """The records after an edited one are not blamed."""
    links, head = chain(50)
    links[10] = (dataclasses.replace(links[10][0], actor="x"), links[10][1])
    assert len(verify(KEY, links, head)) == 1


def test_a_mac_is_bound_to_what_stood_before() -> None:
    """The same record behind another one has another mac."""
    assert link(KEY, GENESIS, 1, b"record") != link(KEY, b"\1" * 32, 1, b"record")


def test_parts_cannot_be_shifted_into_each_other() -> None:
    """Moving a byte from the number to the record gives another mac."""
    assert link(KEY, GENESIS, 1, b"2record") != link(KEY, GENESIS, 12, b"record")


def test_a_head_is_bound_to_number_and_mac() -> None:
    """No part of a signed head can be changed without its signature failing."""
    links, head = chain(3)
    for forged in (
        dataclasses.replace(head, seq=2),
        dataclasses.replace(head, mac=links[1][1]),
        dataclasses.replace(head, signature=bytes(32)),
        Head(0, GENESIS, b""),
        Head(0, GENESIS, bytes(32)),
    ):
        assert verify(KEY, links, forged) != []


def test_a_head_for_another_last_record_is_found() -> None:
    """A genuine head of another chain of the same length does not fit."""
    links, _ = chain(3)
    assert [found.seq for found in verify(KEY, links, sign_head(KEY, 3, b"\1" * 32))] == [3]


def test_a_forged_head_is_not_continued() -> None:
    """What is appended behind a forged head is linked to the genesis, so the forgery stays a break."""
    links, _ = chain(3)
    forged = Head(2, links[1][1], bytes(32))
    mac, head = extend(KEY, forged, record(3))
    assert [found.seq for found in verify(KEY, [*links[:2], (record(3), mac)], head)] == [3]


def test_a_record_that_stands_twice_is_found() -> None:
    """A repeated number is a break."""
    links, head = chain(3)
    assert verify(KEY, [links[0], links[1], links[1], links[2]], head) != []


def test_breaks_are_counted_beyond_those_kept() -> None:
    """A log that is broken everywhere is told of briefly, and counted in full."""
    links, head = chain(20)
    verification = Verification(b"another key", most=5)
    for one, mac in links:
        verification.feed(one, mac)
    assert len(verification.finish(head)) == 5
    assert verification.broken == 21


def test_the_time_is_linked_in_utc() -> None:
    """The same moment in another zone is the same record."""
    elsewhere = AT.astimezone(timezone(timedelta(hours=9)))
    assert dataclasses.replace(record(1), at=elsewhere).to_bytes() == record(1).to_bytes()


def test_canonical_json_does_not_depend_on_order() -> None:
    """Equal values give equal text, without spaces."""
    assert canonical_json({"b": [1, "ü"], "a": None}) == canonical_json({"a": None, "b": [1, "ü"]})
    assert canonical_json({"b": [1, "ü"], "a": None}) == '{"a":null,"b":[1,"ü"]}'


def test_canonical_json_refuses_what_json_has_not() -> None:
    """Not-a-number has no canonical form."""
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"a": float("nan")})


def chained(records: int) -> tuple[list[tuple[ChainedRecord, bytes]], list[Head]]:
    """A chain and the head after each of its records."""
    links, heads = [], [EMPTY]
    for seq in range(1, records + 1):
        record = ChainedRecord(seq, f"aud_{seq}", datetime(2026, 11, 23, tzinfo=UTC), "local:x", "api.added", "x", "{}")
        mac, head = extend(b"key", heads[-1], record)
        links.append((record, mac))
        heads.append(head)
    return links, heads


def test_an_older_state_put_back_whole_is_found_with_an_anchor_only() -> None:
    """Records and head are genuine, only older: from within nothing is wrong, and the anchor names what is missing."""
    links, heads = chained(5)
    anchor = Anchor(5, heads[5].mac)
    assert verify(b"key", links[:3], heads[3]) == []
    (found,) = verify(b"key", links[:3], heads[3], anchor)
    assert "the log ends before the anchor: records 4 to 5 are missing" in found.problem
    assert verify(b"key", links, heads[5], anchor) == []


def test_a_log_that_went_on_differently_does_not_lead_to_the_anchor() -> None:
    """Put back to an older state and gone on from there: the number is there again, with another record."""
    links, heads = chained(5)
    other = ChainedRecord(4, "aud_other", datetime(2026, 11, 24, tzinfo=UTC), "local:x", "api.added", "y", "{}")
    mac, head = extend(b"key", heads[3], other)
    (found,) = verify(b"key", [*links[:3], (other, mac)], head, Anchor(4, heads[4].mac))
    assert found.problem == "record 4 is not the one that the anchor was made of"


def test_an_anchor_is_its_text() -> None:
    """What is noted elsewhere comes back the same; anything else is none."""
    anchor = Anchor(12, bytes(range(32)))
    assert Anchor.from_text(str(anchor)) == anchor
    for text in ("", "12", "0." + "0" * 64, "12." + "G" * 64, "12." + "0" * 63, " " + str(anchor), str(anchor) + "\n"):
        with pytest.raises(ValueError, match="anchor"):
            Anchor.from_text(text)
