"""JSON of callers is bounded by what it holds before anything is built of it, and comes out as it went in."""

import tracemalloc
from collections.abc import Callable
from decimal import Decimal

import orjson
import pytest

from tieline.core.errors import InvalidRequest
from tieline.definitions.fill.json_text import (
    LARGE,
    MOST_DEPTH,
    MOST_MEMBERS,
    MOST_VALUES,
    UnwritableError,
    read_json,
    read_parameters,
    write_json,
)


def listed(item: str, times: int) -> bytes:
    """A body whose parameter ``p`` is a list of so many items."""
    return b'{"p":[' + b",".join([item.encode()] * times) + b"]}"


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (orjson.dumps({"p": {f"k{number}": 1 for number in range(300_000)}}), "members"),
        (listed("1e5", 1_750_000), "values"),
        (listed("[]", 200_000), "objects and lists"),
        (b'{"p":' + b"[" * 65 + b"]" * 65 + b"}", "deeper"),
        (b'{"p":' + b'{"":' * 500_000, "members"),
        (b'{"p":' + b"[" * 90_000, "deeper"),
    ],
    ids=["members", "values", "containers", "depth", "open objects", "open lists"],
)
def test_what_holds_too_much_is_refused(body: bytes, what: str) -> None:
    """The refusal says what there is too much of."""
    with pytest.raises(InvalidRequest, match=what):
        read_parameters(body)


@pytest.mark.parametrize(
    "body",
    [
        orjson.dumps({"p": {f"k{number}": 1 for number in range(MOST_MEMBERS - 1)}}),
        listed("1e5", MOST_VALUES),
        b'{"p":[' + b",".join(b"0.%06d" % number for number in range(MOST_VALUES)) + b"]}",
    ],
    ids=["members", "one number", "numbers"],
)
def test_what_is_read_takes_a_bounded_multiple_of_what_came(body: bytes) -> None:
    """Some twenty times at the most."""
    tracemalloc.start()
    try:
        found = read_parameters(body)
        assert tracemalloc.get_traced_memory()[1] < 22 * len(body)
    finally:
        tracemalloc.stop()
    assert write_json(found) == body.replace(b"1e5", b"1E+5")


def members(count: int) -> bytes:
    """A body of so many members in all, and of many lists, so that it is counted through."""
    return orjson.dumps({"p": {f"k{number}": 1 for number in range(count - 2)}, "q": [[]] * 65})


@pytest.mark.parametrize(
    ("made", "most", "what"),
    [
        (members, MOST_MEMBERS, "members"),
        (lambda count: listed("1", count), MOST_VALUES, "values"),
        (lambda count: listed("[]", count - 2), MOST_MEMBERS, "objects and lists"),
        (lambda count: b'{"":' * count + b"1" + b"}" * count, MOST_DEPTH, "deeper"),
        (lambda count: b'{"p":' + b"[" * (count - 1) + b"]" * (count - 1) + b"}", MOST_DEPTH, "deeper"),
    ],
    ids=["members", "values", "containers", "objects in objects", "lists in lists"],
)
def test_each_bound_is_met_exactly(made: Callable[[int], bytes], most: int, what: str) -> None:
    """As much as it says is read, one more is refused."""
    assert read_parameters(made(most))
    with pytest.raises(InvalidRequest, match=what):
        read_parameters(made(most + 1))


def large(text: str) -> str:
    """``text`` in a list that is long enough to be read as a large one."""
    return f'[{text},"{"x" * LARGE}"]'


def test_a_large_text_is_read_as_exactly_as_a_small_one() -> None:
    """Equal decimals are kept once."""
    first, second, *_ = read_json(large("1.10,1.10"))
    assert isinstance(first, Decimal)
    assert str(first) == "1.10"
    assert first is second


@pytest.mark.parametrize(
    ("text", "problem"), [('{"a":1,"a":2}', "names a member twice"), ("NaN", "holds NaN or Infinity")]
)
def test_what_json_does_not_have_is_refused_in_a_large_text_too(text: str, problem: str) -> None:
    """As in a small one."""
    for each in (text, large(text)):
        with pytest.raises(ValueError, match=problem):
            read_json(each)


@pytest.mark.parametrize("mark", [",", ":", "[", "{", '\\"', "\\\\"])
def test_marks_inside_text_count_for_nothing(mark: str) -> None:
    """A long text may hold whatever it wants."""
    assert read_json(f'{{"p": "{mark * 600_000}"}}')["p"] == mark.removeprefix("\\") * 600_000


def test_what_is_not_written_in_one_go_is_written_the_same_way() -> None:
    """A number beyond 64 bits takes the whole value along the slower way."""
    value = {"a": 2**70, "b": {}, "c": [], "d": {"e": 1, "f": (2, "3")}}
    assert write_json(value) == b'{"a":1180591620717411303424,"b":{},"c":[],"d":{"e":1,"f":[2,"3"]}}'


def test_a_whole_number_of_8192_bits_is_written() -> None:
    """And none that is longer."""
    assert write_json(2**8192 - 1) == str(2**8192 - 1).encode()
    with pytest.raises(UnwritableError, match="at most 2,400 digits"):
        write_json(2**8192)


@pytest.mark.parametrize("around", [lambda value: [value], lambda value: {"a": value}], ids=["lists", "objects"])
def test_nesting_to_the_limit_is_written(around: Callable[[object], object]) -> None:
    """64 levels, and none more."""
    value: object = 2**70
    for _ in range(MOST_DEPTH):
        value = around(value)
    assert read_json(write_json(value).decode()) == value
    with pytest.raises(UnwritableError, match="deeper than 64"):
        write_json(around(value))


def test_nesting_to_the_limit_is_read() -> None:
    """64 levels, written back as they came."""
    text = '{"p":' + "[" * 63 + "]" * 63 + "}"
    assert write_json(read_json(text)).decode() == text


@pytest.mark.parametrize("number", ["18446744073709551616", "-9223372036854775809", "0.1234567890123456789", "1E+400"])
def test_numbers_come_out_as_they_went_in(number: str) -> None:
    """Beyond 64 bits and beyond what a double holds, alone and among others."""
    text = f'{{"a":[1,{number}],"b":{number}}}'
    assert write_json(read_json(text)).decode() == text
