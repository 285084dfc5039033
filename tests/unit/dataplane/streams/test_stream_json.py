"""The framings without events of their own: lines, arrays, values one after another, and plain text."""

from typing import Any

import pytest

from tests.unit.dataplane.streams.reading import failure, one_by_one, read, read_all
from tieline.dataplane.answers.streams import Delta, Done, Event
from tieline.dataplane.answers.streams.items import MOST_EVENT, MOST_TEXT
from tieline.definitions.model import Spot, Stream

WHOLE = {name: Stream(name, text=Spot("$")) for name in ("ndjson", "json_array", "json_concatenated")}


def texts(*words: str) -> list[Any]:
    """The items of a stream of texts."""
    return [*map(Delta, words), Done("".join(words))]


@pytest.mark.parametrize(
    ("format", "data", "expected"),
    [
        ("ndjson", b'"a"\n"b"\n', texts("a", "b")),
        ("ndjson", b'\xef\xbb\xbf\n \n"a"\r\n\r\n "b"', texts("a", "b")),
        ("ndjson", b"", texts()),
        ("json_array", b'["a","b"]', texts("a", "b")),
        ("json_array", b'\xef\xbb\xbf \n[\r\n"a"\n,\t"]\\"["\n]\n', texts("a", ']"[')),
        ("json_array", b"[]", texts()),
        ("json_array", b'["a"] "what follows"', texts("a")),
        ("json_concatenated", b'"a""b" "c"\n\x1e"d"', texts("a", "b", "c", "d")),
        ("json_concatenated", b'\xef\xbb\xbf"\\\\""\\u00e9\xc3\xa9"', texts("\\", "éé")),
        ("json_concatenated", b" ", texts()),
        (
            "json_concatenated",
            b'{"a":[1,{"b":"}"}]}[2]{}3 4 true',
            [
                Event(None, {"a": [1, {"b": "}"}]}),
                Event(None, {"data": [2]}),
                Event(None, {}),
                Event(None, {"data": 3}),
                Event(None, {"data": 4}),
                Event(None, {"data": True}),
                Done(""),
            ],
        ),
        (
            "json_array",
            b'[1,-2.5e3 ,null,{"a":{}},[[]]]',
            [
                Event(None, {"data": 1}),
                Event(None, {"data": -2500.0}),
                Event(None, {"a": {}}),
                Event(None, {"data": [[]]}),
                Done(""),
            ],
        ),
    ],
)
def test_values_are_found_wherever_they_are_cut(format: str, data: bytes, expected: list[Any]) -> None:
    """At once, at every cut, and byte by byte."""
    stream = WHOLE[format] if isinstance(expected[0], Delta | Done) else Stream(format)
    assert read(stream, data) == expected
    assert read_all(stream, one_by_one(data)) == expected
    for place in range(len(data)):
        assert read(stream, data[:place], b"", data[place:]) == expected, place


@pytest.mark.parametrize(
    ("format", "data", "says"),
    [
        ("ndjson", b'"a"\n{"b":\n"c"\n', "not JSON"),
        ("ndjson", b'"a"\n{"b":', "not JSON"),
        ("ndjson", b'"a"\n"\xff"\n', "not UTF-8"),
        ("ndjson", b'"a"\n\x00\n', "not JSON"),
        ("ndjson", b'"a"\n' + b"[" * 65 + b"]" * 65, "64 levels"),
        ("json_array", b'["a"', "not closed"),
        ("json_array", b'["a","b', "not closed"),
        ("json_array", b'["a",]', "not one JSON array"),
        ("json_array", b'["a",,"b"]', "not one JSON array"),
        ("json_array", b'["a" "b"]', "not one JSON array"),
        ("json_array", b'["a"}', "not one JSON array"),
        ("json_array", b'["a",nonsense]', "not JSON"),
        ("json_array", b'["a",{"b":1]', "not JSON"),
        ("json_array", b'["a",{"b"}]', "not JSON"),
        ("json_array", b'["a",' + b"[" * 65, "64 levels"),
        ("json_concatenated", b'"a"{"b":', "middle of an event"),
        ("json_concatenated", b'"a""b', "middle of an event"),
        ("json_concatenated", b'"a"tru', "not JSON"),
        ("json_concatenated", b'"a"]', "not JSON"),
        ("json_concatenated", b'"a"{"b":[}]', "not JSON"),
        ("json_concatenated", b'"a"' + b'{"b":' * 65, "64 levels"),
    ],
)
def test_malformed_and_unfinished_streams_are_clear_errors(format: str, data: bytes, says: str) -> None:
    """What came before stands, and cuts change nothing."""
    stream = WHOLE[format]
    found = read(stream, data)
    assert found[:-1] == [Delta("a")]
    code, words = failure(found)
    assert code == "upstream_protocol_error"
    assert says in words
    assert read_all(stream, one_by_one(data)) == found


