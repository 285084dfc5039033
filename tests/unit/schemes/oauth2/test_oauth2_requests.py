"""What ``oauth2`` asks of an issuer, by the examples that the standards print; line breaks there are for display."""

from base64 import b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey

from tests.peers.flows import run, scripted, told
from tests.peers.keys import CERTIFICATE, EC_KEY
from tests.unit.schemes.oauth2.issued import (
    CLIENT,
    NOW,
    OAUTH2,
    TOKEN_URL,
    form,
    header,
    opened,
    options,
    sealed,
    token,
)
from tieline.schemes.flow import IssuerAnswer, IssuerRequest, Token
from tieline.schemes.oauth2.signin import challenge

# RFC 6749 section 5.1
ANSWER = told(
    '{"access_token":"2YotnFZFEjr1zCsicMWpAA","token_type":"example","expires_in":3600,'
    '"refresh_token":"tGzv3JOkF0XG5Qx2TlKWIA","example_parameter":"example_value"}'
)
URN = "urn:ietf:params:oauth:grant-type:"


def renewed(
    said: Mapping[str, Any], secrets: Mapping[str, str], before: Token | None = None, answer: IssuerAnswer = ANSWER
) -> tuple[IssuerRequest, Token]:
    """The one request that a renewal makes, and the token it ends with."""
    asked: list[IssuerRequest] = []
    got = scripted(OAUTH2.renew(said, sealed(secrets), before, NOW), [answer], asked)
    return asked[0], got


def test_the_challenge_of_a_verifier() -> None:
    """RFC 7636 appendix B."""
    assert challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk") == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_the_authorization_request() -> None:
    """RFC 6749 section 4.1.1, without PKCE, which is younger."""
    said = options(authorize_url="https://server.example.com/authorize", pkce=False)
    began = run(OAUTH2.begin(said, sealed(CLIENT), "https://client.example.com/cb", "xyz"))
    url, query = began.url.split("?")
    assert url == "https://server.example.com/authorize"
    assert sorted(query.split("&")) == sorted(
        [
            "response_type=code",
            "client_id=s6BhdRkqt3",
            "state=xyz",
            "redirect_uri=https%3A%2F%2Fclient.example.com%2Fcb",
        ]
    )


def test_the_access_token_request() -> None:
    """RFC 6749 section 4.1.3, header and body letter by letter."""
    said = options(authorize_url="https://server.example.com/authorize", pkce=False)
    began = run(OAUTH2.begin(said, sealed(CLIENT), "https://client.example.com/cb", "xyz"))
    asked: list[IssuerRequest] = []
    answer = {"code": "SplxlOBeZQQYbYS6WxSbIA", "state": "xyz"}
    got = scripted(OAUTH2.finish(said, sealed(CLIENT), began.context, answer), [ANSWER], asked)
    assert (asked[0].method, asked[0].url) == ("POST", TOKEN_URL)
    assert header(asked[0], "Authorization") == "Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW"
    assert asked[0].body == (
        b"grant_type=authorization_code&code=SplxlOBeZQQYbYS6WxSbIA&redirect_uri=https%3A%2F%2Fclient.example.com%2Fcb"
    )
    assert opened(got) == {"access": "2YotnFZFEjr1zCsicMWpAA", "refresh": "tGzv3JOkF0XG5Qx2TlKWIA"}
    assert got.expires_at == NOW + 3600


def test_pkce_is_on() -> None:
    """RFC 7636: a fresh verifier each time, its S256 in the URL, itself in the exchange."""
    said = options(authorize_url="https://server.example.com/authorize?tenant=a")
    seen = set()
    for _ in range(20):
        began = run(OAUTH2.begin(said, sealed(CLIENT), "https://client.example.com/cb", "xyz"))
        query = dict(parse_qsl(urlsplit(began.url).query))
        asked: list[IssuerRequest] = []
        scripted(OAUTH2.finish(said, sealed(CLIENT), began.context, {"code": "c"}), [ANSWER], asked)
        verifier = form(asked[0])["code_verifier"]
        assert (query["tenant"], query["code_challenge_method"]) == ("a", "S256")
        assert query["code_challenge"] == challenge(verifier)
        assert 43 <= len(verifier) <= 128
        seen.add(verifier)
    assert len(seen) == 20


