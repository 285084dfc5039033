"""Reads a large JSON text of an upstream, exact and within bounds, in parts between which other threads run.

``exact_json`` reads what is small; how a text is read in parts is ``definitions.large_json``'s.
"""

import json
from typing import Any, Final

from tieline.core.json_size import is_small, size_of
from tieline.core.slices import decode
from tieline.dataplane.answers.exact_json import EXACT, is_plain, read_json
from tieline.definitions.json_parts import release
from tieline.definitions.large_json import WINDOW, read_in_parts

CONTAINERS_MOST: Final = 1_000_000
"""Objects and lists in one text."""
VALUES_MOST: Final = 4_000_000
"""Members and items in one text."""
_PLAIN: Final = json.JSONDecoder(parse_constant=EXACT.parse_constant)
_LAX: Final = json.JSONDecoder(parse_constant=EXACT.parse_constant, parse_int=float)  # of any number of digits


class TooManyValues(ValueError):
    """The text holds more than is read."""


def check_large_json(body: bytes) -> None:
    """Raise what ``read_large_json`` raises. Numbers are not kept exact for it, which takes a third of the memory."""
    text = decode(body)
    _check_size(text)
    release(read_in_parts(text, _LAX))


def read_json_by_size(body: bytes) -> Any:
    """As ``read_json``; in parts what is large. Its values are not counted: for what somebody counted before."""
    return read_json(body) if len(body) <= WINDOW else read_in_parts(decode(body), _decoder(body))


def read_large_json(body: bytes) -> Any:
    """The value of a JSON text in UTF-8, exact as ``read_json`` has it.

    Raises TooManyValues for more than a million containers or four million values, ValueError for what is no JSON.
    """
    text = decode(body)
    _check_size(text)
    return read_in_parts(text, _decoder(body))


def read_large_json_text(text: str) -> Any:
    """As ``read_large_json``, of text, with every number exact."""
    _check_size(text)
    return read_in_parts(text, EXACT)


def _check_size(text: str) -> None:
    if not is_small(text, members=VALUES_MOST, containers=CONTAINERS_MOST, separators=VALUES_MOST):
        size = size_of(text)
        if size.containers > CONTAINERS_MOST or size.members + size.separators > 2 * VALUES_MOST:
            raise TooManyValues


def _decoder(body: bytes) -> json.JSONDecoder:
    is_all_plain = all(is_plain(body[at : at + WINDOW + 64]) for at in range(0, len(body), WINDOW))
    return _PLAIN if is_all_plain else EXACT
