"""Openings of the vault on their way to the audit log: gathered, bounded, told once, and later where they must be."""

import asyncio
from collections.abc import Sequence

import pytest

from tieline.audit.chain import canonical_json
from tieline.audit.events import VaultOpened
from tieline.core.errors import NotReady
from tieline.dataplane import openings as module
from tieline.dataplane.openings import NAMED_MOST, WAITING_MOST, Openings
from tieline.vault.envelope import Place


class Log:
    """An ``OpeningLog`` in memory; ``away`` refuses."""

    def __init__(self) -> None:
        self.events: list[VaultOpened] = []
        self.away = False
        self.told = asyncio.Event()

    async def add_openings(self, events: Sequence[VaultOpened]) -> None:
        await asyncio.sleep(0)
        if self.away:
            raise NotReady("The store is away.")
        self.events += events
        self.told.set()


def place(row: str = "cred_1", name: str = "key", version: int = 1, table: str = "secrets") -> Place:
    """Where a secret stands."""
    return Place(table, row, name, version, "live")


async def test_what_was_opened_is_one_event_for_each_reason() -> None:
    """Fields of one version stand together, and are told once."""
    log = Log()
    openings = Openings(log)
    serving, token = openings.witness("serve"), openings.witness("token")
    for each in (place(), place(name="secret"), place(), place("cred_2", version=3)):
        serving.opened(each)
    token.opened(place("conn_1", "access_token", table="connection_secrets"))
    await openings.flush()
    await openings.flush()
    assert [(event.target, event.why, event.more) for event in log.events] == [
        ("vault", "serve", 0),
        ("vault", "token", 0),
    ]
    assert log.events[0].opened == {
        "cred_1": {"of": "credential", "environment": "live", "version": 1, "fields": ["key", "secret"]},
        "cred_2": {"of": "credential", "environment": "live", "version": 3, "fields": ["key"]},
    }
    assert log.events[1].opened["conn_1"]["of"] == "connection"


async def test_two_versions_of_one_credential_are_both_told() -> None:
    """A change in between is no reason to forget the one before."""
    log = Log()
    openings = Openings(log)
    for version in (1, 2):
        openings.witness("serve").opened(place(version=version))
    await openings.flush()
    assert [each["version"] for each in log.events[0].opened.values()] == [1, 2]


async def test_what_could_not_be_told_is_told_later() -> None:
    """With what was opened meanwhile, and nothing twice."""
    log = Log()
    openings = Openings(log)
    log.away = True
    openings.witness("serve").opened(place())
    await openings.flush()
    openings.witness("serve").opened(place("cred_2"))
    await openings.close()
    assert log.events == []
    log.away = False
    await openings.flush()
    assert [sorted(event.opened) for event in log.events] == [["cred_1", "cred_2"]]


async def test_what_waits_is_bounded_and_the_rest_is_counted() -> None:
    """However many are opened while the store is away; and each event has bounds."""
    log = Log()
    openings = Openings(log)
    for number in range(WAITING_MOST + 7):
        openings.witness("token").opened(place(f"conn_{number:06}", "f" * 200, table="connection_secrets"))
    await openings.flush()
    assert sum(len(event.opened) for event in log.events) == WAITING_MOST
    assert [event.more for event in log.events] == [0] * (len(log.events) - 1) + [7]
    assert all(len(event.opened) <= NAMED_MOST for event in log.events)
    assert max(len(canonical_json(event.data())) for event in log.events) < 131_072


async def test_nothing_opened_is_nothing_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The task waits for an opening, tells it, and then waits for the next."""
    monkeypatch.setattr(module, "GATHER_SECONDS", 0)
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0)
    log = Log()
    openings = Openings(log)
    running = asyncio.create_task(openings.run())
    await asyncio.sleep(0)
    assert log.events == []
    for count in (1, 2):
        log.told.clear()
        openings.witness("serve").opened(place())
        await asyncio.wait_for(log.told.wait(), 5)
        assert len(log.events) == count
    running.cancel()
