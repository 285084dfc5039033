"""Signing in with a browser: the authorization code grant (RFC 6749 section 4.1), PKCE (RFC 7636), and who it was."""

import hashlib
import hmac
import re
import secrets as random
from collections.abc import Mapping
from urllib.parse import urlencode

from tieline.core.errors import TielineError
from tieline.core.secret import Secret
from tieline.core.urls import parse_url
from tieline.schemes import placement
from tieline.schemes.base import Options, Outgoing
from tieline.schemes.declared import at_path
from tieline.schemes.flow import Flow, IssuerRefused, IssuerRequest, SignIn, Token
from tieline.schemes.jose import encoded
from tieline.schemes.oauth2 import answers
from tieline.schemes.oauth2.grants import audience, token_request
from tieline.schemes.oauth2.options import CODE, OAuth2Setup, Profile

_VERIFIER_BYTES = 32
_CODE = re.compile(r"[\x20-\x7e]{1,8192}")
_ACCOUNT_MOST = 200


def challenge(verifier: str) -> str:
    """The S256 code challenge of a verifier (RFC 7636 section 4.2)."""
    return encoded(hashlib.sha256(verifier.encode()).digest()).decode()


def begin(setup: OAuth2Setup, secrets: Mapping[str, Secret], back: str, state: str) -> SignIn:
    """Where the person goes (section 4.1.1), and what the exchange needs when they are back."""
    assert setup.authorize_url is not None
    client = secrets["client_id"].reveal_bytes().decode()
    pairs = [("response_type", "code"), (setup.client_id_parameter, client), ("redirect_uri", back)]
    pairs += [*audience(setup), ("state", state)]
    context = {"back": Secret.from_text(back)}
    if setup.pkce:
        verifier = random.token_urlsafe(_VERIFIER_BYTES)
        context["verifier"] = Secret.from_text(verifier)
        pairs += [("code_challenge", challenge(verifier)), ("code_challenge_method", "S256")]
    if setup.access_type is not None:
        pairs.append(("access_type", setup.access_type))
    pairs += setup.authorize_parameters.items()
    mark = "&" if "?" in setup.authorize_url else "?"
    return SignIn(setup.authorize_url + mark + urlencode(pairs), context)


def finish(  # both halves of a sign-in meet here
    setup: OAuth2Setup,
    options: Options,
    secrets: Mapping[str, Secret],
    context: Mapping[str, Secret],
    answer: Mapping[str, str],
    now: float,
) -> Flow[Token]:
    """The token for the code that the person brought back (section 4.1.3), and whose it is."""
    host = parse_url(setup.authorize_url or setup.token_url).origin.host
    _check_issuer(setup, answer, host)
    if answer.get("error"):
        raise answers.sign_in_refusal(answer["error"], host)
    code = answer.get("code", "")
    if _CODE.fullmatch(code) is None:
        raise IssuerRefused(f"{host} sent the person back without a code. Sign in again.", final=True)
    parameters = [("code", code), ("redirect_uri", context["back"].reveal_bytes().decode())]
    if "verifier" in context:
        parameters.append(("code_verifier", context["verifier"].reveal_bytes().decode()))
    reply = yield token_request(setup, secrets, CODE, parameters, now)
    return (yield from with_account(setup, options, answers.token(setup, reply, CODE, None, now)))


def with_account(setup: OAuth2Setup, options: Options, token: Token) -> Flow[Token]:
    """``token`` with who signed in, from the profile endpoint.

    Without where that does not say, or cannot be asked: the code is used up, so the token must not be lost over a name.
    """
    if setup.profile is None:
        return token
    try:
        answer = yield _profile_request(setup.profile, options, token)
    except TielineError:
        return token
    found = answers.document(answer) if answer.status < 400 else None
    for path in (setup.profile.email, setup.profile.id):
        account = at_path(found, path) if path is not None and found is not None else None
        if isinstance(account, str | int) and 0 < len(str(account)) <= _ACCOUNT_MOST and str(account).isprintable():
            return Token(token.values, token.expires_at, token.scopes, str(account))
    return token


def _profile_request(profile: Profile, options: Options, token: Token) -> IssuerRequest:
    parts = parse_url(profile.url)
    outgoing = Outgoing(b"GET", (parts.path or "/").encode(), (parts.query or "").encode(), [], parts.origin)
    where = options if options.get("in") != "body" else {}  # a GET has none
    placement.bind(where, token.values["access"]).apply(outgoing)
    query = f"?{outgoing.query.decode()}" if outgoing.query else ""
    url = f"{parts.origin}{outgoing.path.decode()}{query}"
    headers = [(name.decode(), value.decode()) for name, value in outgoing.headers]
    return IssuerRequest("GET", url, (("Accept", "application/json"), *headers))


def _check_issuer(setup: OAuth2Setup, answer: Mapping[str, str], host: str) -> None:
    """RFC 9207 section 2.4: who answers must be who was asked."""
    if setup.issuer is None:
        return
    if not hmac.compare_digest(answer.get("iss", "").encode(), setup.issuer.encode()):
        raise IssuerRefused(
            f"The person came back from another issuer than {host}, or from one that does not say who it is. "
            "Sign in again; if it stays so, correct issuer in the definition.",
            final=True,
        )
