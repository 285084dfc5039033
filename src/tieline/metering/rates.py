"""What models cost: price lists as plain data, and the table that an API's answers are priced by.

A *price list* is JSON that loads within milliseconds and holds whole numbers only::

    {"provider": "openai", "version": "…", "pattern": "https://api[.]openai[.]com",
     "exact": {"gpt-4.1": 0, …}, "rules": [[3, ["starts", "gpt-5"]], …],
     "models": [{"id": "gpt-4.1", "window": 1047576, "most_output": 32768, "scale": 1, "first_always": true,
                 "least": {"audio_ms": 10000},
                 "prices": [{"from": "2026-01-01", "hours": [0, 3600],
                             "rates": {"input_tokens": [2000000, [200000, 4000000]], …}}],
                 "variants": [{"tier": "batch", "from": "2026-10-14", "rates": {…}}]}]}

A rate is pico-dollars times ``scale`` for one of the quantity, then ``[more input tokens than, rate]`` for each step.
Of ``prices`` the last in force count, and where none is and ``first_always`` the first; of ``variants`` the first in
force, for each quantity apart. ``exact`` and ``rules`` say which names mean which model (``model_names``).

Costs are whole nano-dollars (10⁻⁹ USD), rounded up once for each request.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from tieline.metering.model_names import REMEMBERED, ModelNames
from tieline.metering.sheet import ModelPrices, Sheet

_NONE: Final[frozenset[str]] = frozenset()


class Priceable(Protocol):
    """What was used of a model, as a reader of usage found it."""

    @property
    def model(self) -> str | None: ...
    @property
    def service_tier(self) -> str | None: ...
    @property
    def quantities(self) -> Mapping[str, int]: ...


class Cost(NamedTuple):
    """What a request cost, in nano-dollars, as far as there are prices; None where nothing that was used has one.

    ``unpriced`` are the quantities that were used and have no price.
    """

    nano: int | None
    unpriced: frozenset[str] = _NONE


class PriceList:
    """The models of one provider or, ``is_own``, of one definition. ``version`` is that of the data."""

    __slots__ = ("_data", "_models", "_names", "is_own", "provider", "version")

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.provider: str = data["provider"]
        self.version: str = data["version"]
        self.is_own: bool = data.get("own", False)
        self._data: Sequence[Mapping[str, Any]] = data["models"]
        self._names = ModelNames(data["exact"], data["rules"])
        self._models: dict[int, ModelPrices] = {}

    @property
    def models(self) -> int:
        """How many models it has."""
        return len(self._data)

    def find(self, name: str) -> ModelPrices | None:
        """The model called ``name``."""
        place = self._names.place(name)
        if place is None:
            return None
        found = self._models.get(place)
        if found is None:
            found = self._models[place] = ModelPrices(self._data[place])
        return found


class Offer(NamedTuple):
    """What a model may cost at most from ``begins`` on and before ``ends``: its sizes, and its rates in every tier.

    ``window`` is ``PriceTable.window_at_most``, ``writes`` the most tokens that it writes, which fit in its window.
    ``sheets`` has one at least.
    """

    begins: float
    ends: float
    window: int | None
    writes: int | None
    sheets: tuple[Sheet, ...]


class PriceTable:
    """What the answers of one API are priced by: the definition's own prices, then its provider's list."""

    __slots__ = ("_known", "_offers", "lists")

    def __init__(self, lists: Sequence[PriceList]) -> None:
        self.lists = tuple(lists)
        self._known: dict[tuple[str | None, str | None], tuple[float, float, Sheet]] = {}
        self._offers: dict[str, Offer] = {}

    def find(self, name: str, at: float) -> tuple[PriceList, ModelPrices] | None:
        """The model called ``name`` in the first list that has prices for it in force ``at``, and the list."""
        for each in self.lists:
            model = each.find(name)
            if model is not None and model.sheet(at) is not None:
                return each, model
        return None

    def window(self, name: str) -> int | None:
        """The most tokens that the model called ``name`` takes at once, from the first list that says it."""
        return next((each.window for each in self._called(name) if each.window is not None), None)

    def window_at_most(self, name: str) -> int | None:
        """As ``window``, with a margin where a provider's list says it: lists write 1,000,000 for 1,048,576."""
        found = next((each for each in self.lists if (model := each.find(name)) and model.window is not None), None)
        window = self.window(name)
        return window if window is None or found is None or found.is_own else window * 21 // 20

    def most_output(self, name: str) -> int | None:
        """The most tokens that the model called ``name`` writes, from the first list that says it."""
        return next((each.most_output for each in self._called(name) if each.most_output is not None), None)

    def offer(self, name: str, at: float) -> Offer | None:
        """That of the model called ``name``, None where it has no price; those of 2,000 names are at hand."""
        known = self._offers.get(name)
        if known is not None and known.begins <= at < known.ends:
            return known
        found = self.find(name, at)
        if found is None:
            return None
        if len(self._offers) >= REMEMBERED:
            self._offers.clear()
        span, window = _held_by_all(self._called(name), at), self.window_at_most(name)
        writes = min([each for each in (self.most_output(name), window) if each is not None], default=None)
        offer = self._offers[name] = Offer(*span, window, writes, found[1].sheets(at))
        return offer

    def cost(self, reading: Priceable, at: float) -> Cost:
        """What ``reading`` cost, by the prices in force ``at`` (seconds since the epoch, when it was sent)."""
        quantities = reading.quantities
        known = self._known.get((reading.model, reading.service_tier))
        if known is not None and known[0] <= at < known[1]:
            sheet = known[2]
        else:
            found = self._sheet(reading.model, reading.service_tier, at)
            if found is None:
                return Cost(None, frozenset(name for name, count in quantities.items() if count))
            sheet = found
        if sheet.covered.issuperset(quantities):
            return Cost(sheet.nano(quantities), _NONE)
        unpriced = sheet.unpriced(quantities)
        nothing = not sheet.by_request and all(name in unpriced for name, count in quantities.items() if count)
        return Cost(None if nothing and unpriced else sheet.nano(quantities), unpriced)

    def _sheet(self, name: str | None, tier: str | None, at: float) -> Sheet | None:
        """The rates for a model and tier; those of the last 2,000 are at hand for as long as they hold."""
        models = self._called(name) if name is not None else []
        model = next((each for each in models if each.sheet(at) is not None), None)
        sheet = model.sheet(at, tier) if model is not None else None
        if sheet is not None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[name, tier] = (*_held_by_all(models, at), sheet)
        return sheet

    def _called(self, name: str) -> list[ModelPrices]:
        return [model for each in self.lists if (model := each.find(name)) is not None]


def _held_by_all(models: Sequence[ModelPrices], at: float) -> tuple[float, float]:
    """From when until when nothing changes around ``at`` for any of ``models``."""
    spans = [each.holds(at) for each in models]
    return max(begin for begin, _ in spans), min(end for _, end in spans)
