"""``tieline check``: files are checked without a server, each mistake with its line."""

import json
from pathlib import Path

import pytest

from tieline.cli.commands import invoke

GOOD = "tieline: v1\napi: weather\nbase_url: https://weather.example\n"
BAD = GOOD + "areaz: []\ntitel: Weather\n"
CALL = "path: /models/<model>\nparameters: {model: {type: txt}}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with files, which commands run in."""
    for name, text in (("good.yaml", GOOD), ("bad.yaml", BAD), ("call.yaml", CALL)):
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_file_without_mistakes_is_told_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And the command ends with 0."""
    assert invoke(["check", "good.yaml"]) == 0
    assert capsys.readouterr().out == "good.yaml: nothing is wrong\n"


def test_every_mistake_has_its_place_and_its_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the form that editors jump to; a call is checked by itself too; the command ends with 1."""
    assert invoke(["check", "bad.yaml", "call.yaml"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[0] for line in lines if not line.startswith(" ")] == [
        "bad.yaml:4:1",
        "bad.yaml:5:1",
        "call.yaml:2:22",
    ]
    assert "    areaz: []" in lines


def test_a_file_that_cannot_be_read_does_not_hide_the_others(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One that is not UTF-8 and one that is not there are told where they stand in the row."""
    (folder / "odd.yaml").write_bytes(b"\xff\xfe")
    assert invoke(["check", "odd.yaml", "gone.yaml", "good.yaml", "bad.yaml"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "odd.yaml: is not UTF-8 text",
        "gone.yaml: cannot be read: No such file or directory",
        "good.yaml: nothing is wrong",
    ]
    assert lines[3].startswith("bad.yaml:4:1")


def test_problems_for_programs_are_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By file, those without a mistake too."""
    assert invoke(["check", "good.yaml", "bad.yaml", "--json"]) == 1
    good, bad = json.loads(capsys.readouterr().out)["items"]
    assert (good["file"], good["problems"]) == ("good.yaml", [])
    assert [(each["line"], each["path"]) for each in bad["problems"]] == [(4, "areaz"), (5, "titel")]
