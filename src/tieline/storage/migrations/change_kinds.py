"""What migrations share that allow further kinds of change: one step, the same whatever kinds there are.

A migration never changes once it was released, and so does not what it calls: this knows no other module, and a table
``changes`` with other columns gets a step of its own.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

_NAMES = {"ck": "ck_%(table_name)s_%(constraint_name)s", "pk": "pk_%(table_name)s"}


def allow(*kinds: str) -> None:
    """Let ``changes.kind`` be one of ``kinds`` from now on."""
    words = _words(kinds)
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint("kind_word", "changes", type_="check")
        op.create_check_constraint("kind_word", "changes", words)
    else:
        _make_anew(words)


def _words(kinds: Sequence[str]) -> str:
    return f"kind IN ({', '.join(repr(kind) for kind in kinds)})"


def _make_anew(words: str) -> None:
    """SQLite cannot change a check: the table is made anew with its rows, and its versions go on where they were.

    The rows alone do not say where that was: old ones are removed, and all may be old.
    """
    changes = sa.Table(
        "changes",
        sa.MetaData(naming_convention=_NAMES),
        sa.Column("version", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("kind", sa.Text(), sa.CheckConstraint(words, name="kind_word"), nullable=False),
        sa.Column("ref", sa.Text(), sa.CheckConstraint("length(ref) <= 40", name="ref_length"), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("version"),
        sqlite_autoincrement=True,
    )
    counted = sa.table("sqlite_sequence", sa.column("name", sa.Text()), sa.column("seq", sa.Integer()))
    of_changes = counted.c.name == "changes"
    last = op.get_bind().execute(sa.select(counted.c.seq).where(of_changes)).scalar()
    with op.batch_alter_table("changes", copy_from=changes, recreate="always"):
        pass
    if last is not None:
        op.execute(sa.delete(counted).where(of_changes))
        op.execute(sa.insert(counted).values(name="changes", seq=last))
