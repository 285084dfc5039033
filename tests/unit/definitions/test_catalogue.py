"""The catalogue: its entries parse, and OpenAI's areas cover every published operation exactly once."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from tieline.access.areas import AreaTable
from tieline.access.levels import Level
from tieline.core.errors import NotFound
from tieline.definitions.catalogue import entries, load
from tieline.definitions.model import Definition
from tieline.definitions.parse import parse, to_yaml
from tieline.schemes.registry import SCHEMES

PUBLISHED = Path(__file__).parents[3] / "../shared/data/openai-openapi.json"


@pytest.fixture(scope="module")
def openai() -> Definition:
    """OpenAI's entry."""
    return parse(load("openai"))


@pytest.fixture(scope="module")
def operations() -> list[tuple[str, str]]:
    """Method and path of every operation that OpenAI publishes."""
    if not PUBLISHED.exists():
        pytest.skip("OpenAI's published document is not beside this clone (../shared/data/openai-openapi.json)")
    paths = json.loads(PUBLISHED.read_text(encoding="utf-8"))["paths"]
    return [(method.upper(), path) for path, methods in paths.items() for method in methods]


def test_every_entry_is_listed_under_its_own_name() -> None:
    """A list of the catalogue needs no other source; the schemes accept what each says of them."""
    assert [entry.name for entry in entries()] == ["openai"]
    for entry in entries():
        definition = parse(load(entry.name), schemes=SCHEMES)
        assert (definition.api, definition.title) == (entry.name, entry.title)
        assert parse(to_yaml(definition)) == definition


@pytest.mark.parametrize("name", ["opanai", "../openai", "openai.yaml", "", "files"])
def test_an_entry_that_there_is_not_is_refused(name: str) -> None:
    """No name reaches another file."""
    with pytest.raises(NotFound, match="The catalogue has no entry"):
        load(name)


def test_openai_is_ready_for_its_own_sdk(openai: Definition) -> None:
    """Base URL, host, key, verify, dropped headers, usage."""
    assert (openai.base_url, openai.hosts) == ("https://api.openai.com/v1", ("api.openai.com",))
    assert openai.auth[0].options == {"in": "header", "name": "Authorization", "format": "Bearer <key>"}
    assert openai.verify is not None
    assert (openai.verify.method, openai.verify.path) == ("GET", "/models")
    assert openai.drop_request_headers == ("openai-organization", "openai-project")
    assert "openai-organization" in openai.drop_response_headers
    assert openai.usage is not None
    assert openai.limits.body == 512 * 1024 * 1024


AREAS = {
    "models": "read",
    "model_capabilities": "",
    "chat_completions": "request",
    "responses": "read write",
    "embeddings": "request",
    "images": "request",
    "audio": "request",
    "moderations": "request",
    "realtime": "request",
    "assistants": "read write",
    "threads": "read write",
    "fine_tuning": "read write",
    "evals": "read write",
    "vector_stores": "read write",
    "batch": "read write",
    "videos": "read write",
    "files": "read write",
    "voices": "read write",
    "containers": "read write",
    "skills": "read write",
    "chatkit": "read write",
    "organization": "",
    "projects": "read write",
    "admin_keys": "read write",
    "users": "read write",
    "roles": "read write",
    "usage": "read",
    "audit_logs": "read",
    "certificates": "read write",
}


def test_openais_areas_and_levels_are_those_of_the_design(openai: Definition) -> None:
    """The table of the permissions page, in its order."""
    assert {area.name: " ".join(area.levels) for area in openai.areas} == AREAS


def test_the_parents_group_what_the_design_says(openai: Definition) -> None:
    """Seven model capabilities, seven parts of the organisation."""
    table = AreaTable(openai.areas)
    names = list(AREAS)
    assert [area.name for area in table.children("model_capabilities")] == names[2:9]
    assert [area.name for area in table.children("organization")] == names[22:]


def test_every_published_operation_falls_in_exactly_one_area(
    openai: Definition, operations: list[tuple[str, str]]
) -> None:
    """All 288: as a path with values in it, by a matcher of this test's own beside the product's."""
    assert len(operations) == 288
    table = AreaTable(openai.areas)
    for method, path in operations:
        filled = re.sub(r"\{[^}]*\}", "x-1", path).partition("?")[0]
        match = table.find(method, filled)
        assert match is not None, (method, path)
        assert match.area.name == _area_by_hand(openai, method, filled), (method, path)


