"""Answers in the shape of their fields, and their differences from it."""

from typing import Any

import pytest

from tieline.definitions.infer.detect import detect
from tieline.definitions.infer.drift import MOST_FINDINGS, Drift, drift
from tieline.definitions.infer.shape import shape
from tieline.definitions.model import Field

TEN = {
    "id": 7, "name": "x", "price": 1.5, "tags": ["a", "b"], "ok": True, "created_at": "2024-01-01T10:00:00Z",
    "user": {"id": 1, "email": "a@b.example", "page": "https://x.example/z"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("document", "fields", "expected"),
    [
        ({"a": 1, "b": 2}, (), {"a": 1, "b": 2}),
        ({"a": 1, "b": 2}, (Field("a", "integer"),), {"a": 1}),
        ({"a": 1}, (Field("a", "integer", include=False),), {}),
        ({"a": 1, "b": 2}, (Field("a", "integer", name="x"), Field("c", "text")), {"x": 1}),
        ({"t": {"high": 3, "low": 1}}, (Field("t.high", "integer"),), {"t": {"high": 3}}),
        (
            {"a": {"x": 1, "y": 2}},
            (Field("a", "object", object="A"), Field("a.x", "integer", include=False)),
            {"a": {}},
        ),
        ({"a": {"x": 1, "y": 2}}, (Field("a", "object", object="A"),), {"a": {"x": 1, "y": 2}}),
        ({"a": {"x": 1}}, (Field("a", "object", object="A"), Field("a.x", "integer", name="z")), {"a": {"z": 1}}),
        ({"a": {"x": 1}}, (Field("a.x", "integer", name="z"),), {"z": 1}),
        ({"a": [{"x": 1, "y": 0}, {"x": 2}, {}]}, (Field("a[].x", "integer", list=True, name="z"),), {"z": [1, 2]}),
        ({"a": [{"x": 1, "y": 0}, {"x": 2}]}, (Field("a[].x", "integer"),), {"a": [{"x": 1}, {"x": 2}]}),
        ({"a": [{"x": 1}, {"x": 2}]}, (Field("a[1].x", "integer", name="z"),), {"z": 2}),
        ({"a": [{"x": 1}, {"x": 2}]}, (Field("a[1].x", "integer"),), {"a": [{"x": 2}]}),
        ({"a": [{"x": 1}]}, (Field("a[7].x", "integer", name="z"),), {}),
        ({"a": [[1], [2]]}, (Field("a[]", "integer", list=True, name="z"),), {"z": [[1], [2]]}),
        ([1, 2], (Field("$", "integer", list=True),), [1, 2]),
        ([{"id": 1, "x": 2}], (Field("[].id", "integer"),), [{"id": 1}]),
        ([{"id": 1, "x": 2}], (Field("[].id", "integer", list=True, name="ids"),), {"ids": [1]}),
        ("text", (Field("$", "text"),), "text"),
        ("text", (Field("$", "text", include=False),), None),
    ],
)
def test_included_fields_come_under_their_names(document: Any, fields: tuple[Field, ...], expected: Any) -> None:
    """In the tree of the document, or lifted out where nothing that holds them is a field."""
    assert shape(document, fields, "drop") == expected


@pytest.mark.parametrize(
    ("document", "fields", "expected"),
    [
        ({"a": 1, "b": 2}, (Field("a", "integer"),), {"a": 1, "b": 2}),
        ({"b": 2, "a": 1}, (Field("a", "integer", include=False),), {"b": 2}),
        ({"t": {"high": 3, "low": 1}}, (Field("t.high", "integer", name="top"), Field("t", "object", object="T")),
         {"t": {"top": 3, "low": 1}}),
        ([{"id": 1, "x": {"y": [2]}}], (Field("[].id", "integer"),), [{"id": 1, "x": {"y": [2]}}]),
        ({"a": [{"x": 1, "y": 0}]},
         (Field("a", "object", list=True, object="A"), Field("a[].x", "integer", include=False)), {"a": [{"y": 0}]}),
        ({"a": 1, "b": 2}, (Field("a", "integer", name="b"),), {"b": 1}),
        ({"id": 1, "c": [{"m": 2, "n": 3}], "z": 4}, (Field("id", "integer"), Field("c[0].m", "integer", name="m")),
         {"id": 1, "z": 4, "m": 2}),
        ({"c": [{"m": 2}], "z": 4}, (Field("c[0].m", "integer", name="m"),), {"m": 2}),
        ({"a": {"b": 1, "c": 2}, "l": [{"b": 1, "c": 2}]},
         (Field("a.b", "integer", include=False), Field("l[].b", "text", include=False)),
         {"a": {"c": 2}, "l": [{"c": 2}]}),
        ({'odd"': 1, "a": 2}, (Field("a", "integer"),), {'odd"': 1, "a": 2}),
    ],
)  # fmt: skip
def test_what_nobody_has_seen_is_handed_out(document: Any, fields: tuple[Field, ...], expected: Any) -> None:
    """At every depth, in the order in which it came; but for what is excluded, or lifted out elsewhere."""
    shaped = shape(document, fields)
    assert shaped == expected
    assert not isinstance(shaped, dict) or list(shaped) == list(expected)


def test_values_of_a_map_have_one_shape_whatever_their_keys() -> None:
    """Excluded below every key; keys with fields of their own have those."""
    fields = (
        Field("users", "map"),
        Field("users.*", "object", object="User"),
        Field("users.*.pin", "text", include=False),
        Field("users.root", "json", include=False),
    )
    document = {"users": {"ann": {"age": 7, "pin": "1"}, "root": {"pin": "2"}, "new": {"pin": "3", "x": 1}}}
    expected = {"users": {"ann": {"age": 7}, "new": {"x": 1}}}
    assert shape(document, fields) == expected
    assert shape(document, fields, "drop") == {"users": {"ann": {}, "new": {}}}


def test_nothing_excluded_gets_out_when_an_object_becomes_a_list() -> None:
    """The objects of the list are shaped as the object was."""
    fields = (Field("u", "object", object="U"), Field("u.id", "integer"), Field("u.pin", "text", include=False))
    assert shape({"u": [{"id": 1, "pin": "x"}, [{"id": 2, "pin": "y"}], 3]}, fields) == {
        "u": [{"id": 1}, [{"id": 2}], 3]
    }
    deep: Any = {"id": 1, "pin": "x"}
    for _ in range(500):
        deep = [deep]
    assert "pin" not in str(shape({"u": deep}, fields))
    listed = (
        Field("u", "object", list=True, object="U"),
        *(Field(f"u[].{n}", "text", include=n == "id") for n in ("id", "pin")),
    )
    assert shape({"u": {"id": 1, "pin": "x"}}, listed) == {"u": {"id": 1}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": 1}', {"a": 1}),
        ('```json\n{"a": 1}\n```', {"a": 1}),
        ('```\n{"a": 1}\n```', {"a": 1}),
        ('Here you are:\n```json\n{"a": 1}\n```\nAnything else?', {"a": 1}),
        ("I cannot do that.", "I cannot do that."),
        ('{"a": 1', '{"a": 1'),
        ({"a": 1}, {"a": 1}),
        (None, None),
    ],
)
def test_json_in_text_is_read(text: Any, expected: Any) -> None:
    """Fenced or not, with prose around it or not; what holds none stays text."""
    fields = detect({"content": '{"a": 1}'})
    assert shape({"content": text}, fields) == {"content": expected}


