"""``jwt``: a token that Tieline signs itself, as bearer or wherever else a key goes (RFC 7519).

Options: ``algorithm`` (HS, RS, PS, ES 256 to 512, EdDSA), ``claims`` and ``header`` (templates, see ``claims``; ``alg``
is added, ``typ`` is JWT unless said), ``fields`` (further fields of the credential, for slots), ``key_encoding`` (of an
HMAC secret: text, base64, hex), ``short_key``, ``lifetime`` (where the claims have no ``exp``), ``in``, ``name``,
``format`` (as ``api_key``). A token is used until shortly before it ends, then the next one is minted.
"""

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tieline.access.appkey import KeyPlaces
from tieline.core.errors import CredentialMissing
from tieline.core.secret import Secret
from tieline.definitions.schema import Choice, Cursor, Data, Flag, Key, Record
from tieline.definitions.sections import bounded
from tieline.schemes import claims, declared, jose, placement
from tieline.schemes.base import Applier, Headers, Options, Outgoing, SchemeField
from tieline.schemes.declared import DeclaredField

if TYPE_CHECKING:
    from joserfc.jwk import Key as JoseKey

CurrentTime = Callable[[], float]
_DEFAULT_CLAIMS = {"iat": "<now>", "exp": "<now+300>"}
_MARGIN = 60.0
_LEAST_USE = 0.5


@dataclass(frozen=True, slots=True)
class Minting:
    """The options as values: how a token is made and how long, in seconds, one without ``exp`` is used."""

    algorithm: str
    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    fields: tuple[DeclaredField, ...]
    key_encoding: str
    short_key: bool
    lifetime: float

    def key(self, secrets: Mapping[str, Secret]) -> "JoseKey":
        """The key of the credential. Raises CredentialMissing."""
        text = secrets["key"].reveal_bytes()
        try:
            return jose.load_key(self.algorithm, text, encoding=self.key_encoding, short=self.short_key)
        except ValueError as error:
            raise CredentialMissing(f"The key {error}.", param="key") from None


def _minting(found: Mapping[str, Any], place: Cursor) -> Minting:
    names = {each.name for each in found["fields"]}
    if "key" in names or "uuid" in names or "now" in names:
        place.key("fields").problem("key, now and uuid are names of their own; choose another")
    for option in ("header", "claims"):
        if not isinstance(found[option], Mapping):
            place.key(option).expected("a mapping")
            continue
        for problem in claims.strangers(found[option], names):
            place.key(option).problem(problem)
    if isinstance(found["header"], Mapping) and "alg" in found["header"]:
        place.key("header").problem("alg is the option algorithm; remove it")
    rest = {key.name for key in placement.KEYS}
    return Minting(**{name: value for name, value in found.items() if name not in rest})


OPTIONS = Record(
    "jwt",
    (
        Key("algorithm", Choice(jose.ALGORITHMS)),
        Key("claims", Data("mapping of templates"), _DEFAULT_CLAIMS, shows="`{iat: <now>, exp: <now+300>}`"),
        Key("header", Data("mapping of templates"), {"typ": "JWT"}, shows="`{typ: JWT}`"),
        Key("fields", declared.FIELDS, ()),
        Key("key_encoding", Choice(jose.ENCODINGS), "text"),
        Key("short_key", Flag(), default=False),
        Key("lifetime", bounded("1s", "365d"), 300.0, shows="`5m`, where the claims have no exp"),
        *placement.KEYS,
    ),
    _minting,
)


class _Minted(Applier):
    """Holds the token in use and mints the next one when that one is about to end."""

    constant = False
    mints = True

    def __init__(self, options: Options, secrets: Mapping[str, Secret], clock: CurrentTime) -> None:
        self._minting: Minting = declared.read(OPTIONS, options)
        self._key = self._minting.key(secrets)
        self._fields = {each.name: secrets[each.name].reveal_bytes().decode() for each in self._minting.fields}
        self._options = options
        self._clock = clock
        self._renew()
        self.replaces = self._placed.replaces
        self.replaces_query = self._placed.replaces_query
        self.reads_body = self._placed.reads_body

    def wants_body(self, headers: Headers) -> bool:
        return self._placed.wants_body(headers)

    def apply(self, outgoing: Outgoing) -> None:
        if not self._made <= self._clock() < self._good_until:  # a clock that was set back makes another, too
            self._renew()
        self._placed.apply(outgoing)

    def secrets(self) -> Sequence[Secret]:
        return self._placed.secrets()

    def _renew(self) -> None:
        now = self._clock()
        minting = self._minting

        def made(data: Mapping[str, Any]) -> Any:
            return claims.render(data, self._fields, int(now), lambda: str(uuid.uuid4()))

        content = made(minting.claims)
        end = content.get("exp")
        life = end - now if isinstance(end, int | float) and not isinstance(end, bool) else minting.lifetime
        token = jose.sign(minting.algorithm, self._key, made(minting.header), content)
        self._made = now
        self._good_until = now + max(life - _MARGIN, life * _LEAST_USE)
        self._placed = placement.bind(self._options, Secret(token))


class Jwt:
    """A self-signed JWT."""

    name = "jwt"
    sentence = "A token that Tieline signs itself with a private key or shared secret (JWT)."

    def __init__(self, clock: CurrentTime = time.time) -> None:
        self._clock = clock

    def fields(self, options: Options) -> Sequence[SchemeField]:  # the interface
        minting: Minting = declared.read(OPTIONS, options)
        return (SchemeField("key", "Signing key", multiline=True), *(each.field for each in minting.fields))

    def check(self, options: Options) -> list[str]:
        return declared.problems(OPTIONS, options) or placement.check(options)

    def check_values(self, options: Options, secrets: Mapping[str, Secret]) -> None:
        minting: Minting = declared.read(OPTIONS, options)
        minting.key(secrets)

    def places(self, options: Options) -> KeyPlaces:
        return placement.places(options)

    def bind(self, options: Options, secrets: Mapping[str, Secret]) -> Applier:
        return _Minted(options, secrets, self._clock)
