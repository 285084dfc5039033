"""JSON that comes out as it came is read at once; whatever would change is read exactly, however it is laid out."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.dataplane.answers.exact_json import read_json, write_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.text() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES, st.sampled_from([None, 1, 2]), st.sampled_from(["", "\n", " \n"]))
def test_any_layout_reads_as_the_same_value(value: object, indent: int | None, end: str) -> None:
    """Compact, indented and as Python writes it."""
    for text in (json.dumps(value, indent=indent), json.dumps(value, separators=(",", ":"), ensure_ascii=False)):
        found = read_json((text + end).encode())
        assert json.loads(write_json(found)) == json.loads(text)


@pytest.mark.parametrize("number", ["1.10", "1E5", "-0", "0.00001", "123456789012345678901", "1.0000000000000000001"])
@pytest.mark.parametrize("layout", ['{"a":%s}', '{\n  "a": %s\n}', '{\n  "a": %s\n}\n', '{"a": %s}', '{"a":1,"a":%s}'])
def test_a_number_keeps_its_digits_in_every_layout(number: str, layout: str) -> None:
    """None of them comes out of Python's types as it went in; of two members with one name the last one counts."""
    assert write_json(read_json((layout % number).encode())) == b'{"a":%b}' % number.encode()


def test_what_nests_deeper_than_is_written_is_read() -> None:
    """It may be shaped before it is handed out."""
    found = read_json(b"[" * 300 + b"]" * 300)
    assert orjson.dumps(found[0][0][:0]) == b"[]"
