"""Column types that mean the same on both engines: bounded text and bytes, times, JSON, counters.

Owns how a value looks in the database. Knows no table. Times are whole microseconds since the epoch, so that they sort,
compare and bucket alike everywhere and no engine's idea of time zones is involved; JSON is text, never queried into.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Integer, LargeBinary, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Counter = BigInteger().with_variant(Integer, "sqlite")
"""A 64-bit number that SQLite also takes as its row id, which is what AUTOINCREMENT needs."""


class Moment(TypeDecorator[datetime]):
    """An aware time, stored as microseconds since the epoch and read back in UTC."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        del dialect
        return None if value is None else (value - EPOCH) // _MICROSECOND

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        del dialect
        return None if value is None else EPOCH + value * _MICROSECOND


class Json(TypeDecorator[Any]):
    """A list or mapping as canonical JSON text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Mapping[str, Any] | Sequence[Any] | None, dialect: Dialect) -> str | None:
        del dialect
        if value is None:
            return None
        plain = dict(value) if isinstance(value, Mapping) else list(value)
        return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)

    def process_result_value(self, value: str | None, dialect: Dialect) -> object:
        del dialect
        return None if value is None else json.loads(value)


def text(name: str, most: int, *, key: bool = False, null: bool = False, unique: bool = False) -> Column[str]:
    """Text of at most ``most`` characters, which the database itself checks on both engines."""
    bound = CheckConstraint(f"length({name}) <= {most}", name=f"{name}_length")
    return Column(name, Text(), bound, primary_key=key, nullable=null, unique=unique)


def choice(name: str, *words: str, key: bool = False) -> Column[str]:
    """One of a few words."""
    listed = ", ".join(f"'{word}'" for word in words)
    bound = CheckConstraint(f"{name} IN ({listed})", name=f"{name}_word")
    return Column(name, Text(), bound, primary_key=key, nullable=False)


def blob(name: str, least: int, most: int, *, null: bool = False, unique: bool = False) -> Column[bytes]:
    """Bytes within bounds that the database itself checks."""
    bound = CheckConstraint(f"length({name}) BETWEEN {least} AND {most}", name=f"{name}_length")
    return Column(name, LargeBinary(), bound, nullable=null, unique=unique)


def json_text(name: str, most: int, *, empty: str | None = None) -> Column[Any]:
    """JSON of at most ``most`` characters; ``empty`` is what rows have that were there before the column was."""
    bound = CheckConstraint(f"length({name}) <= {most}", name=f"{name}_length")
    return Column(name, Json(), bound, nullable=False, server_default=empty)


def moment(name: str, *, key: bool = False, null: bool = False) -> Column[datetime]:
    """A time."""
    return Column(name, Moment(), primary_key=key, nullable=null)


def owned_by(name: str, target: str, *, key: bool = False, index: bool = False) -> Column[str]:
    """A reference to a row that takes this one with it when it is deleted."""
    return Column(name, Text(), ForeignKey(target, ondelete="CASCADE"), primary_key=key, nullable=False, index=index)


def storable(text: str, most: int) -> str:
    """``text`` without NUL and lone surrogates, which PostgreSQL refuses, and cut to ``most`` characters."""
    if len(text) <= most and text.isascii() and "\0" not in text:
        return text
    return text[:most].encode("utf-8", "replace").decode().replace("\0", "�")
