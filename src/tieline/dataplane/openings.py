"""What was opened in the vault by one process, gathered and told to the audit log.

Owns that no opening goes untold and that requests wait for none of it: secrets are opened when a worker starts, when
something changes and when a token is read, not for each request. What was opened is told at the end of a start, then
two seconds after something was opened, and twice a minute at most. While the store is away it waits, within bounds;
what is beyond them is told as a number. A process that is killed loses what it opened since it last told.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from tieline.audit.events import VaultOpened
from tieline.core.errors import TielineError
from tieline.dataplane import saving
from tieline.dataplane.saving import Saving
from tieline.ports.audit import OpeningLog
from tieline.vault.envelope import Place

log = logging.getLogger("tieline.dataplane.openings")

GATHER_SECONDS: Final = 2.0
PAUSE_SECONDS: Final = 28.0
NAMED_MOST: Final = 400
"""Rows and fields that one event names: an event has bounds."""
WAITING_MOST: Final = 2_000
"""Rows that wait to be told, for each reason; what is opened beside them is counted."""

Why = Literal["serve", "token", "verify", "trial", "sign_in", "webhook", "bodies", "replay"]
_OF: Final = {
    "secrets": "credential",
    "connection_secrets": "connection",
    "sign_ins": "sign_in",
    "webhook_secrets": "webhook",
    "request_bodies": "request",
}


class Openings(Saving):
    """The openings of one process since they were last told. Without ``told`` they are gathered and told to nobody."""

    def __init__(self, told: OpeningLog | None = None) -> None:
        super().__init__(PAUSE_SECONDS)
        self._told = told
        self._waiting: dict[Why, _Gathered] = {}
        self._some = asyncio.Event()

    def witness(self, why: Why) -> "OpeningsWitness":
        """What a ``Revealer`` tells of what it opens; ``why`` is the reason that the audit log gives for it."""
        return OpeningsWitness(self, why)

    def note(self, why: Why, place: Place) -> None:
        """Gather one opening."""
        gathered = self._waiting.setdefault(why, _Gathered())
        gathered.add(place)
        self._some.set()

    async def _wanted(self) -> None:
        await self._some.wait()
        await asyncio.sleep(GATHER_SECONDS)

    async def _save(self) -> None:
        taken, self._waiting = self._waiting, {}
        self._some.clear()
        if self._told is None or not taken:
            return
        try:
            await self._told.add_openings([event for why, each in taken.items() for event in each.events(why)])
        except TielineError as error:
            log.warning("what was opened in the vault could not be told to the audit log yet: %s", error.explained)
            self._put_back(taken)
        except BaseException:
            self._put_back(taken)
            raise

    def _put_back(self, taken: Mapping[Why, "_Gathered"]) -> None:
        for why, each in taken.items():
            since = self._waiting.get(why)
            self._waiting[why] = each
            if since is not None:
                each.join(since)
        self._some.set()

    def _warn_of_hanging(self) -> None:
        log.warning(
            "the store has not answered for %d s: what was opened in the vault waits to be told to the audit log",
            saving.HANGING_SECONDS,
        )

    def _warn_of_loss(self) -> None:
        log.warning("the store did not take the last openings of the vault within %d s", saving.CLOSE_SECONDS)


@dataclass(frozen=True, slots=True)
class OpeningsWitness:
    """``vault.reveal.Witness`` for one reason."""

    openings: Openings
    why: Why

    def opened(self, place: Place) -> None:
        """Note that the secret at ``place`` was opened."""
        self.openings.note(self.why, place)


_Row = tuple[str, str, int, str]  # table, id, version, environment


@dataclass(slots=True)
class _Gathered:
    """Opened secrets by row, and how many rows' openings are only counted."""

    rows: dict[_Row, set[str]] = field(default_factory=dict)
    more: int = 0

    def add(self, place: Place) -> None:
        row = (place.table, place.row, place.version, place.environment)
        fields = self.rows.get(row)
        if fields is not None:
            fields.add(place.field)
        elif len(self.rows) < WAITING_MOST:
            self.rows[row] = {place.field}
        else:
            self.more += 1

    def join(self, other: "_Gathered") -> None:
        self.more += other.more
        for (table, row, version, environment), fields in other.rows.items():
            for name in fields:
                self.add(Place(table, row, name, version, environment))

    def events(self, why: Why) -> list[VaultOpened]:
        """As few events as are needed to name every row."""
        parts: list[dict[str, object]] = [{}]
        names = 0
        for (table, row, version, environment), fields in self.rows.items():
            shown = sorted(fields)[:NAMED_MOST]
            names += 1 + len(shown)
            if names > NAMED_MOST and parts[-1]:
                parts.append({})
                names = 1 + len(shown)
            key = row if row not in parts[-1] else f"{row} version {version} ({environment})"
            of = _OF.get(table, table)
            parts[-1][key] = {"of": of, "environment": environment, "version": version, "fields": shown}
        return [
            VaultOpened("vault", why=why, opened=part, more=self.more if part is parts[-1] else 0) for part in parts
        ]
