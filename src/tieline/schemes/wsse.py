"""``wsse``: the UsernameToken profile of Web Services Security in the header ``X-WSSE``, password as digest.

After M. Pilgrim, "Atom Authentication" (2003), and OASIS UsernameToken Profile 1.1 section 3.1: the digest is of nonce,
time and password. Options: ``algorithm`` (sha1 unless sha256), ``nonce`` (``text``: it is digested as it is sent;
``base64``: before it is encoded), ``digest`` (what is sent in base64: its ``bytes``, or their ``hex`` form, as some
providers want), ``authorization`` (whether ``Authorization: WSSE profile="UsernameToken"`` goes with it; true).
"""

import hashlib
import secrets as random
import time
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from tieline.access.appkey import KeyPlaces
from tieline.core.secret import Secret
from tieline.definitions.schema import Choice, Flag, Key, Record
from tieline.schemes import declared
from tieline.schemes.base import Applier, Options, Outgoing, SchemeField

_NONCE_BYTES = 16


@dataclass(frozen=True, slots=True)
class _WsseProfile:
    algorithm: str
    nonce: str
    digest: str
    authorization: bool


OPTIONS = Record(
    "wsse",
    (
        Key("algorithm", Choice(("sha1", "sha256")), "sha1"),
        Key("nonce", Choice(("text", "base64")), "text"),
        Key("digest", Choice(("bytes", "hex")), "bytes"),
        Key("authorization", Flag(), default=True),
    ),
    lambda found, _: _WsseProfile(**found),
)


class _WsseApplier(Applier):
    constant = False

    def __init__(self, profile: _WsseProfile, secrets: Mapping[str, Secret], scheme: "Wsse") -> None:
        self.replaces = frozenset({b"x-wsse", b"authorization"} if profile.authorization else {b"x-wsse"})
        self._profile = profile
        self._username = secrets["username"].reveal_bytes()
        self._password = secrets["password"]
        self._scheme = scheme

    def apply(self, outgoing: Outgoing) -> None:
        nonce = self._scheme.nonce()
        created = datetime.fromtimestamp(self._scheme.clock(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ").encode()
        sent = b64encode(nonce) if self._profile.nonce == "base64" else nonce.hex().encode()
        digested = nonce if self._profile.nonce == "base64" else sent
        found = hashlib.new(self._profile.algorithm, digested + created + self._password.reveal_bytes())
        content = found.hexdigest().encode() if self._profile.digest == "hex" else found.digest()
        value = b'UsernameToken Username="%b", PasswordDigest="%b", Nonce="%b", Created="%b"' % (
            _quoted(self._username),
            b64encode(content),
            sent,
            created,
        )
        if self._profile.authorization:
            outgoing.headers.append((b"Authorization", b'WSSE profile="UsernameToken"'))
        outgoing.headers.append((b"X-WSSE", value))

    def secrets(self) -> Sequence[Secret]:
        return (self._password,)


class Wsse:
    """WS-Security's UsernameToken in a header; ``clock`` gives seconds since the epoch, ``nonce`` random bytes."""

    name = "wsse"
    sentence = "A user name and a digest of the password in the header X-WSSE."

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        nonce: Callable[[], bytes] = lambda: random.token_bytes(_NONCE_BYTES),
    ) -> None:
        self.clock = clock
        self.nonce = nonce

    def fields(self, options: Options) -> Sequence[SchemeField]:  # the interface
        return (SchemeField("username", "User name", secret=False), SchemeField("password", "Password"))

    def check(self, options: Options) -> list[str]:
        return declared.problems(OPTIONS, options)

    def places(self, options: Options) -> KeyPlaces:
        return KeyPlaces(headers=frozenset({b"x-wsse"}))

    def bind(self, options: Options, secrets: Mapping[str, Secret]) -> Applier:
        return _WsseApplier(declared.read(OPTIONS, options), secrets, self)


def _quoted(text: bytes) -> bytes:
    return text.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
