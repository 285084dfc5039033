"""A real OAuth 2.0 and OpenID Connect server on loopback (oidc/server.mjs), as the tests of issuing schemes use it.

The fixture ``issuer`` (tests/conftest.py) starts one for the whole session::

    client = issuer.register("client_credentials", access_token_ttl=2)
    client.id, client.secret            # what a credential holds
    issuer.url + "/token"               # routes: /auth /token /device/auth /device /me /reg
                                        #         /token/introspection /token/revocation
    issuer.sign_in(url, "ada")          # a person with a browser: from the authorize URL to the redirect's query
    issuer.approve(code, "ada")         # the same person at /device, with a user code
    issuer.granted(client)              # {"refresh_token": 1}: how many tokens the client has had, by grant
    issuer.introspect(client, token)    # RFC 7662: {"active": True, "scope": …}
    issuer.revoke(client, token)        # RFC 7009: as the provider's own "remove this app" page would

Refresh tokens rotate at each use, and one that is used twice revokes the whole grant, as RFC 9700 section 4.14 asks.
``/me`` (UserInfo) answers who the access token of a person with the scope ``openid`` belongs to, else 401. Every
method blocks; from asynchronous tests call it with ``asyncio.to_thread``. Knows nothing of the product.
"""

import json
import re
import subprocess
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import unescape
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote_plus, urlencode, urljoin, urlsplit

FOLDER = Path(__file__).parent / "oidc"
PATIENCE = 20.0
MOST_PAGES = 20
_ACTION = re.compile(r'<form[^>]*\baction="([^"]*)"')
_INPUT = re.compile(r"<input[^>]*>", re.DOTALL)
_ATTRIBUTE = re.compile(r'\b(name|value)="([^"]*)"')


@dataclass(frozen=True)
class Client:
    """A registered client; ``secret`` is empty where it has another way to authenticate."""

    id: str
    secret: str
    redirect: str


@dataclass(frozen=True)
class Answer:
    """What a server answered; header names are in lower case."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        """The first field of that name, empty where there is none."""
        return next((value for each, value in self.headers if each == name), "")

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def exchange(method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Answer:
    """One request on a connection of its own."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE)
    try:
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(method, target, body or None, {"Accept": "*/*", **(headers or {})})
        answer = connection.getresponse()
        return Answer(answer.status, [(name.lower(), value) for name, value in answer.getheaders()], answer.read())
    finally:
        connection.close()


@dataclass
class Browser:
    """A person's browser: keeps cookies, follows redirects and fills in forms."""

    origin: str
    cookies: dict[str, str] = field(default_factory=dict)

    def go(self, method: str, url: str, fields: Mapping[str, str] | None = None) -> tuple[str, Answer]:
        """The address and answer that a request ends at, once no redirect within the origin follows."""
        for _ in range(MOST_PAGES):
            headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
            body = urlencode(fields).encode() if fields is not None else b""
            if fields is not None:
                headers["Content-Type"] = "application/x-www-form-urlencoded"
            answer = exchange(method, url, headers, body)
            for name, value in answer.headers:
                if name == "set-cookie":
                    crumb, _, content = value.partition(";")[0].partition("=")
                    self.cookies[crumb] = content
            if not answer.header("location"):
                return url, answer
            url = urljoin(url, answer.header("location"))
            if not url.startswith(self.origin + "/"):
                return url, answer
            method, fields = "GET", None
        raise AssertionError(f"more than {MOST_PAGES} redirects")

    def submit(self, url: str, page: Answer, filled: Mapping[str, str]) -> tuple[str, Answer]:
        """Send the page's form with its own values and those that a person filled in."""
        text = page.body.decode()
        action = _ACTION.search(text)
        assert action is not None, f"no form at {url}: {page.status} {text[:500]}"
        fields = {}
        for tag in _INPUT.findall(text):
            given = dict(_ATTRIBUTE.findall(tag))
            fields[given["name"]] = filled.get(given["name"], unescape(given.get("value", "")))
        return self.go("POST", urljoin(url, unescape(action[1])), fields)


