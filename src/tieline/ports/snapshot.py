"""What the data plane reads to serve, and where it saves what it counted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from tieline.ports.apis import ApiRow
from tieline.ports.bodies import SealedBodies
from tieline.ports.budgets import BudgetRow
from tieline.ports.credentials import SealedCredential
from tieline.ports.drift import DriftRecord
from tieline.ports.keys import ResolvedKey
from tieline.ports.prices import PriceListHead
from tieline.ports.requests import RequestRecord
from tieline.ports.usage import UsageBatch

ChangeKind = Literal["api", "credential", "app", "key", "connection", "token", "budget"]


class TooOld(Exception):
    """The change log no longer reaches back to the version that was asked for: load everything again."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change of what the data plane serves: ``ref`` is an id: of an API, app, app key, connection or budget.

    For a credential ``ref`` is the id of the API it belongs to, since that is what has to be compiled again. A
    ``connection`` was signed in to, removed or taken back, so what was answered with it may be another account's; a
    ``token`` is a connection's whose issuer was asked for the next one: the account is the same.
    """

    version: int
    kind: ChangeKind
    ref: str


class SnapshotSource(Protocol):
    """Where the data plane reads from. Every method raises ``NotReady`` while the store cannot be reached."""

    async def version(self) -> int:
        """The version of the latest change, 0 before the first."""
        ...

    async def changes_since(self, version: int) -> list[Change]:
        """The changes after ``version`` in order. Raises ``TooOld`` when the log no longer reaches back to it."""
        ...

    async def apis(self) -> list[ApiRow]:
        """Every API, by name."""
        ...

    async def api(self, api_id: str) -> ApiRow | None:
        """One API, or None when it is gone."""
        ...

    async def credentials(self, api_id: str | None = None) -> list[SealedCredential]:
        """The active credentials, of one API or of all."""
        ...

    async def budgets(self) -> Sequence[BudgetRow]:
        """Every budget."""
        ...

    async def price_lists(self) -> Sequence[PriceListHead]:
        """What price lists there are."""
        ...

    async def price_list(self, provider: str) -> str | None:
        """The content of a provider's price list, or None where there is none."""
        ...

    async def key_by_hash(self, keyed_hash: bytes) -> ResolvedKey | None:
        """The app key one of whose secrets has this keyed hash (32 bytes)."""
        ...

    async def key_hashes(self, after: bytes, most: int) -> list[bytes]:
        """The keyed hashes that keys are found by, in order, those after ``after``, ``most`` at once."""
        ...

    async def hashes_of_keys(self, key_ids: Sequence[str]) -> list[bytes]:
        """The keyed hashes that these keys are found by."""
        ...

    async def wait_for_change(self, seconds: float) -> None:
        """Return as soon as something has changed since this method last returned, at the latest after ``seconds``.

        The first call returns at once. Changes made before or during the call are never slept through.
        """
        ...

    async def touch_keys(self, used: Mapping[str, float]) -> None:
        """Note when keys were last used: key id to seconds since the epoch, kept to the minute, never moved back."""
        ...

    async def add_records(self, records: Sequence[RequestRecord]) -> None:
        """Store a batch of records in one transaction; a record whose id is already there is left alone."""
        ...

    async def add_records_durably(self, records: Sequence[RequestRecord]) -> None:
        """As ``add_records``, and they are on the disk when this returns: no power cut takes them."""
        ...

    async def add_bodies(self, rows: Sequence[SealedBodies]) -> None:
        """Store recorded bodies."""
        ...

    async def find_bodies(self, request_id: str, expires: int) -> SealedBodies | None:
        """What was recorded of a request until ``expires``, None where that is over or nothing is there."""
        ...

    async def add_drifts(self, drifts: Sequence[DriftRecord]) -> None:
        """Add to what is counted already, in one transaction; what belongs to no API any more is passed over."""
        ...

    async def add_usage(self, batch: UsageBatch) -> None:
        """Add what was counted of requests; a batch that is sent again counts once."""
        ...
