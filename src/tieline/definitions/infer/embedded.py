"""JSON inside text: found as it is, or in a code fence as language models answer. Bounded; knows no field."""

import re
from typing import Any

import orjson

MOST_TEXT = 1024 * 1024
_FENCE = re.compile(r"\s*(`{3,})[ \t]*(?:json|JSON)?[ \t]*\r?\n(.*?)\r?\n?[ \t]*\1\s*", re.DOTALL)
_LABELLED = re.compile(r"(`{3,})[ \t]*(?:json|JSON)[ \t]*\r?\n(.*?)\r?\n?[ \t]*\1", re.DOTALL)


def embedded(text: str) -> Any:
    """The object or list that the whole text holds, None where it holds none.

    Numbers, flags and quoted text are text that looks so, and ``[1]`` is a footnote. Up to a million characters.
    """
    start = text[:64].lstrip()[:1]
    if start not in {"{", "[", "`"} or len(text) > MOST_TEXT:
        return None
    if start == "`":
        fence = _FENCE.fullmatch(text)
        return None if fence is None else _structure(fence[2])
    return _structure(text)


def read(text: str) -> Any:
    """The object or list in text that is known to hold JSON, prose around one fenced block allowed; else None."""
    found = embedded(text)
    if found is not None or "```" not in text or len(text) > MOST_TEXT:
        return found
    blocks = _LABELLED.findall(text)
    return _structure(blocks[0][1]) if len(blocks) == 1 else None


def _structure(text: str) -> Any:
    body = text.strip()
    if not body or body[-1] != {"{": "}", "[": "]"}.get(body[0]):
        return None
    try:
        found = orjson.loads(body)
    except ValueError:
        return None
    return None if isinstance(found, list) and _is_footnote(found) else found


def _is_footnote(found: list[Any]) -> bool:
    return len(found) == 1 and isinstance(found[0], int) and not isinstance(found[0], bool)
