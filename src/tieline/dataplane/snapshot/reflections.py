"""Which texts are looked for in answers, because they are secrets that went out with the request."""

import html
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from urllib.parse import quote

import orjson

from tieline.core.secret import Secret
from tieline.definitions.model import Definition
from tieline.schemes.base import Applier
from tieline.schemes.registry import public_fields

_LENGTH_LEAST = 12
_HTML_SAFE = "=&<>+'"
"""What writers of JSON that may stand in a page escape: Gson and Go's, and .NET's in capitals."""


def hidden_and_shown(definition: Definition, fields: Mapping[str, Secret]) -> tuple[Sequence[Secret], Sequence[Secret]]:
    """The values that may not come back in an answer, and those that may, such as a user's name."""
    public = public_fields(definition, fields.keys())
    hidden = [value for name, value in fields.items() if name not in public]
    return hidden, [value for name, value in fields.items() if name in public]


def reflected(appliers: Sequence[Applier], fields: Iterable[Secret], shown: Iterable[Secret] = ()) -> tuple[bytes, ...]:
    """What to look for in answers: the secrets as they are and as others write them, without short ones.

    Short values match by chance. ``shown`` are values of the credential that are no secrets (a user's name, a client's
    or key's id): an answer may hold them.
    """
    values = {secret.reveal_bytes() for applier in appliers for secret in applier.secrets()}
    values |= {value.rpartition(b" ")[2] for value in values}  # what stands behind Bearer or Basic is told alone too
    values |= {secret.reveal_bytes() for secret in fields}
    values -= {secret.reveal_bytes() for secret in shown}
    values |= {form for value in values for form in _written(value)}
    stems = {value.rstrip(b"=") for value in values}  # what base64 is padded with tells nothing, and is often left out
    long_enough = {value for value in stems if len(value) >= _LENGTH_LEAST}
    return _innermost(long_enough)


def _innermost(values: Collection[bytes]) -> tuple[bytes, ...]:
    """Those of ``values`` that hold none of the others: what is found with another need not be looked for.

    ``values`` have at least ``_LENGTH_LEAST`` bytes; by so many at each place, others are looked up that may begin
    there, so that very many secrets are not each held against each.
    """
    known = frozenset(values)
    lengths: dict[bytes, set[int]] = {}
    for value in known:
        lengths.setdefault(value[:_LENGTH_LEAST], set()).add(len(value))

    def holds_another(value: bytes) -> bool:
        size = len(value)
        for at in range(size - _LENGTH_LEAST + 1):
            for length in lengths.get(value[at : at + _LENGTH_LEAST], ()):
                if length < size and at + length <= size and value[at : at + length] in known:
                    return True
        return False

    return tuple(value for value in known if not holds_another(value))


def _written(value: bytes) -> tuple[bytes, ...]:
    """How URLs, JSON and HTML hold a secret; most hold it as it is."""
    url = quote(value, safe="")
    urls = (url, quote(value), re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), url))
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return tuple(form.encode() for form in urls)
    in_json = orjson.dumps(text)[1:-1].decode()
    lower, upper = (
        "".join([f"\\u00{ord(mark):{digits}}" if mark in _HTML_SAFE else mark for mark in in_json])
        for digits in ("02x", "02X")
    )
    forms = (*urls, in_json, in_json.replace("/", "\\/"), lower, upper, html.escape(text))
    return tuple(form.encode() for form in forms)
