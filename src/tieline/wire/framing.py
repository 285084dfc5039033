"""What a well-formed message is, beyond what the parser checks, for both directions.

llhttp in strict mode refuses bare LF, obs-fold, both ``Transfer-Encoding`` and ``Content-Length``, repeated or odd
``Content-Length``, spaces before a colon and control characters (RFC 9112). What it lets pass is refused here.
It owns rules about messages; it does not read or write sockets.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

from tieline.core.errors import HeadersTooLarge, InvalidRequest, MethodNotAllowed, UpstreamProtocolError, UriTooLong
from tieline.core.urls import NAME_MOST, host_field

Headers = Sequence[tuple[bytes, bytes]]

IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"})
"""Methods whose requests may arrive twice (RFC 9110 section 9.2.2)."""
WITH_BODY = frozenset({b"POST", b"PUT", b"PATCH"})
"""Methods that are sent with a length, be it 0 (RFC 9110 section 8.6)."""

HEAD_BYTES = 32 * 1024
HEAD_FIELDS = 100
TARGET_BYTES = 8 * 1024
ANSWER_HEAD_BYTES = 64 * 1024
ANSWER_FIELDS = 200
INTERIM_MOST = 16

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Fields that concern one connection only (RFC 9110 section 7.6.1)."""

ENGINE_OWNED = HOP_BY_HOP | {b"content-length", b"host", b"expect"}
"""Fields that only the engine writes: neither callers nor definitions nor schemes set them."""

_REFUSED_METHODS = frozenset({b"CONNECT", b"TRACE"})
_VERSIONS = frozenset({"1.0", "1.1"})
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_TARGET = re.compile(rb"[\x21-\x7e]+")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_UNDERSCORE_TWINS = frozenset(
    {
        b"content-length",
        b"transfer-encoding",
        b"host",
        b"authorization",
        b"connection",
        b"x-forwarded-for",
        b"x-api-key",
        b"api-key",
    }
)

_AUTHORITY_MOST = NAME_MOST + len(".:65535")

_UNDERSCORE, _HASH = b"_#"  # numbers, which are found in bytes several times as fast as bytes are
_PLAIN_CONNECTIONS = frozenset({b"", b"close", b"keep-alive", b"upgrade"})
_NO_NAMES: frozenset[bytes] = frozenset()


def is_name(name: bytes) -> bool:
    """Whether ``name`` is a field name (a token, RFC 9110 section 5.6.2)."""
    return _TOKEN.fullmatch(name) is not None


def is_value(value: bytes) -> bool:
    """Whether ``value`` is a field value that cannot end its line (RFC 9110 section 5.5)."""
    return _VALUE.fullmatch(value) is not None


def are_fields(headers: Headers) -> bool:
    """Whether every name is one, and every value can stand in its line."""
    token, text = _TOKEN.fullmatch, _VALUE.fullmatch
    return all(token(name) is not None and text(value) is not None for name, value in headers)


def is_target(target: bytes) -> bool:
    """Whether ``target`` can stand in a request line: visible ASCII only (RFC 9112 section 3)."""
    return _TARGET.fullmatch(target) is not None


def is_authority(text: bytes) -> bool:
    """Whether ``text`` is a host name or address as ``Host`` has it, with a port if need be (``core.urls``)."""
    return len(text) <= _AUTHORITY_MOST and _is_host_field(text)


@lru_cache(maxsize=1024)
def _is_host_field(text: bytes) -> bool:
    """A cache: those who reach this server write its few names over and over."""
    try:
        host_field(text.decode("ascii"))
    except ValueError:
        return False
    return True


def is_engine_owned(lower: bytes) -> bool:
    """Whether only the engine may write the field with this lower-case name."""
    return lower in ENGINE_OWNED or lower.startswith(b"proxy-")


def has_line(raw: bytes, target: bytes) -> bool:
    """Whether ``raw`` holds, after other messages or empty lines, a request line for ``target`` with single spaces.

    llhttp takes any number of spaces around the target, and does not say where in ``raw`` its message began.
    """
    if b"  %b HTTP/1." % target in raw or b" %b  " % target in raw:
        return False
    return b" %b HTTP/1." % target in raw


def size(headers: Headers) -> int:
    """How many bytes ``headers`` take in a head."""
    return sum([len(name) + len(value) + 4 for name, value in headers])


def answer_head_too_large() -> UpstreamProtocolError:
    """What an answer with a head of more than 64 KiB ends in."""
    return UpstreamProtocolError(f"The head of the upstream's answer is larger than {ANSWER_HEAD_BYTES} bytes.")


def uri_too_long() -> UriTooLong:
    """What a target of more than 8 KiB is refused with."""
    return UriTooLong(f"The request target is longer than {TARGET_BYTES} bytes. Shorten the path or query.")


