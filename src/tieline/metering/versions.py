"""Which version of the price lists this installation makes. Tells it without loading ``genai-prices``."""

from importlib.metadata import version
from typing import Final

FORMAT: Final = 1
"""Counts up when price lists are made otherwise of the same prices."""


def price_version() -> str:
    """The version of the price lists that ``compile_prices`` would make now."""
    return f"{FORMAT}/{version('genai-prices')}"
