"""Writes a large JSON value in parts, as exactly as ``exact_json`` writes what is small; ``large_json`` reads it."""

from typing import Any, Final

from tieline.dataplane.answers.exact_json import MOST_DEPTH, ExactNumber, LongInteger, write_json
from tieline.definitions.json_parts import PartWriter

IN_PARTS: Final = 1024 * 1024
"""What came as more bytes is written and freed in parts."""
_WRITER: Final = PartWriter(write_json, (int, float, bool, type(None), ExactNumber, LongInteger), MOST_DEPTH)


def write_in_parts(value: Any) -> bytes:
    """``value`` as ``write_json`` writes it, in parts between which other threads run. Raises what that raises."""
    return _WRITER.write(value)


def write_json_by_size(value: Any, size: int) -> bytes:
    """``value`` as ``write_json`` writes it; in parts where it came as more than a MiB: ``size`` is in bytes."""
    return write_json(value) if size <= IN_PARTS else write_in_parts(value)