def test_the_client_credentials_request() -> None:
    """RFC 6749 section 4.4.2."""
    ask, _ = renewed(options(grant="client_credentials"), CLIENT)
    assert header(ask, "Authorization") == "Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW"
    assert ask.body == b"grant_type=client_credentials"


def test_the_password_request() -> None:
    """RFC 6749 section 4.3.2."""
    ask, _ = renewed(options(grant="password"), {**CLIENT, "username": "johndoe", "password": "A3ddj3w"})
    assert ask.body == b"grant_type=password&username=johndoe&password=A3ddj3w"


def test_the_refresh_request() -> None:
    """RFC 6749 section 6; the scopes stay those that were granted."""
    said = options(authorize_url="https://server.example.com/authorize", scopes=["a"])
    ask, got = renewed(said, CLIENT, token(access="old", refresh="tGzv3JOkF0XG5Qx2TlKWIA"))
    assert ask.body == b"grant_type=refresh_token&refresh_token=tGzv3JOkF0XG5Qx2TlKWIA"
    assert (got.scopes, got.account) == (("old",), "ada@example.com")


def test_the_client_in_the_body() -> None:
    """RFC 6749 section 2.3.1, the alternative."""
    said = options(grant="client_credentials", client_authentication="post")
    ask, _ = renewed(said, CLIENT)
    assert header(ask, "Authorization") is None
    assert ask.body == b"grant_type=client_credentials&client_id=s6BhdRkqt3&client_secret=gX1fBat3bV"


def test_basic_encodes_both_halves() -> None:
    """RFC 6749 section 2.3.1: as a form would, before base64."""
    ask, _ = renewed(options(grant="client_credentials"), {"client_id": "a b:c", "client_secret": "d+é/%"})
    assert header(ask, "Authorization") == "Basic YStiJTNBYzpkJTJCJUMzJUE5JTJGJTI1"  # a+b%3Ac:d%2B%C3%A9%2F%25


def test_basic_raw_encodes_neither() -> None:
    """RFC 7617, for issuers that read what is before and behind the colon as it is."""
    said = options(grant="client_credentials", client_authentication="basic_raw")
    ask, _ = renewed(said, {"client_id": "me", "client_secret": "a+b/c==@!"})
    assert header(ask, "Authorization") == "Basic " + b64encode(b"me:a+b/c==@!").decode()


def test_a_public_client_names_itself() -> None:
    """RFC 6749 section 3.2.1."""
    said = options(authorize_url="https://server.example.com/authorize", client_authentication="none")
    ask, _ = renewed(said, {"client_id": "app"}, token(refresh="r"))
    assert form(ask) == {"grant_type": "refresh_token", "refresh_token": "r", "client_id": "app"}


