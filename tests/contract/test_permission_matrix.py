"""The permission matrix: every published operation of OpenAI, every kind of key, every trick, against the oracle."""

import json
import random
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.contract import oracle
from tests.contract.oracle import Ask, Needs
from tieline.access.areas import AreaTable
from tieline.access.decide import Allowed, decide
from tieline.access.levels import Level
from tieline.access.overrides import check_override
from tieline.access.permissions import Mode, Permissions, choices, expand
from tieline.core.errors import InvalidRequest
from tieline.definitions.catalogue import load
from tieline.definitions.parse import parse

DOCUMENT = Path(__file__).resolve().parents[3] / "shared" / "data" / "openai-openapi.json"
METHODS = ("get", "put", "post", "delete", "patch", "head", "options", "trace")
LEAST = 20_000


@dataclass(frozen=True)
class Key:
    """A key for the product and the same for the oracle."""

    permissions: Permissions
    held: dict[str, str]


@pytest.fixture(scope="module")
def operations() -> list[tuple[str, str]]:
    """Method and path template of every published operation."""
    if not DOCUMENT.exists():
        pytest.skip("the OpenAPI document of OpenAI is not beside this checkout (../shared/data/openai-openapi.json)")
    paths = json.loads(DOCUMENT.read_text(encoding="utf-8"))["paths"]
    return [(method.upper(), path) for path, item in paths.items() for method in item if method in METHODS]


@pytest.fixture(scope="module")
def table() -> AreaTable:
    """The areas of the catalogue entry."""
    return AreaTable(parse(load("openai")).areas)


def filled(template: str) -> str:
    """A target with ids in place of the names in braces."""
    pieces = [f"Id-{number}_x" if piece.startswith("{") else piece for number, piece in enumerate(template.split("/"))]
    return "/".join(pieces)


def keys(table: AreaTable) -> list[Key]:
    """A key of each mode, and a restricted one for each area, parents too, at each of its levels."""
    found = [
        Key(Permissions(), {}),
        Key(Permissions(Mode.READ_ONLY), {}),
        Key(Permissions(Mode.RESTRICTED), {}),
    ]
    for area in table.areas:
        for level in choices(table, area)[1:]:
            grants = {"openai": expand(table, {area.name: level})}
            found.append(Key(Permissions(Mode.RESTRICTED, grants), oracle.spread(area.name, level.value)))
    return found


def path_tricks(path: str) -> Iterator[str]:
    """Ways to write ``path``, or to slip another one past whoever compares texts."""
    first, last = path.split("/")[1], path.rsplit("/", 1)[1]
    yield path
    yield path + "/"
    yield "/" + path
    yield path.replace("/", "//")
    yield "/." + path
    yield "/x/.." + path
    yield "/files/.." + path
    yield path + "/."
    yield path + "/.."
    yield path + "/../../.."
    yield "/.." + path
    yield path + "/../" + last
    yield "/models/%2e%2e" + path
    yield path + "/%2E%2e/x"
    yield f"/%{ord(first[0]):02x}" + path[2:]
    yield path[:-1] + f"%{ord(path[-1]):02X}"
    yield "/" + "".join(f"%{ord(letter):02x}" for letter in path[1:]).replace("%2f", "/")
    yield "/" + path[1:].replace("/", "%2F")
    yield "/" + path[1:].replace("/", "%2f")
    yield "/files%2F.." + path
    yield "/files/..%2f" + path[1:]
    yield path + "%2Fx"
    yield path + "%252F..%252Fx"
    yield "/" + path[1:].replace("/", "%252F")
    yield path + ";a=1"
    yield path.replace(first, first + ";x", 1)
    yield path + "%3Ba=1"
    yield "/files/..;" + path
    yield "/audio/" + last + ";v=1"
    yield path.upper()
    yield path.title()
    yield path[:-1] + path[-1].upper()
    yield path + "%00"
    yield path + "%0a"
    yield path.replace("/", "\\")
    yield path + "%5c..%5cx"
    yield path + "%"
    yield path + "%4"
    yield path + "/x"
    yield path + ".json"
    yield path + "%20"


def method_tricks(method: str, target: str) -> Iterator[Ask]:
    """Other methods on the same target, and requests to take another one than was sent."""
    for other in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "PROPFIND"):
        if other != method:
            yield Ask(other, target)
    yield Ask(method.lower(), target)
    yield Ask(method.title(), target)
    yield Ask(method, target, upgrade=True)
    yield Ask("GET", target, upgrade=True)
    yield Ask("GET", "/nothing" + target, upgrade=True)
    yield Ask("GET", target, headers=(("X-HTTP-Method-Override", method),))
    yield Ask("POST", target, headers=(("x-method-override", "GET"),))
    yield Ask(method, target, headers=(("X_HTTP_Method", "GET"),))
    joint = "&" if "?" in target else "?"
    yield Ask(method, f"{target}{joint}_method=GET")
    yield Ask(method, f"{target}{joint}a=1&%5fmethod=DELETE")
    yield Ask(method, f"{target}{joint}method=GET")


