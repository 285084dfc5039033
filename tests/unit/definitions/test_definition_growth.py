"""Reading a definition takes steps that grow with it: counted, twice the input takes at most twice as many."""

import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

import pytest

from tieline.core.urls import base_url, canonical_host, full_url
from tieline.definitions import template
from tieline.definitions.check import check
from tieline.definitions.environment import StoredDefinition
from tieline.definitions.fill.call import compile_call
from tieline.definitions.parse import parse, parse_data, to_json
from tieline.definitions.stored_calls import StoredText, write
from tieline.definitions.values import header_value
from tieline.schemes.registry import SCHEMES

HEAD = "tieline: v1\napi: a\nbase_url: https://a.example\n"
ROOM = 200  # steps that do not depend on the input


def steps(work: Callable[[], object]) -> int:
    """How many functions are called, of Python and of libraries in C, by work that was done before."""
    work()
    count = 0

    def note(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def calls(count: int) -> str:
    """A definition with ``count`` calls."""
    call = "{path: '/x/<a>', method: POST, parameters: {a: {}, b: {in: query}}, body: {type: json, template: {t: <a>}}}"
    return HEAD + "calls:\n" + "".join(f"  c{number}: {call}\n" for number in range(count))


def nested(depth: int) -> Any:
    """Data as deep as it may be."""
    return {"k": nested(depth - 1)} if depth else "<a>"


def stored(count: int) -> str:
    """A definition with ``count`` calls, as it is stored."""
    return write(to_json(parse(calls(count))))


def with_header(value: str) -> dict[str, Any]:
    """A definition that shares a header of this value."""
    return {
        "tieline": "v1",
        "api": "a",
        "base_url": "https://a.example",
        "variables": {"a": {"default": "b"}},
        "headers": [{"name": "X-A", "value": value}],
    }


READERS: dict[str, tuple[Callable[[int], Any], Callable[[Any], object]]] = {
    "slots": (lambda size: "<a>" * size, template.parse),
    "names": (lambda size: "".join(f"<a{number}>" for number in range(size)), template.parse),
    "marks": (lambda size: "<" * size, template.parse),
    "backslashes": (lambda size: "\\" * size, template.parse),
    "escapes": (lambda size: "\\<" * size, template.parse),
    "escaped text": (lambda size: "\\" * size + "<", template.escape),
    "names in data": (lambda size: [nested(20)] * size, template.names_in),
    "replaced slots": (lambda size: "<a> \\<b> " * size, lambda text: template.replace_slots(text, {"a": "x"}.get)),
    "header with slots": (lambda size: with_header("<a>v0x" * size), parse_data),
    "calls": (calls, lambda text: parse(text, schemes=SCHEMES)),
    "checked calls": (calls, check),
    "stored text": (stored, StoredText),
    "stored head": (stored, lambda text: StoredDefinition(text).in_environment("live")),
    "brackets": (lambda size: "a: " + "[" * size, check),
    "mistakes": (lambda size: HEAD + "".join(f"k{number}: 1\n" for number in range(size)), check),
    "a header's value": (lambda size: "a" * size, header_value),
}


@pytest.mark.parametrize("reader", READERS)
def test_twice_the_input_takes_at_most_twice_the_steps(reader: str) -> None:
    """Whatever it is made of."""
    make, read = READERS[reader]
    small, large = make(100), make(200)
    assert steps(lambda: read(large)) <= 2 * steps(lambda: read(small)) + ROOM


def test_another_credential_or_environment_compiles_no_call() -> None:
    """The head of a stored definition takes the same steps however many calls there are; a call takes its own."""
    few, many = StoredDefinition(stored(10)), StoredDefinition(stored(300))
    least = steps(lambda: few.in_environment("live"))
    assert steps(lambda: many.in_environment("live")) <= least + 10 * 300  # a look at each name, none at what is in it
    seen = many.in_environment("live")
    assert steps(lambda: compile_call(seen.calls["c7"])) < 2_000
    assert steps(lambda: seen.calls["c7"]) < 10  # it was read before


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (base_url, "https://" + "a." * 100 + "b/" + "x/" * 3000),
        (full_url, "https://a.example/?" + "a=b&" * 2000),
        (canonical_host, "a" * 100_000),
        (canonical_host, "xn--" + "a" * 59),
    ],
)
def test_a_url_of_any_length_is_read_in_a_few_steps(read: Callable[[str], object], text: str) -> None:
    """By expressions that do not go back; what is too long is refused first."""

    def quietly() -> None:
        with suppress(ValueError):
            read(text)

    assert steps(quietly) < 2_000
