"""Where in a request the app key stands, whatever SDK put it there, and what remains of the request without it.

Knows the places of contract.md section 4, those that an API's scheme names, and that the key goes on in no field and no
query pair, wherever else a client repeats it. Does not know whether a key is any good.
"""

import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from tieline.core.errors import InvalidAppKey, InvalidRequest, MissingAppKey

Headers = Sequence[tuple[bytes, bytes]]

FORM = re.compile(rb"tl_(?:live|test)_[0-9A-Za-z]{49}")
"""A whole app key."""

_BEARER = b"Bearer tl_"
_AUTHORIZATION = b"authorization"
_PROTOCOL = b"sec-websocket-protocol"
_COOKIE = b"cookie"
_HEADERS = frozenset({_AUTHORIZATION, b"tieline-key", b"x-api-key", b"api-key"})
_QUERY = frozenset({b"key"})
_PROTOCOL_PREFIX = b"openai-insecure-api-key."

# A word of a header's value that begins as an app key does: "Token tl_…", 'Token token="tl_…"', "tl_…".
_WORD = re.compile(rb"(?:^|[\s=:,;\"'])(tl_[^\s,;\"']*)")
_ENCODED = re.compile(rb"[A-Za-z0-9-]+\s+(\S+)")  # "Basic dXNlcjprZXk=", "ApiKey aWQ6a2V5"
# What a key's beginning is in base64, by the number of bytes before it modulo 3. Fewer letters would match by chance.
_BASE64_BEGINNINGS = (b"dGxfbGl2", b"dGxfdGVz", b"RsX2xp", b"RsX3Rl", b"0bF9s", b"0bF90")
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{70,}={0,2}")
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
# Where presigned URLs name the key that they were signed with; in lower case.
_PRESIGNED = frozenset({b"x-amz-credential", b"awsaccesskeyid", b"x-goog-credential", b"googleaccessid"})


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
        object.__setattr__(self, "watched", _HEADERS | self.headers)
        object.__setattr__(self, "parameters", _QUERY | self.query)
        object.__setattr__(self, "prefixes", (*self.protocol_prefixes, _PROTOCOL_PREFIX))


class Found(NamedTuple):
    """An app key, unchecked, and the request without it.

    Fields that hold the key are missing in ``headers_without``, but for what else stands in a cookie field or among
    WebSocket protocols; pairs that hold it are missing in ``query_without``.
    """

    key: bytes
    headers_without: list[tuple[bytes, bytes]]
    query_without: bytes


def has_form(text: bytes) -> bool:
    """Whether ``text`` means to be an app key: it begins with ``tl_``."""
    return text.startswith(b"tl_")


def find(headers: Headers, query: bytes, places: KeyPlaces) -> Found:
    """The one app key of a request, wherever it stands.

    ``headers`` are names in any case and values; ``query`` is as sent, without its question mark.

    Raises:
        MissingAppKey: nothing stands in any place for one.
        InvalidAppKey: what stands there is no app key, and none is elsewhere.
        InvalidRequest: several different keys, or one that a URL was signed with.
    """
    values = b"\n".join([value for _, value in headers])
    if values.count(b"tl_") == 1 and not _may_hide(values) and (not query or not _may_hold(query)):
        for index, (name, value) in enumerate(headers):
            if value.startswith(_BEARER) and name.lower() == _AUTHORIZATION:
                rest = [*headers[:index], *headers[index + 1 :]]
                return Found(value[7:].rstrip(b" \t"), rest, query)  # the parser leaves what may follow
    return _Search(places).run(headers, query)


def holds_key(value: bytes) -> bool:
    """Whether a whole app key stands in ``value``, as it is, percent-encoded or in base64."""
    return _may_hold(value) and bool(_whole_keys(value))


def _may_hold(text: bytes) -> bool:
    return b"tl_" in text or _may_hide(text)


def _may_hide(text: bytes) -> bool:
    """Whether an app key may stand in ``text`` in other letters than its own."""
    return b"%" in text or any(beginning in text for beginning in _BASE64_BEGINNINGS)


def _whole_keys(text: bytes) -> list[bytes]:
    """The app keys in ``text``, as it is, percent-encoded or in base64."""
    keys = FORM.findall(text)
    plain = unquote_to_bytes(text) if b"%" in text else text
    if plain is not text:
        keys += FORM.findall(plain)
    for run in _BASE64.findall(plain):
        keys += FORM.findall(_decoded(run))
    return keys


