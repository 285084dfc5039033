"""What answers and their call show of pages: where items are, what is sent, what stands under the customary names.

Read by whoever proposes how a call is paged. Proposes nothing itself.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tieline.definitions import template
from tieline.definitions.infer import paths
from tieline.definitions.infer.page_fields import as_flag, is_lower_bound, naming_step, page_members, plain_name
from tieline.definitions.infer.paths import Steps
from tieline.definitions.infer.shape import collect
from tieline.definitions.model import Call, Parameter

_MOST_START: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class PageSample:
    """One answer to learn from: its document, its headers (names in lower case), the parameters it was asked with."""

    document: Any
    headers: Mapping[str, str] = field(default_factory=dict)
    given: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PagedCall:
    """The answers, and where the first of them has how many items."""

    call: Call
    pages: Sequence[PageSample]
    items: str
    count: int


def flag(samples: PagedCall, words: Collection[str]) -> str | None:
    """The path of a flag of one of these names; None where no answer has one."""
    near = paths.split(samples.items)[:-1]
    found = ((steps, value) for page in samples.pages for steps, value in page_members(page.document, words, near))
    return next((paths.join(steps) for steps, value in found if as_flag(value) is not None), None)


def stated_number(samples: PagedCall, words: Collection[str]) -> tuple[str, int] | None:
    """The path of the first number of one of these names, and the number that the first answer has there."""
    near = paths.split(samples.items)[:-1]
    document = samples.pages[0].document
    for steps, value in page_members(document, words, near):
        number = small_number(value)
        if number is not None and not is_lower_bound(document, steps):
            return paths.join(steps), number
    return None


def wires_of(call: Call) -> dict[str, str]:
    """The caller's parameters by the plain form of the names that they are sent under, and of their own."""
    found: dict[str, str] = {}
    pairs = [(pair.name, pair.value) for pair in (*call.query, *call.headers)]
    pairs += [(part.name, part.value) for part in call.body.fields]
    written = call.path or call.url or ""
    pairs += [
        (name, value) for name, _, value in (pair.partition("=") for pair in written.partition("?")[2].split("&"))
    ]
    for holder in (call.body.template, call.body.variables):
        if isinstance(holder, dict):
            pairs += [(name, value) for name, value in holder.items() if isinstance(value, str)]
    for name, value in pairs:
        slots = template.names_in(value)
        if len(slots) == 1 and value == f"<{slots[0]}>" and slots[0] in call.parameters:
            found.setdefault(plain_name(name), slots[0])
    for name in call.parameters:
        found.setdefault(plain_name(name), name)
    return {wire: name for wire, name in found.items() if _is_free(call.parameters[name])}


def _is_free(one: Parameter) -> bool:
    """Whether a caller may send another value each time: what stands in a path names a thing, and no page of it."""
    return not one.private and one.place in {"query", "header", "body"} and one.type != "file"


def small_number(value: Any) -> int | None:
    """A whole number up to a million, also as text; None for anything else: a time, an id."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,7}", value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST_START:
        return None
    return value


def moves(samples: PagedCall, steps: Steps) -> bool:
    """Whether what stands there is another in each answer: what stays is a name of something else."""
    values = []
    for page in samples.pages:
        found: list[Any] = []
        collect(page.document, steps, found)
        values += [repr(value) for value in found if value is not None]
    return len(set(values)) == len(values)


def is_echo(samples: PagedCall, value: Any) -> bool:
    """Whether an answer only repeats what it was asked for with."""
    return any(
        given is not None and str(given) == str(value) for page in samples.pages for given in page.given.values()
    )


def signs(samples: PagedCall, words: Sequence[str]) -> Iterator[tuple[Steps, Any]]:
    """What stands under one of ``words`` in any answer, outside its items; the clearest word first."""
    items = paths.split(samples.items)
    found = [place for page in samples.pages for place in page_members(page.document, words, items[:-1])]
    found.sort(key=lambda place: words.index(plain_name(str(naming_step(place[0])))))
    known: set[Steps] = set()
    for steps, value in found:
        if steps not in known and value is not None and (not items or steps[: len(items)] != items):
            known.add(steps)
            yield steps, value
