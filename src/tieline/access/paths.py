"""The path as it is decided on and as it is sent: one normal form, and every way an upstream may read it.

Follows RFC 3986 sections 5.2.4 and 6.2.2, and refuses rather than repairs whatever two servers could read differently.
Knows nothing of areas or keys. The path comes without its query.
"""

import re
from urllib.parse import unquote_to_bytes

from tieline.core.errors import InvalidRequest

# A path in normal form without anything a second look is needed for: no "%", no ";", no segment that begins with a dot.
_PLAIN = re.compile(rb"/?|(?:/[!$&-\-0-:=@A-Z_a-z~][!$&-.0-:=@A-Z_a-z~]*+)++/?")

_FORBIDDEN = re.compile(rb"[\x00-\x20\x7f-\xff\\?#]")
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
# Encoded control characters and backslash, and the overlong UTF-8 forms that careless decoders take for ASCII.
_HIDDEN = re.compile(rb"%(?:[01][0-9A-F]|7F|5C|C[01]%[89AB][0-9A-F]|E0%[89][0-9A-F]|F0%8[0-9A-F])", re.IGNORECASE)
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_SEPARATOR = re.compile(rb"[/\\]")
# What a path segment may hold unencoded, and the slash: the escapes that some servers undo before they route.
_ROUTED_ESCAPE = re.compile(rb"%(?:2[146-9A-CF]|3[ABD]|40)")
_PARAMETERS = re.compile(rb";[^/]*")

_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_ROUNDS = 3  # how often a hidden dot segment may be encoded and is still found


def normalise(target_path: bytes) -> bytes:
    """``target_path`` in its one normal form; the same object when it is in it already.

    Percent-encoded unreserved characters are decoded, other escapes get capital hex digits, dot segments are removed,
    runs of slashes become one. A trailing slash stays. The empty path stays empty.

    Raises:
        InvalidRequest: the path does not begin with a slash, holds a control character, space, byte above 0x7e,
            backslash, ``?`` or ``#``, a broken percent-encoding, an encoded control character or backslash, a dot
            segment hidden behind an encoded slash, path parameters or repeated encoding, or climbs above the root.
    """
    if _PLAIN.fullmatch(target_path) is not None:
        return target_path
    _refuse_forbidden(target_path)
    decoded = _ESCAPE.sub(_normal_escape, target_path)
    segments = _without_dots(decoded.split(b"/")[1:])
    path = b"/" + b"/".join(segments)
    return target_path if path == target_path else path


def readings(path: bytes) -> tuple[bytes, ...]:
    """Every way an upstream may read the normalised ``path``, the path itself first; each must be allowed.

    Some servers undo ``%2F`` and the escapes of other path characters before they route, some drop ``;parameters`` from
    each segment, some do both. Most paths have one reading.
    """
    if b"%" not in path and b";" not in path:
        return (path,)
    decoded = _ROUTED_ESCAPE.sub(_decoded_escape, path)
    ways = dict.fromkeys((path, decoded, _PARAMETERS.sub(b"", path), _PARAMETERS.sub(b"", decoded)))
    return tuple(dict.fromkeys(normalise(way) for way in ways))


def _refuse_forbidden(path: bytes) -> None:
    if not path.startswith(b"/"):
        msg = "The path must begin with a slash. Send the path of the API after /relay/{api}."
        raise InvalidRequest(msg)
    if _FORBIDDEN.search(path) is not None:
        msg = "The path holds a character that must be encoded: a space, control or non-ASCII character, \\, ? or #."
        raise InvalidRequest(msg)
    if _BAD_ESCAPE.search(path) is not None:
        msg = 'The path holds a "%" that no two hex digits follow. Write a literal percent sign as %25.'
        raise InvalidRequest(msg)
    if _HIDDEN.search(path) is not None:
        msg = "The path holds an encoded control character, backslash or overlong sequence. Leave it out."
        raise InvalidRequest(msg)


def _normal_escape(match: re.Match[bytes]) -> bytes:
    byte = int(match[1], 16)
    return bytes((byte,)) if byte in _UNRESERVED else match[0].upper()


def _decoded_escape(match: re.Match[bytes]) -> bytes:
    return bytes((int(match[0][1:], 16),))


def _without_dots(segments: list[bytes]) -> list[bytes]:
    """``segments`` without dot segments and empty ones; an empty last one stands for a trailing slash."""
    kept: list[bytes] = []
    for segment in segments:
        if segment == b"..":
            if not kept:
                msg = 'The path climbs above its root with "..". Send the path without dot segments.'
                raise InvalidRequest(msg)
            kept.pop()
        elif segment not in (b"", b"."):
            if b"%" in segment or b";" in segment:
                _refuse_hidden_dots(segment)
            kept.append(segment)
    if kept and segments[-1] in (b"", b".", b".."):
        kept.append(b"")
    return kept


def _refuse_hidden_dots(segment: bytes) -> None:
    for _ in range(_ROUNDS):
        segment = unquote_to_bytes(segment)
    for piece in _SEPARATOR.split(segment):
        if piece.split(b";", 1)[0] in (b".", b".."):
            msg = 'The path hides a dot segment behind an encoding or ";". Send the path without dot segments.'
            raise InvalidRequest(msg)
