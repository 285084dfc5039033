"""What all exchanges of a worker share: the preparer of what they send, and the ledger that records how they ended."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from tieline.core.errors import TielineError
from tieline.dataplane.attempt.prepare import Preparer
from tieline.dataplane.awaited import AwaitedRecord
from tieline.dataplane.tracing.tracer import Tracer
from tieline.ports.requests import Outcome

if TYPE_CHECKING:
    from tieline.dataplane.relaying.exchange import Exchange


class ExchangeLedger(Protocol):
    """Called once when an exchange has ended, to write its request record, which the end of its answer may wait for."""

    def ended(self, exchange: "Exchange", outcome: Outcome, error: TielineError | None) -> AwaitedRecord | None: ...


@dataclass(frozen=True, slots=True)
class Relaying:
    """What an exchange is given beside its request."""

    ledger: ExchangeLedger
    preparer: Preparer
    tracer: Tracer | None = None
