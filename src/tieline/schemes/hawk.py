"""``hawk``: requests signed with a shared key by Hawk 1.1, whose specification is the README of mozilla/hawk.

Options: ``algorithm`` (sha256 unless sha1), ``payload`` (whether the body is signed too; true reads it whole), ``ext``
(application data, signed), ``app`` and ``dlg`` (as the issuer of the credential says). A server that finds the clock
wrong says its own time, signed with the same key: the next request is signed by that.
"""

import hashlib
import hmac
import re
import secrets as random
import time
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tieline.access.appkey import KeyPlaces
from tieline.core.errors import CredentialMissing
from tieline.core.secret import Secret
from tieline.definitions.schema import Choice, Cursor, Flag, Key, Record, Text
from tieline.schemes import declared
from tieline.schemes.base import Applier, Headers, Options, Outgoing, SchemeField, media_type
from tieline.schemes.challenge import challenges

# What the header may hold beside its quotes: printable ASCII without " and \.
_ATTRIBUTE = re.compile(r"[ !#-\[\]-~]*")
_SECONDS = re.compile(r"[0-9]{1,12}")
_NONCE_BYTES = 6


def _attribute(text: str) -> str:
    if _ATTRIBUTE.fullmatch(text) is None:
        raise ValueError("holds a character that Hawk's header cannot: use printable ASCII without \" and \\")
    return text


@dataclass(frozen=True, slots=True)
class _HawkSigning:
    algorithm: str
    payload: bool
    ext: str | None
    app: str | None
    dlg: str | None


def _signing(found: Mapping[str, object], place: Cursor) -> _HawkSigning:
    if found["dlg"] is not None and found["app"] is None:
        place.key("dlg").problem("stands only beside app; add it, or remove this")
    return _HawkSigning(**found)  # type: ignore[arg-type]  # the record's keys are the fields


OPTIONS = Record(
    "hawk",
    (
        Key("algorithm", Choice(("sha256", "sha1")), "sha256"),
        Key("payload", Flag(), default=False),
        Key("ext", Text("text of one line", _attribute, most=1000), None),
        Key("app", Text("text of one line", _attribute, most=200), None),
        Key("dlg", Text("text of one line", _attribute, most=200), None),
    ),
    _signing,
)


class _Signed(Applier):
    replaces = frozenset({b"authorization"})
    constant = False
    listens = True

    def __init__(self, signing: _HawkSigning, secrets: Mapping[str, Secret], scheme: "Hawk") -> None:
        self.reads_body = signing.payload
        self._signing = signing
        self._id = secrets["id"].reveal_bytes().decode()
        self._key = secrets["key"]
        self._scheme = scheme
        self._ahead = 0
        if _ATTRIBUTE.fullmatch(self._id) is None:
            raise CredentialMissing("The credential's id holds a character that Hawk has no room for.", param="id")

    def apply(self, outgoing: Outgoing) -> None:
        signing = self._signing
        stamp, nonce = str(int(self._scheme.clock()) + self._ahead), self._scheme.nonce()
        digest = self._payload(outgoing) if signing.payload else ""
        target = outgoing.path + (b"?" + outgoing.query if outgoing.query else b"")
        lines = [
            "hawk.1.header",
            stamp,
            nonce,
            outgoing.method.decode("ascii").upper(),
            target.decode("ascii"),
            outgoing.origin.host,
            str(outgoing.origin.port),
            digest,
            signing.ext or "",
        ]
        if signing.app is not None:
            lines += [signing.app, signing.dlg or ""]
        found = {"id": self._id, "ts": stamp, "nonce": nonce, "hash": digest, "ext": signing.ext}
        found |= {"mac": self._mac("\n".join(lines) + "\n"), "app": signing.app, "dlg": signing.dlg}
        value = ", ".join(f'{name}="{each}"' for name, each in found.items() if each)
        outgoing.headers.append((b"Authorization", b"Hawk " + value.encode("ascii")))

    def secrets(self) -> Sequence[Secret]:
        return (self._key,)

    def answered(self, sent: Headers, status: int, headers: Headers) -> bool:
        """A 401 may say the server's time; ``tsm`` proves that it is the server's (section "Time Synchronization")."""
        said = next((each.parameters for each in challenges(headers) if each.scheme == "hawk"), {})
        stamp, proof = said.get("ts", ""), said.get("tsm", "")
        if status != 401 or not _SECONDS.fullmatch(stamp):
            return False
        if not hmac.compare_digest(self._mac(f"hawk.1.ts\n{stamp}\n").encode(), proof.encode()):
            return False
        ahead = int(stamp) - int(self._scheme.clock())
        learnt, self._ahead = ahead != self._ahead, ahead
        return learnt

    def _payload(self, outgoing: Outgoing) -> str:
        if outgoing.body is None:
            raise CredentialMissing("Hawk signs the body here, which is too large to be read whole. Send less.")
        content = b"hawk.1.payload\n" + media_type(outgoing.headers) + b"\n" + outgoing.body + b"\n"
        return b64encode(hashlib.new(self._signing.algorithm, content).digest()).decode()

    def _mac(self, text: str) -> str:
        found = hmac.digest(self._key.reveal_bytes(), text.encode(), self._signing.algorithm)
        return b64encode(found).decode()


class Hawk:
    """Hawk; ``clock`` gives seconds since the epoch, ``nonce`` a text that is not used twice."""

    name = "hawk"
    sentence = "Requests signed with a shared key (Hawk)."

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        nonce: Callable[[], str] = lambda: random.token_urlsafe(_NONCE_BYTES),
    ) -> None:
        self.clock = clock
        self.nonce = nonce

    def fields(self, options: Options) -> Sequence[SchemeField]:  # the interface
        return (SchemeField("id", "Key id", secret=False), SchemeField("key", "Key"))

    def check(self, options: Options) -> list[str]:
        return declared.problems(OPTIONS, options)

    def places(self, options: Options) -> KeyPlaces:
        return KeyPlaces(headers=frozenset({b"authorization"}))

    def bind(self, options: Options, secrets: Mapping[str, Secret]) -> Applier:
        return _Signed(declared.read(OPTIONS, options), secrets, self)
