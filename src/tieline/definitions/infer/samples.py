"""Samples of values: cut short, masked, or not kept at all. Knows the names they stood under, and no document."""

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Literal

from tieline.definitions.infer import names, paths
from tieline.definitions.model import Field, Response

MOST_SAMPLE = 200
_MOST_ITEMS = 3
# Keys of providers by their beginnings, JSON Web Tokens, PEM.
_SECRET = re.compile(
    r"\b(?:sk|pk|rk|whsec|xox[abprs]|gh[opsu]|github_pat|glpat|tl_live|tl_test|tla)[-_][A-Za-z0-9_-]{16,}"
    r"|\bAKIA[0-9A-Z]{16}\b|\bAIza[0-9A-Za-z_-]{30,}"
    r"|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.|-----BEGIN [A-Z ]*PRIVATE"
)
_TEXT_CLASSES = (1, 8, 32, 128)
_WHOLE_CLASSES = (999, 999_999, 9_999_999_999)


def sample_of(value: Any) -> Any:
    """What is shown of a value: text up to 200 characters, three items of a list of such; None for structures."""
    if isinstance(value, str):
        return value if len(value) <= MOST_SAMPLE else value[: MOST_SAMPLE - 1] + "…"
    return value if isinstance(value, bool | int | float) else None


def masked(sample: Any) -> Any:
    """A sample of the same JSON type and length class that holds nothing of the content.

    Text becomes ``x`` 1, 8, 32, 128 or 200 times (the class that holds its length), a whole number nines of its class,
    a decimal the same and a half, a flag false; a list keeps three items, an object nothing.
    """
    if isinstance(sample, str):
        return "x" * (next((most for most in _TEXT_CLASSES if len(sample) <= most), MOST_SAMPLE) if sample else 0)
    if isinstance(sample, bool):
        return False
    if isinstance(sample, int):
        return _whole(abs(sample))
    if isinstance(sample, float):
        return _whole(abs(sample)) + 0.5
    if isinstance(sample, list):
        return [masked(item) if not isinstance(item, list) else [] for item in sample[:_MOST_ITEMS]]
    return {} if isinstance(sample, dict) else None


def hide_secrets(fields: Iterable[Field]) -> tuple[Field, ...]:
    """The fields, with the samples of those that are named for a secret, or hold what looks like one, masked."""
    return tuple(replace(one, sample=masked(one.sample)) if _is_secret(one) else one for one in fields)


def keep(fields: Iterable[Field], how: Literal["none", "masked", "whole"]) -> tuple[Field, ...]:
    """The fields with their samples as the operator wants them kept: not at all, masked, or whole but for secrets."""
    if how == "whole":
        return hide_secrets(fields)
    return tuple(replace(one, sample=masked(one.sample) if how == "masked" else None) for one in fields)


def keep_in(response: Response, before: Response, how: Literal["none", "masked", "whole"]) -> Response:
    """``response`` with samples kept so; those of fields that were pinned ``before`` are a person's, and stay."""
    own = {one.path: one.sample for one in before.fields if one.pinned}
    fields = (replace(one, sample=own.get(one.path, one.sample)) for one in keep(response.fields, how))
    stream = response.stream
    if stream is not None and stream.events:
        events = tuple(replace(event, fields=keep(event.fields, how)) for event in stream.events)
        stream = replace(stream, events=events)
    return replace(response, fields=tuple(fields), stream=stream)


def _is_secret(one: Field) -> bool:
    """Whether people would not want to see the sample again; a number under such a name counts tokens."""
    items = one.sample if isinstance(one.sample, list) else [one.sample]
    held = [item for item in items if isinstance(item, str)]
    if any(_SECRET.search(item) for item in held):
        return True
    name = next((step for step in reversed(paths.split(one.path)) if isinstance(step, str)), "")
    return bool(held) and names.is_secret(name)


def _whole(size: float) -> int:
    return next((most for most in _WHOLE_CLASSES if size <= most), 9_999_999_999_999_999)
