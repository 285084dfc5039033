"""The bound of a call: the most that its answer can cost, known before it is sent. None where there is no bound.

The most tokens that the model reads, times the highest rate that may apply to them, and the most that it writes, times
the highest rate of those; each turn that a built-in tool may add counts again, and so does each use of the tool. Where
a request carries its whole input, its bytes bound what is read: no token of text is shorter than a byte, and providers
add no more than ``ADDED_TOKENS`` of their own around it.
"""

from collections.abc import Iterable, Mapping
from typing import Final, Protocol

from tieline.core.quantities import QUANTITIES
from tieline.metering.rates import PriceTable
from tieline.metering.sheet import Line, Sheet

ADDED_TOKENS: Final = 1_024
"""What a provider's templates and hidden instructions add to a text that it is sent."""
_NANO: Final = 1_000
_REQUESTS: Final = "requests"


class Boundable(Protocol):
    """What a request asks for, as far as it bounds the answer.

    ``most_output`` is the most tokens of one choice, None where the request does not say. ``inputs`` is how many texts
    are answered apart, each within a window of its own (embeddings), ``choices`` how many answers each gets.
    ``is_whole`` says that the body holds all that the model is to read, as text: no stored state, no file, no picture,
    no sound, no built-in tool. ``tools`` are the built-in tools in use by the quantity that they are charged as, with
    the most uses that the request allows, None for any number. ``most`` bounds quantities that the request itself
    settles, such as ``images``.
    """

    @property
    def model(self) -> str | None: ...
    @property
    def most_output(self) -> int | None: ...
    @property
    def inputs(self) -> int: ...
    @property
    def choices(self) -> int: ...
    @property
    def is_whole(self) -> bool: ...
    @property
    def tools(self) -> Mapping[str, int | None]: ...
    @property
    def most(self) -> Mapping[str, int]: ...


def bound(table: PriceTable, asked: Boundable, body_bytes: int, at: float) -> int | None:
    """The most that the answer to ``asked`` can cost, in nano-dollars, by the prices in force ``at``.

    ``body_bytes`` is the length of the request's body as the model is sent it, decoded. None where no model is named,
    it has no price, or nothing bounds something that has one.
    """
    name = asked.model
    found = table.find(name, at) if name is not None else None
    if found is None or name is None:
        return None
    turns = _turns(asked.tools) if asked.tools else 1
    if turns is None:
        return None
    window, most_output = table.sizes(name)
    inputs = max(asked.inputs, 1)
    reads = _least(
        window * inputs * turns if window is not None else None,
        body_bytes + ADDED_TOKENS * inputs if asked.is_whole else None,
    )
    writes = _least(asked.most_output, most_output, window)
    written = writes * inputs * turns * max(asked.choices, 1) if writes is not None else None
    limits = _Limits(asked, body_bytes, reads, written)
    every = [limits.of(sheet) for sheet in found[1].sheets(at)]
    known = [each for each in every if each is not None]
    return max(known) if len(known) == len(every) else None


class _Limits:
    """The most of each quantity that a request can come to; ``reads`` and ``writes`` are tokens, None without bound."""

    __slots__ = ("_asked", "_body_bytes", "_reads", "_writes")

    def __init__(self, asked: Boundable, body_bytes: int, reads: int | None, writes: int | None) -> None:
        self._asked = asked
        self._body_bytes = body_bytes
        self._reads = reads
        self._writes = writes

    def of(self, sheet: Sheet) -> int | None:
        """The bound by the rates of ``sheet``, in nano-dollars."""
        if not sheet.covered.issuperset(self._asked.tools):
            return None
        read, written, rest = sheet.of_text if self._asked.is_whole else sheet.grouped
        sums = [_times(self._reads, self._highest(read)), _times(self._writes, self._highest(written))]
        for line, parts in rest:
            sums.append(_times(self._most(line), self._highest(parts)))
        known = [each for each in sums if each is not None]
        return -(-sum(known) // (sheet.scale * _NANO)) if len(known) == len(sums) else None

    def _highest(self, lines: Iterable[Line]) -> int:
        """The highest rate, in the steps that a request of this size can reach."""
        return max([each.highest(self._reads) for each in lines], default=0)

    def _most(self, line: Line) -> int | None:
        quantity, asked = line.quantity, self._asked
        if quantity == _REQUESTS:
            return asked.most.get(_REQUESTS, 1)
        if QUANTITIES[quantity].sort == "tool":
            return asked.tools.get(quantity, 0)
        most = self._body_bytes if quantity == "characters" and asked.is_whole else asked.most.get(quantity)
        return max(most, line.least) if most is not None else None


def _turns(tools: Mapping[str, int | None]) -> int | None:
    """How often the model may read its input: once, and again after each use of a tool."""
    uses = [each for each in tools.values() if each is not None]
    return 1 + sum(uses) if len(uses) == len(tools) else None


def _least(*limits: int | None) -> int | None:
    return min([each for each in limits if each is not None], default=None)


def _times(count: int | None, rate: int) -> int | None:
    """The product; without a count it is 0 where the rate is 0, and otherwise unbounded."""
    if not rate:
        return 0
    return count * rate if count is not None else None
