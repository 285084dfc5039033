"""What one answer, event or frame of a provider's says of usage, as the provider's module finds it."""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

_NOTHING: Final[Mapping[str, int]] = {}


class Sighting(NamedTuple):
    """One place where a provider tells usage, or the model.

    ``usage`` is the provider's object as it came. ``turn`` tells answers apart that follow each other over one
    connection: figures of one turn are totals so far, those of several add up. ``final`` says that the output is told,
    not only what was read. ``counts`` are quantities that are counted from the answer rather than told in it.
    ``aside`` says that another model than the exchange's did it.
    """

    model: Any = None
    service_tier: Any = None
    usage: Mapping[str, Any] | None = None
    turn: str = ""
    final: bool = True
    counts: Mapping[str, int] = _NOTHING
    aside: bool = False


Look = Callable[[Any], Sighting | None]
"""What a whole answer, an event or a frame, decoded, says of usage; never raises."""


def objects(value: Any) -> list[dict[str, Any]]:
    """The objects in a list; nothing where it is none."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def object_at(value: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    """The member ``name`` where it is an object."""
    found = value.get(name)
    return found if isinstance(found, dict) else None
