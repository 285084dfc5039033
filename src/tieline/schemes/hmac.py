"""``hmac``: a signature of the API's own design, over a template of what it signs.

Options: ``template`` (see ``signed_text``), ``algorithm``, ``encoding``, ``key_encoding`` of the secret, ``timestamp``
and ``nonce`` (their forms), ``expires_in``, ``body_hash`` (its algorithm and encoding), where the signature goes
(``in``, ``name``, ``format`` with ``<signature>``), and what is added beside it and before signing: ``headers`` and
``parameters`` of the query, each a name and a template.
"""

import base64
import binascii
import hashlib
import hmac
import re
import secrets as randomness
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any
from urllib.parse import quote

from tieline.access.appkey import KeyPlaces
from tieline.core.errors import CredentialMissing
from tieline.core.secret import Secret
from tieline.definitions import values
from tieline.definitions.schema import Choice, Cursor, Key, Many, Record, Text
from tieline.definitions.sections import HEADER_NAME, bounded
from tieline.schemes import declared
from tieline.schemes.base import Applier, Options, Outgoing, SchemeField
from tieline.schemes.signed_text import SIGNATURE, SLOTS, SignedText, template_of, values_of

_ALGORITHMS = ("sha1", "sha256", "sha384", "sha512")
_MOST_ADDED = 20
_PRINTABLE = re.compile(rb"[\x20-\x7e]*")
_LINE = re.compile(r"[\x20-\x7e]*")
_BODY = frozenset({"body", "body_hash"})

_ENCODINGS: Mapping[str, Callable[[bytes], bytes]] = {
    "hex": lambda digest: digest.hex().encode(),
    "hex_upper": lambda digest: digest.hex().upper().encode(),
    "base64": base64.b64encode,
    "base64url": lambda digest: base64.urlsafe_b64encode(digest).rstrip(b"="),
    "base64_percent": lambda digest: quote(base64.b64encode(digest), safe="").encode(),
}
_KEY_ENCODINGS: Mapping[str, Callable[[bytes], bytes]] = {
    "text": lambda key: key,
    "hex": binascii.unhexlify,
    "base64": lambda key: base64.b64decode(key, validate=True),
}
_TIMESTAMPS: Mapping[str, Callable[[float], str]] = {
    "unix": lambda moment: str(int(moment)),
    "unix_ms": lambda moment: str(int(moment * 1000)),
    "iso8601": lambda moment: _utc(moment).strftime("%Y-%m-%dT%H:%M:%SZ"),
    "iso8601_ms": lambda moment: _utc(moment).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    "rfc1123": lambda moment: formatdate(moment, usegmt=True),
}
_NONCES: Mapping[str, Callable[["HmacSources"], str]] = {
    "hex": lambda sources: sources.random(16).hex(),
    "uuid": lambda sources: str(uuid.UUID(bytes=sources.random(16), version=4)),
    "base64": lambda sources: base64.b64encode(sources.random(16)).decode(),
    "number": lambda sources: str(int(sources.clock() * 1_000_000)),
}


def _utc(moment: float) -> datetime:
    return datetime.fromtimestamp(moment, UTC)


@dataclass(frozen=True, slots=True)
class HmacSources:
    """Where the time, in seconds since the epoch, and random bytes come from."""

    clock: Callable[[], float] = time.time
    random: Callable[[int], bytes] = randomness.token_bytes


_LIVE = HmacSources()


@dataclass(frozen=True, slots=True)
class Added:
    """A field or a query pair beside the signature."""

    name: str
    value: SignedText


@dataclass(frozen=True, slots=True)
class BodyHash:
    """How ``<body_hash>`` is made."""

    algorithm: str = "sha256"
    encoding: str = "hex"

    def of(self, body: bytes) -> bytes:
        """The hash of a body, encoded."""
        return _ENCODINGS[self.encoding](hashlib.new(self.algorithm, body, usedforsecurity=False).digest())


