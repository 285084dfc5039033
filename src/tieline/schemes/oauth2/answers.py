"""What a token endpoint answers: a token (RFC 6749 section 5.1), or an error (section 5.2) in words that help.

Answers are JSON, or form-encoded as some providers still write them. Nothing that an issuer wrote is repeated but a
short error code; whether an error is final decides whether somebody has to sign in again.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson

from tieline.core.secret import Secret
from tieline.schemes import expiry
from tieline.schemes.declared import at_path
from tieline.schemes.flow import IssuerAnswer, IssuerRefused, Token
from tieline.schemes.oauth2.options import ASSERTION, CODE, DEVICE, EXCHANGE, PASSWORD, REFRESH, Setup

_MOST = 1024 * 1024
_TOKEN_MOST = 16 * 1024
_SCOPE_MOST = 500
_SCOPES_MOST = 200
_CODE = re.compile(r"[A-Za-z][A-Za-z_]{0,39}")
_VISIBLE = re.compile(r"[\x21-\x7e]+")
# Types that need a proof beside the token: a client must not use a token whose type it does not know (section 7.1).
_PROVEN = frozenset({"mac", "dpop", "pop", "hmac"})
_PASSING = frozenset({"temporarily_unavailable", "server_error", "slow_down", "rate_limited", "rate_limit_exceeded"})
_CLIENT = "Check the client id and secret and client_authentication, and set the credential again"
_SIGN_IN = "The sign-in is no longer good: it was revoked, used elsewhere or has ended. Sign in again"
_ADVICE = {
    "invalid_client": _CLIENT,
    "unauthorized_client": "The client may not use this grant. Allow it at the provider, or choose another grant",
    "access_denied": "Access was denied there. Sign in again and allow it",
    "expired_token": "The code was not entered in time. Begin the sign-in again",
    "unsupported_grant_type": "The provider does not know this grant. Choose another one in the definition",
    "invalid_scope": "A scope is unknown there or may not be had. Correct scopes in the definition",
    "invalid_target": "The audience or resource is unknown there. Correct it in the definition",
    "invalid_request": "The provider misses something in the request. Compare the definition with its documentation",
}
_GRANT_ADVICE = {
    CODE: _SIGN_IN,
    DEVICE: _SIGN_IN,
    REFRESH: "The refresh token is no longer good. Get a new one from the provider and set the credential again",
    PASSWORD: "User name or password are wrong. Set the credential again",
    ASSERTION: "The provider does not take the signed assertion. Check the key, the issuer and the claims",
    EXCHANGE: "The subject token is no longer good. Set the credential again",
}


def document(told: IssuerAnswer) -> Mapping[str, Any] | None:
    """The answer as an object, from JSON or a form; None where it is neither."""
    if len(told.body) > _MOST:
        return None
    try:
        found = orjson.loads(told.body)
    except orjson.JSONDecodeError:
        return _form(told.body)
    return found if isinstance(found, dict) else None


def token(setup: Setup, told: IssuerAnswer, asked: str, before: Token | None, now: float) -> Token:
    """The token in ``told``, an answer about the grant ``asked``; what it leaves out stays as it was ``before``.

    Raises:
        IssuerRefused: there is none in it; says why as far as the answer does.
    """
    found = document(told)
    access = at_path(found, setup.token_path) if found is not None else None
    if found is None or told.status >= 400 or not isinstance(access, str):
        raise refusal(told, asked, setup.token_url)
    if str(found.get("token_type", "")).lower() in _PROVEN:
        raise IssuerRefused(
            "The issuer gives tokens that need a proof beside them, which Tieline cannot make. Ask for bearer tokens.",
            detail="token_type is none of bearer's",
            final=True,
        )
    if len(access) > _TOKEN_MOST or _VISIBLE.fullmatch(access) is None:
        raise IssuerRefused("The issuer's token cannot be sent: it is too long or holds odd characters. Try again.")
    values = dict(before.values) if before is not None else {}
    values["access"] = Secret.from_text(access)
    refresh = at_path(found, setup.refresh_path)
    if isinstance(refresh, str) and refresh:
        values["refresh"] = Secret.from_text(refresh)
    end = expiry.moment(at_path(found, setup.expires_path), setup.expires_unit, now)
    if end is None and setup.lifetime is not None:
        end = now + setup.lifetime
    scopes = _scopes(at_path(found, setup.scope_path), setup, before)
    return Token(values, end, scopes, before.account if before is not None else None)


def error_code(told: IssuerAnswer) -> str:
    """The error code of section 5.2 in ``told``, empty where there is none that can be shown."""
    found = document(told) or {}
    code = found.get("error")
    if isinstance(code, Mapping):  # {"error": {"type": "invalid_grant", …}}
        code = code.get("type") or code.get("code")
    return code if isinstance(code, str) and _CODE.fullmatch(code) else ""


def refusal(told: IssuerAnswer, asked: str, url: str) -> IssuerRefused:
    """Why ``told``, the answer of ``url`` about the grant ``asked``, gives no token."""
    code = error_code(told)
    host = urlsplit(url).hostname or "the issuer"
    detail = f"{host} answered {told.status} {code} to {asked}"
    if told.status >= 500 or told.status in {408, 425, 429} or code in _PASSING:
        return IssuerRefused(f"The issuer {host} gives no token now (status {told.status}). Try again.", detail=detail)
    if code:
        advice = _GRANT_ADVICE.get(asked, _CLIENT) if code == "invalid_grant" else _ADVICE.get(code, _CLIENT)
        return IssuerRefused(f"{advice} ({code} from {host}).", detail=detail, final=True)
    if told.status in {400, 401, 403}:
        text = f"The issuer {host} refuses the request without a reason (status {told.status}). {_CLIENT}."
        return IssuerRefused(text, detail=detail, final=True)
    what = "is no token answer" if told.status < 400 else f"has status {told.status}"
    advice = "Check token_url and token_path in the definition"
    return IssuerRefused(f"What {host} answered {what}. {advice}.", detail=detail)


def sign_in_refusal(code: str, host: str) -> IssuerRefused:
    """Why a person came back without a code (RFC 6749 section 4.1.2.1); ``code`` came with them."""
    shown = code if _CODE.fullmatch(code) else "an error"
    detail = f"the person came back from {host} with {shown}"
    return IssuerRefused(f"{_ADVICE.get(shown, 'Sign in again')} ({shown} from {host}).", detail=detail, final=True)


def _form(body: bytes) -> Mapping[str, Any] | None:
    try:
        found = dict(parse_qsl(body.decode("ascii").strip(), strict_parsing=True, max_num_fields=100))
    except ValueError:
        return None
    return found if "error" in found or any("token" in name for name in found) else None


def _scopes(given: Any, setup: Setup, before: Token | None) -> tuple[str, ...]:
    if isinstance(given, str):
        given = given.replace(setup.scope_separator or " ", " ").replace(",", " ").split()
    if isinstance(given, list):
        found = [each for each in given if isinstance(each, str) and each.isprintable() and len(each) <= _SCOPE_MOST]
        if found:
            return tuple(found[:_SCOPES_MOST])
    return before.scopes if before is not None else setup.scopes