def test_a_type_that_a_person_chose_is_read_out_of_text() -> None:
    """Numbers and flags, exactly; what is none stays."""
    fields = [Field(name, kind, pinned=True) for name, kind in (("n", "number"), ("i", "integer"), ("b", "boolean"))]
    assert shape({"n": "1.5", "i": "7", "b": "true"}, fields) == {"n": 1.5, "i": 7, "b": True}
    assert shape({"n": "1,5", "i": "7.5", "b": "yes"}, fields) == {"n": "1,5", "i": "7.5", "b": "yes"}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"a": 1, "d": "2024-01-02", "o": {"x": [1]}}, []),
        ({"a": "1", "d": "2024-01-02", "o": {"x": [1]}}, [Drift("a", "type", 1, "integer", "text")]),
        ({"a": 1.5, "d": "soon", "o": {"x": [1]}}, [("a", "type"), ("d", "type")]),
        ({"a": None, "d": "2024-01-02", "o": {"x": [1]}}, [("a", "missing")]),
        ({"d": "2024-01-02", "o": {"x": [1]}}, [("a", "missing")]),
        ({"a": 1, "d": "2024-01-02", "o": None}, [("o", "missing")]),
        ({"a": 1, "d": "2024-01-02", "o": {"x": 1}}, [Drift("o.x", "type", 1, "list", "integer")]),
        ({"a": 1, "d": "2024-01-02", "o": {"x": ["a", "b", 1]}}, [Drift("o.x", "type", 2, "integer", "text")]),
        ({"a": 1, "d": "2024-01-02", "o": 5}, [Drift("o", "type", 1, "object", "integer")]),
        ({"a": 1, "d": "", "o": {"x": []}, "n": [1]}, [Drift("n", "new", 1, "", "list")]),
        ({"a": 1, "d": "2024-01-02", "o": {"x": [], 'q"': 1}}, []),
        ([], [Drift("$", "type", 1, "object", "list")]),
    ],
)
def test_what_differs_is_told_by_path(document: Any, expected: list[Any]) -> None:
    """Another type, a field missing, a field that is new, each counted."""
    found = drift(document, detect({"a": 1, "d": "2024-01-01", "o": {"x": [1, 2]}}))
    assert [
        one if isinstance(want, Drift) else (one.path, one.kind) for one, want in zip(found, expected, strict=True)
    ] == expected


def test_optional_undecided_and_excluded_fields_do_not_drift() -> None:
    """They were never sure, or nobody looks."""
    undecided = detect({"empty": {}, "none": [], "blank": ""})
    assert drift({"empty": [1], "none": {"a": 1}, "blank": 5}, undecided) == ()
    fields = (*detect([{"a": 1, "n": None}, {"n": None}])[1:], Field("[].e", "text", include=False))
    assert drift([{"n": "x", "e": 5}], (Field("$", "object", list=True, object="I"), *fields)) == ()


def test_written_fields_are_watched_and_the_rest_is_not() -> None:
    """Only what is named can be missing; nobody said that there is nothing else."""
    fields = (
        Field("choices[0].message.content", "text", name="answer"),
        Field("data[].id", "text", list=True, name="id"),
    )
    assert drift({"choices": [{"message": {"content": "x"}}], "data": [{"id": "a", "b": 1}], "z": 1}, fields) == ()
    found = drift({"choices": [], "data": [{"id": 1}, {}]}, fields)
    assert [(one.path, one.kind) for one in found] == [
        ("choices[0].message.content", "missing"),
        ("data[].id", "type"),
        ("data[].id", "missing"),
    ]


def test_json_in_text_that_is_none_is_told() -> None:
    """A model that answered in prose."""
    assert drift({"c": "no"}, detect({"c": '{"a": 1}'})) == (Drift("c", "type", 1, "object", "text"),)


def test_findings_are_bounded() -> None:
    """A hundred of them, whatever comes."""
    assert len(drift({f"k{number}": 1 for number in range(1000)}, detect({"a": 1}))) == MOST_FINDINGS