class Framed(Protocol):
    """What a request's head says about its body and its connection.

    ``target`` is path and query; ``authority`` the host, with its port if any, that the request was sent to, empty
    where it does not say. ``length`` is the body's size in bytes, None where it is chunked; ``sized`` says that a field
    gave it; ``protocol`` is the lower-case protocol that it asks to upgrade to; ``connection_field`` the lower-case
    ``Connection`` value; ``noted`` holds, by lower-case name, the fields that the listener was told to look out for;
    ``headers`` are those that do not frame.
    """

    target: bytes
    authority: bytes
    headers: list[tuple[bytes, bytes]]
    length: int | None
    sized: bool
    chunked: bool
    expects: bool
    protocol: bytes
    connection_field: bytes
    noted: dict[bytes, bytes]


_FRAMING_FIELDS = frozenset({b"content-length", b"transfer-encoding", b"expect", b"upgrade", b"connection"})
_ABSOLUTE = re.compile(rb"(?P<scheme>[Hh][Tt][Tt][Pp][Ss]?)://(?P<authority>[^/?]*)(?P<rest>.*)")


def read_request(framed: Framed, method: bytes, version: str, headers: Headers, notable: frozenset[bytes]) -> None:
    """Check a request's head and note in ``framed`` how its body is framed, and the ``notable`` fields.

    A target in absolute form becomes path and query, and its host is the request's (RFC 9112 section 3.2.2).

    Raises:
        InvalidRequest: the message is ambiguous or malformed (RFC 9112); the connection must be closed.
        MethodNotAllowed: CONNECT or TRACE.
        HeadersTooLarge: more than 100 fields.
    """
    _check_line(method, framed.target, version)
    if len(headers) > HEAD_FIELDS:
        raise HeadersTooLarge(f"The request has more than {HEAD_FIELDS} header fields. Send fewer.")
    hosts: list[bytes] = []
    kept = framed.headers
    for pair in headers:
        lower = pair[0].lower()
        if lower == b"host":
            hosts.append(pair[1])
        elif lower in _FRAMING_FIELDS:
            _note(framed, lower, pair[1])
        else:
            kept.append(pair)
            if lower in notable:
                _note_control(framed, lower, pair[1])
            elif _UNDERSCORE in lower:
                _check_twin(lower, notable)
    _take_host(framed, hosts, version)
    if framed.target[:1] != b"/":
        _take_target(framed, method)
    if version == "1.0":
        framed.expects = False  # RFC 9110 section 10.1.1
        if framed.chunked:
            raise InvalidRequest("An HTTP/1.0 request cannot be chunked. Send a Content-Length.")


def _check_line(method: bytes, target: bytes, version: str) -> None:
    if version not in _VERSIONS:
        raise InvalidRequest("Only HTTP/1.0 and HTTP/1.1 are spoken here.")
    if method in _REFUSED_METHODS:
        raise MethodNotAllowed(f"{method.decode()} is never relayed. Use another method.")
    if _HASH in target:
        raise InvalidRequest("The request target holds a '#'. Send it without its fragment, or write %23.")


def _take_host(framed: Framed, hosts: list[bytes], version: str) -> None:
    if len(hosts) != 1 and (hosts or version != "1.0"):
        raise InvalidRequest("The request must have exactly one Host header field (RFC 9112, section 3.2).")
    host = hosts[0].rstrip() if hosts else b""
    if host and not is_authority(host):
        raise InvalidRequest("The Host header field is no host name or address, with a port if need be. Send one.")
    framed.authority = host


def _take_target(framed: Framed, method: bytes) -> None:
    """Read a target that is no path: a whole URL, or the asterisk of OPTIONS."""
    target = framed.target
    if target == b"*" and method == b"OPTIONS":
        return
    found = _ABSOLUTE.fullmatch(target)
    if found is None or not is_authority(found["authority"]):
        raise InvalidRequest("The request target must begin with '/', or be an http or https URL without user name.")
    framed.authority = found["authority"]
    rest = found["rest"]
    if rest[:1] != b"/":
        rest = b"*" if method == b"OPTIONS" and not rest else b"/" + rest
    framed.target = rest


def _check_twin(lower: bytes, notable: frozenset[bytes]) -> None:
    """Refuse a name that some servers take for another one, which was checked."""
    twin = lower.replace(b"_", b"-")
    if twin in _UNDERSCORE_TWINS or twin in notable or twin.startswith(b"tieline-"):
        raise twin_refused(lower)


def twin_refused(lower: bytes) -> InvalidRequest:
    """What a header field is refused with that differs from a checked one in ``_`` and ``-`` only."""
    shown = lower.decode("ascii", "replace")
    return InvalidRequest(f"The header field {shown!r} imitates another one. Write it with '-' or leave it out.")


def _note_control(framed: Framed, lower: bytes, value: bytes) -> None:
    """Note a field that the door looks for. Twice would mean that it can be read in two ways."""
    if lower in framed.noted:
        raise InvalidRequest(f"The header field {lower.decode('ascii')!r} stands in the request twice. Send it once.")
    framed.noted = {**framed.noted, lower: value}


