"""APIs that are no OpenAI, from a definition file: the app key stands where their own SDKs put a key.

Raw HTTP, as curl sends it; the upstream remembers what it saw, and the test compares digests.
"""

import hashlib
import http.client
from base64 import b64encode
from urllib.parse import urlsplit

import pytest

from tests.e2e.sdk.conftest import Mirror, Stage

ANTHROPIC = """
tieline: v1
api: anthropic
title: Anthropic
base_url: {base}/anthropic
auth: {{scheme: api_key, in: header, name: x-api-key}}
headers: [{{name: anthropic-version, value: "2023-06-01"}}]
"""
STRIPE = """
tieline: v1
api: stripe
title: Stripe
base_url: {base}/stripe/v1
auth: {{scheme: basic}}
"""
MAPS = """
tieline: v1
api: maps
title: Maps
base_url: {base}/maps
auth: {{scheme: api_key, in: query, name: key}}
"""
SECRET = "sk_test_" + "not-a-real-key"


def call(stage: Stage, target: str, headers: dict[str, str], body: str | None = None) -> int:
    """Send one request as curl does; the status."""
    connection = http.client.HTTPConnection(urlsplit(stage.server.app).netloc, timeout=20)
    try:
        connection.request("GET" if body is None else "POST", target, body, headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def digest(value: str) -> str:
    """So that no failure prints a secret."""
    return hashlib.sha256(value.encode()).hexdigest()


def everything(mirror: Mirror) -> str:
    """All that the upstream saw."""
    return repr((mirror.path, mirror.headers, mirror.body))


@pytest.fixture(scope="session")
def anthropic(stage: Stage, mirror: Mirror) -> str:
    """The relay path of an API with x-api-key."""
    stage.add("anthropic", {"key": SECRET}, definition=ANTHROPIC.format(base=mirror.base))
    return "/relay/anthropic"


@pytest.fixture(scope="session")
def stripe(stage: Stage, mirror: Mirror) -> str:
    """The relay path of an API with Basic, the key as its user name."""
    stage.add("stripe", {"username": SECRET}, definition=STRIPE.format(base=mirror.base))
    return "/relay/stripe"


@pytest.fixture(scope="session")
def maps(stage: Stage, mirror: Mirror) -> str:
    """The relay path of an API with its key in the query."""
    stage.add("maps", {"key": SECRET}, definition=MAPS.format(base=mirror.base))
    return "/relay/maps"


def test_x_api_key_takes_the_app_key(stage: Stage, mirror: Mirror, anthropic: str) -> None:
    """curl -H "x-api-key: tl_…": the upstream gets its own key in the same field, and the shared header."""
    headers = {"x-api-key": stage.key, "content-type": "application/json"}
    assert call(stage, f"{anthropic}/v1/messages", headers, '{"model": "some"}') == 200
    assert (mirror.method, mirror.path, mirror.body) == ("POST", "/anthropic/v1/messages", b'{"model": "some"}')
    assert digest(mirror.headers["x-api-key"]) == digest(SECRET)
    assert mirror.headers["anthropic-version"] == "2023-06-01"
    assert stage.key not in everything(mirror)


def test_bearer_serves_an_x_api_key_api_too(stage: Stage, mirror: Mirror, anthropic: str) -> None:
    """The app key may stand in Authorization all the same, which the upstream never sees."""
    assert call(stage, f"{anthropic}/v1/models?limit=5", {"authorization": f"Bearer {stage.key}"}) == 200
    assert mirror.path == "/anthropic/v1/models?limit=5"
    assert "authorization" not in mirror.headers
    assert digest(mirror.headers["x-api-key"]) == digest(SECRET)


@pytest.mark.parametrize("pair", ["{key}:", ":{key}", "user:{key}"], ids=["user name", "password", "with a user name"])
def test_basic_takes_the_app_key(stage: Stage, mirror: Mirror, stripe: str, pair: str) -> None:
    """curl -u tl_…: as user name or as password, and the upstream gets its own pair."""
    given = b64encode(pair.format(key=stage.key).encode()).decode()
    headers = {"authorization": f"Basic {given}", "content-type": "application/x-www-form-urlencoded"}
    assert call(stage, f"{stripe}/charges", headers, "amount=100&currency=usd") == 200
    assert (mirror.path, mirror.body) == ("/stripe/v1/charges", b"amount=100&currency=usd")
    assert digest(mirror.headers["authorization"]) == digest("Basic " + b64encode(f"{SECRET}:".encode()).decode())
    assert given not in everything(mirror)


def test_the_query_takes_the_app_key(stage: Stage, mirror: Mirror, maps: str) -> None:
    """?key=tl_…: replaced by the upstream's key; the rest of the query stays as it was."""
    assert call(stage, f"{maps}/geocode?address=a%20b&key={stage.key}&x=1", {}) == 200
    assert stage.key not in everything(mirror)
    path, _, query = mirror.path.partition("?")
    assert (path, sorted(query.split("&"))[:2]) == ("/maps/geocode", ["address=a%20b", f"key={SECRET}"])
    assert query.endswith("x=1") or "x=1&" in query


@pytest.mark.parametrize("api", ["anthropic", "stripe", "maps"])
def test_the_providers_own_key_is_refused(
    stage: Stage, request: pytest.FixtureRequest, mirror: Mirror, api: str
) -> None:
    """Whoever forgot to change the key is told so, and nothing goes out."""
    path = request.getfixturevalue(api)
    mirror.path = "untouched"
    sent = {
        "anthropic": {"x-api-key": SECRET},
        "stripe": {"authorization": "Basic " + b64encode(f"{SECRET}:".encode()).decode()},
        "maps": {},
    }
    assert call(stage, path + (f"/x?key={SECRET}" if api == "maps" else "/x"), sent[api]) == 401
    assert mirror.path == "untouched"
