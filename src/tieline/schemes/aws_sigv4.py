"""``aws_sigv4``: requests signed for an AWS access key, in the header or in the query (Signature Version 4).

Options: ``service`` and ``region`` of the scope; ``in`` (header or query); ``payload`` (signed: the body is read;
unsigned: it is streamed, over TLS, where the service allows); ``path`` (s3: as it is sent; normalised: all others),
``expires`` (seconds, of the query form), ``sign_session_token`` (false where a service wants the session token added
after signing), ``assume_role`` (the credential is exchanged for a role's, see ``aws_role``), ``renew_on``.
"""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tieline.access.appkey import KeyPlaces
from tieline.core.errors import CredentialMissing
from tieline.core.secret import Secret
from tieline.definitions.schema import Choice, Cursor, Flag, Key, Record, Text, Whole
from tieline.schemes import declared
from tieline.schemes.aws_role import ASSUME_ROLE, AwsRole
from tieline.schemes.base import Applier, Headers, Options, Outgoing, SchemeField, field_value
from tieline.schemes.flow import Flow, Token
from tieline.schemes.signal import Signal, check_signal, signal_of
from tieline.schemes.sigv4 import (
    ALGORITHM,
    UNSIGNED_PAYLOAD,
    SigV4Signer,
    canonical,
    encoded,
    moment_of,
    payload_hash,
    signed_fields,
    strict_path,
    strict_query,
)

_S3 = frozenset({"s3", "s3express", "s3-outposts", "s3-object-lambda"})
_CONTENT_HASH = b"x-amz-content-sha256"
# A body in chunks with its checksum behind it, as AWS's SDKs send it to S3: no signature covers it, and none is asked.
_TRAILER = b"STREAMING-UNSIGNED-PAYLOAD-TRAILER"
_SIGNED_CHUNKS = b"STREAMING-AWS4-"
_IN_HEADERS = frozenset({b"authorization", b"x-amz-date", b"x-amz-security-token"})
_IN_QUERY = frozenset(
    f"X-Amz-{name}".encode()
    for name in ("Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature", "Security-Token")
)
_SCOPE = re.compile(r"[a-z0-9-]{1,64}")
_SLOTTED_SCOPE = re.compile(r"(?:[a-z0-9-]|<[A-Za-z][A-Za-z0-9_]*>){1,64}")
_KEY_ID = re.compile(rb"[\x21-\x7e]{1,128}")


def _scope(text: str) -> str:
    if _SLOTTED_SCOPE.fullmatch(text) is None:
        raise ValueError("use lower-case letters, digits and hyphens, such as us-east-1")
    return text


@dataclass(frozen=True, slots=True)
class SigV4Signing:
    """The options as values."""

    service: str
    region: str
    place: str
    payload: str
    path: str
    expires: int
    sign_session_token: bool
    assume_role: AwsRole | None

    @property
    def is_s3(self) -> bool:
        """Whether the service has S3's ways."""
        return self.service in _S3

    @property
    def reads_body(self) -> bool:
        """Whether bodies are signed; S3 takes no hash of them in the query form."""
        return self.payload == "signed" and not (self.is_s3 and self.place == "query")


def _signing(found: Mapping[str, Any], place: Cursor) -> SigV4Signing:
    service = found["service"]
    if found["payload"] == "signed" and found["in"] == "query" and service in _S3:
        place.key("payload").problem("S3 takes no signed payload in the query form; leave it out")
    values = {name: found[name] for name in ("region", "expires", "sign_session_token", "assume_role")}
    path = found["path"] or ("s3" if service in _S3 else "normalised")
    return SigV4Signing(service=service, place=found["in"], payload=found["payload"] or "signed", path=path, **values)


OPTIONS = Record(
    "aws_sigv4",
    (
        Key("service", Text("service, such as `execute-api`", _scope)),
        Key("region", Text("region, such as `eu-central-1`", _scope)),
        Key("in", Choice(("header", "query")), "header"),
        Key("payload", Choice(("signed", "unsigned")), None, shows="`signed`"),
        Key("path", Choice(("s3", "normalised")), None, shows="`s3` for S3, else `normalised`"),
        Key("expires", Whole(1, 604_800), 300),
        Key("sign_session_token", Flag(), default=True),
        Key("assume_role", ASSUME_ROLE, None),
        declared.RENEW_ON,
    ),
    _signing,
)


