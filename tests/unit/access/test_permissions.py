"""Permissions: their stored form, how parents spread, and how they read."""

import re

import pytest

from tests.unit.access.tables import area, small_table
from tieline.access.areas import AreaTable
from tieline.access.levels import Level
from tieline.access.permissions import Mode, Permissions, choices, expand, summary
from tieline.core.errors import InvalidInput

NONE, READ, WRITE, REQUEST = Level


@pytest.mark.parametrize(
    ("value", "permissions"),
    [
        ({"mode": "all"}, Permissions()),
        ({"mode": "read_only", "grants": {}}, Permissions(Mode.READ_ONLY)),
        ({"mode": "all", "grants": {"openai": {}}}, Permissions()),
        ({"mode": "restricted"}, Permissions(Mode.RESTRICTED)),
        (
            {"mode": "restricted", "grants": {"openai": {"files": "read", "audio": "none"}}},
            Permissions(Mode.RESTRICTED, {"openai": {"files": READ, "audio": NONE}}),
        ),
    ],
)
def test_permissions_are_read_from_json(value: object, permissions: Permissions) -> None:
    """The shape of the contract."""
    assert Permissions.from_json(value) == permissions


@pytest.mark.parametrize(
    "permissions",
    [
        Permissions(),
        Permissions(Mode.READ_ONLY),
        Permissions(Mode.RESTRICTED, {"openai": {"files": READ}, "stripe": {}}),
    ],
)
def test_permissions_come_back_as_they_were_stored(permissions: Permissions) -> None:
    """JSON and back changes nothing."""
    assert Permissions.from_json(permissions.to_json()) == permissions


@pytest.mark.parametrize(
    ("value", "problem", "param"),
    [
        (None, "are an object", "permissions"),
        ([], "are an object", "permissions"),
        ({"mode": "all", "modes": 1}, 'no "modes"', "permissions"),
        ({}, 'The mode of a key is "all"', "permissions.mode"),
        ({"mode": "ALL"}, 'The mode of a key is "all"', "permissions.mode"),
        ({"mode": ["all"]}, 'The mode of a key is "all"', "permissions.mode"),
        ({"mode": "restricted", "grants": []}, "Grants are an object", "permissions.grants"),
        ({"mode": "restricted", "grants": {"Open AI": {}}}, '"Open AI" is no name', "permissions.grants"),
        ({"mode": "restricted", "grants": {1: {}}}, '"1" is no name', "permissions.grants"),
        ({"mode": "restricted", "grants": {"openai": "files"}}, "are an object by area", "permissions.grants.openai"),
        ({"mode": "restricted", "grants": {"openai": {"Files": "read"}}}, "no name of an", "permissions.grants.openai"),
        ({"mode": "restricted", "grants": {"openai": {2: "read"}}}, "no name of an", "permissions.grants.openai"),
        ({"mode": "restricted", "grants": {"openai": {"files": "r"}}}, "A level is", "permissions.grants.openai.files"),
        ({"mode": "restricted", "grants": {"openai": {"files": {}}}}, "A level is", "permissions.grants.openai.files"),
        ({"mode": "all", "grants": {"openai": {"files": "read"}}}, 'only with the mode "r', "permissions.grants"),
    ],
)
def test_other_shapes_are_refused_with_the_place(value: object, problem: str, param: str) -> None:
    """The refusal names the field and the choices."""
    with pytest.raises(InvalidInput, match=re.escape(problem)) as caught:
        Permissions.from_json(value)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("grants", "expanded"),
    [
        ({}, {}),
        ({"stores": READ, "audio": REQUEST}, {"audio": REQUEST, "stores": READ}),
        ({"stores": NONE}, {}),
        ({"model_capabilities": REQUEST}, {"chat": REQUEST, "responses": WRITE}),
        ({"model_capabilities": WRITE}, {"chat": REQUEST, "responses": WRITE}),
        ({"model_capabilities": READ}, {"responses": READ}),
        ({"model_capabilities": NONE}, {}),
        ({"responses": READ, "model_capabilities": WRITE}, {"chat": REQUEST, "responses": READ}),
        ({"model_capabilities": WRITE, "chat": NONE}, {"responses": WRITE}),
    ],
)
def test_a_parent_sets_its_children(grants: dict[str, Level], expanded: dict[str, Level]) -> None:
    """To the highest level each offers up to the one asked; a child that is named keeps its own."""
    assert expand(small_table(), grants) == expanded


@pytest.mark.parametrize(
    ("grants", "problem"),
    [
        ({"fils": READ}, 'There is no area "fils". The areas are: models, model_capabilities, chat'),
        ({"models": WRITE}, 'offers no level "write". Choose from: none, read.'),
        ({"audio": READ}, "Choose from: none, request."),
    ],
)
def test_what_an_api_does_not_offer_is_refused_with_the_choices(grants: dict[str, Level], problem: str) -> None:
    """An unknown area or level names those there are."""
    with pytest.raises(InvalidInput, match=re.escape(problem)) as caught:
        expand(small_table(), grants)
    assert caught.value.param == next(iter(grants))


def test_an_api_without_areas_says_so() -> None:
    """There is nothing to choose from."""
    with pytest.raises(InvalidInput, match="The areas are: none"):
        expand(AreaTable([]), {"files": READ})


def test_a_parent_without_children_grants_nothing() -> None:
    """It offers none alone, which sets nothing."""
    table = AreaTable([area("p", ())])
    assert expand(table, {"p": NONE}) == {}
    with pytest.raises(InvalidInput, match="Choose from: none"):
        expand(table, {"p": READ})


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("model_capabilities", (NONE, READ, WRITE, REQUEST)),
        ("stores", (NONE, READ, WRITE)),
        ("audio", (NONE, REQUEST)),
        ("usage", (NONE, READ)),
    ],
)
def test_choices_are_what_can_be_ticked(name: str, expected: tuple[Level, ...]) -> None:
    """An area's own levels, or for a parent those of its children."""
    table = small_table()
    found = table.area(name)
    assert found is not None
    assert choices(table, found) == expected


APIS = {"openai": ("OpenAI", small_table()), "shop": ("Shop", small_table())}


@pytest.mark.parametrize(
    ("permissions", "sentence"),
    [
        (Permissions(), "May do everything on OpenAI and Shop."),
        (Permissions(Mode.READ_ONLY), "May read everything on OpenAI and Shop and change nothing."),
        (Permissions(Mode.RESTRICTED), "May do nothing: no area is granted."),
        (Permissions(Mode.RESTRICTED, {"openai": {"chat": NONE}}), "May do nothing: no area is granted."),
        (
            Permissions(
                Mode.RESTRICTED, {"openai": {"stores": READ, "chat": REQUEST, "usage": READ}, "shop": {"chat": REQUEST}}
            ),
            "May use Chat (request), Stores (read) and Usage (read) on OpenAI; Chat (request) on Shop.",
        ),
    ],
)
def test_permissions_read_as_a_sentence(permissions: Permissions, sentence: str) -> None:
    """Titles of areas and APIs, in the table's order."""
    assert summary(permissions, APIS) == sentence


def test_a_key_of_an_app_without_apis_may_do_nothing() -> None:
    """Whatever its mode."""
    assert summary(Permissions(), {}) == "May do nothing: its app uses no API."