class _Search:
    """One thorough look through a request.

    ``_keys`` holds what stands in places for app keys, with the place; ``_elsewhere`` whole keys in other places.
    """

    def __init__(self, places: KeyPlaces) -> None:
        self._places = places
        self._keys: dict[bytes, str] = {}
        self._elsewhere: dict[bytes, str] = {}
        self._stranger: str | None = None

    def run(self, headers: Headers, query: bytes) -> Found:
        kept = []
        for name, value in headers:
            rest = self._without(name.lower(), value)
            if rest is not None:
                kept.append((name, rest))
        without = self._look_in_query(query) if query else query
        every = self._keys | self._elsewhere
        if not self._keys or len(every) > 1:
            raise self._problem(every)
        return Found(next(iter(self._keys)), kept, without)

    def _without(self, name: bytes, value: bytes) -> bytes | None:
        """What remains of a field, its name in lower case; None for nothing."""
        if name == _PROTOCOL:
            return self._items(value, b",", b", ", self._is_key_protocol)
        if name == _COOKIE and name not in self._places.headers:
            return self._items(value, b";", b"; ", self._is_key_cookie)
        place = f'the header "{name.decode("ascii", "replace")}"'
        if name not in self._places.watched:
            return None if self._is_key_elsewhere(value, place) else value
        keys = [self._without_scope(key) for key in _WORD.findall(value)]
        encoded = None if keys else _ENCODED.fullmatch(value.rstrip(b" \t"))
        if encoded is not None:
            keys = [part for part in _decoded(encoded[1]).split(b":", 1) if has_form(part)]
        return None if value and self._is_key(keys, value, place) else value

    def _items(self, value: bytes, mark: bytes, joint: bytes, is_key: Callable[[bytes], bool]) -> bytes | None:
        items = [item.strip() for item in value.split(mark)]
        kept = [item for item in items if not is_key(item)]
        if len(kept) == len(items):
            return value
        return joint.join(kept) if any(kept) else None

    def _is_key(self, keys: Sequence[bytes], text: bytes, place: str) -> bool:
        """Note ``keys``, which are all of ``text`` that is one, or that something else stands in ``place``."""
        for key in keys:
            self._keys.setdefault(key, place)
        if not keys:
            self._stranger = place
        return bool(keys) or self._is_key_elsewhere(text, place)

    def _is_key_elsewhere(self, text: bytes, place: str) -> bool:
        """Whether a whole key stands where none is looked for."""
        keys = _whole_keys(text) if _may_hold(text) else []
        for key in keys:
            self._elsewhere.setdefault(key, place)
        return bool(keys)

    def _without_scope(self, key: bytes) -> bytes:
        return key.partition(b"/")[0] if self._places.scoped else key

    def _is_key_protocol(self, item: bytes) -> bool:
        prefix = next((prefix for prefix in self._places.prefixes if item.startswith(prefix)), b"")
        key = item[len(prefix) :]
        if prefix or has_form(key):
            return self._is_key([key] if has_form(key) else [], item, "Sec-WebSocket-Protocol")
        return self._is_key_elsewhere(item, "Sec-WebSocket-Protocol")

    def _is_key_cookie(self, item: bytes) -> bool:
        name, _, content = item.partition(b"=")
        if name in self._places.cookies and content:
            return self._is_key(_WORD.findall(content), item, "a cookie")
        return self._is_key_elsewhere(item, "a cookie")

    def _look_in_query(self, query: bytes) -> bytes:
        return b"&".join([pair for pair in query.split(b"&") if not self._is_key_pair(pair)])

    def _is_key_pair(self, pair: bytes) -> bool:
        raw_name, _, raw_value = pair.partition(b"=")
        name, value = form_decoded(raw_name), form_decoded(raw_value)
        if name.lower() in _PRESIGNED and has_form(value):
            raise InvalidRequest(
                "A presigned URL that was made with an app key shows the key to whoever has the URL, for as long as "
                "the key lives and for every path, so it is refused. Let the client sign in its headers, or hand out a "
                "URL that the API itself signed."
            )
        if value and name in self._places.parameters:
            key = self._without_scope(value)
            return self._is_key([key] if has_form(key) else [], pair, "the query")
        return self._is_key_elsewhere(pair, "the query")

    def _problem(self, every: Mapping[bytes, str]) -> MissingAppKey | InvalidAppKey | InvalidRequest:
        if self._keys:
            places = " and ".join(dict.fromkeys(every.values()))
            return InvalidRequest(f"Several different app keys stand in {places}. Send one.")
        if self._stranger is not None:
            return InvalidAppKey(
                f'What stands in {self._stranger} is no app key: one begins with "tl_live_" or "tl_test_". '
                "Send the app key in place of the API's own."
            )
        basic = " or as user name of Basic" if self._places.basic else ""
        advice = f'Send one as "Authorization: Bearer tl_…"{basic}.'
        if self._elsewhere:
            place = next(iter(self._elsewhere.values()))
            return MissingAppKey(f"An app key stands in {place}, where this API's clients have none. {advice}")
        return MissingAppKey(f"No app key was sent. {advice}")


def _decoded(text: bytes) -> bytes:
    """What ``text`` is in base64, of either alphabet and with or without its padding; empty where it is none."""
    letters = text.rstrip(b"=").translate(_URL_SAFE)
    try:
        return b64decode(letters + b"=" * (-len(letters) % 4), validate=True)
    except Base64Error:
        return b""


def form_decoded(text: bytes) -> bytes:
    """A name or value of a query as servers read it: ``+`` is a space, percent-encodings are undone."""
    return unquote_to_bytes(text.replace(b"+", b" ")) if b"%" in text or b"+" in text else text