def may_trail(lower: bytes, notable: frozenset[bytes]) -> bool:
    """Whether the field with this lower-case name may follow a body (RFC 9110 section 6.5.1).

    None may that is looked for before the body came.
    """
    name = lower.replace(b"_", b"-")
    return name not in notable and name not in _UNDERSCORE_TWINS and not name.startswith(b"tieline-")


def _note(framed: Framed, lower: bytes, value: bytes) -> None:
    value = value.lower().rstrip()  # llhttp leaves the space that may follow a value
    if lower == b"content-length":
        framed.length = int(value)
        framed.sized = True
    elif lower == b"transfer-encoding":
        if value != b"chunked":
            raise InvalidRequest("The only Transfer-Encoding taken is 'chunked'.")
        framed.chunked = True
        framed.length = None
    elif lower == b"expect":
        if value != b"100-continue":
            raise InvalidRequest("The only Expect taken is '100-continue'.")
        framed.expects = True
    elif lower == b"upgrade":
        framed.protocol = value
    else:
        framed.connection_field = _joined(framed.connection_field, value)


def _joined(before: bytes, value: bytes) -> bytes:
    return before + b"," + value if before else value


class FramedAnswer(Protocol):
    """How an answer's body is delimited: by ``length``, by chunks, or by the end of the connection (both unset)."""

    length: int | None
    chunked: bool
    connection: bytes


_ANSWER_NOTED = frozenset({b"content-length", b"transfer-encoding", b"connection"})
_NAMES_MOST = 1024
_NAME_MOST = 128


class _NotedNames(dict[bytes, bytes]):
    """The lower-case name of a field that says something of an answer's framing, empty for others; by name as written.

    A cache: an upstream writes the same names over and over. At most 1,024 names of at most 128 bytes are kept.
    """

    def __missing__(self, name: bytes) -> bytes:
        lower = name.lower()
        noted = lower if lower in _ANSWER_NOTED else b""
        if len(self) < _NAMES_MOST and len(name) <= _NAME_MOST:
            self[name] = noted
        return noted


_noted_names = _NotedNames()
_FRAMES_BODY = frozenset({b"content-length", b"transfer-encoding"})


def read_answer(framed: FramedAnswer, version: str, headers: Headers) -> None:
    """Check an upstream's head and note in ``framed`` how its body is framed.

    Raises:
        UpstreamProtocolError: the answer is ambiguous; the connection must be closed and nothing of it passed on.
    """
    if len(headers) > ANSWER_FIELDS:
        raise UpstreamProtocolError(f"The upstream answered with more than {ANSWER_FIELDS} header fields.")
    for name, value in headers:
        lower = _noted_names[name]
        if not lower:
            continue
        if lower == b"content-length":
            framed.length = int(value)
        elif lower == b"transfer-encoding":
            if value.lower().rstrip() != b"chunked":
                raise UpstreamProtocolError("The upstream answered with a Transfer-Encoding other than 'chunked'.")
            framed.chunked = True
        else:
            framed.connection = _joined(framed.connection, value.lower())
    if version not in _VERSIONS:
        raise UpstreamProtocolError("The upstream did not answer in HTTP/1.0 or HTTP/1.1.")
    if framed.chunked and version != "1.1":
        raise UpstreamProtocolError("The upstream sent a chunked HTTP/1.0 answer.")


def switches(headers: Headers) -> bool:
    """Whether a 101 answer with these fields goes over to WebSocket, the one protocol that is asked for."""
    return [value.lower().rstrip() for name, value in headers if name.lower() == b"upgrade"] == [b"websocket"]


def read_interim(status: int, headers: Headers) -> None:
    """Check the head of a 1xx answer, which has no body (RFC 9110 section 15.2).

    Raises:
        UpstreamProtocolError: it says that it has one, or is no answer at all.
    """
    if status < 100:
        raise UpstreamProtocolError("The upstream answered with a status below 100.")
    if any(name.lower() in _FRAMES_BODY for name, _ in headers):
        raise UpstreamProtocolError("The upstream sent an interim answer with a body.")


def named_by_connection(connection: bytes) -> frozenset[bytes]:
    """The lower-case field names that a ``Connection`` value lists."""
    if connection in _PLAIN_CONNECTIONS:
        return _NO_NAMES
    return frozenset(item.strip() for item in connection.split(b",")) - _PLAIN_CONNECTIONS


def chunk(data: bytes) -> bytes:
    """``data`` (not empty) as one chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def last_chunk(trailers: Headers) -> bytes:
    """What ends a chunked body, with its trailer fields."""
    if not trailers:
        return b"0\r\n\r\n"
    lines = b"".join([b"%b: %b\r\n" % (name, value) for name, value in trailers])
    return b"0\r\n%b\r\n" % lines