@pytest.mark.parametrize(
    ("way", "algorithm", "secrets", "key"),
    [
        ("private_key_jwt", "ES256", {"client_key": EC_KEY, "client_key_id": "k1"}, ECKey.import_key(EC_KEY)),
        ("client_secret_jwt", "HS256", {"client_secret": "s" * 40}, OctKey.import_key("s" * 40)),
    ],
)
def test_the_client_by_assertion(way: str, algorithm: str, secrets: dict[str, str], key: ECKey | OctKey) -> None:
    """RFC 7523 section 2.2, claims as in OpenID Connect Core section 9; each assertion has an id of its own."""
    said = options(grant="client_credentials", client_authentication=way, client_algorithm=algorithm)
    ids = set()
    for _ in range(2):
        sent = form(renewed(said, {"client_id": "app", **secrets})[0])
        assert sent["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        made = jwt.decode(sent["client_assertion"], key)
        assert made.header.get("kid") == secrets.get("client_key_id")
        assert {name: made.claims[name] for name in ("iss", "sub", "aud", "iat", "exp")} == {
            "iss": "app", "sub": "app", "aud": TOKEN_URL, "iat": int(NOW), "exp": int(NOW) + 60,
        }  # fmt: skip
        assert "client_secret" not in sent
        ids.add(made.claims["jti"])
    assert len(ids) == 2


def test_the_client_by_certificate() -> None:
    """RFC 8705 section 2: it is in the connection, and the id in the body; the API sees it where asked."""
    said = options(grant="client_credentials", client_authentication="mtls")
    secrets = {"client_id": "app", "certificate": CERTIFICATE, "key": EC_KEY}
    ask, got = renewed(said, secrets)
    assert form(ask) == {"grant_type": "client_credentials", "client_id": "app"}
    assert ask.tls is not None
    assert ask.tls.certificate == CERTIFICATE.encode()
    assert OAUTH2.bind_token(said, sealed(secrets), got).tls is None
    bound = OAUTH2.bind_token({**said, "certificate_bound": True}, sealed(secrets), got).tls
    assert bound is not None
    assert bound.fingerprint == ask.tls.fingerprint


def test_the_assertion_grant() -> None:
    """RFC 7523 section 2.1 and 4; the claims are the definition's, and ``aud`` is the token endpoint."""
    claims = {"iss": "<issuer>", "sub": "<subject>", "scope": "files", "exp": "<now+3600>", "n": 7}
    said = options(
        grant="jwt_bearer",
        assertion={"algorithm": "ES256", "header": {"typ": "JWT", "kid": "<key_id>"}, "claims": claims},
    )
    ask, got = renewed(said, {"private_key": EC_KEY, "issuer": "me", "key_id": "k"})
    sent = form(ask)
    made = jwt.decode(sent.pop("assertion"), ECKey.import_key(EC_KEY))
    assert sent == {"grant_type": URN + "jwt-bearer"}
    assert made.header == {"alg": "ES256", "typ": "JWT", "kid": "k"}
    assert made.claims == {"aud": TOKEN_URL, "iss": "me", "scope": "files", "exp": int(NOW) + 3600, "n": 7}
    assert header(ask, "Authorization") is None
    assert renewed(said, {"private_key": EC_KEY, "issuer": "me", "key_id": "k"}, got)[0].body.startswith(
        b"grant_type=urn"
    )


def test_the_token_exchange_request() -> None:
    """RFC 8693 section 2.3, header and body letter by letter."""
    said = options(grant="token_exchange", resource="https://backend.example.com/api")
    secrets = {
        "client_id": "rs08",
        "client_secret": "long-secure-random-secret",
        "subject_token": "accVkjcJyb4BWCxGsndESCJQbdFMogUC5PbRDqceLTC",
    }
    answer = told(
        '{"access_token":"eyJhbGciOiJFUzI1NiIsImtpZCI6IjllciJ9.not-real","issued_token_type":'
        '"urn:ietf:params:oauth:token-type:access_token","token_type":"Bearer","expires_in":60}'
    )
    ask, got = renewed(said, secrets, answer=answer)
    assert header(ask, "Authorization") == "Basic cnMwODpsb25nLXNlY3VyZS1yYW5kb20tc2VjcmV0"
    assert set(ask.body.split(b"&")) == {
        b"grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange",
        b"resource=https%3A%2F%2Fbackend.example.com%2Fapi",
        b"subject_token=accVkjcJyb4BWCxGsndESCJQbdFMogUC5PbRDqceLTC",
        b"subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token",
    }
    assert got.expires_at == NOW + 60


def test_a_token_exchange_on_behalf() -> None:
    """RFC 8693 section 2.1: an actor, and the type of token that is wanted."""
    said = options(
        grant="token_exchange",
        requested_token_type="urn:ietf:params:oauth:token-type:jwt",
        actor_token_type="urn:ietf:params:oauth:token-type:jwt",
        audience=["one", "two"],
        scopes=["a", "b"],
    )
    ask, _ = renewed(said, {**CLIENT, "subject_token": "s", "actor_token": "t"})
    pairs = parse_qsl(ask.body.decode())
    assert [value for name, value in pairs if name == "audience"] == ["one", "two"]
    assert dict(pairs) | {"audience": ""} == {
        "grant_type": URN + "token-exchange",
        "subject_token": "s",
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "actor_token": "t",
        "actor_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "requested_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "scope": "a b",
        "audience": "",
    }


def test_a_refresh_token_of_the_credential() -> None:
    """It is the first one; what it was exchanged for is the next."""
    said = options(grant="refresh_token")
    secrets = {**CLIENT, "refresh_token": "first"}
    ask, got = renewed(said, secrets, answer=told('{"access_token":"a"}'))
    assert form(ask)["refresh_token"] == "first"
    assert opened(got) == {"access": "a", "refresh": "first"}
    ask, _ = renewed(said, secrets, token(access="a", refresh="second"))
    assert form(ask)["refresh_token"] == "second"


def test_further_parameters_and_headers() -> None:
    """Of each kind of request its own; a header may take the place of the usual one."""
    said = options(
        authorize_url="https://server.example.com/authorize",
        refresh_url="https://server.example.com/refresh",
        authorize_parameters={"prompt": "consent"},
        token_parameters={"t": "1"},
        token_headers={"X-T": "1"},
        refresh_parameters={"r": "2"},
        refresh_headers={"X-R": "2", "accept": "application/vnd.x+json"},
        access_type="offline",
        audience="api",
        scopes=["a", "b"],
        scope_separator=",",
    )
    began = run(OAUTH2.begin(said, sealed(CLIENT), "https://client.example.com/cb", "xyz"))
    query = dict(parse_qsl(urlsplit(began.url).query))
    assert (query["prompt"], query["access_type"], query["audience"], query["scope"]) == (
        "consent", "offline", "api", "a,b",
    )  # fmt: skip
    asked: list[IssuerRequest] = []
    got = scripted(OAUTH2.finish(said, sealed(CLIENT), began.context, {"code": "c"}), [ANSWER], asked)
    assert (form(asked[0])["t"], header(asked[0], "X-T"), "r" in form(asked[0])) == ("1", "1", False)
    ask, _ = renewed(said, CLIENT, got)
    assert ask.url == "https://server.example.com/refresh"
    assert (form(ask)["r"], header(ask, "X-R"), "t" in form(ask)) == ("2", "2", False)
    assert header(ask, "Accept") == "application/vnd.x+json"


def test_a_client_by_another_name() -> None:
    """What TikTok calls ``client_key``, in the link and in the body."""
    said = options(
        authorize_url="https://server.example.com/authorize",
        client_authentication="post",
        client_id_parameter="client_key",
        client_secret_parameter="secret",
    )
    began = run(OAUTH2.begin(said, sealed(CLIENT), "https://client.example.com/cb", "xyz"))
    assert dict(parse_qsl(urlsplit(began.url).query))["client_key"] == CLIENT["client_id"]
    ask, _ = renewed(said, CLIENT, token(refresh="r"))
    assert (form(ask)["client_key"], form(ask)["secret"]) == (CLIENT["client_id"], CLIENT["client_secret"])
    assert form(ask).keys().isdisjoint(CLIENT)


def test_a_body_in_json() -> None:
    """For providers who want one; several values of a name are a list."""
    said = options(grant="client_credentials", token_body="json", audience=["a", "b"], client_authentication="post")
    ask, _ = renewed(said, {"client_id": 'a"b', "client_secret": "c"})
    assert header(ask, "Content-Type") == "application/json"
    assert orjson.loads(ask.body) == {
        "grant_type": "client_credentials",
        "audience": ["a", "b"],
        "client_id": 'a"b',
        "client_secret": "c",
    }


@pytest.mark.parametrize(
    ("grant", "secrets"),
    [("password", {"username": "me", "password": "p"}), ("token_exchange", {"subject_token": "s"})],
)
def test_a_refresh_token_that_has_ended_is_no_end(grant: str, secrets: dict[str, str]) -> None:
    """Where the credential can get another token, it does."""
    asked: list[IssuerRequest] = []
    flow = OAUTH2.renew(options(grant=grant), sealed({**CLIENT, **secrets}), token(access="a", refresh="r"), NOW)
    scripted(flow, [told('{"error":"invalid_grant"}', 400), ANSWER], asked)
    assert [form(each)["grant_type"].rpartition(":")[2] for each in asked] == [
        "refresh_token", grant.replace("_", "-") if grant == "token_exchange" else grant,
    ]  # fmt: skip
