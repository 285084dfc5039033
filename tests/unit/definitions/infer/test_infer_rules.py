"""The rules of detection and merging: what decides, what widens, what people decided."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.definitions.infer.scores import labels
from tieline.definitions.infer.detect import detect, merge, renew
from tieline.definitions.infer.difference import Difference, diff
from tieline.definitions.infer.settle import MOST_FIELDS
from tieline.definitions.infer.shape import shape
from tieline.definitions.model import Field


def merged(*documents: Any) -> dict[str, str]:
    """Labels of several samples together."""
    fields = detect(documents[0])
    for document in documents[1:]:
        fields = merge(fields, document)
    return labels(fields)


def field(path: str, fields: tuple[Field, ...]) -> Field:
    """The field at a path."""
    return next(one for one in fields if one.path == path)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (None, 1, "integer"),
        (1, None, "integer"),
        (1, 2.5, "number"),
        ("2024-01-01", None, "date"),
        ("2024-01-01", "", "date"),
        ("", "2024-01-01", "date"),
        ("2024-01-01", "soon", "text"),
        ("2024-01-01", "2024-01-01T00:00:00Z", "text"),
        ("https://a.example/b.png", "https://a.example/b", "url"),
        ("https://a.example/b.png", "https://a.example/b.pdf", "url"),
        ("a@b.example", "https://a.example", "text"),
        (1, "1", "json"),
        (True, 1, "json"),
        (True, "true", "json"),
        ([], [1], "integer[]"),
        ([1], ["a"], "json[]"),
        ([1], 1, "json"),
        (None, [], "json[]"),
        ({}, None, "object"),
        ({}, [], "json"),
        ({"1": 2}, {"a": 1}, "map"),
        ('{"a": 1}', "plain", "text"),
        ("plain", '{"a": 1}', "text"),
        ('{"a": 1}', '{"a": 2.5}', "object in text"),
        ('{"a": 1}', {"a": 2}, "json"),
        ('{"a": 1}', "[1, 2]", "json in text"),
        ([[1]], [], "integer[]"),
    ],
)
def test_two_values_of_one_member_are_of_one_type(one: Any, other: Any, expected: str) -> None:
    """Whichever comes first."""
    for first, second in ((one, other), (other, one)):
        found = merged({"v": first}, {"v": second})
        assert found.get("v", found.get("v[]")) == expected
        both = labels(detect({"rows": [{"v": first}, {"v": second}]}))
        assert both.get("rows[].v", both.get("rows[].v[]")) == expected


def test_members_of_all_samples_are_kept_and_those_at_times_missing_are_optional() -> None:
    """Nothing disappears by merging."""
    fields = merge(detect({"a": 1, "b": 2}), {"b": 3, "c": None})
    assert [(one.path, one.optional, one.undecided) for one in fields] == [
        ("a", True, False),
        ("b", False, False),
        ("c", True, True),
    ]
    assert [one.optional for one in merge(fields, {"a": 1, "b": 1, "c": 1})] == [True, False, True]
    assert [one.optional for one in detect([{"a": 1, "b": 1}, {"b": 2}])] == [False, True, False]


def test_a_pinned_field_survives_and_closes_what_is_below_it() -> None:
    """An object that a person made ``json`` gets no members again."""
    fields = detect({"meta": {"a": 1}, "n": 1})
    edited = (Field("meta", "json", pinned=True), field("n", fields))
    for again in (renew(edited, {"meta": {"a": 1, "b": 2}, "n": 2}), merge(edited, {"meta": {"c": 2}, "n": 2})):
        assert [one.path for one in again] == ["meta", "n"]
        assert again[0] == edited[0]


def test_a_pinned_type_stays_whatever_comes() -> None:
    """``price`` came as text and was made a number: it stays one, and is read as one."""
    fields = (replace(detect({"price": "12.50"})[0], type="number", pinned=True),)
    again = renew(fields, {"price": "13.00", "tax": 1})
    assert labels(again) == {"price": "number", "tax": "integer"}
    assert shape({"price": "13.00", "tax": 1}, again) == {"price": 13.0, "tax": 1}


def test_an_excluded_field_stays_excluded() -> None:
    """Also where it was missing for a while, and with it what comes below it."""
    fields = tuple(replace(one, include=one.path != "user") for one in detect({"user": {"id": 1}, "n": 1}))
    gone = renew(fields, {"n": 1})
    back = renew(gone, {"user": {"id": 1, "mail": "a@b.example"}, "n": 1})
    assert not field("user", back).include
    assert shape({"user": {"id": 1, "mail": "a@b.example"}, "n": 1}, back) == {"n": 1}


def test_a_name_and_an_object_name_are_kept() -> None:
    """People's words for fields and object types survive."""
    fields = tuple(
        replace(one, object="Person") if one.object else replace(one, name="number") if one.path == "user.id" else one
        for one in detect({"user": {"id": 1}})
    )
    again = renew(fields, {"user": {"id": "x", "mail": None}})
    assert (field("user", again).object, field("user.id", again).name) == ("Person", "number")
    assert field("user.id", again).type == "text"


