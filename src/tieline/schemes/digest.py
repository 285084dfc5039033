"""``digest``: user name and password, proved without being sent (RFC 7616; RFC 2069 where a server is that old).

Options: ``qop`` (``auth`` unless said; ``auth-int`` signs the body too where the server offers it), ``algorithms``
(those taken, of MD5, SHA-256 and SHA-512-256; all unless said). Of several challenges the strongest algorithm wins.

The first request goes out bare, the server's challenge is learnt from its refusal, and the request is repeated. From
then on each request takes the next count of the nonce, until the server says that the nonce is stale.
"""

import hashlib
import secrets as randomness
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from urllib.parse import quote

from tieline.access.appkey import KeyPlaces
from tieline.core.secret import Secret
from tieline.definitions.schema import Choice, Key, Many, Record
from tieline.schemes import declared
from tieline.schemes.base import Applier, Headers, Options, Outgoing, SchemeField, field_value
from tieline.schemes.challenge import Challenge, challenges, parameters, quoted

_QOPS = ("auth", "auth-int")
_HASHES = {"MD5": "md5", "SHA-256": "sha256", "SHA-512-256": "sha512_256"}  # from the weakest to the strongest
_SESSION = "-SESS"
_CHALLENGE_MOST = 4096  # what a server may have us send back to it
_AUTHORIZATION = b"authorization"
_AUTHENTICATION_INFO = b"authentication-info"
_SCHEME = b"Digest "


OPTIONS = Record(
    "digest",
    (
        Key("qop", Choice(_QOPS), "auth"),
        Key("algorithms", Many(Choice(tuple(_HASHES)), len(_HASHES), least=1), tuple(_HASHES), shows="all"),
    ),
    lambda found, _: found,
)


def _available(algorithm: str) -> bool:
    return _HASHES[algorithm] in hashlib.algorithms_available


@dataclass(frozen=True, slots=True)
class DigestTerms:
    """What a server asks for. ``algorithm`` is as it wrote it, ``qop`` what was chosen of its offers, None for none."""

    realm: str
    nonce: str
    algorithm: str | None = None
    qop: str | None = None
    opaque: str | None = None
    userhash: bool = False
    stale: bool = False

    @property
    def family(self) -> str:
        """The hash, without its ``-sess``."""
        return (self.algorithm or "MD5").upper().removesuffix(_SESSION)

    @property
    def session(self) -> bool:
        """Whether the key is derived once for each nonce."""
        return (self.algorithm or "").upper().endswith(_SESSION)

    def hashed(self, *parts: bytes) -> bytes:
        """H of the parts with colons between them (RFC 7616 section 3.4)."""
        made = hashlib.new(_HASHES[self.family], b":".join(parts), usedforsecurity=False)
        return made.hexdigest().encode()


def terms_of(challenge: Challenge, algorithms: Sequence[str], preferred: str) -> DigestTerms | None:
    """The terms of a challenge that can be met, or None."""
    given = challenge.parameters
    if challenge.scheme != "digest" or not given.keys() >= {"realm", "nonce"}:
        return None
    offered = [each.strip().lower() for each in given["qop"].split(",")] if "qop" in given else []
    qop = next((each for each in (preferred, *_QOPS) if each in offered), None)
    found = DigestTerms(
        realm=given["realm"],
        nonce=given["nonce"],
        algorithm=given.get("algorithm"),
        qop=qop,
        opaque=given.get("opaque"),
        userhash=given.get("userhash", "").lower() == "true",
        stale=given.get("stale", "").lower() == "true",
    )
    fits = found.family in algorithms and _available(found.family) and not (offered and qop is None)
    return found if fits and sum(map(len, given.values())) <= _CHALLENGE_MOST else None


@dataclass(frozen=True, slots=True, repr=False)
class DigestLogin:
    """A user name and a password, in UTF-8."""

    username: bytes
    password: bytes

    def answer(self, terms: DigestTerms, outgoing: Outgoing, count: int, cnonce: str) -> bytes:
        """The value of ``Authorization`` for a request (RFC 7616 section 3.4); ``count`` is that of the nonce."""
        uri = outgoing.path + (b"?" + outgoing.query if outgoing.query else b"")
        nonce, client = terms.nonce.encode("latin-1"), cnonce.encode()
        key = terms.hashed(self.username, terms.realm.encode("latin-1"), self.password)
        if terms.session:
            key = terms.hashed(key, nonce, client)
        entity = (terms.hashed(outgoing.body or b""),) if terms.qop == "auth-int" else ()
        counted = (b"%08x" % count, client, terms.qop.encode()) if terms.qop else ()
        response = terms.hashed(key, nonce, *counted, terms.hashed(outgoing.method, uri, *entity)).decode()
        fields = [
            self._named(terms),
            f"realm={quoted(terms.realm)}",
            f"nonce={quoted(terms.nonce)}",
            f"uri={quoted(uri.decode('ascii'))}",
            f'response="{response}"',
        ]
        if terms.algorithm is not None:
            fields.append(f"algorithm={terms.algorithm}")
        if terms.opaque is not None:
            fields.append(f"opaque={quoted(terms.opaque)}")
        if terms.qop:
            fields += [f"qop={terms.qop}", f"nc={count:08x}"]
        if terms.qop or terms.session:
            fields.append(f'cnonce="{cnonce}"')
        if terms.userhash:
            fields.append("userhash=true")
        return _SCHEME + ", ".join(fields).encode("latin-1")

    def _named(self, terms: DigestTerms) -> str:
        if terms.userhash:
            return f'username="{terms.hashed(self.username, terms.realm.encode("latin-1")).decode()}"'
        if self.username.isascii():
            return f"username={quoted(self.username.decode())}"
        return f"username*=UTF-8''{quote(self.username, safe='')}"  # RFC 8187


