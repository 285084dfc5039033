"""The scheme ``oauth2`` against a real server: every grant it has, and every way for a client to authenticate."""

import time
from typing import Any

import pytest
from joserfc.jwk import ECKey

from tests.peers.flows import run
from tests.peers.issuer import Client, Issuer
from tests.peers.keys import EC_KEY
from tieline.core.secret import Secret
from tieline.schemes.flow import IssuerRefused, Pending, Token
from tieline.schemes.oauth2.scheme import OAuth2

OAUTH2 = OAuth2()
BACK = "http://127.0.0.1:53211/callback"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


def options(issuer: Issuer, **more: Any) -> dict[str, Any]:
    """Everything that the server offers."""
    found = {
        "authorize_url": f"{issuer.url}/auth",
        "token_url": f"{issuer.url}/token",
        "device_url": f"{issuer.url}/device/auth",
        "issuer": issuer.url,
        "profile": {"url": f"{issuer.url}/me", "id": "sub", "email": "email"},
        "scopes": ["openid", "email"],
        **more,
    }
    assert OAUTH2.check(found) == []
    return found


def secrets(client: Client, **more: str) -> dict[str, Secret]:
    """The client's credential."""
    given = {"client_id": client.id, **({"client_secret": client.secret} if client.secret else {}), **more}
    return {name: Secret.from_text(value) for name, value in given.items()}


def text(token: Token, name: str = "access") -> str:
    """One of a token's values."""
    return token.values[name].reveal_bytes().decode()


def signed_in(issuer: Issuer, said: dict[str, Any], credential: dict[str, Secret], person: str = "ada") -> Token:
    """A person's token, by link."""
    began = run(OAUTH2.begin(said, credential, BACK, "a-state"))
    answer = issuer.sign_in(began.url, person)
    assert answer.pop("state") == "a-state"
    return run(OAUTH2.finish(said, credential, began.context, answer))


def test_a_person_signs_in_with_pkce(issuer: Issuer) -> None:
    """The token is theirs, and Tieline knows whose."""
    client = issuer.register("authorization_code", "refresh_token")
    token = signed_in(issuer, options(issuer), secrets(client))
    assert issuer.whose(text(token)) == "ada"
    assert token.account == "ada@example.com"
    assert set(token.scopes) == {"openid", "email"}
    assert token.expires_at is not None
    assert 3500 < token.expires_at - time.time() <= 3600


def test_another_verifier_gets_nothing(issuer: Issuer) -> None:
    """The server checks it: a stolen code is worth nothing."""
    client = issuer.register("authorization_code")
    said, credential = options(issuer), secrets(client)
    began = run(OAUTH2.begin(said, credential, BACK, "s"))
    other = run(OAUTH2.begin(said, credential, BACK, "s"))
    answer = issuer.sign_in(began.url, "ada")
    with pytest.raises(IssuerRefused) as refused:
        run(OAUTH2.finish(said, credential, other.context, answer))
    assert (refused.value.final, "invalid_grant" in refused.value.public) == (True, True)


def test_a_person_says_no(issuer: Issuer) -> None:
    """It ends there, in words."""
    client = issuer.register("authorization_code")
    said, credential = options(issuer), secrets(client)
    began = run(OAUTH2.begin(said, credential, BACK, "s"))
    answer = issuer.refuse(began.url)
    with pytest.raises(IssuerRefused, match="allow it") as refused:
        run(OAUTH2.finish(said, credential, began.context, answer))
    assert refused.value.final


def test_refresh_tokens_rotate(issuer: Issuer) -> None:
    """Each renewal gives the next one; a used one is refused for good, and with it all of its grant."""
    client = issuer.register("authorization_code", "refresh_token", access_token_ttl=2)
    said, credential = options(issuer), secrets(client)
    first = signed_in(issuer, said, credential)
    second = run(OAUTH2.renew(said, credential, first, time.time()))
    third = run(OAUTH2.renew(said, credential, second, time.time()))
    assert len({text(each, "refresh") for each in (first, second, third)}) == 3
    assert (third.account, issuer.whose(text(third))) == ("ada@example.com", "ada")
    with pytest.raises(IssuerRefused) as refused:
        run(OAUTH2.renew(said, credential, first, time.time()))
    assert refused.value.final
    with pytest.raises(IssuerRefused):
        run(OAUTH2.renew(said, credential, third, time.time()))


