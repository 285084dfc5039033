"""Parameters as values: types, presence, choices, patterns; from JSON and from text."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from tieline.core.errors import CredentialMissing, InvalidParameter, InvalidRequest, MissingParameter, TielineError
from tieline.core.secret import Secret
from tieline.definitions.fill.call import compile_call, fill
from tieline.definitions.fill.json_text import read_parameters
from tieline.definitions.fill.pattern import Pattern
from tieline.definitions.fill.request import FilePart
from tieline.definitions.fill.values import coerce_text
from tieline.definitions.model import Call
from tieline.definitions.parse import parse

BASE = "tieline: v1\napi: a\nbase_url: https://a.example/v2\n"


def call(parameter: str, rest: str = "path: /a, query: [{name: q, value: '<x>'}]") -> Call:
    """A call with the parameter x."""
    return parse(BASE + f"calls: {{c: {{{rest}, parameters: {{x: {{{parameter}}}}}}}}}\n").calls["c"]


def query(parameter: str, given: Mapping[str, Any], private: Mapping[str, Any] | None = None) -> bytes:
    """The query that a call with the parameter x makes."""
    return fill(call(parameter), given, private or {}).query


@pytest.mark.parametrize(
    ("parameter", "value", "expected"),
    [
        ("type: text", "a b&c=d", b"q=a%20b%26c%3Dd"),
        ("type: text", "Zürich", b"q=Z%C3%BCrich"),
        ("type: number", 1.5, b"q=1.5"),
        ("type: number", 3, b"q=3"),
        ("type: number", Decimal("1.10"), b"q=1.10"),
        ("type: integer", 2**70, b"q=1180591620717411303424"),
        ("type: boolean", False, b"q=false"),
        ("type: date", "2026-08-21", b"q=2026-08-21"),
        ("type: datetime", "2026-08-21T10:00:00Z", b"q=2026-08-21T10%3A00%3A00Z"),
        ("type: json", None, b"q=null"),
        ("type: json", {"a": [1]}, b"q=%7B%22a%22%3A%5B1%5D%7D"),
        ("type: object", {}, b"q=%7B%7D"),
        ("type: list", ["a", 1, True, {"b": 2}], b"q=a&q=1&q=true&q=%7B%22b%22%3A2%7D"),
        ("type: list", [], b""),
        ("choices: [a, b]", "b", b"q=b"),
        ("type: number, choices: [1.1, 2]", Decimal("1.10"), b"q=1.10"),
        (
            "type: list, choices: [[1, {a: 1.5}]]",
            [Decimal("1.0"), {"a": Decimal("1.5")}],
            b"q=1.0&q=%7B%22a%22%3A1.5%7D",
        ),
        ("pattern: '[a-z]+'", "abc", b"q=abc"),
        ("allow_blank: true", "", b"q="),
        ("allow_blank: true, choices: [a], pattern: '[a-z]'", "", b"q="),
    ],
)
def test_a_value_of_its_type_is_taken(parameter: str, value: Any, expected: bytes) -> None:
    """And written as text the way JSON writes it."""
    assert query(parameter, {"x": value}) == expected


@pytest.mark.parametrize(
    ("parameter", "value", "expected"),
    [
        ("type: text", 5, "must be text"),
        ("type: text", "\ud800", "lone surrogate"),
        ("type: number", "5", "must be a number"),
        ("type: number", True, "must be a number"),
        ("type: number", float("nan"), "finite"),
        ("type: number", Decimal("Infinity"), "finite"),
        ("type: integer", 10**2500, "at most 2,400 digits"),
        ("type: integer", Decimal("5.0"), "whole number"),
        ("type: integer", False, "whole number"),
        ("type: boolean", "true", "true or false"),
        ("type: date", "2026-02-30", "a date"),
        ("type: date", "2026-08-21\n", "a date"),
        ("type: datetime", "2026-08-21", "a time"),
        ("type: list", "a", "must be a list"),
        ("type: object", [], "must be an object"),
        ("type: json", float("inf"), "finite"),
        ("type: json", ["\udfff"], "lone surrogate"),
        ("type: list", ["\udfff"], "x holds half a character"),
        ("type: json", {1: 2}, "no text for a name"),
        ("type: json", b"bytes", "does not know"),
        ("choices: [a, b]", "c", "not one of its choices"),
        ("type: json, choices: [1]", True, "not one of its choices"),
        ("type: json, choices: [1]", {"a": float("nan")}, "not one of its choices"),
        ("pattern: '[a-z]+'", "abC", "does not match its pattern"),
        ("pattern: '[a-z]+'", "a" * 70_000, "longer than"),
    ],
)
def test_a_value_of_another_type_is_refused(parameter: str, value: Any, expected: str) -> None:
    """The error names the parameter."""
    with pytest.raises(InvalidParameter, match=expected) as caught:
        query(parameter, {"x": value})
    assert caught.value.param == "x"


def test_deep_values_are_refused() -> None:
    """Nesting is bounded, also of what never was JSON text."""
    value: Any = 1
    for _ in range(2000):
        value = [value]
    for parameter in ("type: json", "type: json, choices: [1]"):
        with pytest.raises(InvalidParameter, match=r"deeper than 64|choices"):
            query(parameter, {"x": value})


@pytest.mark.parametrize("given", [{}, {"x": None}, {"x": ""}])
def test_nothing_null_and_blank_are_not_given(given: dict[str, Any]) -> None:
    """Then the default holds, the optional is left out, the required is missing."""
    assert query("default: d", given) == b"q=d"
    assert query("optional: true", given) == b""
    with pytest.raises(MissingParameter, match="Give it as text") as caught:
        query("type: text", given)
    assert caught.value.param == "x"


@pytest.mark.parametrize(
    ("parameter", "given", "private", "sentence"),
    [
        ("", {"y": "a"}, {}, 'This call has no parameter "y"; choose from x.'),
        ("private: true", {"y": "a"}, {}, 'This call has no parameter "y"; it takes none.'),
        ("", {"X": "a"}, {}, 'This call has no parameter "X"; did you mean "x"?'),
        ("private: true", {"x": "a"}, {}, "The parameter x is fixed on the server; leave it out."),
        ("private: true", {}, {}, "The call's private parameter x has no value. An operator sets it with the API's"),
        ("choices: [a]", {"x": "b"}, {}, "The parameter x is not one of its choices; see the call's definition for"),
        ("pattern: '[a]'", {"x": "b"}, {}, "The parameter x does not match its pattern; see the call's definition"),
        ("type: date", {"x": "b"}, {}, "The parameter x must be a date such as 2026-08-21 in quotes."),
        (
            "type: integer, private: true",
            {},
            {"x": "z"},
            "The parameter x is not valid JSON at line 1, column 1; write",
        ),
        ("private: true", {}, {"x": Secret(b"\xff")}, "The parameter x holds half a character (a lone surrogate)"),
    ],
)
def test_a_refusal_is_a_sentence_and_names_the_parameter(
    parameter: str, given: dict[str, Any], private: dict[str, Any], sentence: str
) -> None:
    """In words for whoever calls, and by itself for programs."""
    with pytest.raises(TielineError) as caught:
        query(parameter, given, private)
    assert caught.value.public.startswith(sentence)
    assert caught.value.public.endswith((".", '"x"?'))
    assert caught.value.param == next(iter(given), "x")


@pytest.mark.parametrize(
    ("pairs", "param", "sentence"),
    [
        ([("t", "a")] * 2, "t", "The parameter t is given more than once; give it once."),
        (
            [("n" * 300, "a")] * 2,
            "nnnnnnnn…",
            "The parameter nnnnnnnn… is given more than once; give it once.",
        ),
        ([("n", "1,5")], "n", "The parameter n is not valid JSON at line 1, column 2; write a number."),
    ],
)
def test_a_refused_text_names_its_parameter(pairs: list[tuple[str, str]], param: str, sentence: str) -> None:
    """In part where the call does not have it: it may be anything."""
    with pytest.raises(InvalidParameter) as caught:
        coerce_text(parse(BASE + f"calls: {{c: {{{TYPED}}}}}").calls["c"], pairs)
    assert (caught.value.param, caught.value.public) == (param, sentence)


def test_a_parameter_that_the_call_has_is_named_whole() -> None:
    """However long its name is."""
    name = "n" * 60
    found = parse(BASE + f"calls: {{c: {{path: /a, parameters: {{{name}: {{in: query}}}}}}}}").calls["c"]
    with pytest.raises(InvalidParameter, match=f"The parameter {name} is given") as caught:
        coerce_text(found, [(name, "a")] * 2)
    assert caught.value.param == name


def test_a_pattern_takes_a_text_of_the_greatest_length() -> None:
    """And none that is a character longer."""
    most = Pattern("[a-z]+").most
    body = call("pattern: '[a-z]+'", "path: /a, method: POST, body: {type: json, template: '<x>'}")
    assert fill(body, {"x": "a" * most}).body is not None
    with pytest.raises(InvalidParameter, match="longer than"):
        fill(body, {"x": "a" * (most + 1)})


@pytest.mark.parametrize(
    ("choices", "value", "fits"),
    [
        ("[[1, 2]]", [1, 3], False),
        ("[{a: 1}]", {"a": 2}, False),
        ("[{a: 1}]", {"b": 1}, False),
        ("['1']", 1, False),
        ("[true]", True, True),
        ("[true]", "true", False),
    ],
)
def test_a_choice_is_compared_to_its_depth(choices: str, value: Any, fits: bool) -> None:
    """What a list or an object holds counts, and so does the type of a value."""
    if fits:
        assert query(f"type: json, choices: {choices}", {"x": value})
    else:
        with pytest.raises(InvalidParameter, match="not one of its choices"):
            query(f"type: json, choices: {choices}", {"x": value})


def test_an_unknown_parameter_is_refused_with_a_suggestion() -> None:
    """It would be silently dropped otherwise."""
    with pytest.raises(InvalidParameter, match=r'did you mean "city"\?$'):
        fill(parse(BASE + "calls: {c: {path: /a, parameters: {city: {in: query}}}}").calls["c"], {"citi": "x"})


def test_a_private_parameter_cannot_be_given() -> None:
    """Its default or the credential's field is used, and never suggested to callers."""
    assert query("default: d, private: true", {}) == b"q=d"
    assert query("default: d, private: true", {}, {"x": "e"}) == b"q=e"
    assert query("type: integer, private: true", {}, {"x": Secret.from_text("42")}) == b"q=42"
    with pytest.raises(InvalidParameter, match="fixed on the server"):
        query("default: d, private: true", {"x": "e"})
    with pytest.raises(InvalidParameter, match="it takes none"):
        query("default: d, private: true", {"y": "e"})
    with pytest.raises(CredentialMissing, match="An operator sets it"):
        query("private: true", {})


