"""The house's own checks notice what they are there for, the lock files hold what they promise, the wheel is whole."""

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tools import links, rules, sizes

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
REQUIREMENT = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*])?==", re.MULTILINE)


def locked(name: str) -> set[str]:
    """Names of the packages that one lock file pins."""
    return {
        found.lower().replace("_", "-") for found in REQUIREMENT.findall((ROOT / "requirements" / name).read_text())
    }


def rule_breaches(code: str, folder: Path) -> list[str]:
    """What tools/rules.py says of a module with this code."""
    (folder / "module.py").write_text(code)
    return list(rules.problems(folder / "module.py", folder))


def test_two_classes_of_one_name_are_noticed() -> None:
    """A name that stands for two classes is reported with both places; private classes may share one."""
    trees = {place: ast.parse("class Answer: ...\nclass _Own: ...\n") for place in ("one.py", "two.py")}
    assert list(rules.classes_of_one_name(trees)) == [
        "Answer is 2 classes (one.py:1, two.py:1): give each a name of its own"
    ]


def size_breaches(code: str, folder: Path) -> list[str]:
    """What tools/sizes.py says of the functions of a module with this code."""
    (folder / "module.py").write_text(code)
    return list(sizes.function_problems(folder / "module.py", folder))


@pytest.mark.parametrize("main", [sizes.main, rules.main, links.main], ids=["sizes", "rules", "links"])
def test_the_house_keeps_its_rules(main: Callable[[], int], capsys: pytest.CaptureFixture[str]) -> None:
    """Sizes, rules and links hold for the tree as it is."""
    assert main() == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ('"""Doc."""\nimport os\nHOME = os.environ["HOME"]\n', "reads the environment"),
        ('"""Doc."""\nfrom os import getenv\n', "reads the environment"),
        ('"""Doc."""\ntry:\n    pass\nexcept Exception:\n    pass\n', "catches every error"),
        ('"""Doc."""\ntry:\n    pass\nexcept (ValueError, BaseException):\n    pass\n', "catches every error"),
        ('"""Doc."""\ntry:\n    pass\nexcept:\n    pass\n', "catches every error"),
        ('"""Doc."""\nfrom urllib.parse import urlsplit\n', "reads URLs by the library's rules"),
        ('"""Doc."""\nimport urllib.parse\nurllib.parse.urlparse("a")\n', "reads URLs by the library's rules"),
        ('"""Doc."""\nimport re._parser\n', "keeps for itself"),
        ('"""Doc."""\nimport re\nPARSE = re._parser.parse\n', "keeps for itself"),
        ('"""Doc."""\nfrom sqlalchemy.util import _collections\n', "keeps for itself"),
        ('"""Doc."""\nimport importlib\nP = importlib.import_module("re._compiler")\n', "keeps for itself"),
        ('"""Keeps things. Knows not what for."""\n', "makes the reader guess"),
        ("LEFT = 1\n", "no docstring"),
        ('"""Doc."""\n# TO' + "DO: later\n", "unfinished"),
    ],
)
def test_a_broken_rule_is_noticed(code: str, expected: str, tmp_path: Path) -> None:
    """Each rule of tools/rules.py finds a module that breaks it."""
    assert any(expected in breach for breach in rule_breaches(code, tmp_path))


def test_cleaning_up_and_raising_again_is_no_blanket_except(tmp_path: Path) -> None:
    """An ``except BaseException`` that ends in a bare ``raise`` swallows nothing."""
    code = '"""Doc."""\ntry:\n    pass\nexcept BaseException:\n    print()\n    raise\n'
    assert rule_breaches(code, tmp_path) == []


@pytest.mark.parametrize("name", ["utils", "key_helpers", "common", "connection_manager", "base_scheme"])
def test_an_empty_name_is_noticed(name: str) -> None:
    """Modules are nouns of the domain."""
    assert rules.EMPTY_NAMES.search(name)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("def long():\n" + "    pass\n" * 80, "has 81 lines"),
        ("def wide(a, b, c, d, e, f, g):\n    pass\n", "takes 7 parameters"),
        ("class Some:\n    def wide(self, a, b, c, *, d, e, f, g):\n        pass\n", "takes 7 parameters"),
    ],
)
def test_a_function_over_budget_is_noticed(code: str, expected: str, tmp_path: Path) -> None:
    """tools/sizes.py counts lines and parameters, self aside."""
    assert any(expected in breach for breach in size_breaches(code, tmp_path))


