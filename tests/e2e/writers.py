"""Writers who change things through the admin API and remember every answer, so that a crash can be checked against it.

Each has APIs of its own, so what must be there is certain, but for the one request that was under way at the crash:
that one may have happened or not, and what the server says now is believed. Knows nothing of how the server ends.
"""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.stage import Admin, Line, Node, definition
from tests.e2e.upstream import Upstream

SAMPLE = 4


@dataclass
class HeldKey:
    """An app key: its secret as acknowledged, those before it, and whether it was revoked."""

    id: str
    secret: str
    dead: list[str] = field(default_factory=list)
    revoked: bool = False


@dataclass
class HeldApi:
    """An API with everything acknowledged about it: the newest of ``secrets`` is its credential."""

    name: str
    revision: int = 1
    secrets: list[str] = field(default_factory=list)
    app: str = ""
    keys: list[HeldKey] = field(default_factory=list)


@dataclass
class Doubt:
    """A request that was sent and not answered: what it was, on what, and the secret that it brought."""

    what: str
    api: HeldApi
    key: HeldKey | None = None
    secret: str = ""


@dataclass
class Writer:
    """One client that writes. ``acknowledged`` counts the answers it got; ``touched`` are the APIs since the crash."""

    name: str
    upstream: Upstream
    randomness: random.Random
    held: list[HeldApi] = field(default_factory=list)
    touched: list[HeldApi] = field(default_factory=list)
    doubt: Doubt | None = None
    acknowledged: int = 0
    made: int = 0
    _admin: Admin | None = None

    async def write_until_cut(self, node: Node) -> None:
        """Change one thing after the other until the server is gone."""
        self._admin = Admin(node)
        try:
            while True:
                await self._step()
        except (OSError, EOFError):
            pass
        finally:
            await self._admin.close()

    async def _step(self) -> None:
        api = self.randomness.choice(self.held[-3:]) if self.held else None
        if api is None or (api.keys and self.randomness.random() < 0.1):
            await self._add_api()
            return
        self.touched.append(api)
        living = [key for key in api.keys if not key.revoked]
        if not api.secrets:
            await self._put_credential(api)
        elif not api.app:
            await self._add_app(api)
        elif not living:
            await self._mint(api)
        else:
            key = self.randomness.choice(living)
            changes: list[Callable[[], Awaitable[None]]] = [
                lambda: self._put_credential(api),
                lambda: self._retitle(api),
                lambda: self._mint(api),
                lambda: self._rotate(api, key),
                lambda: self._revoke(api, key),
            ]
            await self.randomness.choice(changes)()

    async def _ask(self, doubt: Doubt, method: str, path: str, body: object = None) -> Any:
        """Send a request that is in doubt until it is answered; every answer must be a success."""
        assert self._admin is not None
        self.doubt = doubt
        answer = await self._admin.made(method, path, body)
        self.doubt = None
        self.acknowledged += 1
        return answer

    async def _add_api(self) -> None:
        self.made += 1
        api = HeldApi(f"{self.name}-{self.made}")
        self.touched.append(api)
        wanted = definition(api.name, self.upstream.url)
        await self._ask(Doubt("add", api), "POST", "/apis", {"name": api.name, "definition": wanted})
        self.held.append(api)

    async def _put_credential(self, api: HeldApi) -> None:
        secret = f"sk-sandbox-{self.name}-{self.randomness.randrange(1 << 80):x}"
        path = f"/apis/{api.name}/credentials/live?activate=true"
        await self._ask(Doubt("credential", api, secret=secret), "PUT", path, {"fields": {"key": secret}})
        api.secrets.append(secret)

    async def _add_app(self, api: HeldApi) -> None:
        doubt = Doubt("app", api)
        api.app = (await self._ask(doubt, "POST", "/apps", {"name": f"app of {api.name}", "apis": [api.name]}))["id"]

    async def _mint(self, api: HeldApi) -> None:
        key = await self._ask(Doubt("mint", api), "POST", f"/apps/{api.app}/keys", {})
        api.keys.append(HeldKey(key["id"], key["secret"]))

    async def _rotate(self, api: HeldApi, key: HeldKey) -> None:
        new = await self._ask(Doubt("rotate", api, key), "POST", f"/keys/{key.id}/rotate", {"overlap": 0})
        key.dead.append(key.secret)
        key.secret = new["secret"]

    async def _revoke(self, api: HeldApi, key: HeldKey) -> None:
        await self._ask(Doubt("revoke", api, key), "DELETE", f"/keys/{key.id}")
        key.revoked = True

    async def _retitle(self, api: HeldApi) -> None:
        wanted = definition(api.name, self.upstream.url, title=f"Revision {api.revision + 1}")
        await self._ask(Doubt("retitle", api), "PUT", f"/apis/{api.name}", wanted)
        api.revision += 1

    # --- What is there afterwards

    async def check(self, node: Node, *, everything: bool = False) -> None:
        """Compare what is there with what was acknowledged: all that was touched, and a sample of the rest."""
        doubt, self.doubt = self.doubt, None
        admin, line = Admin(node), Line(node.app)
        sample = self.randomness.sample(self.held, min(SAMPLE, len(self.held)))
        chosen = [*self.held] if everything else [*self.touched, *sample]
        try:
            if doubt is not None:
                chosen += await self._learnt(admin, doubt)
            for api in {id(api): api for api in chosen if api in self.held}.values():
                mine = doubt if doubt is not None and doubt.api is api else None
                await _check_definition(admin, api, mine)
                await _check_credential(admin, api, mine)
                for key in api.keys:
                    await self._check_key(line, api, key, mine)
        finally:
            self.touched.clear()
            await line.close()
            await admin.close()

    async def _learnt(self, admin: Admin, doubt: Doubt) -> list[HeldApi]:
        """Whether the API or app in doubt was made after all; the API it is about."""
        if doubt.what == "add" and (await admin("GET", f"/apis/{doubt.api.name}")).status == 200:
            self.held.append(doubt.api)
        if doubt.what == "app":
            found = await admin("GET", f"/apps/app%20of%20{doubt.api.name}")
            doubt.api.app = found.json["id"] if found.status == 200 else ""
        return [doubt.api]

    async def _check_key(self, line: Line, api: HeldApi, key: HeldKey, doubt: Doubt | None) -> None:
        mine = doubt if doubt is not None and doubt.key is key else None
        code, secret = await self._tried(line, api, key.secret)
        if mine is not None and mine.what == "revoke":
            key.revoked = code == "revoked_app_key"
        elif mine is not None and mine.what == "rotate" and code == "expired_app_key":
            api.keys.remove(key)  # rotated after all, and the new secret was on its way when the server died
            return
        wanted = ("revoked_app_key", "") if key.revoked else ("", api.secrets[-1])
        assert (code, secret) == wanted, f"{api.name} {key.id} after {mine}"
        for dead in key.dead:
            code, secret = await self._tried(line, api, dead)
            assert code in {"expired_app_key", "revoked_app_key"}, f"{api.name} {key.id}: old secret: {code or 200}"

    async def _tried(self, line: Line, api: HeldApi, key: str) -> tuple[str, str]:
        """The error's code and the provider's secret that arrived, each empty where there is none."""
        mark = f"{self.name} {self.randomness.randrange(1 << 60)}"
        headers = {"authorization": f"Bearer {key}", "x-mark": mark}
        reply = await line.send("GET", f"/relay/{api.name}/things", headers)
        arrival = self.upstream.by_mark.pop(mark, None)
        return reply.code, arrival.secret if arrival is not None else ""


async def _check_definition(admin: Admin, api: HeldApi, doubt: Doubt | None) -> None:
    shown = await admin.made("GET", f"/apis/{api.name}")
    if doubt is not None and doubt.what == "retitle" and shown["revision"] == api.revision + 1:
        api.revision += 1
    assert shown["revision"] == api.revision, api.name
    if api.revision > 1:
        assert shown["title"] == f"Revision {api.revision}"


async def _check_credential(admin: Admin, api: HeldApi, doubt: Doubt | None) -> None:
    """Every version is there, only the newest is active, and each says which fields it holds."""
    items = (await admin.made("GET", f"/apis/{api.name}/credentials?limit=200"))["items"]
    if doubt is not None and doubt.what == "credential" and len(items) == len(api.secrets) + 1:
        api.secrets.append(doubt.secret)
    states = {item["version"]: item["state"] for item in items}
    newest = len(api.secrets)
    assert sorted(states) == list(range(1, newest + 1)), api.name
    assert [version for version, state in states.items() if state == "active"] == ([newest] if newest else [])
    assert all(set(item["fields"]) == {"key"} and not item["erased"] for item in items)
