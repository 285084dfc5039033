"""No answer costs more than the bound of its call, by the real prices of many providers."""

from collections.abc import Mapping
from datetime import UTC, datetime

from hypothesis import assume, given
from hypothesis import strategies as st

from tests.unit.metering.readings import Used
from tests.unit.metering.test_bound import Asks
from tieline.core.quantities import QUANTITIES
from tieline.metering.bound import ADDED_TOKENS, bound
from tieline.metering.compile_prices import price_lists
from tieline.metering.rates import PriceList, PriceTable

DATA = {
    each["provider"]: each for each in price_lists()[0] if each["provider"] in {"openai", "anthropic", "google", "x-ai"}
}
TABLES = {provider: PriceTable([PriceList(each)]) for provider, each in DATA.items()}
NAMES = [(provider, name) for provider, each in DATA.items() for name in each["exact"]]
NOW = datetime(2026, 11, 30, tzinfo=UTC).timestamp()
TOOLS = [each.name for each in QUANTITIES.values() if each.sort == "tool"]


@st.composite
def parts(draw: st.DrawFn, sort: str, whole: int) -> Mapping[str, int]:
    """A whole number of tokens and some of its parts, none larger than a whole of it."""
    found = {f"{sort}_tokens": whole}
    for each in QUANTITIES.values():
        if each.sort == sort and each.parts_of and draw(st.booleans()):
            found[each.name] = draw(st.integers(0, min(found.get(above, 0) for above in each.parts_of)))
    return found


def is_consistent(quantities: Mapping[str, int]) -> bool:
    """Whether the parts of each quantity that no other part counts fit into it together."""
    for name, count in quantities.items():
        apart = [each for each in quantities if QUANTITIES[each].parts_of[-1:] == (name,)]
        if sum(quantities[each] for each in apart) > count:
            return False
    return True


@st.composite
def calls(draw: st.DrawFn) -> tuple[str, Asks, int, Mapping[str, int], str | None]:
    """A request of a real model and an answer that it allows: provider, request, its bytes, what was used, the tier."""
    provider, name = draw(st.sampled_from(NAMES))
    table = TABLES[provider]
    found = table.find(name, NOW)
    window = table.window(name)
    assume(found is not None and window is not None)
    assert found is not None
    assert window is not None
    is_whole = draw(st.booleans())
    uses = {} if is_whole else draw(st.dictionaries(st.sampled_from(TOOLS), st.integers(0, 3), max_size=2))
    limit = draw(st.none() | st.integers(0, window))
    asked = Asks(name, limit, 1, draw(st.integers(1, 3)), is_whole, uses)
    size = draw(st.integers(2, 3 * window))
    turns = 1 + sum(uses.values())
    most = min(window * turns, size + ADDED_TOKENS) if is_whole else window * turns
    read = dict(draw(parts("input", draw(st.integers(0, most) | st.just(most)))))
    if is_whole:
        read = {each: count for each, count in read.items() if not {"audio", "image", "video"} & set(each.split("_"))}
    longest = (window if limit is None else min(limit, window)) * asked.choices * turns
    written = draw(parts("output", draw(st.integers(0, longest) | st.just(longest))))
    used = {**read, **written, **{each: draw(st.integers(0, count)) for each, count in uses.items()}}
    assume(is_consistent(used))
    return provider, asked, size, used, draw(st.sampled_from((None, "default", *found[1].tiers)))


@given(calls())
def test_no_answer_costs_more_than_the_bound(call: tuple[str, Asks, int, Mapping[str, int], str | None]) -> None:
    """Whatever was cached, written to the cache, reasoned, searched for, and in whichever tier."""
    provider, asked, size, used, tier = call
    most = bound(TABLES[provider], asked, size, NOW)
    cost = TABLES[provider].cost(Used(asked.model, used, tier), NOW)
    if most is not None and cost.nano is not None:
        assert cost.nano <= most


def test_calls_of_models_with_a_window_have_a_bound() -> None:
    """Else the property would say little."""
    bounded = [bound(TABLES[provider], Asks(name), 100, NOW) is not None for provider, name in NAMES]
    assert sum(bounded) > len(bounded) / 2
