"""The control plane's store, with a unit of work.

A *write* is one transaction: what the use case changes, its audit event and the ``changes`` rows that tell the data
plane. Writes run one at a time (the audit chain needs that anyway), so a use case may read, decide and write in one.
"""

from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from tieline.access.caller import Caller
from tieline.ports.apis import ApiReader, ApiWriter
from tieline.ports.apps import AppReader, AppWriter
from tieline.ports.audit import AuditReader, AuditWriter
from tieline.ports.budgets import BudgetReader, BudgetWriter
from tieline.ports.connections import ConnectionReader, ConnectionWriter
from tieline.ports.credentials import CredentialReader, CredentialWriter
from tieline.ports.data_keys import DataKeyReader
from tieline.ports.drift import DriftReader, DriftWriter
from tieline.ports.keys import KeyReader, KeyWriter
from tieline.ports.prices import PriceListReader, PriceListWriter
from tieline.ports.signins import SignInReader, SignInWriter
from tieline.ports.tokens import TokenReader, TokenWriter
from tieline.ports.usage import UsageQueries
from tieline.ports.webhooks import WebhookReader, WebhookWriter


class Reading(Protocol):
    """One consistent view of the store."""

    @property
    def apis(self) -> ApiReader: ...
    @property
    def credentials(self) -> CredentialReader: ...
    @property
    def apps(self) -> AppReader: ...
    @property
    def keys(self) -> KeyReader: ...
    @property
    def tokens(self) -> TokenReader: ...
    @property
    def audit(self) -> AuditReader: ...
    @property
    def data_keys(self) -> DataKeyReader: ...
    @property
    def drift(self) -> DriftReader: ...
    @property
    def connections(self) -> ConnectionReader: ...
    @property
    def sign_ins(self) -> SignInReader: ...
    @property
    def prices(self) -> PriceListReader: ...
    @property
    def budgets(self) -> BudgetReader: ...
    @property
    def webhooks(self) -> WebhookReader: ...
    @property
    def usage(self) -> UsageQueries: ...


class Writing(Protocol):
    """One write: everything in it is kept, durably, when the block ends without an exception, and otherwise nothing."""

    @property
    def apis(self) -> ApiWriter: ...
    @property
    def credentials(self) -> CredentialWriter: ...
    @property
    def apps(self) -> AppWriter: ...
    @property
    def keys(self) -> KeyWriter: ...
    @property
    def tokens(self) -> TokenWriter: ...
    @property
    def audit(self) -> AuditWriter: ...
    @property
    def drift(self) -> DriftWriter: ...
    @property
    def connections(self) -> ConnectionWriter: ...
    @property
    def sign_ins(self) -> SignInWriter: ...
    @property
    def prices(self) -> PriceListWriter: ...
    @property
    def budgets(self) -> BudgetWriter: ...
    @property
    def webhooks(self) -> WebhookWriter: ...


class Store(Protocol):
    """Where the control plane keeps its state."""

    def read(self) -> AbstractAsyncContextManager[Reading]:
        """``async with store.read() as rx``."""
        ...

    def write(self, caller: Caller) -> AbstractAsyncContextManager[Writing]:
        """``async with store.write(caller) as tx``; ``caller`` is the actor of the audit events added in it."""
        ...

    async def touch_token(self, token_id: str, at: datetime) -> None:
        """Note that a token was used; called at most once a minute for each token. No audit event."""
        ...

    async def reachable(self) -> bool:
        """Whether the store answers now."""
        ...
