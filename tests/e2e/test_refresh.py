"""Tokens of issuers in the whole product: two workers, a provider that rotates, people who sign in and take it back."""

import asyncio
import contextlib
import json
import os
import re
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest

from tests.e2e.stage import Admin, Line, Node, Reply, Shell, admin_of, serving, until
from tests.e2e.tokens import Provider, Visitor, providing, sign_in
from tests.peers.issuer import Client, Issuer

SECRET = "not-" + "a-real-secret"
CALLS = 50
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
CODE = re.compile(r"[A-Z0-9]{4}-[A-Z0-9]{4}")
THINGS = "/relay/crm/things"
ME = "/relay/me/me"


@dataclass
class Scene:
    """A node with two workers, its admin API, and a provider."""

    node: Node
    admin: Admin
    provider: Provider

    async def api(self, name: str = "crm", **auth: object) -> None:
        """An API of the provider, with the client's credential."""
        await self.admin.made("POST", "/apis", {"name": name, "definition": self.provider.definition(name, **auth)})
        await self.admin.credential(name, client_id="tieline", client_secret=SECRET)

    async def key(self, app: str = "blog", *apis: str) -> str:
        """An app with a key."""
        await self.admin.app(app, *(apis or ("crm",)))
        secret: str = (await self.admin.key(app))["secret"]
        return secret

    async def ask(self, key: str, *, user: str = "", line: Line | None = None, path: str = THINGS) -> Reply:
        """One relayed request, on a connection of its own unless ``line`` is given."""
        own = line or Line(self.node.app)
        headers = {"authorization": f"Bearer {key}", **({"tieline-connection": user} if user else {})}
        try:
            return await own.send("GET", path, headers)
        finally:
            if line is None:
                await own.close()

    async def answered(self, key: str, status: int, *, user: str = "", path: str = THINGS) -> Reply:
        """The first answer with ``status``: workers hear of a change within a second."""
        async with asyncio.timeout(5):
            while True:
                reply = await self.ask(key, user=user, path=path)
                if reply.status == status:
                    return reply
                await asyncio.sleep(0.05)

    async def lines(self, key: str) -> list[Line]:
        """A connection to each of the two workers."""
        found: dict[str, Line] = {}
        while len(found) < 2:
            line = Line(self.node.app)
            reply = await self.ask(key, line=line)
            if reply.worker in found:
                await line.close()
            found.setdefault(reply.worker, line)
        return list(found.values())


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    """Everything that a test plays with."""
    async with providing() as provider, serving(tmp_path, "--workers", "2") as node, admin_of(node) as admin:
        yield Scene(node, admin, provider)


async def test_fifty_calls_on_an_expired_token_cost_one_refresh(scene: Scene) -> None:
    """Over two workers, and none of them fails."""
    await scene.api()
    key = await scene.key()
    scene.provider.expires_in = 2.0
    assert (await sign_in(scene.admin)).status == 200
    lines = await scene.lines(key)
    scene.provider.expires_in = 3600.0
    await asyncio.sleep(2.2)
    before = scene.provider.granted["refresh_token"]
    more = [Line(scene.node.app) for _ in range(CALLS - 2)]
    replies = await asyncio.gather(*(scene.ask(key, line=line) for line in (*lines, *more)))
    assert [reply.status for reply in replies] == [200] * CALLS
    assert len({reply.worker for reply in replies}) == 2
    assert scene.provider.granted["refresh_token"] - before == 1
    for line in (*lines, *more):
        await line.close()


async def test_a_token_renewed_between_two_tries_does_not_lose_the_first_ones_answer(scene: Scene) -> None:
    """Under one key the call is run once; another account's sign-in is no such renewal, and ends it."""
    definition = scene.provider.definition("crm") | {"calls": {"make": {"method": "POST", "path": "/things"}}}
    await scene.admin.made("POST", "/apis", {"name": "crm", "definition": definition})
    await scene.admin.credential("crm", client_id="tieline", client_secret=SECRET)
    key = await scene.key()
    scene.provider.expires_in = 2.0
    await sign_in(scene.admin)
    await scene.answered(key, 200)
    line = Line(scene.node.app)  # to one of the workers, as each has keys of its own

    async def make() -> Reply:
        headers = {"authorization": f"Bearer {key}", "idempotency-key": "one", "content-type": "application/json"}
        return await line.send("POST", "/call/crm/make", headers, b"{}")

    assert (await make()).status == 200
    scene.provider.expires_in = 3600.0
    await asyncio.sleep(2.2)
    assert (await scene.ask(key, line=line)).status == 200
    assert scene.provider.granted["refresh_token"] == 1
    for _ in range(10):  # for as long as a worker may take to hear of it
        again = await make()
        assert (again.status, again.header("idempotency-replayed")) == (200, "true")
        await asyncio.sleep(0.1)
    await sign_in(scene.admin)
    async with asyncio.timeout(5):
        while (again := await make()).status == 200:
            pass
    assert (again.status, again.code) == (422, "idempotency_mismatch")
    await line.close()


