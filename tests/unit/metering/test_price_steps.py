"""How much work a cost is, counted in steps: the same on any machine."""

from collections.abc import Mapping
from typing import Any

from tests.steps import steps
from tests.unit.metering.readings import Used
from tieline.metering.model_names import NAME_MOST
from tieline.metering.rates import PriceList, PriceTable

NOW = 1_796_000_000.0
CHAT = {"input_tokens": 900, "cached_input_tokens": 300, "output_tokens": 200, "reasoning_tokens": 50}


def test_the_cost_of_an_answer_is_a_few_lines(tables: Mapping[str, PriceTable]) -> None:
    """Once a model and tier were seen; the first time is bounded too."""
    used = Used("gpt-5.6-sol", CHAT, "default")
    assert steps(lambda: tables["openai"].cost(used, NOW)) < 1_500
    assert steps(lambda: tables["openai"].cost(used, NOW)) < 80


def test_an_unknown_name_is_searched_for_once(tables: Mapping[str, PriceTable]) -> None:
    """However long it is and whatever it holds."""
    unknown = Used("gpt-" + "-20260821" * ((NAME_MOST - 4) // 9), CHAT)
    assert steps(lambda: tables["openai"].cost(unknown, NOW)) < 3_000
    assert steps(lambda: tables["openai"].cost(unknown, NOW)) < 80
    name = "a" * 1_000_000
    assert steps(lambda: tables["openai"].cost(Used(name, CHAT), NOW)) < 80 + texts(name)


def test_a_list_loads_without_walking_its_models(compiled: Mapping[str, Mapping[str, Any]]) -> None:
    """Whatever is in it is made ready when it is asked for: twice as much is no more work."""
    largest = max(compiled.values(), key=lambda each: len(each["models"]))
    names = {each + suffix: place for suffix in ("", "-again") for each, place in largest["exact"].items()}
    doubled = {**largest, "exact": names, "rules": 2 * largest["rules"], "models": 2 * largest["models"]}
    assert steps(lambda: PriceList(doubled)) == steps(lambda: PriceList(largest)) < 20


def texts(given: str | bytes) -> int:
    """The steps that a text counts because it has a name, however little is done with it."""
    return len(given) // 16
