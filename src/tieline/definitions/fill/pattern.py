"""A parameter's pattern, matched in time that grows with the text and never explodes.

Python's ``re`` tries alternatives one after the other and can take exponential time (``(a+)+``); it has no time limit.
Here its parser reads the pattern, and the result becomes an automaton that looks at each character once, its
transitions remembered as they are met (K. Thompson, 1968; R. Cox, "Regular Expression Matching Can Be Simple And
Fast", 2007).
What an automaton cannot do (back references, looking around, atomic groups, word boundaries) is refused when a
definition is read. ``$`` means the very end. The work is at most states x characters, and that product is bounded.
"""

import importlib
import re
import warnings
from collections.abc import Callable, Iterable
from typing import Any, Final

_parser: Any = importlib.import_module("re._parser")
_compiler: Any = importlib.import_module("re._compiler")

MOST_STATES = 1000
_MOST_STEPS = 1_000_000
_MOST_TEXT = 65_536
_MOST_EDGES = 10_000
_CHARACTERS = frozenset({"LITERAL", "NOT_LITERAL", "ANY", "IN"})
_REPEATS = frozenset({"MAX_REPEAT", "MIN_REPEAT"})
_BEGINS = frozenset({"AT_BEGINNING", "AT_BEGINNING_STRING"})
_ENDS = frozenset({"AT_END", "AT_END_STRING"})
_REFUSED = {
    "AT": "word boundaries and anchors of lines",
    "GROUPREF": "back references",
    "GROUPREF_EXISTS": "conditions",
    "ASSERT": "looking ahead or behind",
    "ASSERT_NOT": "looking ahead or behind",
    "ATOMIC_GROUP": "atomic groups",
    "POSSESSIVE_REPEAT": "possessive repeats",
}
_ACCEPT: Final = 0
Matcher = Callable[[str], re.Match[str] | None]


class _Node:
    """A state of the automaton: it takes a character that ``matches``, or, where that is None, is passed freely.

    ``only_at`` holds a free passage to the text's beginning or end.
    """

    __slots__ = ("matches", "next", "only_at")

    def __init__(self, matches: Matcher | None, following: list[int], only_at: str = "") -> None:
        self.matches = matches
        self.next = following
        self.only_at = only_at


class _Place:
    """Where a match may stand after some characters: a set of states, and where each character met so far leads.

    ``accepts`` says whether the text may end here, None while nobody has asked.
    """

    __slots__ = ("accepts", "edges", "states")

    def __init__(self, states: frozenset[int]) -> None:
        self.states = states
        self.accepts: bool | None = None
        self.edges: dict[str, _Place] = {}


class Pattern:
    """A pattern that whole texts are held against; ``most`` is the longest text, in characters, that it takes.

    Raises ValueError for what is no regular expression, or none that can be matched in bounded time.
    """

    __slots__ = ("_edges", "_first", "_nodes", "_places", "_start", "_state", "most")

    def __init__(self, text: str) -> None:
        self._nodes = [_Node(None, [])]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                parsed = _parser.parse(text)
            self._state = parsed.state
            self._start = self._sequence(parsed, parsed.state.flags, _ACCEPT)
        except (re.error, OverflowError, RecursionError, Warning) as error:
            raise ValueError(f"is no regular expression that Python reads: {error}") from None
        self._places: dict[frozenset[int], _Place] = {}
        self._edges = 0
        self._first = _Place(self._reach([self._start], at_start=True))
        self.most = min(_MOST_TEXT, _MOST_STEPS // len(self._nodes))

    def matches(self, text: str) -> bool:
        """Whether the whole of ``text``, at most ``most`` characters, is what the pattern says."""
        place = self._first
        for character in text:
            following = place.edges.get(character)
            place = following if following is not None else self._step(place, character)
            if not place.states:
                return False
        if place.accepts is None:
            place.accepts = _ACCEPT in self._reach(place.states, at_start=not text, at_end=True)
        return place.accepts

    def _step(self, place: _Place, character: str) -> _Place:
        taken = [
            following
            for state in place.states
            if (matches := self._nodes[state].matches) is not None and matches(character) is not None
            for following in self._nodes[state].next
        ]
        if self._edges >= _MOST_EDGES:
            self._places.clear()
            self._first.edges.clear()
            self._edges = 0
            place = _Place(place.states)
        found = place.edges[character] = self._place(self._reach(taken))
        self._edges += 1
        return found

    def _place(self, states: frozenset[int]) -> _Place:
        found = self._places.get(states)
        if found is None:
            found = self._places[states] = _Place(states)
        return found

    def _reach(self, states: Iterable[int], *, at_start: bool = False, at_end: bool = False) -> frozenset[int]:
        """The states that matter among those reached freely from ``states``."""
        open_states, seen = list(states), set()
        while open_states:
            state = open_states.pop()
            if state in seen:
                continue
            seen.add(state)
            node = self._nodes[state]
            free = node.only_at == "" or (node.only_at == "start" and at_start) or (node.only_at == "end" and at_end)
            if node.matches is None and free:
                open_states += node.next
        return frozenset(
            state
            for state in seen
            if state == _ACCEPT or self._nodes[state].matches is not None or self._nodes[state].only_at == "end"
        )

    def _add(self, node: _Node) -> int:
        if len(self._nodes) >= MOST_STATES:
            raise ValueError("is too large to be matched in bounded time; repeat fewer times")
        self._nodes.append(node)
        return len(self._nodes) - 1

    def _sequence(self, items: Any, flags: int, then: int) -> int:
        """The first state of ``items``, after which ``then`` follows."""
        for operation, argument in reversed(list(items)):
            then = self._item(str(operation), argument, flags, then)
        return then

    def _item(self, operation: str, argument: Any, flags: int, then: int) -> int:
        if operation in _CHARACTERS:
            leaf = _parser.SubPattern(self._state, [(getattr(_parser, operation), argument)])
            return self._add(_Node(_compiler.compile(leaf, flags).match, [then]))
        if operation == "BRANCH":
            return self._add(_Node(None, [self._sequence(each, flags, then) for each in argument[1]]))
        if operation == "SUBPATTERN":
            _, added, removed, items = argument
            return self._sequence(items, (flags | added) & ~removed, then)
        if operation in _REPEATS:
            return self._repeat(argument, flags, then)
        anchor = str(argument)
        if operation == "AT" and not flags & re.MULTILINE and anchor in _BEGINS | _ENDS:
            return self._add(_Node(None, [then], "start" if anchor in _BEGINS else "end"))
        what = _REFUSED.get(operation, "this construct")
        raise ValueError(f"uses {what}, which cannot be matched in bounded time; write it without")

    def _repeat(self, argument: tuple[int, Any, Any], flags: int, then: int) -> int:
        least, most, items = argument
        first = then
        if most == _parser.MAXREPEAT:
            first = self._add(_Node(None, []))
            self._nodes[first].next = [self._sequence(items, flags, first), then]
        else:
            for _ in range(most - least):
                first = self._add(_Node(None, [self._sequence(items, flags, first), then]))
        for _ in range(least):
            before = first
            first = self._sequence(items, flags, first)
            if first == before:
                break
        return first
