"""What each grant sends to the token endpoint, and how a token is renewed. Knows no answer's form.

RFC 6749 sections 4.1.3, 4.3.2, 4.4.2 and 6, RFC 7523 section 2.1, RFC 8693 section 2.1, RFC 8707.
"""

import uuid
from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

import orjson

from tieline.core.errors import CredentialMissing
from tieline.core.secret import Secret
from tieline.schemes import claims, jose
from tieline.schemes.base import SchemeField
from tieline.schemes.flow import Flow, IssuerRefused, IssuerRequest, Token
from tieline.schemes.oauth2 import answers
from tieline.schemes.oauth2.client import prove
from tieline.schemes.oauth2.options import ASSERTION, BY_PERSON, CLIENT, EXCHANGE, PASSWORD, REFRESH, OAuth2Setup

Pairs = Sequence[tuple[str, str]]
_URN = "urn:ietf:params:oauth:grant-type:"
NAMES: Mapping[str, str] = {
    ASSERTION: _URN + "jwt-bearer",
    "device_code": _URN + "device_code",
    EXCHANGE: _URN + "token-exchange",
}


def grant_fields(setup: OAuth2Setup) -> tuple[SchemeField, ...]:
    """The credential's fields that the grant itself needs."""
    if setup.grant == PASSWORD:
        return (SchemeField("username", "User name", secret=False), SchemeField("password", "Password"))
    if setup.grant == REFRESH:
        return (SchemeField("refresh_token", "Refresh token"),)
    if setup.grant == EXCHANGE:
        return (
            SchemeField("subject_token", "Subject token"),
            SchemeField("actor_token", "Actor token", required=False),
        )
    if setup.grant == ASSERTION:
        named = set(setup.assertion.names())
        own = [
            SchemeField("issuer", "Issuer", secret=False),
            SchemeField("subject", "Subject", secret=False, required=False),
            SchemeField("key_id", "Key id", secret=False),
        ]
        further = [each.field for each in setup.assertion.fields]
        fields = [each for each in own if each.name in named]
        return (SchemeField("private_key", "Signing key (PEM or JWK)", multiline=True), *fields, *further)
    return ()


def renew(setup: OAuth2Setup, secrets: Mapping[str, Secret], token: Token | None, now: float) -> Flow[Token]:
    """The next token: refreshed where there is a refresh token, else asked for as the first time."""
    refresh = token.values.get("refresh") if token is not None else None
    if refresh is None and setup.grant == REFRESH:
        refresh = secrets["refresh_token"]
    if refresh is not None and setup.grant not in {CLIENT, ASSERTION}:
        try:
            return (yield from _refresh(setup, secrets, refresh, token, now))
        except IssuerRefused as refused:
            if not refused.final or setup.grant in BY_PERSON or setup.grant == REFRESH:
                raise
    if setup.grant in BY_PERSON:
        raise IssuerRefused(
            "The sign-in has ended, and the provider gave no refresh token for another. Sign in again. "
            "Some providers give one only for a scope such as offline_access, or with access_type: offline.",
            final=True,
        )
    ask = token_request(setup, secrets, setup.grant, _own_parameters(setup, secrets, now), now)
    return answers.token(setup, (yield ask), setup.grant, token, now)


def token_request(
    setup: OAuth2Setup, secrets: Mapping[str, Secret], grant: str, parameters: Pairs, now: float
) -> IssuerRequest:
    """A request to the token endpoint; ``parameters`` are those of the grant, in their order."""
    refreshing = grant == REFRESH
    further = setup.refresh_parameters if refreshing else setup.token_parameters
    headers = setup.refresh_headers if refreshing else setup.token_headers
    url = setup.refresh_url if refreshing and setup.refresh_url is not None else setup.token_url
    pairs = [("grant_type", NAMES.get(grant, grant)), *parameters, *further.items()]
    return request(setup, secrets, url, pairs, now, headers)


