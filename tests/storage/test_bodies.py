"""Recorded bodies on each engine: kept until their end, gone after it, and nothing of them in clear."""

import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import func, select

from tests.storage.rows import sealed
from tieline.core.errors import NotReady
from tieline.ports.bodies import BodyStore, SealedBodies
from tieline.storage.bodies import HourFiles, open_bodies
from tieline.storage.engine import Database
from tieline.storage.schema import request_bodies

HOUR = 3_600


@pytest.fixture
async def bodies(database: Database) -> AsyncIterator[BodyStore]:
    """The store's recorded bodies."""
    opened = open_bodies(database)
    yield opened
    await opened.close()


def row(number: int, expires: float) -> SealedBodies:
    """Bodies of a request, of which some have no answer."""
    answer = sealed(number + 1) if number % 2 else None
    return SealedBodies(f"req_{number}", int(expires), "live", sealed(number), answer)


async def left(database: Database) -> int:
    """How many there are, expired or not."""
    if database.kind == "postgresql":
        async with database.read() as connection:
            return int((await connection.execute(select(func.count()).select_from(request_bodies))).scalar_one())
    count = 0
    for path in Path(database.location).with_suffix(".bodies").glob("*.db"):
        with closing(sqlite3.connect(path)) as file:
            count += file.execute("SELECT count(*) FROM bodies").fetchone()[0]
    return count


async def test_what_was_kept_is_found_until_it_expires(bodies: BodyStore) -> None:
    """By id and end; a batch that is sent again changes nothing."""
    end = time.time() + HOUR
    rows = [row(1, end), row(2, end + 7 * HOUR), row(3, time.time() - 1)]
    for _ in range(2):
        await bodies.add(rows)
    assert await bodies.find("req_1", rows[0].expires) == rows[0]
    assert await bodies.find("req_2", rows[1].expires) == rows[1]
    assert await bodies.find("req_2", rows[0].expires) is None
    assert await bodies.find("req_3", rows[2].expires) is None
    assert await bodies.find("req_9", rows[0].expires) is None


async def test_what_has_expired_is_deleted(bodies: BodyStore, database: Database) -> None:
    """An hour after its end at the latest; the rest stays."""
    now = time.time()
    await bodies.add([row(number, now - 2 * HOUR + number) for number in range(1, 40)])
    await bodies.add([row(100, now + HOUR)])
    await bodies.forget(now)
    assert await left(database) == 1
    assert await bodies.find("req_100", int(now + HOUR)) is not None
    await bodies.forget(now + 3 * HOUR)
    assert await left(database) == 0


async def test_files_are_the_owners_alone(tmp_path: Path) -> None:
    """And deleting them is all it takes: the next batch makes them again."""
    files = HourFiles(tmp_path / "tieline.bodies")
    end = time.time() + HOUR
    await files.add([row(1, end)])
    (path,) = (tmp_path / "tieline.bodies").glob("*.db")
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    path.unlink()
    assert await files.find("req_1", int(end)) is None
    await files.add([row(2, end)])
    assert await files.find("req_2", int(end)) is not None
    await files.close()


async def test_a_full_disk_is_not_ready(tmp_path: Path) -> None:
    """What cannot be written says so, and is taken once there is room."""
    (tmp_path / "tieline.bodies").write_text("in the way")
    files = HourFiles(tmp_path / "tieline.bodies")
    with pytest.raises(NotReady):
        await files.add([row(1, time.time() + HOUR)])
    (tmp_path / "tieline.bodies").unlink()
    await files.add([row(1, time.time() + HOUR)])
    await files.close()