@dataclass(frozen=True, slots=True)
class Recipe:
    """The options as values; ``expires_in`` in seconds."""

    template: SignedText
    algorithm: str
    encoding: str
    key_encoding: str
    timestamp: str
    expires_in: float
    nonce: str
    body_hash: BodyHash
    place: str
    name: str
    format: SignedText
    headers: tuple[Added, ...]
    parameters: tuple[Added, ...]

    @property
    def slots(self) -> frozenset[str]:
        """Every slot that is used anywhere."""
        texts = (self.template, self.format, *(each.value for each in (*self.headers, *self.parameters)))
        return frozenset[str]().union(*(each.slots for each in texts))


def _one_line(*names: str) -> Callable[[str], SignedText]:
    read = template_of(*names)

    def checked(text: str) -> SignedText:
        if _LINE.fullmatch(text) is None:
            raise ValueError("write one line of printable ASCII")
        return read(text)

    return checked


def _format(text: str) -> SignedText:
    found = _one_line(*_ADDED_SLOTS, SIGNATURE)(text)
    if sum(each == SIGNATURE for each in found.pieces) != 1:
        raise ValueError("must hold <signature> once")
    return found


def _recipe(found: Mapping[str, Any], place: Cursor) -> Recipe:
    name = found["name"]
    if found["in"] == "header" and isinstance(name, str):
        try:
            values.header_name(name)
        except ValueError as error:
            place.key("name").problem(str(error))
    rest = {key: value for key, value in found.items() if key != "in"}
    return Recipe(place=found["in"], **rest)


def _added(found: Mapping[str, Any], _: Cursor) -> Added:
    return Added(**found)


_ADDED_SLOTS = tuple(slot for slot in SLOTS if slot != "body")
_VALUE = Text("template of one line", _one_line(*_ADDED_SLOTS), most=2000)
_HEADER = Record("added header", (Key("name", HEADER_NAME), Key("value", _VALUE)), _added)
_PAIR = Record("added parameter", (Key("name", Text("name", values.pair_name)), Key("value", _VALUE)), _added)
_BODY_HASH = Record(
    "body hash",
    (Key("algorithm", Choice(_ALGORITHMS), "sha256"), Key("encoding", Choice(tuple(_ENCODINGS)), "hex")),
    lambda found, _: BodyHash(**found),
)
OPTIONS = Record(
    "hmac",
    (
        Key("template", Text("template", template_of(*SLOTS), most=4096)),
        Key("algorithm", Choice(_ALGORITHMS), "sha256"),
        Key("encoding", Choice(tuple(_ENCODINGS)), "hex"),
        Key("key_encoding", Choice(tuple(_KEY_ENCODINGS)), "text"),
        Key("timestamp", Choice(tuple(_TIMESTAMPS)), "unix"),
        Key("expires_in", bounded("1s", "365d"), 300.0, shows="`5m`"),
        Key("nonce", Choice(tuple(_NONCES)), "hex"),
        Key("body_hash", _BODY_HASH, BodyHash(), shows="`{algorithm: sha256, encoding: hex}`"),
        Key("in", Choice(("header", "query")), "header"),
        Key("name", Text("name of the header or query pair", values.pair_name)),
        Key("format", Text("template of one line", _format, most=2000), _format("<signature>"), shows="`<signature>`"),
        Key("headers", Many(_HEADER, _MOST_ADDED), ()),
        Key("parameters", Many(_PAIR, _MOST_ADDED), ()),
    ),
    _recipe,
)


