"""A tour of the whole product with canaries in its pockets: every admin route, command, relayed success and failure.

It puts secrets where they belong and where they do not, and keeps everything that comes back under the name of what
was asked. It judges nothing: what was left behind is for whoever searches it.
"""

import asyncio
import base64
import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from tests.e2e.canaries import Canary, Hunt, given, mint
from tests.e2e.stage import Admin, Line, Node, Reply, Shell, definition
from tests.e2e.tour_calls import command_calls, drive_calls
from tests.e2e.tour_connections import command_connections, drive_connections
from tests.e2e.tour_refused import misplacements, wrong_definitions
from tests.e2e.tour_webhooks import command_webhooks, drive_webhooks
from tests.e2e.upstream import PLAYS, Upstream

SCHEMES: dict[str, dict[str, Any]] = {
    "bearer": {"auth": {"scheme": "bearer"}},
    "header": {"auth": {"scheme": "api_key", "in": "header", "name": "X-Provider-Key", "format": "Token <key>"}},
    "coded": {"auth": {"scheme": "api_key", "name": "Authorization", "format": "Key <key>", "encoding": "base64"}},
    "query": {"auth": {"scheme": "api_key", "in": "query", "name": "apikey"}},
    "cookie": {"auth": {"scheme": "api_key", "in": "cookie", "name": "session"}},
    "basic": {"auth": {"scheme": "basic", "key": "username"}},
    "shared": {
        "auth": {"scheme": "bearer"},
        "headers": [{"name": "X-Team-Key", "private": True}],
        "parameters": [{"name": "team", "in": "query", "private": True}],
    },
}
FIELDS: dict[str, Sequence[str]] = {
    "basic": ("username", "password"),
    "shared": ("key", "header.X-Team-Key", "parameter.team"),
}
PLAIN_ONLY = {"cookie"}  # a cookie's value has no quotes and backslashes


