"""What the admin API says of itself: the OpenAPI document, the documentation page, docs/admin-api.md."""

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

from tests.contract.admin.conftest import Admin
from tests.contract.admin.test_admin_roles import NEEDS
from tieline.core.errors import ANSWERS
from tieline.web.openapi import document

DOCS = Path(__file__).resolve().parents[3] / "docs"


def rows(heading: str) -> list[list[str]]:
    """The cells of the table under a heading of docs/admin-api.md, without code marks."""
    section = (DOCS / "admin-api.md").read_text(encoding="utf-8").split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line.strip("|") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip().strip("`") for cell in line.split("|")] for line in lines[2:]]


def operations() -> dict[tuple[str, str], Any]:
    """Every operation of the document by method and path."""
    paths = json.loads(document())["paths"]
    return {(method.upper(), path): operation for path, item in paths.items() for method, operation in item.items()}


def test_the_committed_document_is_up_to_date() -> None:
    """Write it anew with ``python -m tieline.web.openapi > docs/openapi.json``."""
    assert (DOCS / "openapi.json").read_text(encoding="utf-8") == document()


async def test_the_served_document_is_openapi_3_1_and_the_committed_one(admin: Admin) -> None:
    """It needs no token."""
    served = (await admin("GET", "/api/openapi.json", role=None)).json
    assert served["openapi"].startswith("3.1.")
    assert served == json.loads(document())


def test_every_operation_is_described_and_closed() -> None:
    """A sentence, a name of its own, a token, our error shape, and no default shape of the framework."""
    names = [operation["operationId"] for operation in operations().values()]
    assert len(set(names)) == len(names)
    for operation in operations().values():
        assert re.search(r"Needs the role (viewer|editor|owner)\.$", operation["description"])
        assert operation["security"] == [{"HTTPBearer": []}]
        assert operation["responses"]["default"]["content"]["application/json"]["schema"]["$ref"].endswith(
            "/ErrorDocument"
        )
        assert "422" not in operation["responses"]
    assert "HTTPValidationError" not in document()


def test_every_body_refuses_unknown_members() -> None:
    """Each schema of a request says so."""
    schemas = json.loads(document())["components"]["schemas"]
    bodies = [name for name in schemas if name.endswith(("Body", "Patch"))]
    assert len(bodies) >= 8
    assert all(schemas[name]["additionalProperties"] is False for name in bodies)


def test_the_document_says_the_role_that_the_route_needs() -> None:
    """The sentence of each operation agrees with the table that the tests of roles walk."""
    for (method, path), operation in operations().items():
        assert operation["description"].endswith(f"the role {NEEDS[method, path.removeprefix('/api/v1')]}.")


def test_the_page_lists_the_routes_with_their_roles() -> None:
    """docs/admin-api.md and the routes are the same."""
    told = {(*row[0].split(" "), row[1]) for row in rows("Routes and roles")}
    assert told == {(*route, role) for route, role in NEEDS.items()}


def test_the_page_lists_error_codes_with_their_statuses() -> None:
    """docs/admin-api.md agrees with the one table of answers, and has every code of the admin API."""
    told = {row[1]: int(row[0]) for row in rows("Errors")}
    assert told == {code: ANSWERS[code].status for code in told}
    assert told.keys() >= {"invalid_token", "forbidden", "not_found", "already_exists", "precondition_failed"}


async def test_the_documentation_page_has_every_operation_and_no_script(admin: Admin) -> None:
    """It works without a token, a script or another server; its style is the one that the policy allows."""
    reply = await admin("GET", "/api/docs", role=None)
    page = reply.body.decode()
    assert reply.headers["content-type"].startswith("text/html")
    for method, path in operations():
        assert f"{method} {path}</code>" in page
    assert not re.search(r"<script|javascript:|\bon\w+=|https?://(?!\S*example)(?!platform)", page)
    style = page.split("<style>")[1].split("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in reply.headers["content-security-policy"]


async def test_the_start_page_says_what_this_is(admin: Admin) -> None:
    """With the version and where to go."""
    page = (await admin("GET", "/", role=None)).body.decode()
    assert "self-hosted API connector, version 1.2.3" in page
    assert 'href="/api/docs"' in page
