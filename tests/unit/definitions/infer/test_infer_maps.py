"""Which objects are maps: by their keys, by members of one shape, by samples that share no keys; and which are not."""

from typing import Any

import pytest

from tests.unit.definitions.infer.scores import labels
from tieline.definitions.infer.detect import detect, merge, renew
from tieline.definitions.infer.drift import drift
from tieline.definitions.infer.schema import schema_of_fields
from tieline.definitions.infer.shape import shape
from tieline.definitions.model import Field

PERSON = {"name": "x", "age": 7}
KEYS = {
    "ULIDs": ["01ARZ3NDEKTSV4RRFFQ69G5FAV", "01BX5ZZKBKACTAV9WEVGEMMVS0"],
    "UUIDs in capitals": ["D68B3C05-1BA6-4360-BC69-123450000000"],
    "domains": ["example.com", "a.b.example.org"],
    "countries": ["DE", "FR"],
    "currencies": ["EUR", "USD"],
    "languages": ["en", "fr", "pt"],
    "locales": ["en-US", "pt_BR"],
    "SKUs": ["AB-1234", "XJ-0007-L"],
    "numbers": ["1", "2"],
    "days": ["2024-01-01"],
    "e-mail addresses": ["ann@example.com"],
    "paths": ["/a", "/b/{id}"],
    "media types": ["application/json", "text/plain"],
    "hosts": ["10.0.0.1:80", "10.0.0.2:80"],
    "instances": ["i-abcd1234", "i-abcd1235"],
    "ages": ["0-17", "18-64", "65+"],
    "days of the week": ["Mon", "Tue"],
    "months": ["january", "february"],
    "states": ["NY", "CA"],
    "IPv6 addresses": ["fe80::1", "2001:db8::2"],
    "airports": ["JFK", "LAX", "SFO"],
    "servers": ["server-01", "server-02"],
}


@pytest.mark.parametrize("kind", KEYS)
def test_an_object_whose_keys_are_data_is_a_map(kind: str) -> None:
    """Its values have one shape, whatever key comes next; scalars and objects alike."""
    assert labels(detect({"x": dict.fromkeys(KEYS[kind], 5)})) == {"x": "map", "x.*": "integer"}
    fields = detect({"x": dict.fromkeys(KEYS[kind], PERSON)})
    assert labels(fields) == {"x": "map", "x.*": "object", "x.*.name": "text", "x.*.age": "integer"}
    assert shape({"x": {"other": PERSON}}, fields, "drop") == {"x": {"other": PERSON}}


SAMPLES = [
    ({"C": 78769, "Python": 7769}, {"Rust": 1}, "integer"),
    ({"u1": PERSON}, {"u2": PERSON}, "object"),
    ({"core": [1], "docs": [2]}, {"tests": [3]}, "integer[]"),
    ({"a": "x"}, {"b": "y", "c": "z"}, None),
    ({"width": 1, "height": 2}, {"width": 1, "depth": 3}, None),
    ({"title": "x", "note": "y"}, {"subtitle": "z"}, None),
    ({"text": {"content": "x"}}, {"image": {"url": "y", "alt": "z"}}, None),
]


@pytest.mark.parametrize(("one", "other", "value"), SAMPLES)
def test_samples_that_share_no_keys_show_a_map(one: Any, other: Any, value: str | None) -> None:
    """Together, one after the other, or as items of a list; where values differ or text may be missing, not."""
    for fields in (detect(one, other), merge(detect(one), other)):
        found = labels(fields)
        assert found.get("$") == ("map" if value is not None else None)
        assert found.get("*") == value
    listed = labels(detect([{"x": one}, {"x": other}]))
    assert (listed["[].x"] == "map") == (value is not None)


def test_many_objects_of_one_shape_are_a_map() -> None:
    """Eight of them; two or three are fields, such as sizes of an image or addresses."""
    sizes = {name: {"url": "https://x.example/a.png", "width": 1} for name in ("small", "medium", "large")}
    assert labels(detect({"image": sizes}))["image"] == "object"
    people = dict.fromkeys(("ann", "bob", "cid", "dan", "eve", "fay", "gus", "hal"), PERSON)
    assert labels(detect({"staff": people}))["staff"] == "map"


@pytest.mark.parametrize("name", ["tags", "labels", "countsByKind", "SummaryMap", "devDependencies"])
def test_the_name_of_what_holds_it_can_say_that_it_is_a_map(name: str) -> None:
    """Of plain values of one kind; not of a list of pairs, nor of values of several kinds."""
    assert labels(detect({name: {"team": "a"}})) == {name: "map", f"{name}.*": "text"}
    assert labels(detect({name: [{"key": "team", "value": "a"}]}))[name] == "object[]"
    assert labels(detect({name: {"total": 1, "items": []}}))[name] == "object"


def test_a_person_s_choices_within_a_map_stay() -> None:
    """A key that was excluded before it was a map is still kept back, and a pinned map stays one."""
    fields = [*detect({"langs": {"C": 1, "Rust": 2}})[:2], Field("langs.Rust", "integer", include=False)]
    learned = merge(fields, {"langs": {"Go": 3}})
    assert labels(learned)["langs"] == "map"
    assert shape({"langs": {"Rust": 2, "Zig": 4}}, learned, "drop") == {"langs": {"Zig": 4}}
    pinned = (Field("langs", "map", pinned=True), Field("langs.*", "integer"))
    assert labels(renew(pinned, {"langs": {"C": 1}})) == {"langs": "map", "langs.*": "integer"}


def test_a_map_drifts_by_its_values_only() -> None:
    """New keys are no news; a value of another type is, by the path of all of them."""
    fields = detect({"x": {"1": 5, "2": 6}})
    assert drift({"x": {"9": 7, "other": 8, "none": None}}, fields) == ()
    assert drift({"x": {}}, fields) == ()
    assert [(one.path, one.kind) for one in drift({"x": {"9": "a"}}, fields)] == [("x.*", "type")]
    assert [(one.path, one.expected) for one in drift({"x": [1]}, fields)] == [("x", "map")]


def test_a_map_has_a_schema() -> None:
    """Additional properties of one shape."""
    schema = schema_of_fields(detect({"x": {"1": 5, "2": 6}}))["properties"]["x"]
    assert schema["type"] == "object"
    assert schema["additionalProperties"] == {"type": ["integer", "null"]}


def test_one_odd_name_hides_itself_alone() -> None:
    """Its siblings are fields."""
    document = {'x"': 1, **{f"m{number}": number for number in range(48)}}
    fields = detect(document)
    assert len(fields) == 48
    assert shape(document, fields) == document
    assert drift(document, fields) == ()
