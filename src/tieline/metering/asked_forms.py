"""What a form asks of a model: its fields, read in the one way that every reader of it must read them, or not at all.

A form that can be read in two ways has no bound, as a body of JSON with two members of one name has none.
"""

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import parse_qsl

from tieline.core.errors import TielineError
from tieline.metering.asked import BEARING, AskedOfModel, asked_in_form
from tieline.wire.multipart import FieldPart, FileBegun, FormEvent, FormReader, boundary_of

FORM_MOST: Final = 16 * 1024 * 1024
"""Bytes of a form up to which it is read; of a larger one nothing is said."""
_PAIRS: Final = b"application/x-www-form-urlencoded"
_FIELDS_MOST: Final = 1_000
_BORNE: Final = re.compile(
    rb'(?<![-\w])name\*?\s*=\s*"?(?:%b)(?:\[\])?["\r\n;]' % b"|".join(sorted(name.encode() for name in BEARING)),
    re.IGNORECASE,
)
_TWICE: Final = re.compile(rb"(?<![-\w])name\*?\s*=[^\r\n]*(?<![-\w])name\*?\s*=", re.IGNORECASE)
"""A part that bears two names: readers take one or the other."""


def is_form(content_type: bytes) -> bool:
    """Whether a body of this type is a form."""
    kind = content_type.partition(b";")[0].strip().lower()
    return kind.startswith(b"multipart/") or kind == _PAIRS


def asked_in_body_of_form(content_type: bytes, body: bytes) -> AskedOfModel | None:
    """What a whole form asks for; None where nobody can tell for sure."""
    if len(body) > FORM_MOST:
        return None
    if content_type.partition(b";")[0].strip().lower() == _PAIRS:
        try:
            return asked_in_form(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_FIELDS_MOST))
        except ValueError:
            return None
    try:
        boundary = boundary_of(content_type)
        if boundary is None or content_type.lower().count(b"boundary") > 1:
            return None
        reader = FormReader(boundary)
        events = reader.feed(body)
        reader.finish()
    except TielineError:
        return None
    fields = _fields(events)
    if (
        _TWICE.search(body) is not None
        or fields is None
        or len(_BORNE.findall(body)) != sum(_plain(name) in BEARING for name, _ in fields)
    ):
        return None
    return asked_in_form(fields)


def _fields(events: Iterable[FormEvent]) -> list[tuple[str, str]] | None:
    """The fields; None where a file stands for one of those that matter."""
    found: list[tuple[str, str]] = []
    for event in events:
        if isinstance(event, FieldPart):
            found.append((event.name, event.value))
        elif isinstance(event, FileBegun) and _plain(event.name) in BEARING:
            return None
    return found


def _plain(name: str) -> str:
    return name.removesuffix("[]").lower()