@dataclass
class Tour:
    """What is driven, what the canaries are, and what came back: ``answers`` by what was asked.

    ``driven`` holds method and path of admin requests that succeeded, ``commands`` those that ran.
    """

    node: Node
    admin: Admin
    upstream: Upstream
    randomness: random.Random
    count: int
    hunt: Hunt = field(default_factory=Hunt)
    canaries: list[Canary] = field(default_factory=list)
    answers: list[tuple[str, bytes]] = field(default_factory=list)
    driven: set[tuple[str, str]] = field(default_factory=set)
    commands: set[tuple[str, ...]] = field(default_factory=set)
    shown: int = 0
    shell: Shell = field(init=False)

    def __post_init__(self) -> None:
        self.shell = Shell(self.node)

    # --- Canaries

    def provider(self, what: str, *, odd: bool | None = None) -> str:
        """A new provider secret."""
        choice = bool(len(self.canaries) % 2) if odd is None else odd
        return self._taken(mint(what, self.randomness, odd=choice)).text

    def known(self, what: str, text: str) -> str:
        """A secret that the product made, to be looked for from now on."""
        return self._taken(given(what, text)).text

    def _taken(self, canary: Canary) -> Canary:
        self.canaries.append(canary)
        self.hunt.add(canary)
        return canary

    # --- Ways to ask

    async def ask(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None, what: str = ""
    ) -> Reply:
        """Ask the admin API and keep the answer, without the one field that may show a secret."""
        reply = await self.admin(method, path, body, headers)
        raw = reply.raw
        if reply.status in {200, 201} and reply.body.startswith(b"{") and "secret" in reply.json:
            secret = self.known(what or f"the secret made by {method} {path}", reply.json["secret"])
            raw = raw.replace(b'"secret":"' + secret.encode() + b'"', b"")
            self.shown += 1
        if reply.status < 300:
            self.driven.add((method, path.partition("?")[0]))
        self.answers.append((f"{method} {path}", raw))
        return reply

    async def relay(
        self,
        target: str,
        key: str = "",
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Reply:
        """Ask the app listener on a connection of its own and keep the answer."""
        line = Line(self.node.app)
        fields = {**({"authorization": f"Bearer {key}"} if key else {}), **(headers or {})}
        try:
            reply = await line.send(method, target, fields, body)
        except (OSError, EOFError):
            reply = Reply(0, [])
        await line.close()
        asked = f"{method} {target} {fields.get('x-play', '')} {reply.status} {reply.code}"
        self.answers += [(asked, reply.raw), (f"{asked} (body)", reply.body)]
        return reply

    async def raw(self, address: tuple[str, int], message: bytes) -> None:
        """Send bytes that need not be HTTP and keep whatever comes back."""
        reader, writer = await asyncio.open_connection(*address)
        writer.write(message)
        writer.write_eof()
        try:
            async with asyncio.timeout(5):
                self.answers.append((f"bytes: {message[:20]!r}", await reader.read(-1)))
        except (OSError, TimeoutError):
            pass
        writer.close()

    async def command(self, *words: str, stdin: str = "", env: Mapping[str, str] | None = None) -> Any:
        """Run a command and keep what it says; its JSON where it gives some."""
        code, said = await self.shell.run(*words, stdin=stdin, env=env)
        if code == 0:
            self.commands.add(tuple(word for word in words[:2] if re.fullmatch("[a-z][a-z-]*", word)))
        found = json.loads(said) if said.startswith(b"{") and "--json" in words else None
        if isinstance(found, dict) and "secret" in found:
            secret = self.known(f"the secret made by {words[:2]}", found["secret"])
            said = said.replace(secret.encode(), b"", 1)
            self.shown += 1
        self.answers.append((f"tieline {' '.join(words[:2])} (exit {code})", said))
        return found

    # --- The way

    async def everything(self) -> None:
        """All of it. The parts build on each other."""
        apis = await self._apis()
        keys = await self._keys(apis)
        await self._credentials(apis)
        await self._relayed(apis, keys)
        await drive_calls(self, apis, keys[0][1])
        await drive_connections(self)
        await drive_webhooks(self)
        await self._refused(keys)
        await self._misplaced(keys)
        await self._misplaced_in_definitions()
        await self._malformed(keys)
        await self._looks()
        await self._ends(keys)

    async def _apis(self) -> list[str]:
        """An API of each scheme with a secret, those that misbehave when verified, one that is down, and OpenAI."""
        for name, extra in SCHEMES.items():
            await self.ask("POST", "/apis", {"name": name, "definition": definition(name, self.upstream.url, **extra)})
        for play in ("reflect", "refuse", "malformed", "hang_up"):
            base = f"{self.upstream.url}/~{play}"
            name = play.replace("_", "-")
            kept: dict[str, object] = {"record_bodies": {}, "audit": "strict"} if play == "reflect" else {}
            await self.ask("POST", "/apis", {"name": name, "definition": definition(name, base, **kept)})
            await self._put(name)
        await self.ask("POST", "/apis", {"name": "down", "definition": definition("down", "http://127.0.0.1:9")})
        await self._put("down")
        await self.ask("POST", "/apis", {"name": "openai", "from_catalogue": "openai", "base_url": self.upstream.url})
        await self._put("openai")
        for name in SCHEMES:
            await self._put(name)
        return [*SCHEMES, "openai"]

    async def _put(self, api: str, environment: str = "live", *, activate: bool = True) -> Reply:
        odd = False if api in PLAIN_ONLY else None
        names = FIELDS.get(api, ("key",))
        fields = {name: self.provider(f"{api}'s {name}", odd=odd) for name in names}
        path = f"/apis/{api}/credentials/{environment}{'?activate=true' if activate else ''}"
        return await self.ask("PUT", path, {"fields": fields})

    async def _credentials(self, apis: Sequence[str]) -> None:
        """Versions put, listed, activated, retired, in both environments, until half of the canaries are used."""
        for turn in range(max(3, self.count // 2 // len(apis))):
            for api in apis:
                put = await self._put(api, ("live", "development")[turn % 2], activate=bool(turn % 3))
                assert put.status == 200, put.raw
                version = put.json["version"]
                if turn % 3 == 1:
                    await self.ask("POST", f"/apis/{api}/credentials/{version - 1}/activate")
                    await self.ask("DELETE", f"/apis/{api}/credentials/{version}")
        for api in apis:
            await self._put(api)
            await self.ask("GET", f"/apis/{api}/credentials")

    async def _keys(self, apis: Sequence[str]) -> list[tuple[str, str]]:
        """Ids and secrets of keys of every mode; a third of the canaries."""
        every = [*apis, "reflect", "refuse", "malformed", "hang-up", "down"]
        app = (await self.ask("POST", "/apps", {"name": "Canary cage", "apis": every})).json["id"]
        modes: tuple[dict[str, Any], ...] = (
            {"mode": "all"},
            {"mode": "read_only"},
            {"mode": "restricted", "grants": {"bearer": {"work": "request"}}},
        )
        made = []
        for turn in range(self.count // 3):
            body = {"name": f"key {turn}", "permissions": modes[turn % 3]}
            reply = await self.ask("POST", f"/apps/{app}/keys", body)
            made.append((reply.json["id"], reply.json["secret"]))
        await self.ask("PATCH", f"/keys/{made[0][0]}", {"name": "first", "from_ip": ["127.0.0.0/8"]})
        await self.ask("GET", f"/keys/{made[0][0]}/allows?method=GET&path=/things&api=bearer")
        await self.ask("POST", f"/keys/{made[1][0]}/rotate", {"overlap": 5})
        await self.ask("PATCH", f"/apps/{app}", {"name": "Cage"})
        target = {"keys": [made[0][0]]}
        await self.ask(
            "POST", "/budgets", {"name": "crumbs", "amount": {"usd": "9"}, "applies_to": target, "mode": "warn"}
        )
        await self.ask("PATCH", "/budgets/crumbs", {"alerts": [80]})
        await self.ask("GET", "/budgets/crumbs")
        await self.ask("GET", "/budgets")
        for name, role in (("watcher", "viewer"), ("maker", "editor")):
            token = await self.ask("POST", "/tokens", {"name": name, "role": role})
            await self.ask("DELETE", f"/tokens/{token.json['id']}")
        return made

    async def _relayed(self, apis: Sequence[str], keys: Sequence[tuple[str, str]]) -> None:
        """Every scheme, every play of the upstream, the key in every place."""
        key = keys[0][1]
        for api in apis:
            await self.relay(f"/relay/{api}/things", key)
            for play in ("reflect", "drip", "cut"):
                await self.relay(f"/relay/{api}/things?a=b", key, headers={"x-play": play})
        await self.relay("/relay/reflect/things?q=1", key, method="POST", body=b'{"n": 1}')
        upgrade = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA=="}
        for play in PLAYS:
            await self.relay("/relay/bearer/things", key, headers={"x-play": play})
            await self.relay("/relay/bearer/work", key, method="POST", headers={"x-play": play}, body=b"{}")
            await self.relay("/relay/bearer/things", key, method="HEAD", headers={"x-play": play})
            await self.relay("/relay/bearer/things", key, headers={"x-play": play, **upgrade})
        basic = base64.b64encode(f"{key}:".encode()).decode()
        for headers in (
            {"tieline-key": key},
            {"x-api-key": key},
            {"api-key": key},
            {"authorization": f"Basic {basic}"},
            {"sec-websocket-protocol": f"realtime, openai-insecure-api-key.{key}", **upgrade},
        ):
            await self.relay("/relay/bearer/things", headers={"x-play": "reflect", **headers})
        traced = {"traceparent": f"00-{'1' * 32}-{'2' * 16}-01", "tracestate": f"vendor={key}"}
        for path in ("/relay/bearer/things", "/relay/header/things"):
            await self.relay(path, key, headers={"x-play": "reflect", **traced})
        await self.relay(f"/relay/bearer/things?key={key}", headers={"x-play": "reflect"})
        await self.relay(f"/relay/bearer/things?key={quote(key).replace('tl_', 'tl%5F')}")
        await self.relay(f"/relay/query/things?apikey={key}&x=1", headers={"x-play": "reflect"})
        await self.relay("/relay/cookie/things", headers={"cookie": f"a=b; session={key}", "x-play": "reflect"})

    async def _refused(self, keys: Sequence[tuple[str, str]]) -> None:
        """Wrong, unknown, denied, dead and doubled keys; APIs that are down, unknown or without an answer."""
        good, reads, work = keys[0][1], keys[1][1], keys[2][1]
        await self.relay("/relay/bearer/things", self.provider("a provider key sent as an app key"))
        await self.relay("/relay/bearer/things", good[:-1] + ("a" if good[-1] != "a" else "b"))
        await self.relay("/relay/bearer/things", good[:-5])
        await self.relay("/relay/bearer/things", good, headers={"tieline-key": reads})
        await self.relay(f"/relay/bearer/things?key={reads}", good)
        await self.relay("/relay/bearer/things", reads, method="POST", body=b"{}")
        await self.relay("/relay/bearer/things", work)
        await self.relay("/relay/nothing/things", good)
        await self.relay("/relay/bearer/things", good, headers={"tieline-environment": "development"})
        await self.relay("/relay/bearer/things", good, headers={"tieline-environment": reads})
        await self.relay("/relay/bearer/things", good, method="TRACE")
        await self.relay("/relay/bearer/things", good, headers={"x-http-method-override": reads})
        for api in ("down", "malformed", "hang-up", "refuse", "reflect"):
            await self.relay(f"/relay/{api}/things", good)
            await self.ask("POST", f"/apis/{api}/verify", {})
        for api in SCHEMES:
            await self.ask("POST", f"/apis/{api}/verify", {"environment": "live"})

    async def _misplaced(self, keys: Sequence[tuple[str, str]]) -> None:
        """Secrets where none belongs: names, paths, queries, fields, headers of the admin API and of the relay."""
        good, app_key = keys[0][1], keys[3][1]
        for secret in (self.provider("a misplaced secret", odd=False), app_key):
            for method, path, body in misplacements(secret, keys[0][0]):
                refused = await self.ask(method, path, body)
                assert refused.status >= 400, (method, path, refused.raw)
            for headers in (
                {"authorization": f"Bearer {secret}"},
                {"authorization": f"Basic {secret}"},
                {"host": secret},
                {"accept": secret},
                {"if-match": secret},
                {"cookie": f"session={secret}"},
            ):
                await self.ask("GET", "/apis/bearer/definition", headers=headers)
            await self.ask("PUT", "/apis/bearer", b"{", {"content-type": secret, "if-match": secret})
            for target in (f"/relay/{secret}/things", f"/{secret}", f"/healthz/{secret}", f"/relay/{secret}"):
                await self.relay(target, good, headers={"x-mark": "misplaced"})
                await self.relay(target)
        for target in (f"/relay/bearer/{app_key}", f"/relay/bearer/things/{app_key}"):
            for key in (good, keys[2][1]):
                await self.relay(target, key, headers={"x-mark": "misplaced"})

    async def _misplaced_in_definitions(self) -> None:
        """Secrets within definitions, as text and as JSON, so that each is refused."""
        for write in wrong_definitions():
            secret = self.provider("a secret in a definition")
            for body in ({"name": "wrong", "definition": write(secret)}, {"definition": json.dumps(write(secret))}):
                route = ("POST", "/apis") if "name" in body else ("PUT", "/apis/bearer")
                refused = await self.ask(*route, body)
                assert refused.status >= 400, (body, refused.raw)
            text = f"tieline: v1\napi: bearer\nauth: {{scheme: bearer}}\n{secret}: [\n"
            await self.ask("PUT", "/apis/bearer", text.encode(), {"content-type": "application/yaml"})

    async def _malformed(self, keys: Sequence[tuple[str, str]]) -> None:
        """Messages that are no HTTP, or too large, on both listeners, each with a secret in it."""
        key = keys[0][1].encode()
        for address in (self.node.app, self.node.console):
            for message in (
                b"GET /" + key + b" HTTP/9.9\r\n\r\n",
                b"GET /relay/bearer/ " + key + b"\r\n\r\n",
                b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization " + key + b"\r\n\r\n",
                b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer\n " + key + b"\r\n\r\n",
                b"GET / HTTP/1.1\r\nHost: a\r\nX: " + key * 2000 + b"\r\n\r\n",
                b"GET /" + key * 300 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
                b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " + key + b"\r\n\r\n",
                b"\x16\x03\x01" + key,
                key + b"\r\n\r\n",
            ):
                await self.raw(address, message)

    async def _looks(self) -> None:
        """Everything that only shows."""
        shows = ("/apis", "/apis/bearer", "/catalogue", "/catalogue/openai", "/apps", "/tokens", "/audit", "/vault")
        for path in shows:
            await self.ask("GET", path)
        for accept in ("application/json", "application/yaml"):
            for api in (*SCHEMES, "openai"):
                await self.ask("GET", f"/apis/{api}/definition", headers={"accept": accept})
        await self.ask("POST", "/audit/verify")
        listed = await self.ask("GET", "/requests?limit=200")
        await self.ask("GET", f"/requests/{listed.json['items'][0]['id']}")
        for item in (await self.ask("GET", "/requests?api=reflect")).json["items"]:
            await self.ask("GET", f"/requests/{item['id']}/bodies")
            await self.ask("POST", f"/requests/{item['id']}/replay", {"again": True})
        await self.ask("GET", "/requests/stream?seconds=0.5")
        for form in ("json", "csv", "focus"):
            await self.ask("GET", f"/usage?by=app,key,api,call,model,end_user,tag&format={form}")
        for path in ("/api/openapi.json", "/api/docs", "/healthz", "/readyz", "/"):
            await self.ask("GET", path)

    async def _ends(self, keys: Sequence[tuple[str, str]]) -> None:
        """Changes and removals, and what the relay says to keys that are no more."""
        app = (await self.ask("GET", "/apps/Cage")).json["id"]
        await self.ask("GET", f"/apps/{app}/keys?limit=200")
        await self.ask("GET", f"/keys/{keys[0][0]}")
        await self.ask("DELETE", f"/keys/{keys[4][0]}")
        await self.relay("/relay/bearer/things", keys[4][1])
        await self.ask("PUT", "/apis/bearer", definition("bearer", self.upstream.url, title="Other"))
        await self.relay("/relay/bearer/things", keys[0][1], headers={"x-play": "reflect"})
        await self.ask("DELETE", "/apis/header")
        await self.ask("DELETE", "/budgets/crumbs")
        await self.ask("DELETE", f"/apps/{app}")
        await self.relay("/relay/bearer/things", keys[0][1])

    async def all_commands(self) -> None:
        """Every command of the client, with secrets where they belong and where they do not."""
        await self._command_apis()
        app = ("--app", "shell")
        await self.command("app", "create", "shell", "--api", "typed", "--api", "named")
        kinds = ((), ("--permissions", "restricted", "--grant", "typed:work=request"), ("--expires-in", "1d"))
        made = [await self.command("key", "create", *app, *more, "--json") for more in kinds]
        ids = [each["id"] for each in made]
        await self.command("key", "rotate", ids[0], "--overlap", "0s", "--json")
        token = await self.command("token", "create", "ci", "--role", "viewer", "--json")
        logged = await self.command("log", "list", "--json", "--limit", "1", "--api", "reflect")
        for words in (
            ("app", "list"),
            ("app", "show", "shell", "--json"),
            ("key", "list"),
            ("key", "show", ids[0]),
            ("app", "update", "shell", "--name", "shelled"),
            ("app", "update", "shelled", "--name", "shell"),
            ("key", "update", ids[1], "--name", "renamed"),
            ("budget", "create", "shells", "--amount", "5usd/day", "--app", "shell"),
            ("budget", "list"),
            ("budget", "update", "shells", "--mode", "warn", "--alert", "80"),
            ("budget", "show", "shells"),
            ("budget", "remove", "shells"),
            ("token", "show", "ci"),
            ("key", "allows", ids[0], "GET", "/things", "--api", "typed"),
            ("token", "list", "--json"),
            ("log", "list"),
            ("log", "list", "--status", "4xx", "--since", "1d", "--json"),
            ("log", "show", logged["items"][0]["id"], "--bodies"),
            ("log", "replay", logged["items"][0]["id"], "--again"),
            ("log", "follow", "--seconds", "0.5"),
            ("usage", "--by", "app,api,end_user"),
            ("audit", "list"),
            ("audit", "verify"),
            ("vault", "status", "--data-dir", str(self.node.data_dir), "--json"),
            ("doctor", "--data-dir", str(self.node.data_dir)),
            ("version",),
        ):
            await self.command(*words)
        for noun, name in (("app", "shell"), ("key", ids[1]), ("api", "typed")):
            await self.command(noun, "edit", name, env={"VISUAL": "true"})
        await command_calls(self, made[0]["secret"])
        await command_connections(self)
        await command_webhooks(self)
        await self._commands_refused()
        for words in (
            ("key", "revoke", ids[2]),
            ("token", "revoke", token["id"]),
            ("credential", "retire", "typed", "1"),
            ("app", "remove", "shell"),
            ("api", "remove", "named"),
        ):
            await self.command(*words)
        await self.shell.close()

    async def _command_apis(self) -> None:
        file = self.node.home.parent / "secret.txt"
        file.write_text(self.provider("a secret from a file"))
        written = self.node.home.parent / "typed.yaml"
        written.write_text(json.dumps(definition("typed", self.upstream.url)))
        env = {"CANARY": self.provider("a secret from a variable")}
        stdin = self.provider("a secret from standard input")
        await self.command("api", "add", "typed", "--file", str(written), "--credential-stdin", stdin=stdin)
        openai = ("--from-catalogue", "openai", "--base-url", self.upstream.url)
        await self.command("api", "add", "named", *openai, "--credential-env", "CANARY", env=env)
        await self.command("credential", "set", "typed", "--file", str(file), "--activate", "--json")
        await self.command("credential", "set", "typed", "--stdin", stdin=self.provider("a second one") + "\n")
        await self.command("credential", "activate", "typed", "3")
        for words in (
            ("credential", "list", "typed"),
            ("api", "list"),
            ("api", "show", "typed", "--json"),
            ("api", "export", "typed"),
            ("api", "export", "named", "--json"),
            ("api", "verify", "typed"),
            ("api", "prices", "typed"),
            ("api", "update", "typed", "--file", str(written)),
            ("check", str(written)),
        ):
            await self.command(*words)
        file.unlink()

    async def _commands_refused(self) -> None:
        """Commands with a secret in the wrong place, each of which is refused."""
        for words in (
            ("credential", "set", "typed"),
            ("credential", "set", "typed", "--stdin"),
            ("credential", "set", "typed", "--env"),
            ("api", "show"),
            ("api", "add", "x", "--credential-env"),
            ("key", "revoke"),
            ("app", "show"),
            ("app", "update", "shell", "--no-api"),
            ("key", "show"),
            ("token", "show"),
            ("connection", "show"),
        ):
            await self.command(*words, self.provider(f"an argument of {words[:2]}", odd=False), stdin="x")
        newline = "one\n" + self.provider("a secret with a line break")
        await self.command("credential", "set", "typed", "--stdin", stdin=newline)
        token = {"TIELINE_TOKEN": self.provider("a provider key as admin token", odd=False)}
        await self.command("api", "list", env=token)
