"""JSON inside text: found as it is, or in a code fence as language models answer. Bounded; knows no field."""

import re
from typing import Any

import orjson

MOST_TEXT = 1024 * 1024
# Both are matched where a line of backticks begins, and never look further than the end of that line: a model's own
# text of nothing but backticks and blanks costs no more than its length.
_OPENING = re.compile(r"(?<!`)(`{3,})[ \t]*(?:json|JSON)?[ \t]*\r?\n")
_LABELLED = re.compile(r"(?<!`)(`{3,})[ \t]*(?:json|JSON)[ \t]*\r?\n")


def embedded(text: str) -> Any:
    """The object or list that the whole text holds, None where it holds none.

    Numbers, flags and quoted text are text that looks so, and ``[1]`` is a footnote. Up to a million characters.
    """
    start = text[:64].lstrip()[:1]
    if start not in {"{", "[", "`"} or len(text) > MOST_TEXT:
        return None
    if start == "`":
        whole = text.strip()
        opening = _OPENING.match(whole)
        closes = opening is not None and whole.endswith(opening[1]) and len(whole) >= opening.end() + len(opening[1])
        return _structure(whole[opening.end() : -len(opening[1])]) if closes and opening is not None else None
    return _structure(text)


def read(text: str) -> Any:
    """The object or list in text that is known to hold JSON, prose around one fenced block allowed; else None."""
    found = embedded(text)
    if found is not None or "```" not in text or len(text) > MOST_TEXT:
        return found
    block, further = _block(text, 0)
    return _structure(block) if block is not None and _block(text, further)[0] is None else None


def _block(text: str, start: int) -> tuple[str | None, int]:
    """The content of the first labelled block from ``start`` on, and where it ends; None where there is none."""
    opening = _LABELLED.search(text, start)
    if opening is None:
        return None, start
    end = text.find(opening[1], opening.end())
    return (text[opening.end() : end], end + len(opening[1])) if end >= 0 else (None, start)


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
