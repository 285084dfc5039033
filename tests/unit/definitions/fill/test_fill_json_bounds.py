"""JSON of callers is bounded by what it holds before anything is built of it, and comes out as it went in."""

import tracemalloc

import orjson
import pytest

from tieline.core.errors import InvalidRequest
from tieline.definitions.fill.json_text import MOST_MEMBERS, MOST_VALUES, read_json, read_parameters, write_json


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


@pytest.mark.parametrize("mark", [",", ":", "[", "{", '\\"', "\\\\"])
def test_marks_inside_text_count_for_nothing(mark: str) -> None:
    """A long text may hold whatever it wants."""
    assert read_json(f'{{"p": "{mark * 600_000}"}}')["p"] == mark.removeprefix("\\") * 600_000


def test_nesting_to_the_limit_is_read() -> None:
    """64 levels, written back as they came."""
    text = '{"p":' + "[" * 63 + "]" * 63 + "}"
    assert write_json(read_json(text)).decode() == text


@pytest.mark.parametrize("number", ["18446744073709551616", "-9223372036854775809", "0.1234567890123456789", "1E+400"])
def test_numbers_come_out_as_they_went_in(number: str) -> None:
    """Beyond 64 bits and beyond what a double holds, alone and among others."""
    text = f'{{"a":[1,{number}],"b":{number}}}'
    assert write_json(read_json(text)).decode() == text