def test_a_private_value_that_does_not_fit_is_not_shown() -> None:
    """Nor is any value, by an error or by the result."""
    with pytest.raises(InvalidParameter) as caught:
        query("type: integer, private: true", {}, {"x": Secret.from_text("sk-sandbox-1")})
    assert "sk-sandbox-1" not in caught.value.public + caught.value.detail
    shown = repr(fill(call("private: true"), {}, {"x": Secret.from_text("sk-sandbox-1")}))
    assert "sk-sandbox-1" not in shown


def test_files_and_values_are_told_apart() -> None:
    """A file comes as a part, everything else does not."""
    upload = call("type: file", "path: /a, method: POST, body: {type: raw, content_type: a/b, template: '<x>'}")
    with pytest.raises(InvalidParameter) as caught:
        fill(upload, {"x": "text"})
    assert caught.value.public == (
        "The parameter x is a file; send the call as multipart/form-data with a part of that name and a file name."
    )
    assert caught.value.param == "x"
    with pytest.raises(MissingParameter, match="a file"):
        fill(upload, {})
    with pytest.raises(InvalidParameter, match="x is no file; give it as text") as caught:
        fill(call(""), {}, {}, {"x": FilePart("x")})
    assert caught.value.param == "x"
    with pytest.raises(InvalidParameter, match='no parameter "y"; choose from x'):
        fill(call(""), {"x": "a"}, {}, {"y": FilePart("y")})