def _area_by_hand(openai: Definition, method: str, path: str) -> str:
    """The area with the most specific of all rules that fit; fails unless it is the only one so specific."""
    found: list[tuple[tuple[int, ...], str]] = []
    for area in openai.areas:
        for rule in area.rules:
            pattern = re.escape(rule.pattern).replace(r"/\*/", "/[^/]+/")
            pattern = re.sub(r"/\\\*$", "/.+", pattern)
            if re.fullmatch(pattern, path) and (rule.methods is None or method in rule.methods):
                steps = tuple(0 if step == "*" else 1 for step in rule.pattern.split("/"))
                found.append(((*steps, 0 if rule.methods is None else 1), area.name))
    best = max(specific for specific, _ in found)
    names = {name for specific, name in found if specific == best}
    assert len(names) == 1, (method, path, names)
    return names.pop()


@pytest.mark.parametrize(
    ("method", "path", "area", "level"),
    [
        ("GET", "/models", "models", Level.READ),
        ("GET", "/models/gpt-4.1", "models", Level.READ),
        ("HEAD", "/models", "models", Level.READ),
        ("DELETE", "/models/ft:gpt-4.1:a::b", "fine_tuning", Level.WRITE),
        ("POST", "/chat/completions", "chat_completions", Level.REQUEST),
        ("GET", "/chat/completions/c/messages", "chat_completions", Level.REQUEST),
        ("POST", "/completions", "chat_completions", Level.REQUEST),
        ("POST", "/responses", "responses", Level.WRITE),
        ("POST", "/responses/input_tokens", "responses", Level.READ),
        ("GET", "/conversations/c/items", "responses", Level.READ),
        ("POST", "/vector_stores/v/search", "vector_stores", Level.READ),
        ("POST", "/vector_stores/v/files", "vector_stores", Level.WRITE),
        ("POST", "/audio/speech", "audio", Level.REQUEST),
        ("POST", "/audio/voices", "voices", Level.WRITE),
        ("DELETE", "/audio/voice_consents/v", "voices", Level.WRITE),
        ("GET", "/realtime", "realtime", Level.REQUEST),
        ("POST", "/content_provenance_checks", "moderations", Level.REQUEST),
        ("POST", "/uploads/u/parts", "files", Level.WRITE),
        ("GET", "/organization/costs", "usage", Level.READ),
        ("POST", "/organization/invites", "users", Level.WRITE),
        ("POST", "/organization/users/u", "users", Level.WRITE),
        ("POST", "/organization/users/u/roles", "roles", Level.WRITE),
        ("POST", "/projects/p/users/u/roles", "roles", Level.WRITE),
        ("POST", "/organization/projects/p/users", "projects", Level.WRITE),
        ("POST", "/organization/projects/p/certificates/activate", "certificates", Level.WRITE),
        ("POST", "/organization/spend_limit", "projects", Level.WRITE),
        ("POST", "/organization/admin_api_keys", "admin_keys", Level.WRITE),
    ],
)
def test_operations_that_need_care(openai: Definition, method: str, path: str, area: str, level: Level) -> None:
    """Deletes of models, reads by POST, voices, and what changes rights in the organisation."""
    match = AreaTable(openai.areas).find(method, path)
    assert match is not None
    assert (match.area.name, match.level) == (area, level)


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/models"), ("POST", "/organization/usage/x"), ("DELETE", "/organization/audit_logs"), ("GET", "/new")],
)
def test_what_openai_does_not_publish_is_in_no_area(openai: Definition, method: str, path: str) -> None:
    """So a restricted key cannot use it."""
    assert AreaTable(openai.areas).find(method, path) is None


def test_every_published_get_reads_and_every_other_operation_does_not(
    openai: Definition, operations: list[tuple[str, str]]
) -> None:
    """But for areas with requests only, and the two reads by POST."""
    table = AreaTable(openai.areas)
    odd: Counter[str] = Counter()
    for method, path in operations:
        match = table.find(method, re.sub(r"\{[^}]*\}", "x", path).partition("?")[0])
        assert match is not None
        if match.level is not Level.REQUEST and (match.level is Level.READ) != (method == "GET"):
            odd[f"{method} {path.partition('?')[0]}"] += 1
    assert set(odd) == {"POST /responses/input_tokens", "POST /vector_stores/{vector_store_id}/search"}