class _HmacApplier(Applier):
    constant = False

    def __init__(self, recipe: Recipe, secrets: Mapping[str, Secret], sources: HmacSources) -> None:
        self._recipe = recipe
        self._key = _decoded(recipe, secrets["secret"])
        self._secret = secrets["secret"]
        self._key_id = secrets.get("key_id", Secret(b""))
        self._sources = sources
        self.reads_body = bool(recipe.slots & _BODY)
        in_header = recipe.place == "header"
        headers = [each.name for each in recipe.headers] + ([recipe.name] if in_header else [])
        pairs = [each.name for each in recipe.parameters] + ([] if in_header else [recipe.name])
        self.replaces = frozenset(each.lower().encode() for each in headers)
        self.replaces_query = frozenset(each.encode() for each in pairs)

    def apply(self, outgoing: Outgoing) -> None:
        recipe = self._recipe
        known = self._known(outgoing)
        value = values_of(known, outgoing.header)
        for each in recipe.parameters:
            outgoing.add_query(_pair(each.name, each.value.render(value)))
        known |= _of_target(outgoing)
        for each in recipe.headers:
            outgoing.headers.append((each.name.encode(), _line(each.value.render(value))))
        digest = hmac.digest(self._key.reveal_bytes(), recipe.template.render(value), recipe.algorithm)
        known[SIGNATURE] = _ENCODINGS[recipe.encoding](digest)
        written = recipe.format.render(value)
        if recipe.place == "header":
            outgoing.headers.append((recipe.name.encode(), _line(written)))
        else:
            outgoing.add_query(_pair(recipe.name, written))

    def secrets(self) -> Sequence[Secret]:
        return (self._secret,)

    def _known(self, outgoing: Outgoing) -> dict[str, bytes]:
        """The value of every slot but the headers' and the signature."""
        recipe, sources = self._recipe, self._sources
        now = sources.clock()
        written = _TIMESTAMPS[recipe.timestamp]
        body = outgoing.body or b""
        return {
            "method": outgoing.method,
            "host": outgoing.origin.authority,
            "timestamp": written(now).encode(),
            "expires": written(now + recipe.expires_in).encode(),
            "nonce": _NONCES[recipe.nonce](sources).encode(),
            "key_id": self._key_id.reveal_bytes(),
            "body": body,
            "body_hash": recipe.body_hash.of(body) if "body_hash" in recipe.slots else b"",
            **_of_target(outgoing),
        }


def _of_target(outgoing: Outgoing) -> dict[str, bytes]:
    target = outgoing.path + b"?" + outgoing.query if outgoing.query else outgoing.path
    return {
        "path": outgoing.path,
        "query": outgoing.query,
        "target": target,
        "url": outgoing.origin.scheme.encode() + b"://" + outgoing.origin.authority + target,
    }


def _pair(name: str, value: bytes) -> bytes:
    return quote(name, safe="").encode() + b"=" + quote(value, safe="").encode()


def _line(value: bytes) -> bytes:
    if _PRINTABLE.fullmatch(value) is None:
        raise CredentialMissing(
            "What the signature is made of holds a character that no header can have. Send printable ASCII in the "
            "headers that are signed; an operator sets a key id of printable ASCII."
        )
    return value


def _decoded(recipe: Recipe, secret: Secret) -> Secret:
    try:
        return Secret(_KEY_ENCODINGS[recipe.key_encoding](secret.reveal_bytes()))
    except ValueError:
        raise CredentialMissing(
            f"The secret is not in {recipe.key_encoding}, as key_encoding says. An operator sets it again.",
            param="secret",
        ) from None


class Hmac:
    """A signature over a template, for APIs that have thought of one of their own."""

    name = "hmac"
    sentence = "A signature of the API's own design, over what you say."

    def __init__(self, sources: HmacSources = _LIVE) -> None:
        self._sources = sources

    def fields(self, options: Options) -> Sequence[SchemeField]:
        recipe: Recipe = declared.read(OPTIONS, options)
        secret = SchemeField("secret", "Secret")
        return (SchemeField("key_id", "Key id", secret=False), secret) if "key_id" in recipe.slots else (secret,)

    def check(self, options: Options) -> list[str]:
        return declared.problems(OPTIONS, options)

    def check_values(self, options: Options, secrets: Mapping[str, Secret]) -> None:
        _decoded(declared.read(OPTIONS, options), secrets["secret"])

    def places(self, options: Options) -> KeyPlaces:
        """Where the key id goes: an SDK is given an app key in its place."""
        recipe: Recipe = declared.read(OPTIONS, options)
        signature = Added(recipe.name, recipe.format)
        in_header = recipe.place == "header"
        headers = [*recipe.headers, signature] if in_header else recipe.headers
        pairs = recipe.parameters if in_header else [*recipe.parameters, signature]
        return KeyPlaces(
            headers=frozenset(each.name.lower().encode() for each in headers if "key_id" in each.value.slots),
            query=frozenset(each.name.encode() for each in pairs if "key_id" in each.value.slots),
        )

    def bind(self, options: Options, secrets: Mapping[str, Secret]) -> Applier:
        return _HmacApplier(declared.read(OPTIONS, options), secrets, self._sources)