def test_logic_in_a_package_init_is_noticed(tmp_path: Path) -> None:
    """``__init__`` names what a package offers and computes nothing."""
    init = tmp_path / "__init__.py"
    init.write_text('"""Doc."""\nfor number in range(3):\n    print(number)\n')
    assert any("logic" in breach for breach in sizes.init_problems(init, tmp_path))


def test_a_broken_link_is_noticed(tmp_path: Path) -> None:
    """tools/links.py reports missing files, missing headings and missing make targets."""
    page = tmp_path / "page.md"
    page.write_text("# One\n[a](gone.md) [b](#one) [c](#two) [d](page.md#one)\n\nRun `make nothing`.\n")
    assert [problem.split("the link ")[1].split()[0] for problem in links.broken_links(page, tmp_path)] == [
        "gone.md",
        "#two",
    ]
    assert "make nothing" in next(links.unknown_targets(page, {"test"}, tmp_path))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_requirement_is_pinned_by_hash_without_an_address(lock: Path) -> None:
    """Each package of a lock file names one version and its hashes; where it comes from is the machine's business."""
    text = lock.read_text()
    assert "://" not in text
    entries = re.split(r"\n(?=\S)", text.strip())
    assert all("==" in entry and "--hash=sha256:" in entry for entry in entries if not entry.startswith("#"))


@pytest.mark.parametrize("lock", ["runtime.txt", "demo.txt", "dev.txt"])
def test_every_lock_has_what_the_product_needs(lock: str) -> None:
    """No dependency of pyproject.toml is missing from a lock, so installing from it never asks for more."""
    needed = {re.split(r"[\[<>=~!; ]", name)[0].lower() for name in PROJECT["project"]["dependencies"]}
    assert needed | {"hatchling", "editables"} <= locked(lock)


def test_the_locks_agree_on_versions() -> None:
    """What is demonstrated and shipped is what was tested."""
    pins: dict[str, set[str]] = {}
    for lock in LOCKS:
        for name, version in re.findall(r"^(\S+?)==(\S+)", lock.read_text(), re.MULTILINE):
            pins.setdefault(name, set()).add(version)
    assert {name: versions for name, versions in pins.items() if len(versions) > 1} == {}


@pytest.mark.parametrize("folder", ["e2e/node", "peers/oidc"])
def test_node_packages_are_pinned_without_an_address(folder: str) -> None:
    """A Node lock has an integrity hash for each package and no registry's address."""
    text = (ROOT / "tests" / folder / "package-lock.json").read_text()
    assert '"integrity": "sha512-' in text
    assert '"resolved"' not in text


def test_no_committed_file_names_a_workplace() -> None:
    """No file says where it was written or which package mirror it came through."""
    names = re.compile(r"/(?:work|root)/[a-z.]|files\.pythonhosted|registry\.npmjs|deb\.debian\.org")
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    texts = (path for name in listed if (path := ROOT / name).is_file() and path != Path(__file__).resolve())
    assert [path.name for path in texts if names.search(path.read_text(errors="replace"))] == []


def test_the_wheel_is_whole(tmp_path: Path) -> None:
    """The built wheel carries every file of the package, and nothing that runs code when Python starts."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("tieline-*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    source = ROOT / "src"
    shipped = {
        path.relative_to(source).as_posix()
        for path in source.rglob("*")
        if path.is_file() and path.suffix in {".py", ".yaml", ".mako", ".typed"}
    }
    assert shipped <= inside
    assert "tieline/definitions/catalogue/openai.yaml" in inside
    assert not [name for name in inside if name.endswith(".pth")]


def test_the_changelog_knows_this_version() -> None:
    """The version that pyproject.toml builds has its section."""
    assert f"## {PROJECT['project']['version']}" in (ROOT / "CHANGELOG.md").read_text()
