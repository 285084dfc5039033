"""Price lists as the product compiles them, once for all tests of prices."""

from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from tieline.metering.compile_prices import price_lists
from tieline.metering.rates import PriceList, PriceTable


@pytest.fixture(scope="session")
def compiled() -> Mapping[str, Mapping[str, Any]]:
    """The price list of each provider, as a worker reads it from its text."""
    lists, told = price_lists()
    assert told == []
    return {each["provider"]: orjson.loads(orjson.dumps(each)) for each in lists}


@pytest.fixture(scope="session")
def tables(compiled: Mapping[str, Mapping[str, Any]]) -> Mapping[str, PriceTable]:
    """A table of each provider's list alone."""
    return {provider: PriceTable([PriceList(each)]) for provider, each in compiled.items()}