def test_a_private_parameter_stands_among_the_others() -> None:
    """Wherever it stands."""
    found = parse(BASE + "calls: {c: {path: /a, parameters: {p: {in: query, private: true}, x: {in: query}}}}").calls[
        "c"
    ]
    assert fill(found, {"x": "a"}, {"p": "b"}).query == b"p=b&x=a"


TYPED = (
    "path: /a, parameters: {t: {in: query, optional: true}, n: {in: query, type: number, optional: true}, "
    "i: {in: query, type: integer, default: 1}, b: {in: query, type: boolean, optional: true}, "
    "l: {in: query, type: list, optional: true}, j: {in: query, type: json, optional: true}, "
    "o: {in: query, type: object, optional: true}, d: {in: query, type: date, optional: true}}"
)


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([("t", "5"), ("n", "1.50"), ("i", "7"), ("b", "true")], {"t": "5", "n": Decimal("1.50"), "i": 7, "b": True}),
        ([("l", "a"), ("l", "b")], {"l": ["a", "b"]}),
        ([("l", '[1, "a"]')], {"l": [1, "a"]}),
        ([("l", "a")], {"l": ["a"]}),
        ([("j", "null"), ("o", '{"a": 1}')], {"j": None, "o": {"a": 1}}),
        ([("n", ""), ("i", ""), ("b", ""), ("d", ""), ("t", "")], {"t": ""}),
        ([("unknown", "x")], {"unknown": "x"}),
        ([("unknown", "")], {"unknown": ""}),
        ([("b", "false")], {"b": False}),
    ],
)
def test_text_becomes_values(pairs: list[tuple[str, str]], expected: dict[str, Any]) -> None:
    """As a query string or a form brings it."""
    assert coerce_text(parse(BASE + f"calls: {{c: {{{TYPED}}}}}").calls["c"], pairs) == expected


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([("t", "a"), ("t", "b")], "given more than once"),
        ([("n", "1,5")], "not valid JSON"),
        ([("n", "NaN")], "NaN"),
        ([("b", "yes")], "true or false"),
        ([("j", "{")], "not valid JSON"),
        ([("j", '{"a": 1, "a": 2}')], "names a member twice"),
        ([("n", "0x10")], "not valid JSON"),
        ([("i", "1" * 5000)], "too many digits"),
    ],
)
def test_text_that_is_no_value_is_refused(pairs: list[tuple[str, str]], expected: str) -> None:
    """By the reading, or by the parameter's own check."""
    found = parse(BASE + f"calls: {{c: {{{TYPED}}}}}").calls["c"]
    with pytest.raises(InvalidParameter, match=expected):
        fill(found, coerce_text(found, pairs))


