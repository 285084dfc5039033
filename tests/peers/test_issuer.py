"""The issuer that the tests lean on does what they rely on: people, rotation, revocation, counting."""

from urllib.parse import urlencode

import pytest

from tests.peers.issuer import Answer, Client, Issuer, exchange


def ask(issuer: Issuer, client: Client, **fields: str) -> Answer:
    """A request to the token endpoint, the client's secret in the body."""
    body = urlencode({"client_id": client.id, "client_secret": client.secret, **fields}).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return exchange("POST", f"{issuer.url}/token", headers, body)


@pytest.fixture
def client(issuer: Issuer) -> Client:
    """A client for people."""
    return issuer.register("authorization_code", "refresh_token", authentication="client_secret_post")


def sign_in(issuer: Issuer, client: Client) -> dict[str, str]:
    """The tokens of somebody who signed in with ``client``."""
    back = "http://127.0.0.1:1/callback"
    query = {"response_type": "code", "client_id": client.id, "redirect_uri": back, "scope": "openid", "state": "s"}
    came = issuer.sign_in(f"{issuer.url}/auth?{urlencode(query)}", "ada")
    assert came["state"] == "s"
    found: dict[str, str] = ask(
        issuer, client, grant_type="authorization_code", code=came["code"], redirect_uri=back
    ).json()
    return found


def test_a_person_signs_in(issuer: Issuer, client: Client) -> None:
    """The token is that person's, until it is revoked."""
    tokens = sign_in(issuer, client)
    assert issuer.whose(tokens["access_token"]) == "ada"
    assert issuer.granted(client) == {"authorization_code": 1}
    issuer.revoke(client, tokens["refresh_token"])
    assert issuer.whose(tokens["access_token"]) is None


def test_a_refresh_token_is_good_once(issuer: Issuer, client: Client) -> None:
    """The second use revokes what the first one got."""
    first = sign_in(issuer, client)
    got = ask(issuer, client, grant_type="refresh_token", refresh_token=first["refresh_token"]).json()
    assert got["refresh_token"] != first["refresh_token"]
    again = ask(issuer, client, grant_type="refresh_token", refresh_token=first["refresh_token"])
    assert (again.status, again.json()["error"]) == (400, "invalid_grant")
    assert issuer.whose(got["access_token"]) is None
    assert (issuer.granted(client)["refresh_token"], issuer.asked(client)["refresh_token"]) == (1, 2)


def test_lifetimes_are_the_clients(issuer: Issuer) -> None:
    """In seconds, as it was registered."""
    client = issuer.register("client_credentials", authentication="client_secret_post", access_token_ttl=7)
    assert ask(issuer, client, grant_type="client_credentials", scope="read").json()["expires_in"] == 7


def test_a_device_is_approved(issuer: Issuer) -> None:
    """Pending until the person has entered the code."""
    grant = "urn:ietf:params:oauth:grant-type:device_code"
    client = issuer.register(grant, authentication="none")
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    body = urlencode({"client_id": client.id, "scope": "openid"}).encode()
    begun = exchange("POST", f"{issuer.url}/device/auth", headers, body).json()
    assert ask(issuer, client, grant_type=grant, device_code=begun["device_code"]).json()["error"] == (
        "authorization_pending"
    )
    issuer.approve(begun["user_code"], "grace")
    tokens = ask(issuer, client, grant_type=grant, device_code=begun["device_code"]).json()
    assert issuer.whose(tokens["access_token"]) == "grace"


def test_a_person_may_refuse(issuer: Issuer, client: Client) -> None:
    """And the client is told so."""
    query = {"response_type": "code", "client_id": client.id, "redirect_uri": "http://127.0.0.1:1/callback"}
    came = issuer.refuse(f"{issuer.url}/auth?{urlencode({**query, 'scope': 'openid'})}")
    assert came["error"] == "access_denied"
