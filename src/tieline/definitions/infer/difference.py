"""What initializing again changed: fields that came, went, or are of another type. Knows no document."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tieline.definitions.model import Field

_COMPARED = ("type", "list", "parse", "optional")


@dataclass(frozen=True, slots=True)
class Difference:
    """One field that differs: ``new`` (no ``old``), ``gone`` (no ``new``), or ``changed`` in the keys of ``what``."""

    path: str
    kind: Literal["new", "gone", "changed"]
    old: Field | None = None
    new: Field | None = None
    what: tuple[str, ...] = ()


def diff(old: Sequence[Field], new: Sequence[Field]) -> tuple[Difference, ...]:
    """The differences from ``old`` to ``new``: in the order of ``new``, then what is gone in the order of ``old``.

    Compared are type, list, parse and optional; names, inclusion and samples are people's and not compared.
    """
    before = {one.path: one for one in old}
    after = {one.path for one in new}
    found = [each for one in new if (each := _difference(before.get(one.path), one)) is not None]
    return (*found, *(Difference(one.path, "gone", old=one) for one in old if one.path not in after))


def _difference(old: Field | None, new: Field) -> Difference | None:
    if old is None:
        return Difference(new.path, "new", new=new)
    what = tuple(name for name in _COMPARED if getattr(old, name) != getattr(new, name))
    return Difference(new.path, "changed", old, new, what) if what else None