@pytest.mark.parametrize("data", [b"", b" \n", b"{}", b"x", b'"a"', b"]"])
def test_what_is_no_array_is_an_error(data: bytes) -> None:
    """Nothing at all is none either."""
    assert failure(read(WHOLE["json_array"], data))[0] == "upstream_protocol_error"


@pytest.mark.parametrize("size", [1021, 65536, 10 * MOST_EVENT])
@pytest.mark.parametrize(
    ("format", "start"),
    [("ndjson", b'"'), ("json_array", b'["'), ("json_array", b'[{"a":"'), ("json_concatenated", b'"')],
)
def test_a_value_without_end_is_an_error(format: str, start: bytes, size: int) -> None:
    """Found when it is over 16 MiB, at a cost that does not grow with how finely it is cut."""
    data = start + b"x" * (MOST_EVENT + 9)
    pieces = (data[place : place + size] for place in range(0, len(data), size))
    assert failure(read_all(WHOLE[format], pieces))[0] == "upstream_response_too_large"


@pytest.mark.parametrize(("format", "before", "after"), [("json_array", b"[", b"]"), ("json_concatenated", b"", b"")])
def test_a_value_of_just_the_limit_is_read(format: str, before: bytes, after: bytes) -> None:
    """One byte more is too much, in one piece or two."""
    value = b'"' + b"x" * (MOST_EVENT - 2) + b'"'
    assert len(read(WHOLE[format], before + value + after)[0].text) == MOST_EVENT - 2
    more = before + b'"y' + value[1:] + after
    assert failure(read(WHOLE[format], more)) == failure(read(WHOLE[format], more[:100], more[100:]))


def test_plain_text_is_text_as_it_comes() -> None:
    """Characters that are cut are put together; nothing ends it but the end."""
    data = "Ça va 🌍?".encode()
    assert read(Stream("text"), data) == texts("Ça va 🌍?")
    assert read_all(Stream("text"), one_by_one(data)) == texts(*"Ça va 🌍?")


@pytest.mark.parametrize(("data", "says"), [(b"ab\xff", "not UTF-8"), (b"ab\xc3", "middle of a character")])
def test_plain_text_that_is_not_utf8_is_an_error(data: bytes, says: str) -> None:
    """What is good before it is handed out."""
    found = read(Stream("text"), data, b"c" if says == "not UTF-8" else b"")
    assert found[0] == Delta("ab")
    assert says in failure(found)[1]


def test_the_text_kept_for_the_end_is_bounded() -> None:
    """It is cut between characters, at 1 MiB of UTF-8, and says so; the deltas have it all."""
    piece = "é" * 1000
    *deltas, done = read(Stream("text"), *[piece.encode()] * 600, b"end")
    assert "".join(delta.text for delta in deltas) == piece * 600 + "end"
    assert done == Done("é" * (MOST_TEXT // 2), cut=True)


def test_text_of_just_the_limit_is_kept_whole() -> None:
    """One byte more is cut off."""
    text = b"x" * MOST_TEXT
    assert read(Stream("text"), text)[-1] == Done(text.decode())
    assert read(Stream("text"), text, b"y")[-1] == Done(text.decode(), cut=True)
