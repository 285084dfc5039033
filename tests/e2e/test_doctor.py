"""``tieline doctor`` and ``tieline serve`` agree: where the one finds something wrong the other does not start."""

import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.conftest import COMMAND

# Root is bound by file modes where it gives up the capabilities that override them.
BOUND = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search"]
LISTENERS = ("--app-listen", "127.0.0.1:0", "--console-listen", "127.0.0.1:0")


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory whose modes can be anything."""
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("root without setpriv is bound by no file mode")
    folder = Path(tempfile.mkdtemp(prefix="tieline-doctor-"))
    yield folder
    subprocess.run(["chmod", "-R", "u+rwX", str(folder)], check=True)
    shutil.rmtree(folder)


def command(home: Path, *words: str) -> list[str]:
    """The words that run a command on the data directory in ``home``, and with the authorities there."""
    bundle = [f"TIELINE_CA_BUNDLE={home / 'ca.pem'}"] if (home / "ca.pem").exists() else []
    bound = BOUND if os.geteuid() == 0 else []
    return ["env", *bundle, *bound, *COMMAND, *words, "--data-dir", str(home / "data"), *LISTENERS]


def started(home: Path) -> bool:
    """Whether a server becomes ready; it is ended at once."""
    with subprocess.Popen(command(home, "serve"), stderr=subprocess.PIPE, text=True) as program:
        assert program.stderr is not None
        ready = any(line.startswith("ready ") for line in iter(program.stderr.readline, ""))
        program.send_signal(signal.SIGINT)
    return ready


def before_the_first_start(_home: Path) -> None:
    """Nothing is there."""


def directory_that_may_only_be_read(home: Path) -> None:
    """Files in it can be read and not be made."""
    (home / "data").mkdir()
    (home / "data").chmod(0o500)


def directory_that_may_not_be_looked_at(home: Path) -> None:
    """Not even its name is found."""
    (home / "data").mkdir(0o700)
    home.chmod(0o000)


def parent_that_may_not_be_written(home: Path) -> None:
    """It is not there and cannot be made."""
    home.chmod(0o500)


def newer_schema(home: Path) -> None:
    """A later version was here."""
    assert started(home)
    with closing(sqlite3.connect(home / "data" / "tieline.db")) as file:
        file.execute("UPDATE alembic_version SET version_num = '9999'")
        file.commit()


def root_key_that_is_gone(home: Path) -> None:
    """There is a store, and nothing opens it."""
    assert started(home)
    (home / "data" / "root.key").unlink()


def store_as_it_was_left(home: Path) -> None:
    """A server ran and was ended."""
    assert started(home)


def authorities_that_are_none(home: Path) -> None:
    """The file is there and holds no certificate."""
    (home / "ca.pem").write_text("no certificate")


def root_key_that_is_empty(home: Path) -> None:
    """Before the first start, which would use it."""
    (home / "data").mkdir(0o700)
    (home / "data" / "root.key").touch(0o600)


def root_key_that_is_a_directory(home: Path) -> None:
    """No mode would make it a key."""
    (home / "data").mkdir(0o700)
    (home / "data" / "root.key").mkdir(0o700)


CASES: list[tuple[Callable[[Path], None], bool]] = [
    (before_the_first_start, True),
    (store_as_it_was_left, True),
    (directory_that_may_only_be_read, False),
    (directory_that_may_not_be_looked_at, False),
    (parent_that_may_not_be_written, False),
    (newer_schema, False),
    (root_key_that_is_gone, False),
    (authorities_that_are_none, False),
    (root_key_that_is_empty, False),
    (root_key_that_is_a_directory, False),
]


def test_authorities_are_an_option_as_they_are_of_serve(home: Path) -> None:
    """Checked alike whether the option or the variable names them."""
    authorities_that_are_none(home)
    words = [*COMMAND, "doctor", "--data-dir", str(home / "data"), "--ca-bundle", str(home / "ca.pem"), *LISTENERS]
    found = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (found.returncode, f"The CA bundle {home / 'ca.pem'} cannot be used" in found.stdout) == (1, True)


@pytest.mark.parametrize(("case", "serves"), CASES, ids=[case.__name__ for case, _ in CASES])
def test_the_doctor_agrees_with_serve(home: Path, case: Callable[[Path], None], serves: bool) -> None:
    """Exit 0 and nothing wrong exactly where a server starts, and never advice to start one that will not."""
    case(home)
    found = subprocess.run(command(home, "doctor"), capture_output=True, text=True, check=False)
    assert found.returncode == (0 if serves else 1), found.stdout + found.stderr
    assert "inside Tieline" not in found.stderr
    assert ("start one with `tieline serve`" in found.stdout) is serves
    assert started(home) is serves
