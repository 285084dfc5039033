"""The fields of answers: detected in one, merged over several, detected anew without losing what people decided."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Literal

from tieline.definitions.infer import paths
from tieline.definitions.infer.evidence import Evidence, combine, fold_lone, gather, hold_as_maps, recall
from tieline.definitions.infer.maps import keep_objects
from tieline.definitions.infer.outline import is_lifted
from tieline.definitions.infer.settle import settle
from tieline.definitions.model import Field

Source = Literal["json", "xml", "csv"]


def detect(*documents: Any, source: Source = "json") -> tuple[Field, ...]:
    """The fields of documents of one kind: path, type, list or not, whether at times missing, sample.

    A document is what a JSON reader gives; anything else counts as irregular. In an XML or CSV document, as
    ``markup`` and ``table`` read them, numbers and flags are recognised in text. Never raises; bounded to 64 levels,
    2,000 fields and samples of 200 characters. Rules: docs/types.md.
    """
    return settle(_seen(documents, source), textual=source != "json")


def merge(fields: Sequence[Field], *documents: Any, source: Source = "json") -> tuple[Field, ...]:
    """``fields`` widened by more samples: nothing disappears, what is missing becomes optional.

    Null decides nothing; whole numbers and decimals are numbers; a date in one and other text in the other is text.
    Pinned fields stay as they are, excluded ones excluded, names kept. In XML a value by itself counts as a list of
    one where a list was seen.
    """
    written = _written(fields)
    own = [one for one in fields if one.path not in written]
    evidence = _seen(documents, source)
    if own:
        known = recall(own)
        keep_objects(known)
        evidence = combine(known, evidence)
    if source == "xml":
        fold_lone(evidence)
    return _carry_over(settle(evidence, textual=source != "json"), fields)


def renew(fields: Sequence[Field], *documents: Any, source: Source = "json") -> tuple[Field, ...]:
    """The fields of ``documents`` alone, with people's decisions carried over from ``fields`` (initialize again).

    Pinned, excluded and named fields survive, even where the documents lack them; what else disappeared or came is what
    ``diff(fields, renewed)`` shows.
    """
    evidence = _seen(documents, source)
    hold_as_maps(evidence, (one for one in fields if one.pinned and one.type == "map"))
    return _carry_over(settle(evidence, textual=source != "json"), fields)


def _seen(documents: Sequence[Any], source: Source) -> Evidence:
    """What all the documents show together; signs that need several samples count over all of them."""
    found = Evidence()
    for document in documents:
        combine(found, gather(document, textual=source != "json"))
    if source == "xml" and len(documents) > 1:
        fold_lone(found)
    return found


def _carry_over(found: Sequence[Field], before: Sequence[Field]) -> tuple[Field, ...]:
    known = {one.path: one for one in before}
    written = _written(before)
    closed = [one for one in before if one.pinned]
    result: list[Field] = []
    for one in _beside(found, written):
        earlier = known.get(one.path)
        if earlier is not None and (earlier.pinned or earlier.path in written):
            result.append(earlier)
        elif not any(_closes(above, one) for above in closed):
            result.append(one if earlier is None else _with_choices(one, earlier))
    present = {one.path for one in result}
    chosen = [one for one in before if one.pinned or not one.include or one.name is not None or one.path in written]
    return (*result, *(one for one in chosen if one.path not in present))


def _with_choices(one: Field, earlier: Field) -> Field:
    """A field detected again keeps what people chose about it."""
    same_object = one.type == earlier.type == "object"
    return replace(
        one,
        include=earlier.include,
        name=earlier.name,
        object=earlier.object if same_object else one.object,
        sample=earlier.sample if one.sample is None else one.sample,
    )


def _closes(above: Field, one: Field) -> bool:
    """Whether the pinned field ``above`` leaves no room for ``one`` below it."""
    steps, below = paths.split(above.path), paths.split(one.path)
    if len(below) <= len(steps) or below[: len(steps)] != steps:
        return False
    way = below[len(steps) :]
    if above.type not in {"object", "map"} or (way[0] is None) != above.list:
        return True
    way = way[1:] if above.list else way
    return bool(way) and (way[0] is paths.ANY_KEY) != (above.type == "map")


def _written(fields: Iterable[Field]) -> set[str]:
    """The paths of fields that a person wrote: those that pick one place of a list, or lift a value out."""
    steps = {one.path: paths.split(one.path) for one in fields}
    known = set(steps.values())
    return {
        one.path for one in fields if any(isinstance(step, int) for step in steps[one.path]) or is_lifted(one, known)
    }


def _beside(found: Sequence[Field], written: Iterable[str]) -> list[Field]:
    """Detected fields beside written ones: what holds those is left out, so that they stay lifted; others excluded."""
    holding: set[paths.Steps] = set()
    for path in written:
        way = tuple(None if isinstance(step, int) else step for step in paths.split(path))
        holding |= {way[:end] for end in range(len(way))}
    dropped = {steps for one in found if (steps := paths.split(one.path)) in holding}
    rest = [one for one in found if paths.split(one.path) not in dropped]
    return [replace(one, include=False) if _is_below(paths.split(one.path), dropped) else one for one in rest]


def _is_below(steps: paths.Steps, holders: set[paths.Steps]) -> bool:
    return any(steps[:end] in holders for end in range(len(steps)))
