"""Signing in on another device (RFC 8628): the code that a person enters, and asking whether they have."""

from collections.abc import Mapping
from typing import Any

from tieline.core.secret import Secret
from tieline.schemes.flow import DeviceSignIn, Flow, IssuerRefused, Pending, Token
from tieline.schemes.oauth2 import answers
from tieline.schemes.oauth2.grants import audience, request, token_request
from tieline.schemes.oauth2.options import DEVICE, OAuth2Setup

_INTERVAL = 5.0
_SLOWER = 5.0
_EXPIRES = 600.0
_MOST_INTERVAL = 60.0
_TEXT_MOST = 2000


def begin(setup: OAuth2Setup, secrets: Mapping[str, Secret], now: float) -> Flow[DeviceSignIn]:
    """What to show the person (section 3.2)."""
    assert setup.device_url is not None
    pairs = [*audience(setup), *setup.authorize_parameters.items()]
    answer = yield request(setup, secrets, setup.device_url, pairs, now, setup.token_headers)
    found = answers.document(answer) or {}
    code = found.get("device_code")
    user_code = _shown(found.get("user_code"))
    # Some providers wrote verification_url before the standard was one.
    where = _link(found.get("verification_uri", found.get("verification_url")))
    if answer.status >= 400 or not isinstance(code, str) or user_code is None or where is None:
        raise answers.refusal(answer, DEVICE, setup.device_url)
    return DeviceSignIn(
        user_code,
        where,
        _link(found.get("verification_uri_complete")),
        _seconds(found.get("interval"), _INTERVAL, _MOST_INTERVAL),
        _seconds(found.get("expires_in"), _EXPIRES, 24 * 3600.0),
        {"device_code": Secret.from_text(code), "interval": Secret.from_text(str(_interval(found)))},
    )


def poll(
    setup: OAuth2Setup, secrets: Mapping[str, Secret], context: Mapping[str, Secret], now: float
) -> Flow[Token | Pending]:
    """The token, or how long to wait before the next question (section 3.5)."""
    code = context["device_code"].reveal_bytes().decode()
    answer = yield token_request(setup, secrets, DEVICE, [("device_code", code)], now)
    interval = float(context["interval"].reveal_bytes())
    error = answers.error_code(answer)
    if error == "authorization_pending":
        return Pending(interval)
    if error == "slow_down":
        return Pending(interval + _SLOWER)
    return answers.token(setup, answer, DEVICE, None, now)


def _interval(found: Mapping[str, Any]) -> float:
    return _seconds(found.get("interval"), _INTERVAL, _MOST_INTERVAL)


def _seconds(value: Any, otherwise: float, most: float) -> float:
    if isinstance(value, str) and value.isdecimal():
        value = int(value[:9])
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        return otherwise
    return min(float(value), most)


def _shown(value: Any) -> str | None:
    """Text that a person is shown: printable and short."""
    return value if isinstance(value, str) and 0 < len(value) <= 100 and value.isprintable() else None


def _link(value: Any) -> str | None:
    good = isinstance(value, str) and value.startswith(("https://", "http://")) and len(value) <= _TEXT_MOST
    return value if good and value.isprintable() and " " not in value else None


def refuse(setup: OAuth2Setup) -> None:
    """Raises IssuerRefused where nothing is said about devices."""
    if setup.device_url is None:
        raise IssuerRefused("This API has no sign-in by code. Add device_url to its definition, or sign in by link.")
