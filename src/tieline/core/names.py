"""Names that people choose for APIs, apps, areas, calls and parameters."""

import re
from typing import Literal

Environment = Literal["live", "development"]

API_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
AREA_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
PARAMETER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
TITLE_LENGTH = 200


def is_api_name(name: str) -> bool:
    """Whether ``name`` can name an API or call: lower-case letters, digits, ``_``, ``-``; 63 at most; letter first."""
    return API_NAME.fullmatch(name) is not None


def is_area_name(name: str) -> bool:
    """Whether ``name`` can name an area: lower-case letters, digits, ``_``; at most 63; a letter first."""
    return AREA_NAME.fullmatch(name) is not None


def is_parameter_name(name: str) -> bool:
    """Whether ``name`` can name a parameter or variable: letters, digits, ``_``; at most 63; a letter first."""
    return PARAMETER_NAME.fullmatch(name) is not None


def is_title(text: str) -> bool:
    """Whether ``text`` can be an app's name, a key's label or a title: 1–200 printable characters, no blank ends."""
    return 0 < len(text) <= TITLE_LENGTH and text.isprintable() and text == text.strip()
