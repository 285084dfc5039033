"""What a token endpoint answers: a token (RFC 6749 section 5.1), or an error (section 5.2) in words that help.

Answers are JSON, or form-encoded as some providers still write them. Nothing that an issuer wrote is repeated but a
short error code. Only a code that means it makes an error final; an answer without one may come from a firewall, and
what nobody has heard of may be anything: both pass.
"""

import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

import orjson

from tieline.core import dates
from tieline.core.secret import Secret
from tieline.core.urls import parse_url
from tieline.schemes import expiry
from tieline.schemes.declared import at_path
from tieline.schemes.flow import IssuerAnswer, IssuerRefused, Token
from tieline.schemes.oauth2.options import (
    ASSERTION,
    CODE,
    DEVICE,
    EXCHANGE,
    PASSWORD,
    REFRESH,
    AnswerPaths,
    OAuth2Setup,
)

_MOST = 1024 * 1024
_TOKEN_MOST = 16 * 1024
_SCOPE_MOST = 500
_SCOPES_MOST = 200
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # RFC 8259 section 8.1: whoever reads JSON may ignore one
_CODE = re.compile(r"[A-Za-z][A-Za-z_]{0,39}")
_CODE_FIRST = re.compile(rf"({_CODE.pattern})(?::.*)?", re.DOTALL)  # "invalid_grant: Token is expired"
# Where codes stand in place of the standard's "error", and within it where that is an object.
_CODE_MEMBERS = ("error", "type", "code", "error_code", "errorCode", "errorType", "status")
_BEARER = re.compile(r"\Abearer +", re.IGNORECASE)
_VISIBLE = re.compile(r"[\x21-\x7e]+")
# Types that need a proof beside the token: a client must not use a token whose type it does not know (section 7.1).
_PROVEN = frozenset({"mac", "dpop", "pop", "hmac"})
# The grant is over: RFC 6749 section 5.2, RFC 8628 section 3.5, OpenID Connect Core section 3.1.2.6; then what GitHub,
# Slack and their like say in place of it.
_GRANT_IS_OVER = frozenset(
    {"invalid_grant", "access_denied", "expired_token", "interaction_required", "login_required", "consent_required"}
    | {"bad_refresh_token", "invalid_refresh_token", "refresh_token_expired", "token_expired", "token_revoked"}
    | {"bad_verification_code", "invalid_code", "code_already_used", "account_inactive", "inactive_user"}
    | {"invalid_token", "refresh_token_not_found", "refresh_token_already_used", "session_not_found"}
)
# The client, or what it asks for, is refused: RFC 6749 section 5.2, RFC 8707 section 2, and others' words for it.
_CLIENT_IS_REFUSED = frozenset(
    {"invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_request", "invalid_scope"}
    | {"invalid_target", "incorrect_client_credentials", "bad_client_secret", "invalid_client_id"}
    | {"redirect_uri_mismatch"}
)
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
    "redirect_uri_mismatch": "The provider does not know the address that people come back to. Register it there",
}
_GRANT_ADVICE = {
    CODE: _SIGN_IN,
    DEVICE: _SIGN_IN,
    REFRESH: "The refresh token is no longer good. Get a new one from the provider and set the credential again",
    PASSWORD: "User name or password are wrong. Set the credential again",
    ASSERTION: "The provider does not take the signed assertion. Check the key, the issuer and the claims",
    EXCHANGE: "The subject token is no longer good. Set the credential again",
}


def document(answer: IssuerAnswer) -> Mapping[str, Any] | None:
    """The answer as an object, from JSON or a form; None where it is neither."""
    if len(answer.body) > _MOST:
        return None
    body = answer.body.removeprefix(_BYTE_ORDER_MARK)
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        found = _lenient(body) or _form(body)
    return found if isinstance(found, dict) else None


