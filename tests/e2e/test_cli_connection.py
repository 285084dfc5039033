"""Trying an API that people sign in to, in the name of one of them, from the command line."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.stage import Admin, Shell, admin_of, serving
from tests.e2e.tokens import providing, sign_in


@dataclass
class Crm:
    """A server with an API that Ann of the app ``site`` has signed in to."""

    admin: Admin
    shell: Shell

    async def __call__(self, *words: str) -> tuple[int, str]:
        """The exit code of a command and what it said on both streams."""
        code, said = await self.shell.run(*words)
        return code, said.decode()


@pytest.fixture
async def crm(tmp_path: Path) -> AsyncIterator[Crm]:
    """A provider whose tokens are each person's own."""
    async with serving(tmp_path) as node, admin_of(node) as admin, providing() as provider:
        definition: dict[str, Any] = provider.definition("crm", connections="per_user")
        definition |= {"verify": {"method": "GET", "path": "/things"}, "calls": {"things": {"path": "/things"}}}
        await admin.made("POST", "/apis", {"name": "crm", "definition": definition})
        await admin.credential("crm", client_id="tieline", client_secret="not-a-real-secret")
        await admin.app("site", "crm")
        await sign_in(admin, "?app=site&user=ann")
        shell = Shell(node)
        yield Crm(admin, shell)
        await shell.close()


async def test_an_api_is_verified_in_the_name_of_a_user(crm: Crm) -> None:
    """Without one the error names the option; of a user who has not signed in it says so."""
    code, said = await crm("api", "verify", "crm")
    assert code == 1
    assert "--connection USER" in said
    assert await crm("api", "verify", "crm", "--connection", "ann") == (0, "crm (live) works: it answered 200.\n")
    assert (await crm("api", "verify", "crm", "--connection", "bob"))[0] == 1


async def test_a_call_is_initialized_and_run_in_the_name_of_a_user(crm: Crm) -> None:
    """With the app where several use the API; a trial without an app key too."""
    code, said = await crm("call", "initialize", "crm.things", "--connection", "ann", "--json")
    assert (code, json.loads(said)["raw"]) == (0, '{"thing": 1}')
    await crm.admin.app("other", "crm")
    code, said = await crm("call", "run", "crm.things", "--connection", "ann")
    assert code == 1
    assert "name the app" in said
    assert (await crm("call", "run", "crm.things", "--connection", "ann", "--app", "site"))[0] == 0
