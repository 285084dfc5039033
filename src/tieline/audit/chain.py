"""The chain that makes the audit log tamper-evident: each record is linked to the one before by a keyed hash.

Owns the bytes that are hashed, the signed head and the search for breaks. Knows no storage: it is fed records in the
order of their numbers. The key is derived from the root key, so whoever can only write to the database can neither
edit a record nor re-link what follows (HMAC, RFC 2104). What no chain can find from within is an older state of it put
back together with its older head: that is found with an anchor, a place in the chain that was noted elsewhere.
"""

import hmac
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

GENESIS = bytes(32)
_LINK = b"tieline audit link v1"
_HEAD = b"tieline audit head v1"
_ANCHOR = re.compile(r"([1-9][0-9]{0,17})\.([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class ChainedRecord:
    """One audit event as it is stored: ``seq`` counts from 1 without gaps, ``data`` is canonical JSON."""

    seq: int
    id: str
    at: datetime
    actor: str
    kind: str
    target: str
    data: str

    def to_bytes(self) -> bytes:
        """The bytes that are linked: canonical JSON of every field, the time in whole microseconds UTC."""
        moment = self.at.astimezone(UTC).isoformat(timespec="microseconds")
        return canonical_json(
            {
                "seq": self.seq,
                "id": self.id,
                "at": moment,
                "actor": self.actor,
                "kind": self.kind,
                "target": self.target,
                "data": self.data,
            }
        ).encode()


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the chain: the last record's number and mac, and a signature over both."""

    seq: int
    mac: bytes
    signature: bytes


EMPTY = Head(0, GENESIS, b"")


@dataclass(frozen=True, slots=True)
class Anchor:
    """A place in the chain to be noted outside of the database: a record's number and its mac.

    As text it is ``NUMBER.MAC`` with the mac in hexadecimal. It is no secret and needs no signature: nobody without the
    key can make records that lead to its mac.
    """

    seq: int
    mac: bytes

    def __str__(self) -> str:
        return f"{self.seq}.{self.mac.hex()}"

    @classmethod
    def from_text(cls, text: str) -> "Anchor":
        """The anchor that ``text`` is. Raises ValueError where it is none."""
        match = _ANCHOR.fullmatch(text)
        if match is None:
            raise ValueError("not an anchor")
        return cls(int(match[1]), bytes.fromhex(match[2]))


@dataclass(frozen=True, slots=True)
class Break:
    """A place where the log is not what was written: the number of the record, and what is wrong in plain words."""

    seq: int
    problem: str


def canonical_json(value: Mapping[str, Any]) -> str:
    """``value`` as JSON with sorted keys and no spaces: equal values give equal text. Raises ValueError for NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def link(key: bytes, previous: bytes, seq: int, record: bytes) -> bytes:
    """The mac (32 bytes) of record number ``seq`` that follows the record with the mac ``previous``."""
    return hmac.digest(key, _framed(_LINK, previous, str(seq).encode(), record), "sha256")


def sign_head(key: bytes, seq: int, mac: bytes) -> Head:
    """The signed head of a chain whose last record is number ``seq`` with this ``mac``."""
    return Head(seq, mac, hmac.digest(key, _framed(_HEAD, str(seq).encode(), mac), "sha256"))


def extend(key: bytes, head: Head, record: ChainedRecord) -> tuple[bytes, Head]:
    """Link ``record`` behind ``head``; its mac and the new signed head.

    A head whose signature is wrong is not continued: the record is linked to the genesis instead, so that the forged
    head stays a break for ever and operators can still work. For the same reason a record is numbered after the highest
    number in the log where an older head was put back.
    """
    previous = head.mac if _is_genuine(key, head) else GENESIS
    mac = link(key, previous, record.seq, record.to_bytes())
    return mac, sign_head(key, record.seq, mac)


class Verification:
    """Checks records as they come by, in the order of their numbers, and remembers the breaks.

    ``anchor`` is a place that the chain went through once. Only the first ``most`` breaks are kept; ``broken`` counts
    them all.
    """

    def __init__(self, key: bytes, *, anchor: Anchor | None = None, most: int = 100) -> None:
        self._key = key
        self._anchor = anchor
        self._most = most
        self._seq = 0
        self._mac = GENESIS
        self.breaks: list[Break] = []
        self.broken = 0

    @property
    def records(self) -> int:
        """The number of the last record that was fed."""
        return self._seq

    @property
    def end(self) -> Anchor | None:
        """The end of what was fed, to be noted elsewhere; None where nothing was, or a break was found."""
        return None if self.broken or not self._seq else Anchor(self._seq, self._mac)

    def feed(self, record: ChainedRecord, mac: bytes) -> None:
        """Check the next record and its stored mac."""
        expected = self._seq + 1
        if record.seq > expected:
            self._note(expected, f"records {expected} to {record.seq - 1} are missing")
        elif record.seq < expected:
            self._note(record.seq, f"record {record.seq} stands after record {self._seq}")
        previous_known = record.seq == expected
        if previous_known and not hmac.compare_digest(link(self._key, self._mac, record.seq, record.to_bytes()), mac):
            self._note(record.seq, f"record {record.seq} was altered, or what stood before it was")
        self._seq, self._mac = record.seq, mac
        if self._anchor is not None and record.seq == self._anchor.seq and mac != self._anchor.mac:
            self._note(record.seq, f"record {record.seq} is not the one that the anchor was made of")

    def finish(self, head: Head) -> list[Break]:
        """Compare the end of the chain with the stored ``head`` and return every break that was found."""
        if self._anchor is not None and self._anchor.seq > self._seq:
            gone = f"records {self._seq + 1} to {self._anchor.seq} are missing"
            self._note(self._seq + 1, f"the log ends before the anchor: {gone}, or an older state was put back")
        if head == EMPTY and self._seq == 0:
            return self.breaks
        if not _is_genuine(self._key, head):
            self._note(
                head.seq, "the head's signature is wrong: the head was altered or was made with another root key"
            )
        elif head.seq > self._seq:
            self._note(self._seq + 1, f"the log was cut: records {self._seq + 1} to {head.seq} are missing at its end")
        elif head.seq < self._seq:
            self._note(head.seq + 1, f"records {head.seq + 1} to {self._seq} stand after the signed end of the log")
        elif not hmac.compare_digest(head.mac, self._mac):
            self._note(self._seq, f"record {self._seq} is not the one that the head was signed for")
        return self.breaks

    def _note(self, seq: int, problem: str) -> None:
        self.broken += 1
        if len(self.breaks) < self._most:
            self.breaks.append(Break(seq, problem))


def verify(
    key: bytes, records: Iterable[tuple[ChainedRecord, bytes]], head: Head, anchor: Anchor | None = None
) -> list[Break]:
    """Every break of a whole chain that is at hand; an empty list when it is sound."""
    verification = Verification(key, anchor=anchor)
    for record, mac in records:
        verification.feed(record, mac)
    return verification.finish(head)


def _is_genuine(key: bytes, head: Head) -> bool:
    """Whether ``head`` is the empty chain's or carries our signature."""
    if head.seq == 0:
        return head == EMPTY
    return hmac.compare_digest(sign_head(key, head.seq, head.mac).signature, head.signature)


def _framed(*parts: bytes) -> bytes:
    """The parts with their lengths in front, so that no two lists of parts give the same bytes."""
    return b"".join(len(part).to_bytes(8, "big") + part for part in parts)
