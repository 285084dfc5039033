"""The bound of a call: the most that its answer can cost, known before it is sent. None where there is no bound.

The most tokens that the model reads, times the highest rate that may apply to them, and the most that it writes, times
the highest rate of those; each turn that a built-in tool may add counts again, and so does each use of the tool. Where
a request carries its whole input, its bytes bound what is read: no token of text is shorter than a byte, and providers
add no more than ``ADDED_TOKENS`` of their own around it.
"""

from collections.abc import Mapping
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
    offer = table.offer(name, at) if name is not None else None
    turns = _turns(asked.tools) if asked.tools else 1
    if offer is None or turns is None:
        return None
    inputs = max(1, asked.inputs)
    reads = offer.window * inputs * turns if offer.window is not None else None
    if asked.is_whole:
        reads = _least(reads, body_bytes + ADDED_TOKENS * inputs)
    writes = _least(asked.most_output, offer.writes)
    written = writes * inputs * turns * max(1, asked.choices) if writes is not None else None
    dearest = 0
    for sheet in offer.sheets:
        most = _by(sheet, asked, body_bytes, reads, written)
        if most is None:
            return None
        dearest = max(dearest, most)
    return dearest


def _by(sheet: Sheet, asked: Boundable, body_bytes: int, reads: int | None, written: int | None) -> int | None:
    """The bound by the rates of ``sheet``; ``reads`` and ``written`` are tokens, None without bound."""
    if asked.tools and not sheet.covered.issuperset(asked.tools):
        return None
    groups = sheet.of_text if asked.is_whole else sheet.grouped
    total = 0
    rate = groups.read.within(reads)
    if rate:
        if reads is None:
            return None
        total = reads * rate
    rate = groups.written.within(reads)
    if rate:
        if written is None:
            return None
        total += written * rate
    for line, parts in groups.rest:
        rate, most = parts.within(reads), _most(line, asked, body_bytes)
        if rate and most is None:
            return None
        total += rate * (most or 0)
    return -(-total // (sheet.scale * _NANO))


def _most(line: Line, asked: Boundable, body_bytes: int) -> int | None:
    """The most of a quantity that is neither read nor written as tokens; None without bound."""
    quantity = line.quantity
    if quantity == _REQUESTS:
        return asked.most.get(_REQUESTS, 1)
    if QUANTITIES[quantity].sort == "tool":
        return asked.tools.get(quantity, 0)
    most = body_bytes if quantity == "characters" and asked.is_whole else asked.most.get(quantity)
    return max(most, line.least) if most is not None else None


def _turns(tools: Mapping[str, int | None]) -> int | None:
    """How often the model may read its input: once, and again after each use of a tool."""
    uses = [each for each in tools.values() if each is not None]
    return 1 + sum(uses) if len(uses) == len(tools) else None


def _least(first: int | None, second: int | None) -> int | None:
    """The smaller of two limits, of which either may be missing."""
    return second if first is None or (second is not None and second < first) else first
