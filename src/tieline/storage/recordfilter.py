"""Filters of request records as SQL of each engine. No value of a filter ever becomes SQL or a pattern by accident."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from tieline.ports.recordsearch import Condition, RecordFilter

OF_KINDS: Final = frozenset({"app_id", "api", "call", "status", "code", "model"})
"""Fields that a day's file has in its kinds."""


class Sql(NamedTuple):
    """A condition with ``?`` for each of its values."""

    text: str
    values: tuple[Any, ...] = ()


class Dialect(NamedTuple):
    """Where an engine differs: a pattern with ``*``, a text looked for, and the columns that are no plain ones."""

    like: str
    pattern: Callable[[str], str]
    contains: str
    columns: dict[str, str]

    def column(self, name: str) -> str:
        """The SQL that reads the field ``name``."""
        return self.columns.get(name, name)


def _glob(text: str) -> str:
    """``text`` for GLOB, where only ``*`` means something."""
    return "".join(f"[{letter}]" if letter in "?[" else letter for letter in text)


def _escaped(text: str) -> str:
    """``text`` for LIKE with a backslash as its escape, so that it stands for itself."""
    return "".join(f"\\{letter}" if letter in "\\%_" else letter for letter in text)


_TEXTS: Final = ("path", "reason", "id", "end_user", "tag")
_DETAIL: Final = {name: f"json_extract(details, '$.{name}')" for name in ("reason", "end_user", "tag")}
SQLITE: Final = Dialect("GLOB ?", _glob, r"LIKE ? ESCAPE '\'", {**_DETAIL, "app_id": "ifnull(app_id, app_was)"})
KINDS: Final = Dialect("GLOB ?", _glob, r"LIKE ? ESCAPE '\'", {})
POSTGRESQL: Final = Dialect(
    r"LIKE ? ESCAPE '\'", lambda text: _escaped(text).replace("*", "%"), r"ILIKE ? ESCAPE '\'", {}
)


def where(conditions: tuple[Condition, ...], dialect: Dialect) -> Sql:
    """All of ``conditions``; ``1=1`` for none."""
    return _all([_condition(each, dialect) for each in conditions])


def times(wanted: RecordFilter, unit: int) -> Sql:
    """The time that is wanted, of a column ``at`` with ``unit`` parts of a second."""
    parts = []
    if wanted.since is not None:
        parts.append(Sql("at >= ?", (_parts(wanted.since, unit),)))
    if wanted.until is not None:
        parts.append(Sql("at < ?", (_parts(wanted.until, unit),)))
    return _all(parts)


def _parts(seconds: float, unit: int) -> float | int:
    return seconds if unit == 1 else int(seconds * unit)


def both(first: Sql, second: Sql) -> Sql:
    """Both conditions."""
    return Sql(f"{first.text} AND {second.text}", first.values + second.values)


def kinds_where(conditions: tuple[Condition, ...]) -> Sql | None:
    """What kinds must be for any record of theirs to fit; None where every kind may.

    An entry of an earlier version has its app itself, and its kind none.
    """
    found = []
    for each in conditions:
        if each.field in OF_KINDS:
            one = _condition(each, KINDS)
            found.append(Sql(f"({one.text} OR app_id IS NULL)", one.values) if each.field == "app_id" else one)
    return _all(found) if found else None


def _all(parts: list[Sql]) -> Sql:
    if not parts:
        return Sql("1=1")
    return Sql(" AND ".join(part.text for part in parts), tuple(value for part in parts for value in part.values))


def _condition(condition: Condition, dialect: Dialect) -> Sql:
    parts = [_one(condition.field, value, dialect) for value in condition.values]
    text = " OR ".join(part.text for part in parts)
    values = tuple(value for part in parts for value in part.values)
    return Sql(f"NOT coalesce({text}, false)" if condition.negated else f"({text})", values)


def _one(name: str, value: str, dialect: Dialect) -> Sql:
    column = dialect.column(name)
    if name == "text":
        sought = "%" + _escaped(value) + "%"
        parts = [f"{dialect.column(each)} {dialect.contains}" for each in _TEXTS]
        return Sql("(" + " OR ".join(f"coalesce({part}, false)" for part in parts) + ")", (sought,) * len(parts))
    if name == "status":
        if value.endswith("xx"):
            least = int(value[0]) * 100
            return Sql(f"{column} BETWEEN ? AND ?", (least, least + 99))
        return Sql(f"{column} = ?", (int(value),))
    if name in {"model", "path"} and "*" in value:
        return Sql(f"{column} {dialect.like}", (dialect.pattern(value),))
    return Sql(f"{column} = ?", (value,))
