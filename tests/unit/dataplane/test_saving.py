"""What a worker gathers is saved one save at a time, while it runs and as it ends."""

import asyncio

import pytest

from tieline.dataplane import saving
from tieline.dataplane.saving import Saving


class Gathered(Saving):
    """Saves three of what waits at a time, once ``store`` lets it; ``told`` is what the log would say."""

    def __init__(self, waiting: int = 0) -> None:
        super().__init__(0)
        self.waiting = waiting
        self.saved: list[int] = []
        self.at_once = 0
        self.told: list[str] = []
        self.store = asyncio.Event()
        self.store.set()

    async def _save(self) -> None:
        self.at_once += 1
        assert self.at_once == 1, "two saves at once"
        await self.store.wait()
        self.at_once -= 1
        self.saved.append(min(3, self.waiting))
        self.waiting -= self.saved[-1]

    def _left(self) -> int:
        return self.waiting

    def _warn_of_hanging(self) -> None:
        self.told.append("hangs")

    def _warn_of_loss(self) -> None:
        self.told.append("lost")


async def turns(count: int = 10) -> None:
    """Let others go on."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_it_saves_again_and_again_until_it_is_stopped() -> None:
    """At once, and after each pause."""
    gathered = Gathered(4)
    running = asyncio.create_task(gathered.run())
    await turns(30)
    running.cancel()
    assert gathered.saved[:3] == [3, 1, 0]


async def test_the_next_save_waits_for_the_one_that_is_on_its_way() -> None:
    """Also where whoever asked for that one has left: the store may have taken it."""
    gathered = Gathered(4)
    gathered.store.clear()
    first = asyncio.create_task(gathered.flush())
    await turns()
    first.cancel()
    second = asyncio.create_task(gathered.flush())
    await turns()
    assert gathered.saved == []
    gathered.store.set()
    await second
    assert gathered.saved == [3, 1]


async def test_a_worker_that_ends_saves_all_there_is() -> None:
    """With as many saves as that takes."""
    gathered = Gathered(7)
    await gathered.close()
    assert (gathered.saved, gathered.waiting, gathered.told) == ([3, 3, 1], 0, [])


async def test_a_worker_that_ends_gives_up_what_no_save_makes_less() -> None:
    """The store is there and does not take it."""
    gathered = Gathered(-1)
    gathered._left = lambda: 5  # type: ignore[method-assign]
    await gathered.close()
    assert len(gathered.saved) == 2


async def test_a_worker_that_ends_waits_for_the_store_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the log says what is lost; and before that, that the store does not answer."""
    monkeypatch.setattr(saving, "CLOSE_SECONDS", 0.02)
    monkeypatch.setattr(saving, "HANGING_SECONDS", 0.0)
    gathered = Gathered(1)
    gathered.store.clear()
    await gathered.close()
    assert gathered.told == ["hangs", "lost"]
    gathered.store.set()
    await gathered.flush()
    assert gathered.saved == [1, 0]
