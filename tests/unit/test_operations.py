"""What docs/operations.md gives to copy: a service unit and a container file that this version can be run by."""

import configparser
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tieline.app.assignment import DRAIN_SECONDS
from tieline.app.supervisor import DRAIN_GRACE
from tieline.cli.serving import read
from tieline.settings.reading import serve_settings
from tieline.settings.table import variable_names

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"


def block(language: str) -> str:
    """The one code block of ``language`` on the page."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return str(found)


@pytest.fixture
def unit() -> dict[str, list[str]]:
    """The ``[Service]`` section, each key with its values in order."""
    parser = configparser.RawConfigParser(strict=False, delimiters=("=",))
    parser.read_string(block("ini"))
    assert parser.sections() == ["Unit", "Service", "Install"]
    found: dict[str, list[str]] = {}
    for line in block("ini").split("[Service]")[1].split("[Install]")[0].strip().splitlines():
        name, _, value = line.partition("=")
        found.setdefault(name, []).append(value)
    return found


def test_the_units_settings_are_this_versions(unit: dict[str, list[str]], tmp_path: Path) -> None:
    """Its variables and options are read as ``tieline serve`` reads them; none is unknown."""
    variables = dict(each.split("=", 1) for each in unit["Environment"])
    assert variables.keys() <= variable_names()
    (command,) = unit["ExecStart"]
    program, noun, *words = shlex.split(command)
    assert (program.rpartition("/")[2], noun) == ("tieline", "serve")
    assert serve_settings(read(words), variables | {"HOME": str(tmp_path)}).log_format == "json"


def test_the_unit_gives_the_drain_its_time(unit: dict[str, list[str]]) -> None:
    """systemd kills after what draining may take, not before."""
    variables = dict(each.split("=", 1) for each in unit["Environment"])
    assert int(unit["TimeoutStopSec"][0]) > int(variables["TIELINE_DRAIN_DELAY"]) + DRAIN_SECONDS + DRAIN_GRACE


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_knows_every_word_of_the_unit(tmp_path: Path) -> None:
    """Its own check warns of nothing, and its scale puts what the unit leaves open in the lower half."""
    file = tmp_path / "tieline.service"
    file.write_text(block("ini").replace("/opt/tieline/bin/tieline", sys.executable), encoding="utf-8")
    verified = subprocess.run(["systemd-analyze", "verify", str(file)], capture_output=True, text=True, check=False)
    assert [line for line in verified.stderr.splitlines() if "tieline.service" in line] == []
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=50", str(file)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert rated.returncode == 0, rated.stdout[-500:]


def test_the_container_serves_on_the_ports_that_it_exposes(tmp_path: Path) -> None:
    """Its instructions are known, its settings are read without extract_error, and nobody runs it as root."""
    lines = re.sub(r"\\\n\s*", "", block("Dockerfile")).strip().splitlines()
    found = {line.split(" ", 1)[0]: line.split(" ", 1)[1] for line in lines}
    assert found.keys() == {"FROM", "COPY", "RUN", "USER", "VOLUME", "EXPOSE", "ENV", "ENTRYPOINT"}
    variables = dict(each.split("=", 1) for each in shlex.split(found["ENV"]))
    program, noun, *words = json.loads(found["ENTRYPOINT"])
    settings = serve_settings(read(words), variables | {"HOME": str(tmp_path)})
    assert (program, noun, found["USER"]) == ("tieline", "serve", "tieline")
    assert found["EXPOSE"].split() == [str(settings.app_listen.port), str(settings.console_listen.port)]
    assert str(settings.data_dir) == found["VOLUME"]
