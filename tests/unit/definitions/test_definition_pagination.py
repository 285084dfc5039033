"""Which pagination is refused when a definition is read: what could not work."""

from typing import Any

import pytest

from tieline.definitions.canonical import to_json
from tieline.definitions.environment import StoredDefinition
from tieline.definitions.parse import parse_data
from tieline.definitions.problems import DefinitionError
from tieline.definitions.stored_calls import write
from tieline.definitions.tree import plant

AT: dict[str, Any] = {"at": {"in": "query", "optional": True}}
CURSOR: dict[str, Any] = {"kind": "cursor", "parameter": "at", "next": "next"}


def calls(pagination: dict[str, Any], **others: Any) -> dict[str, Any]:
    """A definition whose call ``it`` is paged so, among others."""
    first = {"path": "/things", "parameters": AT, "pagination": pagination}
    return {"tieline": "v1", "api": "x", "base_url": "https://x.example", "calls": {"it": first, **others}}


def onward(**changes: Any) -> dict[str, Any]:
    """A call that may ask for further pages."""
    return {"path": "/more", "parameters": AT, **changes}


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "no such call": (CURSOR | {"call": "moar"}, {"more": onward()}, "no call of this API"),
    "another type": (CURSOR | {"call": "more"}, {"more": onward(response={"type": "csv"})}, "give both one type"),
    "no such parameter there": (CURSOR | {"call": "more"}, {"more": onward(parameters={})}, "no parameter of this"),
    "more is needed there": (
        CURSOR | {"call": "more"}, {"more": onward(parameters=AT | {"tenant": {"in": "query"}})}, 'needs "tenant"'),
    "no such further parameter": (CURSOR | {"also": {"other": "other"}}, {}, "no parameter of this"),
    "the parameter itself again": (CURSOR | {"also": {"at": "other"}}, {}, "is the parameter itself"),
    "pages that are counted": (
        {"kind": "page", "parameter": "at", "call": "more"}, {"more": onward()}, "kind: cursor only"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_pagination_that_cannot_work_is_refused(name: str) -> None:
    """With what is wrong."""
    pagination, others, words = REFUSED[name]
    with pytest.raises(DefinitionError) as refused:
        parse_data(calls(pagination, **others))
    assert any(words in str(problem) and "pagination" in str(problem) for problem in refused.value.problems)


def test_two_calls_may_go_on_with_each_other() -> None:
    """And both keys are written as they were read."""
    paging = CURSOR | {"call": "more"}
    definition = parse_data(calls(paging, more=onward(pagination=CURSOR | {"call": "it"})))
    assert to_json(definition)["calls"]["it"]["pagination"] == paging
    also = CURSOR | {"also": {"other": "meta.other"}}
    second = {"it": {"path": "/things", "parameters": AT | {"other": {"in": "query", "optional": True}},
                     "pagination": also}}  # fmt: skip
    assert to_json(parse_data(calls(paging, more=onward()) | {"calls": second}))["calls"]["it"]["pagination"] == also


def stored(environments: dict[str, Any] | None = None, **others: Any) -> StoredDefinition:
    """A stored definition whose call ``it`` asks for further pages by ``more``, beside ``other``."""
    every = calls(CURSOR | {"call": "more"}, more=onward(), other={"path": "/other"}, **others)
    return StoredDefinition(write(every | ({"environments": environments} if environments else {})))


def problem(of: pytest.ExceptionInfo[DefinitionError]) -> tuple[str, str]:
    """Where the one problem is, and what it says."""
    (found,) = of.value.problems
    return found.path, found.message


def test_a_call_that_another_asks_for_pages_by_is_not_removed() -> None:
    """The call that names it is told; the two go in the other order."""
    with pytest.raises(DefinitionError) as refused:
        stored().without_call("more")
    assert problem(refused) == (
        "calls.it.pagination.call", 'names "more", which would be gone; change this call first')  # fmt: skip
    without = stored().without_call("it")
    assert set(StoredDefinition(StoredDefinition(without).without_call("more")).general().calls) == {"other"}


@pytest.mark.parametrize(
    ("changed", "place", "words"),
    [
        (onward(response={"type": "csv"}), "calls.it.pagination.call", "give both one type"),
        (onward(parameters=AT | {"tenant": {"in": "query"}}), "calls.it.pagination.call", 'needs "tenant"'),
        ({"path": "/more"}, "calls.it.pagination.parameter", "no parameter of this call"),
    ],
)
def test_a_call_that_another_asks_for_pages_by_stays_one_that_can(
    changed: dict[str, Any], place: str, words: str
) -> None:
    """What would keep the walk from going on is refused; other changes are not."""
    with pytest.raises(DefinitionError) as refused:
        stored().with_call("more", plant(changed))
    found, message = problem(refused)
    assert found == place
    assert words in message
    text = stored().with_call("more", plant(onward(path="/further")))
    assert StoredDefinition(text).general().calls["more"].path == "/further"


def test_a_walk_goes_on_in_each_environment() -> None:
    """Where it names another call there, or that call is removed there."""
    there = {"live": {"calls": {"it": {"pagination": {"call": "own"}}}}}
    named = stored(there, own=onward())
    assert set(StoredDefinition(named.without_call("other")).general().calls) == {"it", "more", "own"}
    with pytest.raises(DefinitionError, match='names "own", which would be gone'):
        named.without_call("own")
    gone = stored({"live": {"calls": {"own": None, "it": {"pagination": {"call": "more"}}}}}, own=onward())
    again = {"path": "/again", "parameters": AT, "pagination": CURSOR | {"call": "own"}}
    with pytest.raises(DefinitionError, match='"own" is no call of this API'):
        gone.with_call("again", plant(again))


def test_what_another_version_stored_keeps_no_call_from_being_changed() -> None:
    """A call that cannot be read any more is told to whoever asks for it."""
    odd = {"path": "/odd", "pagination": {"kind": "spiral", "call": "more"}}
    every = calls(CURSOR, more=onward()) | {"environments": {}}
    every["calls"]["odd"] = odd
    kept = StoredDefinition(write(every)).without_call("more")
    assert set(StoredDefinition(kept).general().calls) == {"it", "odd"}