async def test_a_revoked_token_needs_a_new_sign_in_and_that_heals_it(scene: Scene) -> None:
    """The answer says who must do what, the connection is shown as such, and no request asks the provider again."""
    await scene.api()
    key = await scene.key()
    await sign_in(scene.admin)
    assert (await scene.answered(key, 200)).json == {"thing": 1}
    scene.provider.revoke()
    refused = await scene.answered(key, 424)
    assert refused.code == "reauthorization_required"
    assert "tieline connection sign-in crm" in refused.json["error"]["message"]
    (row,) = (await scene.admin.made("GET", "/connections"))["items"]
    assert (row["state"], bool(row["last_error"])) == ("reauthorization_required", True)
    assert (await sign_in(scene.admin)).status == 200
    await scene.answered(key, 200)
    assert scene.provider.granted == {"authorization_code": 2}


async def test_an_api_that_refuses_every_token_costs_the_issuer_few(scene: Scene) -> None:
    """Its 401 is passed on; each worker believes it once in ten seconds."""
    await scene.api()
    key = await scene.key()
    await sign_in(scene.admin)
    await scene.answered(key, 200)
    scene.provider.sulks = True
    replies = [await scene.ask(key) for _ in range(20)]
    assert {(reply.status, reply.code) for reply in replies} == {(401, "")}
    assert 1 <= scene.provider.granted["refresh_token"] <= 2


async def test_a_worker_killed_in_the_middle_of_a_refresh_loses_no_token(scene: Scene) -> None:
    """The other takes over when its turn has ended, with the refresh token that is kept."""
    await scene.api()
    key = await scene.key()
    await sign_in(scene.admin)
    lines = await scene.lines(key)
    scene.provider.held = asyncio.Event()
    scene.provider.access.clear()

    async def ask(line: Line) -> Reply:
        for _ in range(20):  # what waits to be accepted by a worker that is killed is reset with it
            with contextlib.suppress(OSError):
                return await scene.ask(key, line=line)
            await asyncio.sleep(0.1)
        return await scene.ask(key, line=line)

    asked = [asyncio.create_task(ask(line)) for line in lines]
    assert await until(lambda: scene.provider.waiting == 1)
    (holder,) = [pid for pid in scene.node.children("data") if talks_to(pid, scene.provider.token_port)]
    os.kill(holder, signal.SIGKILL)
    assert await until(lambda: scene.provider.waiting == 0)
    scene.provider.held.set()
    replies = await asyncio.gather(*asked)  # the client whose worker died asks again on another connection
    assert [reply.status for reply in replies] == [200, 200]
    for line in lines:
        await line.close()
    assert scene.provider.granted["refresh_token"] == 1
    assert (await scene.answered(key, 200)).json == {"thing": 1}


async def test_a_user_is_known_to_one_app_only(scene: Scene) -> None:
    """Another app's key that names the same user gets nothing; nor does a key that names nobody."""
    await scene.api(connections="per_user")
    blog, shop = await scene.key("blog"), await scene.key("shop")
    assert b"ann in blog" in (await sign_in(scene.admin, "?app=blog&user=ann")).body
    assert (await scene.answered(blog, 200, user="ann")).json == {"thing": 1}
    assert (await scene.ask(shop, user="ann")).code == "connection_required"
    assert (await scene.ask(blog, user="bob")).code == "connection_required"
    assert (await scene.ask(blog)).code == "connection_required"
    (row,) = (await scene.admin.made("GET", "/connections?app=blog"))["items"]
    await scene.admin.made("DELETE", f"/connections/{row['id']}")
    assert (await scene.answered(blog, 424, user="ann")).code == "connection_required"


