"""Which pagination is refused when a definition is read: what could not work."""

from typing import Any

import pytest

from tieline.definitions.canonical import to_json
from tieline.definitions.parse import parse_data
from tieline.definitions.problems import DefinitionError

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
