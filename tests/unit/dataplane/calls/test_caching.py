"""Which answers of data calls are found again, by whom, and until when."""

import time
from collections.abc import Hashable
from typing import Any

import pytest

from tests.unit.dataplane.calls.runs import ANN, BOB, arguments
from tests.unit.dataplane.test_plan import compiled
from tieline.dataplane.calls.arguments import Arguments
from tieline.dataplane.calls.caching import AnswerCache, CachedAnswer
from tieline.dataplane.calls.lru import ENTRY_BYTES
from tieline.dataplane.calls.recording import RECORDED_MOST
from tieline.dataplane.calls.results import WholeAnswer
from tieline.dataplane.snapshot.calls import ReadyCall
from tieline.dataplane.snapshot.plan import Plan
from tieline.definitions.fill.request import FilePart

KEPT = {
    "it": {"path": "/it", "use_as": "data", "cache": {"ttl": "60s"}},
    "other": {"path": "/it", "use_as": "data", "cache": {"ttl": "60s"}},
}
NARROW = {"it": {**KEPT["it"], "cache": {"ttl": "60s", "key": ["a"]}}}


async def ready(calls: dict[str, Any] | None = None, name: str = "it") -> tuple[Plan, ReadyCall]:
    """A plan, and a call of it."""
    plan = (await compiled({"key": "sk-unit-provider-key"}, calls=calls or KEPT)).plans["live"]
    call = plan.calls.find(name)
    assert call is not None
    return plan, call


async def test_an_answer_is_found_by_all_that_decides_whose_it_is() -> None:
    """Plan, call, end user, connections and values, each of which alone makes another; their order does not."""
    plan, call = await ready()
    other = plan.calls.find("other")
    assert other is not None
    again, _ = await ready()
    first = AnswerCache.key(plan, call, ANN, arguments({"a": 1, "b": 2}), ["con_1", "con_2"])
    assert first == AnswerCache.key(plan, call, ANN, arguments({"b": 2, "a": 1}), ["con_2", "con_1"])
    others: list[Hashable] = [
        AnswerCache.key(again, call, ANN, arguments({"a": 1, "b": 2}), ["con_1", "con_2"]),
        AnswerCache.key(plan, other, ANN, arguments({"a": 1, "b": 2}), ["con_1", "con_2"]),
        AnswerCache.key(plan, call, BOB, arguments({"a": 1, "b": 2}), ["con_1", "con_2"]),
        AnswerCache.key(plan, call, None, arguments({"a": 1, "b": 2}), ["con_1", "con_2"]),
        AnswerCache.key(plan, call, ANN, arguments({"a": 1, "b": 3}), ["con_1", "con_2"]),
        AnswerCache.key(plan, call, ANN, arguments({"a": 1, "c": 2}), ["con_1", "con_2"]),
        AnswerCache.key(plan, call, ANN, arguments({"a": 1}), ["con_1", "con_2"]),
        AnswerCache.key(plan, call, ANN, arguments({"a": 1, "b": 2}), ["con_1"]),
    ]
    assert None not in others
    assert len({first, *others}) == len(others) + 1


async def test_values_that_a_definition_does_not_name_tell_no_answers_apart() -> None:
    """Those it names do, and one that is not given is another than any that is."""
    plan, call = await ready({"it": {**NARROW["it"], "parameters": {"a": {"in": "query"}, "b": {"in": "query"}}}})
    keys = [
        AnswerCache.key(plan, call, None, arguments(values), ())
        for values in ({"a": 1, "b": 1}, {"a": 1, "b": 2}, {"a": 2, "b": 1}, {"b": 1})
    ]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3


async def test_what_has_files_or_is_not_to_be_kept_has_no_key() -> None:
    """Each for itself."""
    plan, call = await ready()
    _, unkept = await ready({"it": {"path": "/it", "use_as": "data"}})
    assert AnswerCache.key(plan, unkept, None, arguments(), ()) is None
    assert AnswerCache.key(plan, call, None, Arguments({}, {"f": FilePart("f")}), ()) is None
    assert AnswerCache.key(plan, call, None, arguments(), ()) is not None


def answer(size: int = 2) -> CachedAnswer:
    """An answer of so many bytes."""
    return CachedAnswer.now(WholeAnswer(b"x" * size), 203)


def test_an_answer_says_how_old_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """In whole seconds since it was fetched."""
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0)
    kept = CachedAnswer.now(WholeAnswer(b"{}"), 203)
    monkeypatch.setattr(time, "monotonic", lambda: 1002.9)
    assert (kept.whole, kept.status, kept.age) == (WholeAnswer(b"{}"), 203, 2)


@pytest.mark.parametrize(("size", "found"), [(RECORDED_MOST, True), (RECORDED_MOST + 1, False)])
def test_answers_of_up_to_a_mebibyte_are_kept(size: int, *, found: bool) -> None:
    """Larger ones are not."""
    cache, kept = AnswerCache(), answer(size)
    cache.keep("k", kept, 60, ["api_1"], cache.epoch)
    assert cache.find("k") is (kept if found else None)
    assert cache.find("other") is None


def test_all_answers_together_have_a_bound() -> None:
    """By their bytes."""
    cache = AnswerCache(2 * (1000 + ENTRY_BYTES))
    for key in "abc":
        cache.keep(key, answer(1000), 60, (), 0)
    assert [cache.find(key) is None for key in "abc"] == [True, False, False]


def test_an_answer_is_not_kept_beyond_its_time() -> None:
    """As its definition says."""
    cache = AnswerCache()
    cache.keep("k", answer(), 0, (), 0)
    assert cache.find("k") is None


def test_what_changed_while_an_answer_came_leaves_it_unkept() -> None:
    """It may be the old account's."""
    cache = AnswerCache()
    began = cache.epoch
    cache.changed(["con_1"])
    cache.keep("k", answer(), 60, ["con_1"], began)
    assert cache.find("k") is None
    cache.changed(["con_1"])
    assert cache.epoch == began + 2


@pytest.mark.parametrize(
    ("refs", "left"), [(["con_1"], "bc"), (["con_1", "api_1"], "c"), (["con_9"], "abc"), ([], "abc"), (None, "")]
)
def test_answers_go_with_what_they_rest_on(refs: list[str] | None, left: str) -> None:
    """And only they; where nobody knows what changed, all."""
    cache = AnswerCache()
    for key, rests_on in (("a", ["api_1", "con_1"]), ("b", ["api_1"]), ("c", ["api_2"])):
        cache.keep(key, answer(), 60, rests_on, cache.epoch)
    cache.changed(refs)
    assert "".join(key for key in "abc" if cache.find(key) is not None) == left
