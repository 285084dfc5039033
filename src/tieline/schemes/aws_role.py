"""An AWS role that a credential assumes: what is asked of the Security Token Service, and what it answers.

After the STS API Reference, ``AssumeRole``. Knows no signature: whoever asks brings one.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from tieline.core.dates import date_of
from tieline.core.secret import Secret
from tieline.definitions.infer.markup import read_xml
from tieline.definitions.infer.unreadable import UnreadableAnswer
from tieline.definitions.schema import Cursor, Key, Record, Text
from tieline.definitions.sections import bounded
from tieline.schemes import declared
from tieline.schemes.base import Outgoing
from tieline.schemes.flow import Flow, IssuerAnswer, IssuerRefused, IssuerRequest, Token
from tieline.schemes.issuer_url import IssuerUrl

_VERSION = "2011-06-15"
_FORM = "application/x-www-form-urlencoded; charset=utf-8"
_ARN = re.compile(r"arn:[\w+=,.@:/<>-]{16,2040}", re.ASCII)
_SESSION = re.compile(r"[\w+=,.@<>-]{2,64}", re.ASCII)
_EXTERNAL_ID = re.compile(r"[\w+=,.@:/<>-]{2,1224}", re.ASCII)
_CODE = re.compile(r"[A-Za-z.]{1,80}")
# Refusals that say nothing of the credential: the same request may be granted in a while.
_PASSING = frozenset({"Throttling", "ThrottlingException", "RequestLimitExceeded", "ServiceUnavailable"})
_KEYS = {
    "access_key_id": "AccessKeyId",
    "secret_access_key": "SecretAccessKey",
    "session_token": "SessionToken",
}


@dataclass(frozen=True, slots=True)
class AwsRole:
    """A role, and how it is assumed; ``duration`` in seconds, ``sts_url`` None for the region's own service."""

    role_arn: str
    session_name: str
    external_id: str | None
    duration: float
    sts_url: str | None

    def url(self, region: str) -> IssuerUrl:
        """Where it is asked for."""
        suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
        return IssuerUrl(self.sts_url or f"https://sts.{region}.{suffix}/")

    def host(self, region: str) -> str:
        """The host of that service."""
        return self.url(region).origin.host

    def assume(self, region: str, sign: Callable[[Outgoing], None]) -> Flow[Token]:
        """Temporary keys of the role; ``sign`` signs a request. Raises IssuerRefused."""
        pairs = {
            "Action": "AssumeRole",
            "Version": _VERSION,
            "RoleArn": self.role_arn,
            "RoleSessionName": self.session_name,
            "DurationSeconds": str(int(self.duration)),
        }
        if self.external_id is not None:
            pairs["ExternalId"] = self.external_id
        url = self.url(region)
        body = urlencode(pairs).encode()
        outgoing = Outgoing(b"POST", url.path, url.query, [(b"Content-Type", _FORM.encode())], url.origin, body)
        sign(outgoing)
        headers = tuple((name.decode(), value.decode()) for name, value in outgoing.headers)
        return _token((yield IssuerRequest("POST", url.text, headers, body)))


def _fitting(pattern: re.Pattern[str], message: str) -> Callable[[str], str]:
    def checked(text: str) -> str:
        if pattern.fullmatch(text) is None:
            raise ValueError(message)
        return text

    return checked


def _role(found: Mapping[str, Any], _: Cursor) -> AwsRole:
    return AwsRole(**found)


ASSUME_ROLE = Record(
    "assume_role",
    (
        Key("role_arn", Text("ARN of the role", _fitting(_ARN, "write it as arn:aws:iam::123456789012:role/name"))),
        Key("session_name", Text("text", _fitting(_SESSION, "use letters, digits and + = , . @ _ -")), "tieline"),
        Key("external_id", Text("text", _fitting(_EXTERNAL_ID, "use letters, digits and + = , . @ : / _ -")), None),
        Key("duration", bounded("15m", "12h"), 3600.0, shows="`1h`"),
        Key("sts_url", declared.URL, None, shows="the region's"),
    ),
    _role,
)


def _token(answer: IssuerAnswer) -> Token:
    try:
        document = read_xml(answer.body)
    except UnreadableAnswer:
        document = {}
    if answer.status != 200:
        raise _refusal(answer.status, _at(document, "ErrorResponse", "Error", "Code"))
    result = "AssumeRoleResponse", "AssumeRoleResult"
    keys = {name: _at(document, *result, "Credentials", theirs) for name, theirs in _KEYS.items()}
    expiration = _at(document, *result, "Credentials", "Expiration")
    expires_at = date_of(expiration)
    if not all(keys.values()) or expires_at is None:
        raise IssuerRefused("What the token service answered holds no keys. Check sts_url.")
    account = _at(document, *result, "AssumedRoleUser", "Arn") or None
    return Token({name: Secret.from_text(value) for name, value in keys.items()}, expires_at, account=account)


def _refusal(status: int, code: str) -> IssuerRefused:
    final = 400 <= status < 500 and code not in _PASSING
    return IssuerRefused(
        "AWS does not let the access key assume the role. Check the key, the role's trust policy and the external id."
        if final
        else "The token service of AWS gave no keys this time. Try again.",
        detail=f"{status} {code if _CODE.fullmatch(code) else ''}".strip(),
        final=final,
    )


def _at(document: Any, *names: str) -> str:
    """The text of an element, empty where there is none."""
    for name in names:
        document = document.get(name) if isinstance(document, Mapping) else None
    return document if isinstance(document, str) else ""
