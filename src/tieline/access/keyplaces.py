"""Where in a request the app key stands, whatever SDK put it there, and what remains of the request without it.

Knows the places of contract.md section 4 and those that an API's scheme names. Does not know whether a key is any good.
"""

import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from tieline.core.errors import InvalidAppKey, InvalidRequest, MissingAppKey

Headers = Sequence[tuple[bytes, bytes]]

_BEARER = b"Bearer tl_"
_AUTHORIZATION = b"authorization"
_PROTOCOL = b"sec-websocket-protocol"
_COOKIE = b"cookie"
_DROP_AUTHORIZATION = frozenset({_AUTHORIZATION})
_HEADERS = frozenset({_AUTHORIZATION, b"tieline-key", b"x-api-key", b"api-key"})
_QUERY = frozenset({b"key"})
_PROTOCOL_PREFIX = b"openai-insecure-api-key."

# A word of a header's value that begins as an app key does: "Token tl_…", 'Token token="tl_…"', "tl_…".
_WORD = re.compile(rb"(?:^|[\s=:,;\"'])(tl_[^\s,;\"']*)")
_BASIC = re.compile(rb"basic\s+(\S+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class KeyPlaces:
    """Where the API's own scheme puts its secret, beside the places that are always looked at.

    ``headers`` are names in lower case, ``query`` names of parameters, ``cookies`` names of cookies,
    ``protocol_prefixes`` what stands before the key in an item of ``Sec-WebSocket-Protocol``. ``basic`` says that the
    scheme is Basic, which a request without a key is then told; Basic itself is understood for every API. ``scoped``:
    the API's clients write a slash and a scope behind the key, as those of AWS do.
    """

    headers: frozenset[bytes] = frozenset()
    query: frozenset[bytes] = frozenset()
    basic: bool = False
    protocol_prefixes: tuple[bytes, ...] = ()
    cookies: frozenset[bytes] = frozenset()
    scoped: bool = False
    watched: frozenset[bytes] = field(init=False, repr=False, compare=False)
    parameters: frozenset[bytes] = field(init=False, repr=False, compare=False)
    prefixes: tuple[bytes, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        cookie = {_COOKIE} if self.cookies else set()
        object.__setattr__(self, "watched", _HEADERS | self.headers | {_PROTOCOL} | cookie)
        object.__setattr__(self, "parameters", _QUERY | self.query)
        object.__setattr__(self, "prefixes", (*self.protocol_prefixes, _PROTOCOL_PREFIX))


class Found(NamedTuple):
    """An app key, unchecked, and the request without it.

    ``drop`` names the header fields, in lower case, that must not go on. The query goes on as ``query_without``; where
    ``protocol_without`` or ``cookie_without`` is not empty, that value goes on as the field's only one.
    """

    key: bytes
    drop: frozenset[bytes]
    query_without: bytes
    protocol_without: bytes = b""
    cookie_without: bytes = b""


def has_form(text: bytes) -> bool:
    """Whether ``text`` means to be an app key: it begins with ``tl_``."""
    return text.startswith(b"tl_")


def find(headers: Headers, query: bytes, places: KeyPlaces) -> Found:
    """The one app key of a request, wherever it stands.

    ``headers`` are names in any case and values; ``query`` is as sent, without its question mark.

    Raises:
        MissingAppKey: nothing stands in any place for one.
        InvalidAppKey: what stands there is no app key, and none is elsewhere.
        InvalidRequest: several different keys.
    """
    watched = places.watched
    held = [(name, value) for raw, value in headers if (name := raw.lower()) in watched]
    if len(held) == 1 and (not query or (b"tl_" not in query and b"%" not in query)):
        name, value = held[0]
        if name == _AUTHORIZATION and value.startswith(_BEARER):
            return Found(value[7:].rstrip(b" \t"), _DROP_AUTHORIZATION, query)  # the parser leaves what may follow
    return _Search(places).run(held, query)


class _Search:
    """One thorough look through a request."""

    def __init__(self, places: KeyPlaces) -> None:
        self._places = places
        self._keys: dict[bytes, str] = {}
        self._drop: set[bytes] = set()
        self._stranger: str | None = None
        self._kept: dict[bytes, list[bytes]] = {_PROTOCOL: [], _COOKIE: []}

    def run(self, held: Headers, query: bytes) -> Found:
        for name, value in held:
            if name == _PROTOCOL:
                self._look_in_protocol(value)
            elif name == _COOKIE and self._places.cookies:
                self._look_in_cookie(value)
            else:
                self._look_in_header(name, value)
        without = self._look_in_query(query) if query else query
        if len(self._keys) != 1:
            raise self._problem()
        return Found(
            next(iter(self._keys)),
            frozenset(self._drop),
            without,
            self._rest(_PROTOCOL, b", "),
            self._rest(_COOKIE, b"; "),
        )

    def _rest(self, name: bytes, joint: bytes) -> bytes:
        return joint.join(self._kept[name]) if name in self._drop else b""

    def _note(self, keys: Sequence[bytes], place: str) -> bool:
        """Note ``keys`` found in ``place``, or that something else stands there; whether there were keys."""
        for key in keys:
            self._keys.setdefault(key, place)
        if not keys:
            self._stranger = place
        return bool(keys)

    def _without_scope(self, key: bytes) -> bytes:
        return key.partition(b"/")[0] if self._places.scoped else key

    def _look_in_header(self, name: bytes, value: bytes) -> None:
        keys = [self._without_scope(key) for key in _WORD.findall(value)]
        basic = None if keys else _BASIC.fullmatch(value.rstrip(b" \t"))
        if basic is not None:
            keys = [part for part in _pair(basic[1]) if has_form(part)]
        if value and self._note(keys, f'the header "{name.decode("ascii", "replace")}"'):
            self._drop.add(name)

    def _look_in_protocol(self, value: bytes) -> None:
        for item in value.split(b","):
            stripped = item.strip()
            prefix = next((prefix for prefix in self._places.prefixes if stripped.startswith(prefix)), b"")
            key = stripped[len(prefix) :]
            meant = bool(prefix) or has_form(key)
            if meant and self._note([key] if has_form(key) else [], "Sec-WebSocket-Protocol"):
                self._drop.add(_PROTOCOL)
            else:
                self._kept[_PROTOCOL].append(stripped)

    def _look_in_cookie(self, value: bytes) -> None:
        for item in value.split(b";"):
            stripped = item.strip()
            name, _, content = stripped.partition(b"=")
            meant = name in self._places.cookies and content != b""
            if meant and self._note(_WORD.findall(content), "a cookie"):
                self._drop.add(_COOKIE)
            else:
                self._kept[_COOKIE].append(stripped)

    def _look_in_query(self, query: bytes) -> bytes:
        kept = []
        for pair in query.split(b"&"):
            name, _, value = pair.partition(b"=")
            key = self._without_scope(form_decoded(value))
            meant = key != b"" and form_decoded(name) in self._places.parameters
            if not (meant and self._note([key] if has_form(key) else [], "the query")):
                kept.append(pair)
        return b"&".join(kept)

    def _problem(self) -> MissingAppKey | InvalidAppKey | InvalidRequest:
        if self._keys:
            places = " and ".join(dict.fromkeys(self._keys.values()))
            return InvalidRequest(f"Several different app keys stand in {places}. Send one.")
        if self._stranger is not None:
            return InvalidAppKey(
                f'What stands in {self._stranger} is no app key: one begins with "tl_live_" or "tl_test_". '
                "Send the app key in place of the API's own."
            )
        basic = " or as user name of Basic" if self._places.basic else ""
        return MissingAppKey(f'No app key was sent. Send one as "Authorization: Bearer tl_…"{basic}.')


def _pair(encoded: bytes) -> tuple[bytes, ...]:
    """User name and password of a Basic credential (RFC 7617), none where it is no base64."""
    try:
        user, _, password = b64decode(encoded, validate=True).partition(b":")
    except Base64Error:
        return ()
    return user, password


def form_decoded(text: bytes) -> bytes:
    """A name or value of a query as servers read it: ``+`` is a space, percent-encodings are undone."""
    return unquote_to_bytes(text.replace(b"+", b" ")) if b"%" in text or b"+" in text else text
