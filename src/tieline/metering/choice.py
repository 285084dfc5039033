"""Which price list an API has, and the table that is made of it and the definition's own prices."""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from tieline.definitions.model import Definition
from tieline.definitions.prices import NOBODY
from tieline.metering.own_prices import own_price_list
from tieline.metering.rates import PriceList, PriceTable

_URL_MOST: Final = 2_000


def provider_of(definition: Definition, patterns: Iterable[tuple[str, str]]) -> str | None:
    """The provider whose price list ``definition`` has: the one that it names, else the one of its base URL.

    ``patterns`` are providers with the regular expression of their base URLs, of which the first that matches counts;
    they are the product's own data, never an outsider's.
    """
    if definition.prices_from is not None:
        return None if definition.prices_from == NOBODY else definition.prices_from
    url = definition.base_url[:_URL_MOST]
    return next((provider for provider, pattern in patterns if _pattern(pattern).match(url)), None)


def table_of(definition: Definition, provider: PriceList | None) -> PriceTable | None:
    """What the answers of an API are priced by; None where nobody gives a price."""
    own = PriceList(own_price_list(definition.prices)) if definition.prices else None
    lists = [each for each in (own, provider) if each is not None]
    return PriceTable(lists) if lists else None


@lru_cache(maxsize=128)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text)
