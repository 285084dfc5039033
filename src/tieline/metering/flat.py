"""Prices of requests as such: what each costs, where that is the same whatever it asks for."""

from tieline.metering.own_prices import OWN
from tieline.metering.rates import PriceTable

_EVERY = "*"
_REQUESTS = frozenset({"requests"})


def per_request(table: PriceTable | None, at: float) -> int | None:
    """Nano-dollars for each request, where a definition prices requests alone, for every model; else None.

    Of several service tiers the dearest counts.
    """
    first = table.lists[0] if table is not None and table.lists else None
    if first is None or first.provider != OWN or first.models != 1:
        return None
    model = first.find(_EVERY)
    sheets = model.sheets(at) if model is not None and model.id == _EVERY else ()
    if not sheets or any(sheet.priced != _REQUESTS for sheet in sheets):
        return None
    return max(sheet.nano({}) for sheet in sheets)