def test_what_initializing_again_changed_is_told() -> None:
    """New, changed and gone, in that order of the fields."""
    old, new = detect({"a": 1, "b": "x", "c": 1}), detect({"a": 1.5, "c": 1, "d": [1]})
    by_path = {one.path: one for one in (*old, *new)}
    assert diff(old, new) == (
        Difference("a", "changed", old[0], new[0], ("type",)),
        Difference("d", "new", new=by_path["d"]),
        Difference("b", "gone", old=old[1]),
    )
    assert diff(old, old) == ()


def test_a_written_field_is_left_as_it_is() -> None:
    """A value that a person lifts out stays lifted; what is detected around it is offered, excluded."""
    written = (
        Field("choices[0].message.content", "text", name="answer"),
        Field("data[].id", "text", list=True, name="ids"),
    )
    document = {"choices": [{"message": {"content": "Hi", "role": "assistant"}}], "data": [{"id": "a", "n": 1}], "x": 1}
    for again in (renew(written, document), merge(written, document)):
        included = {one.path for one in again if one.include}
        assert included == {"data[].id", "x", "choices[0].message.content"}
        assert {one.path for one in again} - included == {
            "choices[].message.role",
            "choices[].message.content",
            "data[].n",
        }
        assert shape(document, again) == {"answer": "Hi", "ids": ["a"], "x": 1}


def test_object_types_are_named_and_shared() -> None:
    """Of the member's name, singular in lists; the same members under the same name are one type."""
    document = {
        "order_lines": [{"sku": "a", "price": {"value": 1, "currency": "usd"}}],
        "categories": [{"id": 1}],
        "children": [{"id": 1}],
        "bill": {"address": {"city": "x"}},
        "ship": {"address": {"city": "y"}, "price": {"value": 2, "currency": "usd"}},
        "old": {"address": {"lines": ["x"]}},
        "data": [{"id": 1}],
    }
    assert {one.path: one.object for one in detect(document) if one.object} == {
        "order_lines": "OrderLine",
        "order_lines[].price": "Price",
        "categories": "Category",
        "children": "Child",
        "bill": "Bill",
        "bill.address": "Address",
        "ship": "Ship",
        "ship.address": "Address",
        "ship.price": "Price",
        "old": "Old",
        "old.address": "OldAddress",
        "data": "DataItem",
    }


def nested(depth: int, *, lists: bool = False) -> Any:
    """A document of so many levels."""
    value: Any = 1
    for _ in range(depth):
        value = [value] if lists else {"a": value}
    return value


@pytest.mark.parametrize(
    "document",
    [
        nested(900),
        nested(900, lists=True),
        {f"k{number}x": {f"m{below}": below or "x" for below in range(60)} for number in range(60)},
        {f"k{number}": str(number) if number % 2 else number for number in range(5000)},
        {"k" * 300: 1, "ok": 2},
        {'quote"': 1},
        nested(60) | {"x" * 150: {"y" * 190: {"z" * 190: {"u" * 190: {"v" * 190: {"w" * 190: 1}}}}}},
        [[[]]],
    ],
    ids=["deep", "deep lists", "many below", "many", "long name", "quoted name", "long path", "empty lists"],
)
def test_bounds_hold_and_nothing_is_lost(document: Any) -> None:
    """What no field can describe is ``json``, and handed on whole."""
    fields = detect(document)
    assert 1 <= len(fields) <= MOST_FIELDS
    assert all(len(one.path) <= 1000 for one in fields)
    assert shape(document, fields) == document


def test_a_long_sample_is_cut() -> None:
    """At two hundred characters."""
    (one,) = detect({"a": "x" * 5000})
    assert len(one.sample) == 200


def test_a_very_long_list_is_looked_at_in_part() -> None:
    """Two hundred thousand values decide."""
    fields = detect([1] * 300_000 + ["x"])
    assert labels(fields) == {"$": "integer[]"}
