"""How the client proves to the issuer who it is: RFC 6749 section 2.3, RFC 7523 section 2.2, RFC 8705.

Adds to a request what its way needs; knows no grant. An assertion is made for one request and lasts a minute.
"""

import uuid
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote_plus

from tieline.core.errors import CredentialMissing
from tieline.core.secret import Secret
from tieline.schemes import jose
from tieline.schemes.base import SchemeField
from tieline.schemes.mtls import identity, identity_fields
from tieline.schemes.oauth2.options import ASSERTION, OAuth2Setup
from tieline.wire.tls import TlsIdentity

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_LIFE = 60


@dataclass(slots=True)
class Proof:
    """What authenticates the client in one request: header fields, parameters of the body, a certificate."""

    headers: list[tuple[str, str]] = field(default_factory=list)
    parameters: list[tuple[str, str]] = field(default_factory=list)
    tls: TlsIdentity | None = None


def client_fields(setup: OAuth2Setup) -> tuple[SchemeField, ...]:
    """The credential's fields of this way to authenticate."""
    way = setup.client_authentication
    client = SchemeField("client_id", "Client id", secret=False, required=setup.grant != ASSERTION or way != "none")
    secret = SchemeField("client_secret", "Client secret")
    if way == "none":
        return (client,)
    if way == "private_key_jwt":
        key = SchemeField("client_key", "Client's private key (PEM or JWK)", multiline=True)
        return (client, key, SchemeField("client_key_id", "Id of the client's key", secret=False, required=False))
    if way == "mtls":
        return (client, *identity_fields(setup.certificate, required=True))
    return (client, secret)


def prove(setup: OAuth2Setup, secrets: Mapping[str, Secret], now: float) -> Proof:
    """Who the client is, for a request made ``now``. Raises CredentialMissing for a key that is none."""
    client = _text(secrets, "client_id")
    proof = Proof()
    way = setup.client_authentication
    if way in {"basic", "basic_raw"}:
        written = quote_plus if way == "basic" else str  # RFC 6749 section 2.3.1, or RFC 7617 as it is
        pair = f"{written(client)}:{written(_text(secrets, 'client_secret'))}"
        proof.headers.append(("Authorization", "Basic " + b64encode(pair.encode()).decode()))
        return proof
    if client:
        proof.parameters.append((setup.client_id_parameter, client))
    if way == "post":
        proof.parameters.append((setup.client_secret_parameter, _text(secrets, "client_secret")))
    elif way == "mtls":
        proof.tls = identity(setup.certificate, secrets)
    elif way.endswith("_jwt"):
        proof.parameters.append(("client_assertion_type", ASSERTION_TYPE))
        proof.parameters.append(("client_assertion", _assertion(setup, secrets, client, int(now))))
    return proof


def check_client(setup: OAuth2Setup, secrets: Mapping[str, Secret]) -> None:
    """Raises CredentialMissing for a key or certificate that cannot be used."""
    if setup.client_authentication == "mtls":
        identity(setup.certificate, secrets)
    elif setup.client_authentication.endswith("_jwt"):
        _assertion(setup, secrets, "", 0)


def _assertion(setup: OAuth2Setup, secrets: Mapping[str, Secret], client: str, now: int) -> str:
    """RFC 7523 section 3, with the claims that OpenID Connect Core section 9 requires."""
    name = "client_key" if setup.client_authentication == "private_key_jwt" else "client_secret"
    try:
        key = jose.load_key(setup.client_algorithm, secrets[name].reveal_bytes())
    except ValueError as error:
        raise CredentialMissing(f"The field {name} {error}.", param=name) from None
    header = {"typ": "JWT"}
    if key_id := _text(secrets, "client_key_id"):
        header["kid"] = key_id
    claims = {"iss": client, "sub": client, "aud": setup.client_audience or setup.token_url}
    times = {"iat": now, "exp": now + _LIFE, "jti": str(uuid.uuid4())}
    return jose.sign(setup.client_algorithm, key, header, {**claims, **times}).decode()


def _text(secrets: Mapping[str, Secret], name: str) -> str:
    found = secrets.get(name)
    return found.reveal_bytes().decode() if found is not None else ""