def test_a_revoked_sign_in_is_over(issuer: Issuer) -> None:
    """As a provider's own page does it; a fresh sign-in heals it."""
    client = issuer.register("authorization_code", "refresh_token")
    said, credential = options(issuer), secrets(client)
    token = signed_in(issuer, said, credential)
    issuer.revoke(client, text(token, "refresh"))
    assert issuer.whose(text(token)) is None
    with pytest.raises(IssuerRefused, match="Sign in again") as refused:
        run(OAUTH2.renew(said, credential, token, time.time()))
    assert refused.value.final
    assert issuer.whose(text(signed_in(issuer, said, credential, "grace"))) == "grace"


@pytest.mark.parametrize("way", ["basic", "post", "client_secret_jwt", "private_key_jwt"])
def test_a_client_for_itself(issuer: Issuer, way: str) -> None:
    """Client credentials, in each way to say who it is."""
    metadata: dict[str, Any] = {}
    more: dict[str, Any] = {}
    fields: dict[str, str] = {}
    if way == "private_key_jwt":
        public = {**ECKey.import_key(EC_KEY).as_dict(private=False), "kid": "k1", "use": "sig", "alg": "ES256"}
        metadata = {"jwks": {"keys": [public]}, "token_endpoint_auth_signing_alg": "ES256"}
        more, fields = {"client_algorithm": "ES256"}, {"client_key": EC_KEY, "client_key_id": "k1"}
    name = {"basic": "client_secret_basic", "post": "client_secret_post"}.get(way, way)
    client = issuer.register("client_credentials", authentication=name, access_token_ttl=90, **metadata)
    said = options(issuer, grant="client_credentials", client_authentication=way, scopes=["read", "write"], **more)
    token = run(OAUTH2.renew(said, secrets(client, **fields), None, time.time()))
    watcher = issuer.register("client_credentials")
    seen = issuer.introspect(watcher, text(token))
    assert (seen["active"], seen["client_id"], seen["scope"]) == (True, client.id, "read write")
    assert token.expires_at is not None
    assert 80 < token.expires_at - time.time() <= 90
    assert "refresh" not in token.values


def test_a_wrong_secret_is_final(issuer: Issuer) -> None:
    """Somebody has to set the credential again."""
    client = issuer.register("client_credentials")
    said = options(issuer, grant="client_credentials", scopes=["read"])
    with pytest.raises(IssuerRefused, match="client id and secret") as refused:
        run(OAUTH2.renew(said, secrets(client) | {"client_secret": Secret(b"not-real")}, None, time.time()))
    assert refused.value.final


@pytest.mark.parametrize(
    ("grant", "fields", "word"),
    [
        ("client_credentials", {}, "Compare the definition"),
        ("password", {"username": "ada", "password": "x"}, "does not know this grant"),
    ],
)
def test_a_grant_that_may_not_be_used_is_final(issuer: Issuer, grant: str, fields: dict[str, str], word: str) -> None:
    """Client or definition have to be changed, and the error says which."""
    client = issuer.register("authorization_code")
    said = options(issuer, grant=grant)
    with pytest.raises(IssuerRefused, match=word) as refused:
        run(OAUTH2.renew(said, secrets(client, **fields), None, time.time()))
    assert refused.value.final


def test_a_person_signs_in_on_another_device(issuer: Issuer) -> None:
    """Pending until they have; then the token is theirs and is refreshed like any other."""
    client = issuer.register(DEVICE, "refresh_token", authentication="none")
    said = options(issuer, grant="device_code", client_authentication="none")
    credential = secrets(client)
    began = run(OAUTH2.begin_device(said, credential))
    assert began.verification_uri == f"{issuer.url}/device"
    assert isinstance(run(OAUTH2.poll_device(said, credential, began.context)), Pending)
    issuer.approve(began.user_code, "grace")
    token = run(OAUTH2.poll_device(said, credential, began.context))
    assert isinstance(token, Token)
    assert (token.account, issuer.whose(text(token))) == ("grace@example.com", "grace")
    assert issuer.whose(text(run(OAUTH2.renew(said, credential, token, time.time())))) == "grace"


def test_a_device_code_that_has_ended(issuer: Issuer) -> None:
    """The sign-in begins again."""
    client = issuer.register(DEVICE, authentication="none", device_code_ttl=1)
    said = options(issuer, grant="device_code", client_authentication="none")
    began = run(OAUTH2.begin_device(said, secrets(client)))
    time.sleep(1.2)
    with pytest.raises(IssuerRefused, match="Begin the sign-in again") as refused:
        run(OAUTH2.poll_device(said, secrets(client), began.context))
    assert (refused.value.final, began.expires_in) == (True, 1)


def test_without_pkce(issuer: Issuer) -> None:
    """For providers that are older than it."""
    client = issuer.register("authorization_code")
    said = options(issuer, pkce=False)
    assert issuer.whose(text(signed_in(issuer, said, secrets(client)))) == "ada"
