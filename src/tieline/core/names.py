"""Names that people choose for APIs, apps, areas, calls and parameters."""

import re
from typing import Literal

Environment = Literal["live", "development"]

API_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
AREA_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
PARAMETER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
TITLE_LENGTH = 200
_PLAIN_LENGTH = 24
_PLAIN_DIGITS = 4


def is_api_name(name: str) -> bool:
    """Whether ``name`` can name an API or call: lower-case letters, digits, ``_``, ``-``; 63 at most; letter first."""
    return API_NAME.fullmatch(name) is not None


def is_plain_name(name: str) -> bool:
    """Whether a name that names nothing may be repeated to whoever sent it, and stored.

    It must be one that a person would choose: a provider's key, typed into the path by mistake, is longer, or made of
    digits for the most part.
    """
    digits = sum(letter.isdigit() for letter in name)
    return is_api_name(name) and len(name) <= _PLAIN_LENGTH and digits <= _PLAIN_DIGITS


def is_area_name(name: str) -> bool:
    """Whether ``name`` can name an area: lower-case letters, digits, ``_``; at most 63; a letter first."""
    return AREA_NAME.fullmatch(name) is not None


def is_parameter_name(name: str) -> bool:
    """Whether ``name`` can name a parameter or variable: letters, digits, ``_``; at most 63; a letter first."""
    return PARAMETER_NAME.fullmatch(name) is not None


def is_title(text: str) -> bool:
    """Whether ``text`` can be an app's name, a key's label or a title: 1–200 printable characters, no blank ends."""
    return 0 < len(text) <= TITLE_LENGTH and text.isprintable() and text == text.strip()
