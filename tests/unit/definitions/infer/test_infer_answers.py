"""Answers that are no JSON: XML, CSV, a single value; and samples."""

from typing import Any

import pytest

from tests.unit.definitions.infer.scores import labels
from tieline.definitions.infer.answers import read_answer
from tieline.definitions.infer.detect import detect, merge
from tieline.definitions.infer.drift import Watch
from tieline.definitions.infer.markup import read_xml
from tieline.definitions.infer.samples import keep, masked
from tieline.definitions.infer.shape import shape
from tieline.definitions.infer.table import read_csv
from tieline.definitions.infer.unreadable import UnreadableAnswer


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<a>x</a>", {"a": "x"}),
        ("<a/>", {"a": None}),
        ("<a> \n </a>", {"a": None}),
        ("<a><b>1</b><c>2</c></a>", {"a": {"b": "1", "c": "2"}}),
        ("<a><b>1</b><c/><b>2</b></a>", {"a": {"b": ["1", "2"], "c": None}}),
        ('<a id="1" b="2"/>', {"a": {"@id": "1", "@b": "2"}}),
        ('<a id="1">x</a>', {"a": {"@id": "1", "#text": "x"}}),
        ("<a>x<b>y</b>z</a>", {"a": {"b": "y", "#text": "xz"}}),
        ("<a>1 &lt; 2 &#65;</a>", {"a": "1 < 2 A"}),
        ("<a><![CDATA[<b>]]></a>", {"a": "<b>"}),
        ("<a><!-- no --><?pi no?>x</a>", {"a": "x"}),
        (
            '<s:a xmlns:s="urn:s" xmlns="urn:d"><s:b s:c="1">x</s:b></s:a>',
            {"s:a": {"s:b": {"@s:c": "1", "#text": "x"}}},
        ),
        ("<r><i><n>1</n></i><i><n>2</n><n>3</n></i></r>", {"r": {"i": [{"n": ["1"]}, {"n": ["2", "3"]}]}}),
        ("<!DOCTYPE html><a>x</a>", {"a": "x"}),
        ('<?xml version="1.0" encoding="ISO-8859-1"?><a>é</a>', {"a": "é"}),
        ('<?xml version="1.0" encoding="ISO-8859-1"?><a>é</a>'.encode("latin-1"), {"a": "é"}),
    ],
)
def test_xml_becomes_json(text: str | bytes, expected: Any) -> None:
    """By the mapping of docs/types.md."""
    assert read_xml(text) == expected


BOMB = '<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;&x;">]><a>&y;</a>'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (BOMB, "document type"),
        ('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>', "document type"),
        ('<!DOCTYPE a SYSTEM "http://127.0.0.1:1/a.dtd" [<!ATTLIST a b CDATA "x">]><a/>', "document type"),
        ('<!DOCTYPE a SYSTEM "http://127.0.0.1:1/a.dtd"><a>&x;</a>', "entity x"),
        ("<a>&nbsp;</a>", "well-formed"),
        ("<a>", "line 1"),
        ("", "well-formed"),
        ("<a></b>", "well-formed"),
        (b'<?xml version="1.0" encoding="none-such"?><a/>', "encoding"),
        ("<a>" * 65 + "</a>" * 65, "deeper than 64"),
        ("<a>" + "<b/>" * 500_001 + "</a>", "more than 500,000"),
    ],
    ids=range(11),
)
def test_hostile_or_broken_xml_is_refused(text: str | bytes, expected: str) -> None:
    """Nothing is expanded, fetched or guessed."""
    with pytest.raises(UnreadableAnswer, match=expected):
        read_xml(text)


def test_types_are_read_out_of_xml_text() -> None:
    """Numbers, flags and dates, but no number out of a postal code."""
    document = read_xml("<o><n>3</n><p>1.50</p><ok>true</ok><day>2024-01-01</day><zip>10001</zip><no>007</no></o>")
    fields = detect(document, source="xml")
    assert labels(fields) == {
        "o": "object", "o.n": "integer", "o.p": "number", "o.ok": "boolean", "o.day": "date", "o.zip": "text",
        "o.no": "text",
    }  # fmt: skip
    assert shape(document, fields) == {
        "o": {"n": 3, "p": 1.5, "ok": True, "day": "2024-01-01", "zip": "10001", "no": "007"}
    }
    assert Watch(fields, textual=True).look(document) == ()


