"""The node table: one count for many processes, exact also when they are killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tieline.dataplane.limits import table as module
from tieline.dataplane.limits.table import FOREVER, PROBED, NodeTable, TableFull, identity, micros, open_file

ONE, TWO = identity("key_1", "requests", "60/min"), identity("key_1", "requests", "61/min")

# What a worker does in a process of its own: takes slots one by one as long as there are any, says how many, and waits.
TAKER = """
import sys
from pathlib import Path
from tieline.dataplane.limits.table import NodeTable, identity, open_file
path, worker, most = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
table, wanted, got = NodeTable(open_file(path), worker, 4), identity("key", "slots"), 0
while True:
    (cell,) = table.acquire([wanted])
    try:
        if table.held(cell) >= most:
            break
        table.own[cell * 2] += 1
        table.own[cell * 2 + 1] += 1
        got += 1
    finally:
        table.release([cell])
print(got, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def table(tmp_path: Path) -> Iterator[NodeTable]:
    """A table with one worker."""
    opened = NodeTable(open_file(tmp_path), 0, 1)
    yield opened
    opened.close()


def hold(table: NodeTable, wanted: bytes, amount: int = 1, until: int = 0) -> int:
    """Hold ``amount`` in the cell of ``wanted`` and keep it ``until`` then."""
    (cell,) = table.acquire([wanted])
    table.own[cell * 2] += amount
    table.shared[cell * 4] = until
    table.release([cell])
    return cell


def test_an_identity_keeps_its_cell_while_something_is_held(table: NodeTable) -> None:
    """The same identity finds the same cell, another identity another one."""
    cell = hold(table, ONE)
    assert table.acquire([ONE, TWO, ONE]) == [cell, table.acquire([TWO])[0], cell]
    assert table.held(cell) == 1


def test_a_cell_that_equals_a_fresh_one_goes_to_the_next(table: NodeTable, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where all places of an identity are taken, the first that holds nothing and whose time has passed is used."""
    monkeypatch.setattr(NodeTable, "_start", lambda *_: 7)
    names = [identity(str(number)) for number in range(PROBED)]
    for name in names:
        hold(table, name, until=FOREVER)
    with pytest.raises(TableFull, match="Too many limits"):
        table.acquire([ONE])
    (cell,) = table.acquire([names[5]])
    table.shared[cell * 4] = micros()
    with pytest.raises(TableFull):
        table.acquire([ONE])
    table.own[cell * 2] = 0
    table.own[cell * 2 + 1] = table.shared[cell * 4 + 3] = 9
    assert table.acquire([ONE]) == [cell]
    assert (table.kept(cell), table.shared[cell * 4 + 3]) == (0, 0)
    hold(table, ONE)
    with pytest.raises(TableFull):
        table.acquire([names[5]])


def test_four_workers_take_exactly_what_there_is_and_a_killed_one_gives_back(tmp_path: Path) -> None:
    """2,000 slots for four processes at once: not one too many; one is killed, and all that it held is free."""
    path = tmp_path
    command = [sys.executable, "-c", TAKER, str(path)]
    takers = [
        subprocess.Popen([*command, str(n), "2000"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) for n in range(4)
    ]
    try:
        got = [int((taker.stdout or sys.stdin).readline()) for taker in takers]
        table = NodeTable(open_file(path), 0, 4)
        (cell,) = table.acquire([identity("key", "slots")])
        table.release([cell])
        assert (sum(got), table.held(cell)) == (2000, 2000)
        takers[2].send_signal(signal.SIGKILL)
        takers[2].wait(10)
        table.release_all(2)
        assert (table.held(cell), table.kept(cell)) == (2000 - got[2], 2000)
        table.close()
    finally:
        for taker in takers:
            taker.kill()
            taker.communicate(timeout=10)


def test_counters_outlive_the_processes_but_not_the_run_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a restart of the server a cell is what it was; after one of the machine it is fresh, as the clock is."""
    path = tmp_path
    for workers, held in ((1, 1), (3, 2), (2, 3)):
        table = NodeTable(open_file(path), 0, workers)
        assert table.held(hold(table, ONE, until=FOREVER)) == held
        table.close()
    monkeypatch.setattr(module, "boot_id", lambda: b"another run of the machine")
    table = NodeTable(open_file(path), 0, 2)
    (cell,) = table.acquire([ONE])
    assert (table.held(cell), table.shared[cell * 4]) == (0, 0)
    table.close()


def test_its_space_is_allocated(tmp_path: Path, table: NodeTable) -> None:
    """A hole in the file would be a fault of memory on a full disk."""
    facts = (tmp_path / "node.table").stat()
    assert facts.st_blocks * 512 >= facts.st_size > 4 * 1024 * 1024
    assert facts.st_mode & 0o077 == 0


@pytest.mark.parametrize(("worker", "workers"), [(1, 1), (-1, 1), (0, 65)])
def test_workers_out_of_bounds_are_refused(tmp_path: Path, worker: int, workers: int) -> None:
    """A node has up to 64 workers, counted from 0."""
    with pytest.raises(ValueError, match="1 to 64 workers"):
        NodeTable(open_file(tmp_path), worker, workers)


def test_what_a_dead_worker_had_under_way_is_kept_and_known_to_be_an_estimate() -> None:
    """The rest of what it held is free; a second time changes nothing."""
    file = open_file(None)
    dead, other = (NodeTable(file, worker, 2) for worker in range(2))
    (cell,) = dead.acquire([identity("a")])
    dead.release([cell])
    dead.own[cell * 2], dead.own[cell * 2 + 1], dead.under_way[cell * 2] = 7, 100, 5
    other.own[cell * 2], other.under_way[cell * 2] = 2, 2
    for _ in range(2):
        other.release_all(0)
        assert (other.held(cell), other.kept(cell), other.estimated(cell)) == (2, 105, 5)
    for table in (dead, other):
        table.close()
    os.close(file)
