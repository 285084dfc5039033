r"""JSON data with slots for what is minted now: times, a fresh id, a credential's fields. The templates of ``jwt``.

``<now>`` and ``<now+300>`` (seconds; ``-`` too) are numbers where they are the whole text, ``<uuid>`` a fresh random
UUID, ``<name>`` the credential's field of that name; ``\<`` is a literal ``<``. Values are put into data, and the data
is written as JSON afterwards, so that none can change its structure.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from tieline.definitions.problems import shown

_SLOT = re.compile(r"\\<|<(?:(now)([+-][0-9]{1,9})?|([A-Za-z][A-Za-z0-9_]{0,62}))>")
_FRESH = "uuid"


def names(data: Any) -> Sequence[str]:
    """The fields that the slots of ``data`` name, each once."""
    if isinstance(data, str):
        found = [match[3] for match in _SLOT.finditer(data) if match[3] and match[3] != _FRESH]
        return tuple(dict.fromkeys(found))
    below = data.values() if isinstance(data, Mapping) else data if isinstance(data, list | tuple) else ()
    return tuple(dict.fromkeys(name for each in below for name in names(each)))


def strangers(data: Any, known: Collection[str]) -> Sequence[str]:
    """A sentence for each slot of ``data`` that no field of the credential is ``known`` for."""
    return [
        f"{shown(f'<{name}>')} is no field; add it to fields, or write \\< for a literal <"
        for name in names(data)
        if name not in known
    ]


def render(data: Any, fields: Mapping[str, str], now: int, fresh: Callable[[], str]) -> Any:
    """``data`` with its slots filled; ``now`` is in seconds since the epoch, ``fresh`` makes an id."""
    if isinstance(data, str):
        return _text(data, fields, now, fresh)
    if isinstance(data, Mapping):
        return {key: render(each, fields, now, fresh) for key, each in data.items()}
    if isinstance(data, list | tuple):
        return [render(each, fields, now, fresh) for each in data]
    return data


def _text(text: str, fields: Mapping[str, str], now: int, fresh: Callable[[], str]) -> str | int:
    def value(match: re.Match[str]) -> str | int:
        if match[1]:
            return now + int(match[2] or 0)
        if not match[3]:
            return "<"
        return fresh() if match[3] == _FRESH else fields[match[3]]

    whole = _SLOT.fullmatch(text)
    return value(whole) if whole is not None else _SLOT.sub(lambda match: str(value(match)), text)
