"""``api_key``: a key in a header field, the query or a cookie. ``bearer`` is short for ``Authorization: Bearer``.

Options: ``in`` (header, query, cookie; header unless said), ``name`` (of the field, the query pair or the cookie;
``Authorization`` unless said, for a header), ``format`` (text with ``<key>``; ``<key>`` alone unless said),
``encoding`` (``base64``: the key is so encoded before it is put into the format).
"""

import base64
import re
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from tieline.access.appkey import KeyPlaces
from tieline.core.secret import Secret
from tieline.schemes.base import Applier, Field, Options, Outgoing, unknown_options

_KNOWN = frozenset({"in", "name", "format", "encoding"})
_PLACES = ("header", "query", "cookie")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_ENGINE_OWNED = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "te", "trailer", "upgrade", "expect", "keep-alive"}
)
_SLOT = "<key>"


class _InHeader(Applier):
    def __init__(self, name: bytes, value: Secret, key: Secret) -> None:
        self.replaces = frozenset({name.lower()})
        self._name = name
        self._value = value
        self._key = key

    def apply(self, outgoing: Outgoing) -> None:
        outgoing.headers.append((self._name, self._value.reveal_bytes()))

    def secrets(self) -> Sequence[Secret]:
        return self._value, self._key


class _InQuery(Applier):
    def __init__(self, name: bytes, pair: Secret, value: Secret) -> None:
        self.replaces_query = frozenset({name})
        self._pair = pair
        self._value = value

    def apply(self, outgoing: Outgoing) -> None:
        outgoing.add_query(self._pair.reveal_bytes())

    def secrets(self) -> Sequence[Secret]:
        return (self._value,)


class _InCookie(Applier):
    """Takes the place of the caller's cookie of that name and leaves the caller's other cookies."""

    def __init__(self, name: bytes, pair: Secret, value: Secret) -> None:
        self._name = name
        self._pair = pair
        self._value = value

    def apply(self, outgoing: Outgoing) -> None:
        kept = [
            crumb.strip()
            for name, value in outgoing.headers
            if name.lower() == b"cookie"
            for crumb in value.split(b";")
            if crumb.partition(b"=")[0].strip() not in {self._name, b""}
        ]
        outgoing.headers[:] = [pair for pair in outgoing.headers if pair[0].lower() != b"cookie"]
        outgoing.headers.append((b"Cookie", b"; ".join([*kept, self._pair.reveal_bytes()])))

    def secrets(self) -> Sequence[Secret]:
        return (self._value,)


class ApiKey:
    """A single key, put where the definition says."""

    name = "api_key"
    sentence = "A key in a header, the query or a cookie."

    def fields(self, options: Options) -> Sequence[Field]:  # the interface
        return (Field("key", "API key"),)

    def check(self, options: Options) -> list[str]:
        problems = unknown_options(options, _KNOWN)
        place = options.get("in", "header")
        if place not in _PLACES:
            problems.append(f"in: must be one of {', '.join(_PLACES)}")  # what was written may be a secret
        name = options.get("name", "Authorization" if place == "header" else None)
        if not isinstance(name, str) or not name:
            problems.append("name: give the name of the header, query parameter or cookie")
        elif place != "query" and not _TOKEN.fullmatch(name):
            problems.append("name: no header or cookie can have this name; write letters, digits and hyphens")
        elif place == "header" and (name.lower() in _ENGINE_OWNED or name.lower().startswith("proxy-")):
            problems.append(f"name: {name!r} is written by Tieline itself")
        template = options.get("format", _SLOT)
        if not isinstance(template, str) or template.count(_SLOT) != 1 or not template.isprintable():
            problems.append("format: must be one line of text that holds <key> once, such as 'Bearer <key>'")
        if options.get("encoding") not in (None, "base64"):
            problems.append("encoding: must be base64 or left out")
        return problems

    def places(self, options: Options) -> KeyPlaces:
        name = options.get("name", "Authorization").encode()
        place = options.get("in", "header")
        if place == "header":
            return KeyPlaces(headers=frozenset({name.lower()}))
        if place == "query":
            return KeyPlaces(query=frozenset({name}))
        return KeyPlaces(cookies=frozenset({name}))

    def bind(self, options: Options, secrets: Mapping[str, Secret]) -> Applier:
        key = secrets["key"].reveal_bytes()
        if options.get("encoding") == "base64":
            key = base64.b64encode(key)
        value = Secret(options.get("format", _SLOT).encode().replace(_SLOT.encode(), key))
        place = options.get("in", "header")
        name = options.get("name", "Authorization")
        if place == "header":
            return _InHeader(name.encode(), value, Secret(key))
        if place == "query":
            pair = quote(name, safe="").encode() + b"=" + quote(value.reveal_bytes(), safe="").encode()
            return _InQuery(name.encode(), Secret(pair), value)
        return _InCookie(name.encode(), Secret(name.encode() + b"=" + value.reveal_bytes()), value)


class Bearer:
    """``Authorization: Bearer`` with one key (RFC 6750 section 2.1)."""

    name = "bearer"
    sentence = "A token as Authorization: Bearer."

    def fields(self, options: Options) -> Sequence[Field]:  # the interface
        return (Field("key", "Token"),)

    def check(self, options: Options) -> list[str]:
        return unknown_options(options, frozenset())

    def places(self, options: Options) -> KeyPlaces:  # the interface
        return KeyPlaces(headers=frozenset({b"authorization"}))

    def bind(self, options: Options, secrets: Mapping[str, Secret]) -> Applier:  # the interface
        return _InHeader(b"Authorization", Secret(b"Bearer " + secrets["key"].reveal_bytes()), secrets["key"])
