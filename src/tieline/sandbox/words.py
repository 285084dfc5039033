"""Cutting text into tokens, and reading text out of messages. Knows no endpoint.

A token here is a short word or piece of one, a run of signs, or white space: near enough to OpenAI's counts to be
plausible (about four characters of English), and equal for equal text.
"""

import hashlib
import re
from typing import Any

_PIECE = re.compile(r"\s?\w{1,7}|\s?[^\w\s]{1,3}|\s+")


def pieces(text: str) -> list[str]:
    """The tokens of ``text``; joined they are ``text`` again."""
    return _PIECE.findall(text)


def count(text: str) -> int:
    """How many tokens ``text`` has."""
    return sum(1 for _ in _PIECE.finditer(text))


def digest(*parts: str | bytes) -> bytes:
    """32 bytes that depend on nothing but ``parts``: the source of everything that looks invented."""
    mixed = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        mixed.update(len(data).to_bytes(8) + data)
    return mixed.digest()


def text_of(content: Any) -> str:
    """The text of a message's content: a text, or parts whose texts are joined; other parts are named in brackets."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    found = []
    for part in content:
        if not isinstance(part, dict):
            continue
        text = part.get("text") or part.get("transcript") or part.get("refusal")
        found.append(text if isinstance(text, str) else f"[{part.get('type', 'part')}]")
    return " ".join(found)