def test_an_element_by_itself_is_a_list_where_fields_say_so() -> None:
    """One sample had one, another had two: from then on it is a list."""
    one, two = "<r><i><n>1</n></i></r>", "<r><i><n>1</n></i><i><n>2</n></i></r>"
    fields = merge(detect(read_xml(one), source="xml"), read_xml(two), source="xml")
    assert labels(fields) == {"r": "object", "r.i": "object[]", "r.i[].n": "integer"}
    assert shape(read_xml(one, fields), fields) == {"r": {"i": [{"n": 1}]}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("a,b\n1,2\n", [{"a": "1", "b": "2"}]),
        ("\ufeffa;b\r\n1,5;x\r\n", [{"a": "1,5", "b": "x"}]),
        ("a\tb\n1\t2", [{"a": "1", "b": "2"}]),
        ("a|b\n1|2", [{"a": "1", "b": "2"}]),
        ('a,b\n"x,\ny","say ""hi"""\n', [{"a": "x,\ny", "b": 'say "hi"'}]),
        ("a,a,\n1,2,3", [{"a": "1", "a_2": "2", "column_3": "3"}]),
        ("1,2\n3,4", [{"column_1": "1", "column_2": "2"}, {"column_1": "3", "column_2": "4"}]),
        ("a,b\n1\n1,2,3", [{"a": "1", "b": None}, {"a": "1", "b": "2", "column_3": "3"}]),
        ("name\nAnn\n\nBob", [{"name": "Ann"}, {"name": "Bob"}]),
    ],
)
def test_csv_becomes_a_list_of_objects(text: str, expected: list[dict[str, Any]]) -> None:
    """The delimiter is found, the first row names the columns unless it holds a number."""
    assert read_csv(text) == expected


@pytest.mark.parametrize("text", ['a,b\n"x', "a\n" + "," * 2001, "a\n" + "x" * 131_073])
def test_what_is_no_csv_is_refused(text: str) -> None:
    """An open quote, too many columns, a cell too long."""
    with pytest.raises(UnreadableAnswer):
        read_csv(text)


def test_types_are_read_out_of_columns() -> None:
    """A column is of one type, and shaping converts it."""
    rows = read_csv("id,price,zip,day,note\n1,2.50,01067,2024-01-01,\n2,3,10001,2024-01-02,x\n")
    fields = detect(rows, source="csv")
    assert labels(fields) == {
        "$": "object[]", "[].id": "integer", "[].price": "number", "[].zip": "text", "[].day": "date",
        "[].note": "text",
    }  # fmt: skip
    assert shape(rows, fields)[0] == {"id": 1, "price": 2.5, "zip": "01067", "day": "2024-01-01", "note": ""}


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("json", '{"a": 1}', {"a": 1}),
        ("text", " x ", " x "),
        ("number", " 42\n", 42),
        ("number", "-1.5e3", -1500.0),
        ("boolean", "TRUE\n", True),
        ("boolean", "0", False),
        ("xml", "<a>1</a>", {"a": "1"}),
        ("csv", "a\nx", [{"a": "x"}]),
    ],
)
def test_an_answer_is_read_by_its_type(kind: str, text: str, expected: Any) -> None:
    """Every type that is text."""
    assert read_answer(kind, text) == expected


@pytest.mark.parametrize(("kind", "text"), [("json", "{"), ("number", "a lot"), ("boolean", "maybe"), ("xml", "{}")])
def test_an_answer_of_another_type_is_refused(kind: str, text: str) -> None:
    """With what to do."""
    with pytest.raises(UnreadableAnswer, match="check the answer's type"):
        read_answer(kind, text)


def test_a_type_that_is_not_text_cannot_be_read_as_text() -> None:
    """A file is handed on as bytes by others."""
    with pytest.raises(ValueError, match="not read as text"):
        read_answer("file", "x")


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        ("", ""),
        ("a", "x"),
        ("Ann Smith", "x" * 32),
        ("y" * 500, "x" * 200),
        (7, 999),
        (-123_456, 999_999),
        (1700000000, 9_999_999_999),
        (10**30, 9_999_999_999_999_999),
        (12.25, 999.5),
        (True, False),
        (["Ann", 5, [1], "d"], ["x" * 8, 999, []]),
        ({"a": 1}, {}),
        (None, None),
    ],
)
def test_a_masked_sample_keeps_type_and_length_class(sample: Any, expected: Any) -> None:
    """And nothing of the content."""
    assert masked(sample) == expected


def test_samples_are_kept_as_the_operator_says() -> None:
    """Not at all, masked, or whole."""
    fields = detect({"name": "Ann", "n": [5]})
    assert [one.sample for one in keep(fields, "none")] == [None, None]
    assert [one.sample for one in keep(fields, "masked")] == ["x" * 8, [999]]
    assert keep(fields, "whole") == fields