def test_a_json_object_of_parameters_is_read_exactly() -> None:
    """Large whole numbers and decimals stay as they were written."""
    assert read_parameters(b' {"a": 12345678901234567890123, "b": 1.10, "c": 1e400} ') == {
        "a": 12345678901234567890123,
        "b": Decimal("1.10"),
        "c": Decimal("1e400"),
    }
    assert read_parameters(b" ") == {}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"[]", "no object"),
        (b"\x0b", "not valid JSON"),
        (b"X", "not valid JSON"),
        (b"{", "not valid JSON at line 1"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": 1, "a": 2}', "twice"),
        (b"\xff", "not UTF-8"),
        (b"[" * 100_000, "nested deeper"),
        (b'{"a": 1e99999999999999999999}', "out of range"),
        (b'{"a": ' + b"9" * 5000 + b"}", "too many digits"),
    ],
)
def test_what_is_no_object_of_parameters_is_refused(body: bytes, expected: str) -> None:
    """Never another error."""
    with pytest.raises(InvalidRequest, match=expected):
        read_parameters(body)


def test_a_compiled_call_is_filled_many_times() -> None:
    """Nothing of one run is left for the next."""
    compiled = compile_call(call("optional: true"))
    assert [compiled.fill(given).query for given in ({"x": "a"}, {}, {"x": "b"})] == [b"q=a", b"", b"q=b"]


def test_every_error_says_what_to_do() -> None:
    """No error of this package leaves the tree of errors."""
    with pytest.raises(TielineError, match="leave it out"):
        query("default: d, private: true", {"x": 1})