class _DigestApplier(Applier):
    """Holds what the server asked for, and how often its nonce was used. Requests take their counts in turn."""

    replaces = frozenset({_AUTHORIZATION})
    constant = False
    reads_body = True
    listens = True

    def __init__(self, login: DigestLogin, algorithms: Sequence[str], qop: str, random: Callable[[], str]) -> None:
        self._login = login
        self._algorithms = algorithms
        self._qop = qop
        self._random = random
        self._terms: DigestTerms | None = None
        self._counts = count(1)
        self._cnonce = ""
        self._accepted = False

    def wants_body(self, headers: Headers) -> bool:
        """To sign it, or to send it again once the challenge is known."""
        return self._terms is None or self._terms.qop == "auth-int"

    def apply(self, outgoing: Outgoing) -> None:
        terms, counts = self._terms, self._counts  # large requests are signed in threads, while a nonce may be learnt
        if terms is None:
            return
        cnonce = self._cnonce if terms.session else self._random()
        answer = self._login.answer(terms, outgoing, next(counts), cnonce)
        outgoing.headers.append((b"Authorization", answer))

    def secrets(self) -> Sequence[Secret]:
        return (Secret(self._login.password),)

    def answered(self, sent: Headers, status: int, headers: Headers) -> bool:
        proof = field_value(sent, _AUTHORIZATION) or b""
        met = parameters(proof.removeprefix(_SCHEME)).get("nonce") if proof.startswith(_SCHEME) else None
        current = self._terms.nonce if self._terms is not None else None
        if status != 401:
            if met is not None and met == current:
                self._accepted = True
                self._follow(field_value(headers, _AUTHENTICATION_INFO))
            return False
        offered = self._strongest(headers)
        if offered is None:
            return False
        if met != current:
            return True  # another request has learnt a newer nonce meanwhile
        # A server that has forgotten its nonces refuses one that it took before, and may not call it stale.
        hopeful = met is None or offered.stale or self._accepted
        self._learn(offered)
        return hopeful

    def _strongest(self, headers: Headers) -> DigestTerms | None:
        met = [terms_of(each, self._algorithms, self._qop) for each in challenges(headers)]
        strength = list(_HASHES).index
        return max((each for each in met if each is not None), key=lambda each: strength(each.family), default=None)

    def _learn(self, terms: DigestTerms) -> None:
        self._cnonce = self._random()
        self._counts = count(1)
        self._terms = terms
        self._accepted = False

    def _follow(self, info: bytes | None) -> None:
        """Go over to the nonce that the server wants next (RFC 7616 section 3.5)."""
        following = parameters(info).get("nextnonce") if info else None
        if following and self._terms is not None and following != self._terms.nonce:
            was = self._terms
            self._learn(DigestTerms(was.realm, following, was.algorithm, was.qop, was.opaque, was.userhash))


class Digest:
    """HTTP Digest authentication. ``random`` makes client nonces, of printable ASCII without quotes."""

    name = "digest"
    sentence = "A user name and a password that are proved, not sent."

    def __init__(self, random: Callable[[], str] = lambda: randomness.token_hex(16)) -> None:
        self._random = random

    def fields(self, options: Options) -> Sequence[SchemeField]:  # the interface
        return (SchemeField("username", "User name", secret=False), SchemeField("password", "Password"))

    def check(self, options: Options) -> list[str]:
        return declared.problems(OPTIONS, options)

    def places(self, options: Options) -> KeyPlaces:  # the interface
        return KeyPlaces(headers=frozenset({_AUTHORIZATION}))

    def bind(self, options: Options, secrets: Mapping[str, Secret]) -> Applier:
        login = DigestLogin(secrets["username"].reveal_bytes(), secrets["password"].reveal_bytes())
        found = declared.read(OPTIONS, options)
        return _DigestApplier(login, found["algorithms"], found["qop"], self._random)
