"""A large JSON text is read in parts to the same value, exact, and what holds too much is refused."""

import json
import random
import sys
from types import FrameType
from typing import Any

import orjson
import pytest

from tieline.dataplane.answers.exact_json import read_json, write_json
from tieline.dataplane.answers.json_parts import write_in_parts
from tieline.dataplane.answers.large_json import CONTAINERS_MOST, TooManyValues, check_large_json, read_large_json
from tieline.definitions.json_parts import release

WIDE = 600_000
WINDOW = 128 * 1024
PART = 256 * 1024


def listed(item: bytes, size: int = WIDE) -> bytes:
    """A list of so many bytes."""
    return b"[" + b",".join([item] * (size // (len(item) + 1))) + b"]"


SAMES = [
    listed(b"1"),
    listed(b"1.50"),
    listed(b'"a,\\"}],{[b"'),
    listed(b' {"a" : [ {"b": 1} , {"c": "},"} ] }\n'),
    b' {"a": 1, "data": ' + listed(b'{"x":18446744073709551616}') + b' , "z": "' + b"y" * WIDE + b'" } ',
    orjson.dumps({f"key {number}": [number, {"x": "],"}] for number in range(20_000)}),
    b"[" * 40 + listed(b'[[["\\ud83d",1e400]]]') + b"]" * 40,
    b'"' + b"\\\\" * WIDE + b'"',
    b"[" + b" " * WIDE + b"]",
    b"{" + b"\n" * WIDE + b'"a":' + b" " * WIDE + b"{}}",
    listed(b"[]") + b" ",
]
NAMES = ["numbers", "exact", "texts", "rows", "inner", "object", "deep", "text", "blank", "blanks", "empty"]


@pytest.mark.parametrize("body", SAMES, ids=NAMES)
def test_what_is_read_is_good_to_be_passed_on(body: bytes) -> None:
    """A text is checked as it would be read, though its numbers are not kept."""
    check_large_json(body)
    with pytest.raises(ValueError, match=r".+"):
        check_large_json(body[:-2])


@pytest.mark.parametrize("body", SAMES, ids=NAMES)
def test_it_is_the_same_value(body: bytes) -> None:
    """As if it were read in one go."""
    assert write_json(read_large_json(body)) == write_json(read_json(body))


@pytest.mark.parametrize("seed", range(20))
def test_any_value_is_the_same(seed: int) -> None:
    """Whatever lies where a window ends."""
    chance = random.Random(seed)

    def made(depth: int) -> Any:
        kind = chance.randrange(8 if depth else 5)
        if kind < 5:
            texts = ('},],\\"' * chance.randrange(30), "é" * chance.randrange(9))
            return [chance.randrange(10**9), *texts, None, 0.5][kind]
        if kind == 5:
            return {f'{key}"]': made(depth - 1) for key in range(chance.randrange(20))}
        return [made(depth - 1) for _ in range(chance.randrange(20))]

    rows: list[bytes] = []
    while sum(len(row) for row in rows) < WIDE:
        rows.append(orjson.dumps(made(4)))
    body = b'{"a":[' + b", ".join(rows) + b'],"b":' + rows[0] + b"}"
    assert read_large_json(body) == orjson.loads(body)


@pytest.mark.parametrize(
    "broken",
    [
        listed(b"1")[:-1],
        listed(b"1") + b"]",
        listed(b'{"a":1}')[:-2],
        listed(b"1").replace(b"1,1", b"1 1", 1),
        b'{"a":' + listed(b"1") + b" 1}",
        b'{"a" 1,"b":' + listed(b"1") + b"}",
        b"{1:" + listed(b"1") + b"}",
        b'["' + b"a" * WIDE,
        listed(b"NaN"),
        b"[" * WIDE,
        b"[" * 70 + listed(b"1") + b"]" * 70,
        b"\xff" + listed(b"1"),
        b"",
    ],
)
def test_what_is_no_json_is_refused(broken: bytes) -> None:
    """Wherever it breaks."""
    with pytest.raises(ValueError):  # noqa: PT011
        read_large_json(broken)


def test_what_holds_too_much_is_refused() -> None:
    """Before it is built; brackets in a text count for nothing."""
    with pytest.raises(TooManyValues):
        read_large_json(listed(b"[]", 3 * CONTAINERS_MOST + 10))
    text = b'"' + b"[" * (CONTAINERS_MOST + 10) + b'"'
    assert len(read_large_json(b"[" + text + b"]")[0]) == CONTAINERS_MOST + 10


def test_no_more_than_a_window_is_decoded_at_once() -> None:
    """Other threads may run between two windows: each decoding in C is handed 128 KiB of the text at most."""
    handed: list[int] = []

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code is json.JSONDecoder.raw_decode.__code__:
            handed.append(len(frame.f_locals["s"]))

    body = listed(b'{"a":[1,2]}', 2_000_000)
    sys.setprofile(note)
    try:
        read_large_json(body)
    finally:
        sys.setprofile(None)
    assert max(handed) <= WINDOW
    assert len(handed) >= len(body) // WINDOW


VALUES: dict[str, Any] = {
    "backslashes": "\\" * 3_000_000,
    "characters": 'ä"\n' * 800_000,
    "half a character": "x" * 1_048_575 + "\ud83d" + "y",
    "rows": [{"id": number, "name": "x" * (number % 50), "tags": [], "more": {}} for number in range(20_000)],
    "numbers": [*range(300_000), 0.5, None, True],
    "members": {f"key {number}": number for number in range(50_000)},
    "long among short": {"a": 1, "b" * 400_000: ["c", "d" * 1_000_000, {"e": "f" * 300_000}], "g": []},
    "exact": read_json(listed(b"1.50")),
    "deep": read_json(b"[" * 200 + listed(b'"x"') + b"]" * 200),
    "small": {"a": [1]},
    "nothing": [],
}


@pytest.mark.parametrize("name", VALUES)
def test_a_large_value_is_written_as_a_small_one(name: str) -> None:
    """In parts, wherever they cut it; half a character stays one."""
    assert write_in_parts(VALUES[name]) == write_json(VALUES[name])


def test_what_nests_too_deep_is_not_written_in_parts_either() -> None:
    """Where it is cut makes no difference."""
    for deep in (b"[" * 260 + b"]" * 260, b"[" * 260 + listed(b"1") + b"]" * 260):
        value = json.loads(deep)
        with pytest.raises(ValueError, match="too deep"):
            write_json(value)
        with pytest.raises(ValueError, match="too deep"):
            write_in_parts(value)


def test_no_more_than_a_part_is_written_at_once() -> None:
    """Each writing in C is handed 256 KiB at most, whether of one text or of many values."""
    handed: list[int] = []

    def note(_frame: FrameType, event: str, called: Any) -> None:
        if event == "c_call" and called is orjson.dumps:
            handed.append(len(orjson.dumps(_frame.f_locals["value"])))

    texts = ["\n" * 1_000_000, *["x" * 1_000] * 2_000, {"a": ["y" * 100_000] * 9}]
    sys.setprofile(note)
    try:
        write_in_parts(texts)
    finally:
        sys.setprofile(None)
    assert max(handed) <= 2 * PART + 100
    assert sum(handed) >= 4_900_000


def test_a_value_is_taken_apart() -> None:
    """So that not all of it is freed at once."""
    inner = {"b": [1]}
    value = [inner, [[inner["b"]]], "text"]
    release(value)
    assert (value, inner) == ([], {})
    release("text")


def test_texts_of_any_length_are_read() -> None:
    """Wherever a part ends: in the middle of an escape, between the halves of a character."""
    for shift in range(14):
        for piece in ("\\ud83d\\ude00", "\\\\", "\\n", '\\"', "\\ud83dx", "\\\\ud83d", "\\u00e9"):
            text = "x" * shift + piece * (2 * WINDOW // len(piece))
            assert read_large_json(f'["{text}"]'.encode()) == json.loads(f'["{text}"]')
            assert read_large_json(f'{{"{text}":1}}'.encode()) == json.loads(f'{{"{text}":1}}')
    for broken in ("\n", "\\x", "\\u12", "\\"):
        with pytest.raises(ValueError):  # noqa: PT011
            read_large_json(f'["{"x" * 3 * WINDOW}{broken}"]'.encode())
    with pytest.raises(ValueError, match="digits"):
        read_large_json(b"1" * 2 * WINDOW)