class _SigV4Applier(Applier):
    replaces = _IN_HEADERS
    replaces_query = _IN_QUERY
    constant = False

    def __init__(self, signing: SigV4Signing, secrets: Mapping[str, Secret], clock: Callable[[], float]) -> None:
        key_id = secrets["access_key_id"].reveal_bytes()
        if _KEY_ID.fullmatch(key_id) is None or not all(map(_SCOPE.fullmatch, (signing.region, signing.service))):
            raise CredentialMissing(
                "The access key id, region or service holds a character that none can have. An operator sets it again."
            )
        self.reads_body = signing.reads_body
        self._signing = signing
        self._secret = secrets["secret_access_key"]
        self._token = secrets.get("session_token", Secret(b""))
        self._signer = SigV4Signer(key_id.decode(), self._secret.reveal_bytes(), signing.region, signing.service)
        self._clock = clock

    def wants_body(self, headers: Headers) -> bool:
        return self.reads_body and field_value(headers, _CONTENT_HASH) != _TRAILER

    def apply(self, outgoing: Outgoing) -> None:
        moment = moment_of(self._clock())
        payload = self._payload(outgoing)
        outgoing.headers[:] = [pair for pair in outgoing.headers if pair[0].lower() != _CONTENT_HASH]
        outgoing.query = strict_query(outgoing.query)
        if self._signing.path == "s3":
            outgoing.path = strict_path(outgoing.path)
        if self._signing.place == "query":
            self._sign_query(outgoing, moment, payload)
        else:
            self._sign_headers(outgoing, moment, payload)

    def secrets(self) -> Sequence[Secret]:
        return tuple(each for each in (self._secret, self._token) if each)

    def _payload(self, outgoing: Outgoing) -> str:
        stated = field_value(outgoing.headers, _CONTENT_HASH) or b""
        if stated == _TRAILER:
            return _TRAILER.decode()
        if stated.startswith(_SIGNED_CHUNKS):
            raise CredentialMissing(
                "The body comes in chunks that an SDK has signed with a key of its own, which nobody can sign again. "
                "Have the SDK send it whole, or in unsigned chunks."
            )
        return payload_hash(outgoing.body or b"") if self.reads_body else UNSIGNED_PAYLOAD

    def _sign_headers(self, outgoing: Outgoing, moment: str, payload: str) -> None:
        token = (b"X-Amz-Security-Token", self._token.reveal_bytes())
        outgoing.headers.append((b"X-Amz-Date", moment.encode()))
        if self._signing.is_s3 or payload in (UNSIGNED_PAYLOAD, _TRAILER.decode()):
            outgoing.headers.append((b"X-Amz-Content-Sha256", payload.encode()))
        if self._token and self._signing.sign_session_token:
            outgoing.headers.append(token)
        names, signature = self._signature(outgoing, moment, payload)
        value = (
            f"{ALGORITHM} Credential={self._signer.credential(moment)}, SignedHeaders={names}, Signature={signature}"
        )
        outgoing.headers.append((b"Authorization", value.encode()))
        if self._token and not self._signing.sign_session_token:
            outgoing.headers.append(token)

    def _sign_query(self, outgoing: Outgoing, moment: str, payload: str) -> None:
        names = b";".join(signed_fields(outgoing.headers, outgoing.origin.authority))
        token = b"X-Amz-Security-Token=" + encoded(self._token.reveal_bytes())
        for name, value in (
            (b"Algorithm", ALGORITHM.encode()),
            (b"Credential", self._signer.credential(moment).encode()),
            (b"Date", moment.encode()),
            (b"Expires", str(self._signing.expires).encode()),
            (b"SignedHeaders", names),
        ):
            outgoing.add_query(b"X-Amz-" + name + b"=" + encoded(value))
        if self._token and self._signing.sign_session_token:
            outgoing.add_query(token)
        _, signature = self._signature(outgoing, moment, payload)
        outgoing.add_query(b"X-Amz-Signature=" + signature.encode())
        if self._token and not self._signing.sign_session_token:
            outgoing.add_query(token)

    def _signature(self, outgoing: Outgoing, moment: str, payload: str) -> tuple[str, str]:
        fields = signed_fields(outgoing.headers, outgoing.origin.authority)
        request = canonical(outgoing, fields, payload, normalised=self._signing.path == "normalised")
        return request.signed_headers, self._signer.sign(moment, request)


class AwsSigV4:
    """AWS Signature Version 4, for an access key or for a role that it may assume. ``clock`` is seconds since 1970."""

    name = "aws_sigv4"
    sentence = "Requests signed for an AWS access key, or for a role that it assumes."

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock

    def fields(self, options: Options) -> Sequence[SchemeField]:  # the interface
        return (
            SchemeField("access_key_id", "Access key id", secret=False),
            SchemeField("secret_access_key", "Secret access key"),
            SchemeField("session_token", "Session token", required=False),
        )

    def check(self, options: Options) -> list[str]:
        problems = declared.problems(OPTIONS, options) + check_signal(options)
        if "renew_on" in options and "assume_role" not in options:
            problems.append("renew_on: has a meaning with assume_role only; an access key is never renewed")
        return problems

    def places(self, options: Options) -> KeyPlaces:
        """Where AWS's SDKs put the access key: an app key serves as one, with any secret beside it.

        Not in the query: a URL that was signed with an app key would show it.
        """
        return KeyPlaces(headers=frozenset({b"authorization"}), scoped=True)

    def bind(self, options: Options, secrets: Mapping[str, Secret]) -> Applier:
        return _SigV4Applier(declared.read(OPTIONS, options), secrets, self._clock)

    # -- with a role

    def renews(self, options: Options) -> bool:
        return options.get("assume_role") is not None

    def needs_sign_in(self, options: Options) -> bool:  # the access key is enough
        return False

    def hosts(self, options: Options) -> Sequence[str]:
        signing: SigV4Signing = declared.read(OPTIONS, options)
        return (signing.assume_role.host(signing.region),) if signing.assume_role is not None else ()

    def signal(self, options: Options) -> Signal:
        return signal_of(options)

    def renew(self, options: Options, secrets: Mapping[str, Secret], token: Token | None, now: float) -> Flow[Token]:
        """The role's keys, asked of STS in a request that this scheme signs."""
        signing: SigV4Signing = declared.read(OPTIONS, options)
        assert signing.assume_role is not None  # it renews
        region = signing.region
        signer = _SigV4Applier(
            SigV4Signing("sts", region, "header", "signed", "normalised", 300, True, None), secrets, lambda: now
        )
        return signing.assume_role.assume(region, signer.apply)

    def bind_token(self, options: Options, secrets: Mapping[str, Secret], token: Token) -> Applier:
        return _SigV4Applier(declared.read(OPTIONS, options), token.values, self._clock)