def _lenient(body: bytes) -> Any:
    """JSON with what orjson refuses though RFC 8259 has it (section 8.2): a new refresh token may stand beside it."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def token(  # an answer, what was asked, and what there was before
    setup: OAuth2Setup, answer: IssuerAnswer, asked: str, before: Token | None, now: float, *, refreshed: bool = False
) -> Token:
    """The token in ``answer``, about the grant ``asked``; what it leaves out stays as it was ``before``.

    ``refreshed``: it answers a refresh request, whose answers may have another shape.

    Raises:
        IssuerRefused: there is none in it; says why as far as the answer does, and holds a refresh token that came.
    """
    found = document(answer) or {}
    candidates = setup.refresh_paths if refreshed else (setup.paths,)
    paths = next((each for each in candidates if isinstance(at_path(found, each.token), str)), candidates[0])
    access = _without_type(at_path(found, paths.token))
    problem = _problem(setup, answer, asked, access, at_path(found, paths.token_type))
    refresh = _refresh_token(found, (paths, *candidates)) if answer.status < 400 else None
    if problem is not None:
        if refresh is not None:
            problem.rescued = {"refresh": refresh}
        raise problem
    values = dict(before.values) if before is not None else {}
    values["access"] = Secret.from_text(access)
    if refresh is not None:
        values["refresh"] = refresh
    end = expiry.moment(at_path(found, paths.expires), setup.expires_unit, now)
    if end is None and setup.lifetime is not None:
        end = now + setup.lifetime
    scopes = _scopes(at_path(found, paths.scope), setup, before)
    return Token(values, end, scopes, before.account if before is not None else None)


def error_code(answer: IssuerAnswer) -> str:
    """The error code of section 5.2 in ``answer``, empty where there is none that can be shown."""
    codes = list(_codes(document(answer) or {}))
    return next((code for code in codes if code.lower() in _GRANT_IS_OVER | _CLIENT_IS_REFUSED), "".join(codes[:1]))


def _codes(found: Mapping[str, Any]) -> Iterator[str]:
    """What may be the code in an error, the likeliest first.

    ``{"error": "invalid_grant"}`` is the standard's; ``{"error": {"type": …}}``, ``{"status": "BAD_REFRESH_TOKEN"}``
    and ``{"errors": [{"errorType": …}]}`` as others do.
    """
    inner = found.get("errors")
    first = inner[0] if isinstance(inner, list) and inner else None
    for place in (found.get("error"), found, first):
        members = [place.get(name) for name in _CODE_MEMBERS] if isinstance(place, Mapping) else [place]
        for member in members:
            code = _CODE_FIRST.fullmatch(member) if isinstance(member, str) else None
            if code is not None:
                yield code[1]


def refusal(answer: IssuerAnswer, asked: str, url: str) -> IssuerRefused:
    """Why ``answer``, that of ``url`` about the grant ``asked``, gives no token."""
    code = error_code(answer)
    known = code.lower()
    host = parse_url(url).origin.host
    detail = f"{host} answered {answer.status} {code} to {asked}"
    is_over, is_client = known in _GRANT_IS_OVER, known in _CLIENT_IS_REFUSED
    if answer.status < 500 and answer.status not in {408, 425, 429} and (is_over or is_client):
        advice = _ADVICE.get(known) or (_GRANT_ADVICE.get(asked, _CLIENT) if is_over else _CLIENT)
        return IssuerRefused(f"{advice} ({code} from {host}).", detail=detail, final=True, for_client=is_client)
    wait = answer.header("retry-after")
    return IssuerRefused(
        _passing(answer.status, code, host),
        detail=detail,
        retry_after=None if wait is None else dates.retry_after(wait, time.time()),
    )


def sign_in_refusal(code: str, host: str) -> IssuerRefused:
    """Why a person came back without a code (RFC 6749 section 4.1.2.1); ``code`` came with them."""
    shown = code if _CODE.fullmatch(code) else "an error"
    detail = f"the person came back from {host} with {shown}"
    return IssuerRefused(f"{_ADVICE.get(shown, 'Sign in again')} ({shown} from {host}).", detail=detail, final=True)


def _problem(setup: OAuth2Setup, answer: IssuerAnswer, asked: str, access: Any, kind: Any) -> IssuerRefused | None:
    """What keeps ``access`` of an answer, a token of type ``kind``, from being used; None where nothing does."""
    if answer.status >= 400 or not isinstance(access, str) or not access:
        return refusal(answer, asked, setup.token_url)
    if isinstance(kind, str) and kind.lower() in _PROVEN:
        return IssuerRefused(
            "The issuer gives tokens that need a proof beside them, which Tieline cannot make. Ask for bearer tokens.",
            detail="token_type is none of bearer's",
            final=True,
            for_client=True,
        )
    if len(access) > _TOKEN_MOST or _VISIBLE.fullmatch(access) is None:
        return IssuerRefused("The issuer's token cannot be sent: it is too long or holds odd characters. Try again.")
    return None


def _without_type(access: Any) -> Any:
    """A token alone, where an issuer wrote its type before it or a line end behind it, as for a header."""
    return _BEARER.sub("", access.strip(), count=1) if isinstance(access, str) else access


def _refresh_token(found: Mapping[str, Any], candidates: Sequence[AnswerPaths]) -> Secret | None:
    """The first refresh token that an answer has, None where it has none that can be kept."""
    for each in candidates:
        refresh = at_path(found, each.refresh)
        if isinstance(refresh, str) and 0 < len(refresh) <= _TOKEN_MOST and refresh.isprintable():
            return Secret.from_text(refresh)
    return None


def _passing(status: int, code: str, host: str) -> str:
    """What to say of an answer that may be another one in a while."""
    if status >= 500 or status in {408, 425, 429}:
        return f"The issuer {host} gives no token now (status {status}). Try again."
    if code:
        return (
            f"The issuer {host} gives no token: {code} (status {status}), which may pass. It is asked again; if it "
            "stays so, compare the definition and the credential with its documentation."
        )
    if status >= 400:
        return (
            f"The issuer {host} answered {status} without an error of OAuth, as something on the way to it may. It is "
            "asked again; if it stays so, check token_url, and the client id and secret."
        )
    return f"What {host} answered is no token answer. Check token_url and token_path in the definition."


def _form(body: bytes) -> Mapping[str, Any] | None:
    try:
        found = dict(parse_qsl(body.decode("ascii").strip(), strict_parsing=True, max_num_fields=100))
    except ValueError:
        return None
    return found if "error" in found or any("token" in name for name in found) else None


def _scopes(given: Any, setup: OAuth2Setup, before: Token | None) -> tuple[str, ...]:
    if isinstance(given, str):
        given = given.replace(setup.scope_separator or " ", " ").replace(",", " ").split()
    if isinstance(given, list):
        found = [each for each in given if isinstance(each, str) and each.isprintable() and len(each) <= _SCOPE_MOST]
        if found:
            return tuple(found[:_SCOPES_MOST])
    return before.scopes if before is not None else setup.scopes