async def test_a_user_without_a_connection_may_fall_back_on_the_shared_one(scene: Scene) -> None:
    """Where the definition says so."""
    await scene.api(connections="per_user_or_shared")
    key = await scene.key()
    await sign_in(scene.admin)
    assert (await scene.answered(key, 200, user="ann")).status == 200
    await sign_in(scene.admin, "?app=blog&user=ann")
    assert (await scene.answered(key, 200, user="ann")).status == 200
    assert scene.provider.granted == {"authorization_code": 2}


async def test_calls_use_the_same_tokens(scene: Scene) -> None:
    """The other door gets its token from the same place."""
    definition = scene.provider.definition("crm")
    call = {"use_as": "data", "method": "GET", "path": "/things", "response": {"type": "json"}}
    await scene.admin.made("POST", "/apis", {"name": "crm", "definition": {**definition, "calls": {"things": call}}})
    await scene.admin.credential("crm", client_id="tieline", client_secret=SECRET)
    key = await scene.key()
    await sign_in(scene.admin)
    await scene.answered(key, 200)
    assert (await scene.ask(key, path="/call/crm/things")).json == {"thing": 1}
    assert scene.provider.granted == {"authorization_code": 1}


async def test_an_api_that_nobody_signs_in_to_verifies_with_a_token(scene: Scene) -> None:
    """Client credentials: the control plane's probe gets the token that the workers then use."""
    definition = scene.provider.definition("crm", grant="client_credentials")
    del definition["auth"]["authorize_url"]
    definition["verify"] = {"method": "GET", "path": "/things"}
    await scene.admin.made("POST", "/apis", {"name": "crm", "definition": definition})
    await scene.admin.credential("crm", client_id="tieline", client_secret=SECRET)
    key = await scene.key()
    assert (await scene.admin.made("POST", "/apis/crm/verify", {}))["ok"]
    await scene.answered(key, 200)
    assert scene.provider.granted == {"client_credentials": 1}


async def test_no_token_is_found_in_files_or_logs(scene: Scene) -> None:
    """After sign-ins, refreshes and refusals: neither what the provider gave nor what the client showed it."""
    await scene.api(connections="per_user_or_shared")
    key = await scene.key()
    await sign_in(scene.admin)
    await sign_in(scene.admin, "?app=blog&user=ann")
    await scene.answered(key, 200, user="ann")
    scene.provider.access.clear()
    await scene.answered(key, 200, user="ann")
    scene.provider.revoke()
    await scene.answered(key, 424)
    await scene.node.stop()
    files = [path for path in scene.node.home.rglob("*") if path.is_file()]
    kept = b"".join(path.read_bytes() for path in files)
    for secret in (*scene.provider.given, SECRET):
        assert secret.encode() not in kept
    assert len(scene.provider.given) >= 6


def talks_to(pid: int, port: int) -> bool:
    """Whether a process has an established connection to a port of this machine."""
    mine = set()
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            mine.add(str(each.readlink()))
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    far = f"{port:04X}"
    return any(row[2].endswith(f":{far}") and row[3] == "01" and f"socket:[{row[9]}]" in mine for row in rows)


# -- against a real OpenID Connect server


def oidc(issuer: Issuer, **more: Any) -> dict[str, Any]:
    """The server's own user info as an API that people sign in to."""
    auth = {
        "scheme": "oauth2",
        "grant": "authorization_code",
        "authorize_url": f"{issuer.url}/auth",
        "token_url": f"{issuer.url}/token",
        "device_url": f"{issuer.url}/device/auth",
        "scopes": ["openid", "email", "offline_access"],
        "authorize_parameters": {"prompt": "consent"},
        "profile": {"url": f"{issuer.url}/me", "email": "email"},
        **more,
    }
    areas = [{"area": "me", "title": "Who it is", "levels": ["read"], "match": ["* /me"]}]
    return {"tieline": "v1", "api": "me", "title": "The server", "base_url": issuer.url, "auth": auth, "areas": areas}


