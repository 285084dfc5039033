"""``api_key``: a key in a header field, the query, a cookie or the body. ``bearer`` is ``Authorization: Bearer``.

Options: ``in`` (header, query, cookie, body; header unless said), ``name`` (of the field, the query pair or the cookie;
``Authorization`` unless said, for a header; of a body, the pair of a form or the path of a JSON member), ``format``
(text with ``<key>``; ``<key>`` alone unless said), ``encoding`` (``base64``: the key is so encoded before it is put
into the format).
"""

import base64
import re
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from tieline.access.appkey import KeyPlaces
from tieline.core.errors import CredentialMissing
from tieline.core.json_places import NoPlaceError
from tieline.core.secret import Secret
from tieline.definitions.infer.paths import is_path, split
from tieline.schemes.base import Applier, Options, Outgoing, SchemeField, media_type, unknown_options, without_pairs
from tieline.schemes.json_member import put_member

_KNOWN = frozenset({"in", "name", "format", "encoding"})
_PLACES = ("header", "query", "cookie", "body")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_ENGINE_OWNED = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "te", "trailer", "upgrade", "expect", "keep-alive"}
)
_SLOT = "<key>"
_FORM = b"application/x-www-form-urlencoded"


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


class _InBody(Applier):
    """Follows the request's content type: a member of a JSON document, or a pair of a form."""

    constant = False
    reads_body = True

    def __init__(self, name: str, value: Secret, key: Secret) -> None:
        self._name = name
        self._steps = [str(step) for step in split(name)]
        self._value = value
        self._key = key

    def apply(self, outgoing: Outgoing) -> None:
        kind = media_type(outgoing.headers)
        body = outgoing.body or b""
        if kind == _FORM:
            kept = without_pairs(body, frozenset({self._name.encode()}))
            pair = _pair(self._name, self._value)
            outgoing.body = kept + b"&" + pair if kept else pair
            return
        if kind != b"application/json" and not kind.endswith(b"+json"):
            raise CredentialMissing(
                "This API takes its key in the body, which must be JSON or a form. Send one, with its Content-Type."
            )
        try:
            outgoing.body = put_member(body, self._steps, self._value.reveal_bytes().decode())
        except NoPlaceError:
            raise CredentialMissing(
                f"This API takes its key in the body, as the member {self._name}, and the body has no place for it. "
                "Send a JSON object."
            ) from None

    def secrets(self) -> Sequence[Secret]:
        return self._value, self._key


def _pair(name: str, value: Secret) -> bytes:
    return quote(name, safe="").encode() + b"=" + quote(value.reveal_bytes(), safe="").encode()


class ApiKey:
    """A single key, put where the definition says."""

    name = "api_key"
    sentence = "A key in a header, the query, a cookie or the body."

    def fields(self, options: Options) -> Sequence[SchemeField]:  # the interface
        return (SchemeField("key", "API key"),)

    def check(self, options: Options) -> list[str]:
        problems = unknown_options(options, _KNOWN)
        place = options.get("in", "header")
        if place not in _PLACES:
            problems.append(f"in: must be one of {', '.join(_PLACES)}")  # what was written may be a secret
        name = options.get("name", "Authorization" if place == "header" else None)
        if not isinstance(name, str) or not name:
            problems.append("name: give the name of the header, query parameter, cookie or member of the body")
        elif place == "body":
            if not _is_member(name):
                problems.append("name: must be the name of a member, or a path such as auth.key")
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
        if place == "body":
            return KeyPlaces()  # bodies are not searched: the app key comes in one of the usual places
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
            return _InQuery(name.encode(), Secret(_pair(name, value)), value)
        if place == "body":
            return _InBody(name, value, Secret(key))
        return _InCookie(name.encode(), Secret(name.encode() + b"=" + value.reveal_bytes()), value)


def _is_member(name: str) -> bool:
    return is_path(name) and name != "$" and all(isinstance(step, str) for step in split(name))


class Bearer:
    """``Authorization: Bearer`` with one key (RFC 6750 section 2.1)."""

    name = "bearer"
    sentence = "A token as Authorization: Bearer."

    def fields(self, options: Options) -> Sequence[SchemeField]:  # the interface
        return (SchemeField("key", "Token"),)

    def check(self, options: Options) -> list[str]:
        return unknown_options(options, frozenset())

    def places(self, options: Options) -> KeyPlaces:  # the interface
        return KeyPlaces(headers=frozenset({b"authorization"}))

    def bind(self, options: Options, secrets: Mapping[str, Secret]) -> Applier:  # the interface
        return _InHeader(b"Authorization", Secret(b"Bearer " + secrets["key"].reveal_bytes()), secrets["key"])