def asks(operations: list[tuple[str, str]]) -> list[Ask]:
    """Every operation as it is and under every trick, each request once."""
    found: dict[Ask, None] = {}
    for method, template in operations:
        target = filled(template)
        path, mark, query = target.partition("?")
        found.update(dict.fromkeys(Ask(method, trick + mark + query) for trick in path_tricks(path)))
        found.update(dict.fromkeys(method_tricks(method, target)))
    return list(found)


def product(table: AreaTable, key: Key, ask: Ask) -> tuple[str, tuple[str | None, str | None]]:
    """What Tieline says: the outcome, and what the request counts as or lacks."""
    path, _, query = ask.target.partition("?")
    asked = ask.method.encode(), path.encode()
    try:
        fields = [(name.encode(), value.encode()) for name, value in ask.headers]
        check_override(fields, query.encode())
        verdict = decide(key.permissions, "openai", table, "OpenAI", *asked, upgrade=ask.upgrade)
    except InvalidRequest:
        return "refused", (None, None)
    if isinstance(verdict, Allowed):
        return "allowed", (verdict.area, verdict.level and verdict.level.value)
    return "denied", (verdict.param, None)


def agrees(said: tuple[str, tuple[str | None, str | None]], key: Key, ask: Ask, needs: Needs) -> bool:
    """Whether the oracle says the same."""
    outcome, (what, level) = said
    if needs.refused:
        return outcome == "refused"
    mode = key.permissions.mode.value
    lacking = [need for need in needs.every if not oracle.allows(mode, key.held, ask.method, ask.upgrade, need)]
    if outcome == "refused":
        return False
    if needs.never or lacking:
        grants = {f"openai:{need[0]}={need[1]}" for need in lacking if need and need[1] in oracle.LEVELS[need[0]]}
        return outcome == "denied" and (what in grants if what else needs.never or not all_offered(lacking))
    return outcome == "allowed" and (what, level) == (needs.every[0] or (None, None))


def all_offered(lacking: list[oracle.Need]) -> bool:
    """Whether each thing lacking is an area and a level that it offers, so that a denial must name one to tick."""
    return all(need is not None and need[1] in oracle.LEVELS[need[0]] for need in lacking)


def test_no_decision_differs_from_the_oracle(operations: list[tuple[str, str]], table: AreaTable) -> None:
    """Every operation, key and trick: the same outcome, area and level; 0 mismatches of at least 20,000."""
    holders = keys(table)
    compared, mismatches = 0, []
    outcomes = dict.fromkeys(("refused", "allowed", "denied"), 0)
    for ask in asks(operations):
        needs = oracle.needs(ask)
        for key in holders:
            said = product(table, key, ask)
            compared += 1
            outcomes[said[0]] += 1
            if not agrees(said, key, ask, needs):
                mismatches.append((ask, key, said, needs))
    assert not mismatches, f"{len(mismatches)} of {compared}: {random.Random(1).sample(mismatches, 1)}"
    sys.stdout.write(f"{compared} decisions ({outcomes}), 0 differ\n")
    assert compared >= LEAST
    assert min(outcomes.values()) >= LEAST / 10, f"the matrix is one-sided: {outcomes}"


def test_the_oracle_is_a_second_opinion() -> None:
    """It imports nothing but the standard library."""
    imported = re.findall(r"^\s*(?:from|import) (\w+)", Path(oracle.__file__).read_text(encoding="utf-8"), re.MULTILINE)
    assert set(imported) <= sys.stdlib_module_names


def test_every_operation_falls_in_exactly_one_area_and_level(
    operations: list[tuple[str, str]], table: AreaTable
) -> None:
    """All 288, each in the area and level that the oracle has for it."""
    assert len(operations) == 288
    for method, template in operations:
        path = filled(template).partition("?")[0]
        match = table.find(method, path)
        assert match is not None, f"{method} {path} is in no area"
        assert (match.area.name, match.level.value) == oracle.need(method, path, any_case=False, upgrade=False)
        assert match.level in match.area.levels


def test_single_areas_split_the_operations(operations: list[tuple[str, str]], table: AreaTable) -> None:
    """Keys with one area each, at its highest level, together may do every operation, and no two the same one."""
    tops = {area.name: area.levels[-1] for area in table.areas if area.levels}
    for method, template in operations:
        path = filled(template).partition("?")[0].encode()
        able = [
            name
            for name, level in tops.items()
            if isinstance(decide(only(name, level), "openai", table, "OpenAI", method.encode(), path), Allowed)
        ]
        assert len(able) == 1, f"{method} {template}: {able}"


def only(area: str, level: Level) -> Permissions:
    """A restricted key with one area."""
    return Permissions(Mode.RESTRICTED, {"openai": {area: level}})


def test_the_catalogue_has_the_areas_of_the_design(table: AreaTable) -> None:
    """Names, levels and parents as in permissions.md, section 3."""
    assert {area.name: tuple(map(str, area.levels)) for area in table.areas if area.levels} == oracle.LEVELS
    parents = {area.name: tuple(child.name for child in table.children(area.name)) for area in table.areas}
    assert {name: children for name, children in parents.items() if children} == oracle.PARENTS
