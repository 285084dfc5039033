"""Another environment or credential reads no more of a stored definition than it has to."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from tieline.definitions.environment import StoredDefinition
from tieline.definitions.fill.call import compile_call
from tieline.definitions.parse import parse, to_json
from tieline.definitions.stored_calls import write

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


def stored(count: int) -> str:
    """A definition with ``count`` calls, as it is stored."""
    return write(to_json(parse(calls(count))))


def test_another_credential_or_environment_compiles_no_call() -> None:
    """The head of a stored definition takes the same steps however many calls there are; a call takes its own."""
    few, many = StoredDefinition(stored(10)), StoredDefinition(stored(300))
    least = steps(lambda: few.in_environment("live"))
    assert steps(lambda: many.in_environment("live")) <= least + 10 * 300  # a look at each name, none at what is in it
    seen = many.in_environment("live")
    assert steps(lambda: compile_call(seen.calls["c7"])) < 2_000
    assert steps(lambda: seen.calls["c7"]) < 10  # it was read before