@dataclass(frozen=True)
class Issuer:
    """The running server; ``url`` is its issuer identifier and the root of its routes."""

    url: str

    def register(
        self,
        *grants: str,
        authentication: str = "client_secret_basic",
        redirect: str = "http://127.0.0.1/callback",
        **metadata: Any,
    ) -> Client:
        """A new client for these grant types (RFC 7591).

        ``metadata`` may hold ``access_token_ttl``, ``refresh_token_ttl``, ``device_code_ttl`` (seconds), and ``jwks``
        for ``private_key_jwt``. A redirect to 127.0.0.1 without a port is good for every port (RFC 8252 section 7.3).
        """
        code = "authorization_code" in grants
        asked = {
            "grant_types": list(grants),
            "redirect_uris": [redirect] if code else [],
            "response_types": ["code"] if code else [],
            "application_type": "native" if urlsplit(redirect).port is None else "web",
            "token_endpoint_auth_method": authentication,
            "scope": "openid offline_access email read write",
            **metadata,
        }
        answer = exchange("POST", f"{self.url}/reg", {"Content-Type": "application/json"}, json.dumps(asked).encode())
        assert answer.status == 201, answer.body
        found = answer.json()
        return Client(found["client_id"], found.get("client_secret", ""), redirect)

    def sign_in(self, url: str, person: str) -> dict[str, str]:
        """The query that ``person`` is sent back with, having signed in and consented at the authorize URL ``url``."""
        browser = Browser(self.url)
        place, page = browser.go("GET", url)
        place = self._consent(browser, place, page, person)[0]
        return dict(parse_qsl(urlsplit(place).query, keep_blank_values=True))

    def refuse(self, url: str) -> dict[str, str]:
        """The query that a person is sent back with who would not sign in."""
        browser = Browser(self.url)
        place, _ = browser.go("GET", url)
        place, _ = browser.go("GET", f"{place}/abort")
        return dict(parse_qsl(urlsplit(place).query, keep_blank_values=True))

    def approve(self, user_code: str, person: str) -> None:
        """``person`` enters the user code at the verification page, signs in and consents (RFC 8628 section 3.3)."""
        browser = Browser(self.url)
        place, page = browser.go("GET", f"{self.url}/device")
        place, page = browser.submit(place, page, {"user_code": user_code})
        place, page = browser.submit(place, page, {})
        page = self._consent(browser, place, page, person)[1]
        assert page.status == 200, page.body

    def _consent(self, browser: Browser, place: str, page: Answer, person: str) -> tuple[str, Answer]:
        for _ in range(MOST_PAGES):
            if "/interaction/" not in urlsplit(place).path:
                return place, page
            place, page = browser.submit(place, page, {"login": person, "password": "any"})
        raise AssertionError(f"the sign-in does not end: {page.body[:500]!r}")

    def granted(self, client: Client) -> dict[str, int]:
        """How many tokens ``client`` has had, by grant type."""
        found: dict[str, int] = exchange("GET", f"{self.url}/peer/grants?client_id={client.id}").json()
        return found

    def asked(self, client: Client) -> dict[str, int]:
        """How often ``client`` asked for a token, refused or not, by grant type."""
        found: dict[str, int] = exchange("GET", f"{self.url}/peer/requests?client_id={client.id}").json()
        return found

    def introspect(self, client: Client, token: str) -> dict[str, Any]:
        """What the server says of a token (RFC 7662); ``client`` has a secret and authenticates by Basic."""
        found: dict[str, Any] = self._about("introspection", client, token).json()
        return found

    def revoke(self, client: Client, token: str) -> None:
        """Revoke a token of ``client`` and, with a refresh token, all of its grant (RFC 7009)."""
        answer = self._about("revocation", client, token)
        assert answer.status == 200, answer.body

    def whose(self, access_token: str) -> str | None:
        """Whom an access token belongs to, None where it is no longer good."""
        answer = exchange("GET", f"{self.url}/me", {"Authorization": f"Bearer {access_token}"})
        return answer.json()["sub"] if answer.status == 200 else None

    def _about(self, what: str, client: Client, token: str) -> Answer:
        pair = b64encode(f"{quote_plus(client.id)}:{quote_plus(client.secret)}".encode()).decode()
        headers = {"Authorization": f"Basic {pair}", "Content-Type": "application/x-www-form-urlencoded"}
        return exchange("POST", f"{self.url}/token/{what}", headers, urlencode({"token": token}).encode())


@contextmanager
def issuing(node: str) -> Iterator[Issuer]:
    """The server while the block lasts; ``node`` is the program that runs it. It ends with its standard input."""
    process = subprocess.Popen(
        [node, str(FOLDER / "server.mjs")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        try:
            line = process.stdout.readline()
            assert line, "the issuer did not start; run it by hand: node tests/peers/oidc/server.mjs"
            yield Issuer(f"http://127.0.0.1:{json.loads(line)['port']}")
        finally:
            process.stdin.close()
            process.wait(PATIENCE)