def request(  # everything that makes one request
    setup: OAuth2Setup, secrets: Mapping[str, Secret], url: str, pairs: Pairs, now: float, headers: Mapping[str, str]
) -> IssuerRequest:
    """A request of the client with ``pairs`` as its body."""
    proof = prove(setup, secrets, now)
    kind, body = _written(setup, [*pairs, *proof.parameters])
    own = [("Content-Type", kind), ("Accept", "application/json"), *proof.headers]
    taken = {name.lower() for name in headers}
    return IssuerRequest(
        "POST",
        url,
        (*(pair for pair in own if pair[0].lower() not in taken), *headers.items()),
        body,
        proof.tls,
    )


def audience(setup: OAuth2Setup) -> Pairs:
    """Scope, audience and resource, where they are asked for."""
    pairs = [("scope", setup.scope)] if setup.scopes else []
    pairs += [("audience", each) for each in setup.audience]
    return pairs + [("resource", each) for each in setup.resource]


def check_grant(setup: OAuth2Setup, secrets: Mapping[str, Secret]) -> None:
    """Raises CredentialMissing for a key that is none."""
    if setup.grant == ASSERTION:
        _assertion(setup, secrets, 0.0)


def _refresh(
    setup: OAuth2Setup, secrets: Mapping[str, Secret], refresh: Secret, token: Token | None, now: float
) -> Flow[Token]:
    parameters = [("refresh_token", refresh.reveal_bytes().decode())]
    answer = yield token_request(setup, secrets, REFRESH, parameters, now)
    before = token if token is not None else Token({"refresh": refresh})
    asked = setup.grant if setup.grant in BY_PERSON else REFRESH
    return answers.token(setup, answer, asked, before, now, refreshed=True)


def _own_parameters(setup: OAuth2Setup, secrets: Mapping[str, Secret], now: float) -> Pairs:
    def text(name: str) -> str:
        return secrets[name].reveal_bytes().decode()

    if setup.grant == PASSWORD:
        return [("username", text("username")), ("password", text("password")), *audience(setup)]
    if setup.grant == ASSERTION:
        return [("assertion", _assertion(setup, secrets, now)), *audience(setup)]
    if setup.grant == EXCHANGE:
        pairs = [("subject_token", text("subject_token")), ("subject_token_type", setup.subject_token_type)]
        if "actor_token" in secrets:
            pairs += [("actor_token", text("actor_token")), ("actor_token_type", setup.actor_token_type)]
        if setup.requested_token_type is not None:
            pairs.append(("requested_token_type", setup.requested_token_type))
        return [*pairs, *audience(setup)]
    return audience(setup)


def _assertion(setup: OAuth2Setup, secrets: Mapping[str, Secret], now: float) -> str:
    """The JWT that is the grant (RFC 7523 section 3). Claims whose only slot has no value are left out."""
    made = setup.assertion
    try:
        key = jose.load_key(made.algorithm, secrets["private_key"].reveal_bytes())
    except ValueError as error:
        raise CredentialMissing(f"The field private_key {error}.", param="private_key") from None
    fields = {name: secrets[name].reveal_bytes().decode() for name in made.names() if name in secrets}
    content = {name: each for name, each in made.claims.items() if all(slot in fields for slot in claims.names(each))}
    content = {"aud": setup.token_url, **content}
    header, body = (claims.render(each, fields, int(now), lambda: str(uuid.uuid4())) for each in (made.header, content))
    return jose.sign(made.algorithm, key, header, body).decode()


def _written(setup: OAuth2Setup, pairs: Pairs) -> tuple[str, bytes]:
    if setup.token_body == "form":  # noqa: S105  # a way to write it
        return "application/x-www-form-urlencoded", urlencode(pairs).encode()
    several: dict[str, list[str]] = {}
    for name, value in pairs:
        several.setdefault(name, []).append(value)
    flat = {name: each[0] if len(each) == 1 else each for name, each in several.items()}
    return "application/json", orjson.dumps(flat)
