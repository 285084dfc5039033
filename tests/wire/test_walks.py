"""How a request walks through the modules of a worker stays as short as it has become."""

import asyncio

import pytest

from tools import walks

CEILINGS = {
    # The head that is looked at before it goes on has a module of its own; a key is looked up only where it exists.
    # A Host that the worker has not met yet is read by the one grammar of hosts, in core.urls.
    "relay, unknown key": (102, 64),
    "relay, memo hit": (26, 10),
    "call, first run": (140, 88),
    "call, repeated": (74, 39),
}
"""Crossings and returns; a request's path may be shortened, and lengthened only here, by who says why."""


@pytest.fixture(scope="module")
def taken() -> dict[str, walks.Walk]:
    """The shortest of each walk of three rounds: what runs by the clock may come into one."""
    rounds = [asyncio.run(walks.walks()) for _ in range(3)]
    return {name: min((each[name] for each in rounds), key=lambda walk: walk.row[1:3]) for name in CEILINGS}


@pytest.mark.parametrize("name", CEILINGS)
def test_a_walk_has_no_more_crossings_and_returns(taken: dict[str, walks.Walk], name: str) -> None:
    """Counted by a profile hook, without what happens between requests."""
    _, crossings, returns, _ = taken[name].row
    assert (crossings, returns) <= CEILINGS[name]
    assert returns <= CEILINGS[name][1]


def test_what_is_entered_again_is_a_return() -> None:
    """Three modules, two crossings to new ones, one back."""
    walk = walks.Walk(modules=["a", "b", "a", "c"], calls=9)
    assert walk.row == (3, 3, 1, 9)