async def stand(scene: Scene, issuer: Issuer, *grants: str, **metadata: Any) -> tuple[Client, str]:
    """A client at the server, its API here, and an app's key."""
    back = "http://127.0.0.1/api/v1/oauth/callback"  # good for every port
    client = await asyncio.to_thread(issuer.register, *grants, redirect=back, **metadata)
    await scene.admin.made("POST", "/apis", {"name": "me", "definition": oidc(issuer)})
    await scene.admin.credential("me", client_id=client.id, client_secret=client.secret)
    return client, await scene.key("blog", "me")


async def test_a_person_signs_in_at_a_real_server_and_the_token_is_renewed(scene: Scene, issuer: Issuer) -> None:
    """Code, PKCE, rotation: the person stays signed in although each token lasts two seconds."""
    client, key = await stand(scene, issuer, "authorization_code", "refresh_token", access_token_ttl=2)
    link = await scene.admin.made("GET", "/oauth/authorize/me")
    visitor = Visitor(scene.node)
    away = (await visitor.get(link["url"])).header("location")
    assert "code_challenge_method=S256" in away
    query = await asyncio.to_thread(issuer.sign_in, away, "ada")
    back = f"http://x/api/v1/oauth/callback?{urlencode(query)}"
    assert b"Signed in as ada@example.com" in (await visitor.get(back)).body
    for _ in range(3):
        assert (await scene.answered(key, 200, path=ME)).json["sub"] == "ada"
        await asyncio.sleep(2.1)
    granted = await asyncio.to_thread(issuer.granted, client)
    assert granted["authorization_code"] == 1
    assert granted["refresh_token"] >= 2
    asked = await asyncio.to_thread(issuer.asked, client)
    assert asked["refresh_token"] == granted["refresh_token"]


async def test_a_person_signs_in_on_a_device(scene: Scene, issuer: Issuer) -> None:
    """The command shows a code, the person enters it elsewhere, and the command says who it was."""
    _, key = await stand(scene, issuer, "authorization_code", "refresh_token", DEVICE)
    assert (await scene.ask(key, path=ME)).code == "connection_required"
    begun = await scene.admin.made("POST", "/oauth/device/me", {})
    await asyncio.to_thread(issuer.approve, begun["user_code"], "ada")
    polled = {"interval": begun["interval"], "state": "pending"}
    while polled["state"] == "pending":
        await asyncio.sleep(polled["interval"])
        polled = await scene.admin.made("POST", f"/oauth/device/me/{begun['id']}")
    assert polled["connection"]["account"] == "ada@example.com"
    assert (await scene.answered(key, 200, path=ME)).json["sub"] == "ada"


async def test_the_command_shows_a_code_and_waits(scene: Scene, issuer: Issuer) -> None:
    """With --device; then the connection is listed, and removed by its id."""
    await stand(scene, issuer, "authorization_code", "refresh_token", DEVICE)
    shell, signing = Shell(scene.node), Shell(scene.node)
    waiting = asyncio.create_task(signing.run("connection", "sign-in", "me", "--device"))
    said = scene.node.home.parent / "said"
    assert await until(lambda: said.exists() and b"-" in said.read_bytes())
    (code,) = [line for line in said.read_text().splitlines() if CODE.fullmatch(line)]
    await asyncio.to_thread(issuer.approve, code, "ada")
    status, words = await waiting
    assert (status, b"Signed in to me as ada@example.com." in words) == (0, True)
    listed = await shell.run("connection", "list", "--json")
    (row,) = json.loads(listed[1])["items"]
    assert (await shell.run("connection", "remove", row["id"]))[0] == 0
    assert b"No connections yet" in (await shell.run("connection", "list"))[1]
    await shell.close()
    await signing.close()


async def test_the_command_prints_a_link_and_waits(scene: Scene) -> None:
    """The link is alone on standard output; the command ends when somebody has signed in."""
    await scene.api()
    shell = Shell(scene.node)
    waiting = asyncio.create_task(shell.run("connection", "sign-in", "crm"))
    said = scene.node.home.parent / "said"
    assert await until(lambda: said.exists() and b"link=" in said.read_bytes())
    (link,) = [line for line in said.read_text().splitlines() if line.startswith("http")]
    visitor = Visitor(scene.node)
    sent = dict(parse_qsl((await visitor.get(link)).header("location").partition("?")[2]))
    await visitor.get(f"{sent['redirect_uri']}?code=a-code&state={sent['state']}")
    assert (await waiting)[0] == 0
    await shell.close()
