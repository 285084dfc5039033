"""What one request holds of the limits that hold for it, from when it was let through until it has ended."""

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from tieline.core.errors import TielineError, UpstreamUnreachable
from tieline.dataplane.limits.bounds import Bound, RateBound, SlotBound
from tieline.metering.reading import UsageReading

_ERRORS: Final = 400


class Left(NamedTuple):
    """What was left of a bound when a request had been let through or refused.

    ``remaining`` more would have fitted; for a rate, ``reset`` microseconds later everything would fit again.
    """

    bound: Bound
    remaining: int
    reset: int = 0


class Counter(Protocol):
    """Where a request's limits are counted; a ``Limiter``."""

    def take_slots(self, bounds: Sequence[SlotBound]) -> list[int] | TielineError:
        """Take one of each, or none of any and say which is used up."""
        ...

    def free_slots(self, cells: Sequence[int]) -> None:
        """Give slots of this worker back."""
        ...

    def charge(self, bounds: Sequence[RateBound], amount: int) -> None:
        """Count ``amount``, whether it fits or not."""
        ...


class Spending(Protocol):
    """What a request has reserved of budgets; a ``ledger.Reservation``."""

    def sent(self) -> None:
        """The request is on its way to the upstream, which may charge it from now on."""
        ...

    def settle(self, requests: int, used: UsageReading | None) -> None:
        """It is known what it used: so many requests of the upstream, and what their answers told."""
        ...


class Held:
    """What one request holds: slots until :meth:`free`, and what it may be charged with. ``left`` is what it left."""

    __slots__ = ("_cells", "_counter", "_stream_cells", "_streams", "_tokens", "left", "spending")

    def __init__(
        self,
        counter: Counter,
        cells: list[int],
        tokens: list[RateBound],
        streams: tuple[list[SlotBound], list[int]],
        left: list[Left],
    ) -> None:
        """``cells`` are slots that are taken; ``streams`` are bounds of streams, and their slots where it has them."""
        self._counter = counter
        self._cells = cells
        self._tokens = tokens
        self._streams, self._stream_cells = streams
        self.left = left
        self.spending: Spending | None = None

    @property
    def limits_streams(self) -> bool:
        """Whether it matters that a stream is asked for, and is not known yet."""
        return bool(self._streams) and not self._stream_cells

    def answered(self, *, stream: bool) -> TielineError | None:
        """Whether the answer is a stream is known now: take a stream's slot or give it back, as that says.

        Call it before anything of the answer goes on. Returns why it cannot go on, where too many streams do already.
        """
        if not self._streams or stream == bool(self._stream_cells):
            return None
        if not stream:
            cells, self._stream_cells = self._stream_cells, []
            self._counter.free_slots(cells)
            return None
        taken = self._counter.take_slots(self._streams)
        if isinstance(taken, TielineError):
            return taken
        self._stream_cells = taken
        return None

    def sent(self) -> None:
        """The request is on its way: what it has reserved counts as spent if this worker dies now."""
        if self.spending is not None:
            self.spending.sent()

    def free(self) -> None:
        """Give all slots back, and what was reserved of budgets and not settled; a second time does nothing."""
        if self.spending is not None:
            self.spending.settle(0, None)
        self._free_slots()

    def _free_slots(self) -> None:
        cells, self._cells = self._cells, []
        if self._streams:
            cells += self._stream_cells
            self._streams, self._stream_cells = [], []
        if cells:
            self._counter.free_slots(cells)

    def end(self, usage: UsageReading | None, requests: int = 0) -> None:
        """The request has ended: give all slots back, charge the tokens that it used, settle budgets.

        ``requests`` is how many the upstream may charge. An estimate counts as what it is taken for; of limits, what
        was never told counts nothing.
        """
        if self.spending is not None:
            self.spending.settle(requests, usage)
        self._free_slots()
        if usage is not None and self._tokens and (tokens := _tokens(usage)):
            self._counter.charge(self._tokens, tokens)
            self._tokens = []


def _tokens(usage: UsageReading) -> int:
    used = sum([usage.quantities.get(name, 0) for name in ("input_tokens", "output_tokens")])
    return used + sum([_tokens(other) for other in usage.others])


def charged(status: int, error: TielineError | None, *, sent: bool) -> int:
    """How many requests the upstream may charge: 1 that was answered well, or ``sent`` and nobody knows its end.

    ``status`` is the upstream's, 0 where it did not answer.
    """
    if status:
        return int(status < _ERRORS)
    return int(sent and not isinstance(error, UpstreamUnreachable))
