"""Which paths may be sent, as they came, and every way in which an upstream may read them.

Nothing here changes a path that is sent: it is sent byte for byte or refused. The readings are what is decided on
(``decide``). Follows RFC 3986 sections 3.3 and 6.2.2. Knows nothing of areas or keys. The path comes without its query.
"""

import re
from urllib.parse import unquote_to_bytes

from tieline.core.errors import InvalidRequest

# A path that needs no second look: no "%", no ";", no empty segment, no segment that begins with a dot.
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
_SLASHES = re.compile(rb"//+")
_SEVERAL = re.compile(rb"[%;]|//")
# A target that begins with two slashes is read as a host and a path by parsers that take it for a URL.
_NETWORK_PATH = re.compile(rb"//[^/]*")

_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_ROUNDS = 4  # how often a hidden dot segment may be encoded and is still found
_DOTS = (b".", b"..")


def check(path: bytes, *, literal: bool = False) -> None:
    """Refuse a path that must not be sent. The empty path may be, and empty segments are part of a path.

    ``literal`` is for an API that takes every segment for itself, as object stores do (``paths: literal`` of a
    definition): then dot segments and encoded characters of every kind pass.

    Raises:
        InvalidRequest: the path does not begin with a slash, holds a control character, space, byte above 0x7e,
            backslash, ``?`` or ``#``, or a broken percent-encoding; unless ``literal``, also an encoded control
            character or backslash, or a dot segment, in the open or behind encodings, ``;`` or an encoded slash.
    """
    if not path or _PLAIN.fullmatch(path) is not None:
        return
    if not path.startswith(b"/"):
        msg = "The path must begin with a slash. Send the path of the API after /relay/{api}."
        raise InvalidRequest(msg)
    if _FORBIDDEN.search(path) is not None:
        msg = "The path holds a character that must be encoded: a space, control or non-ASCII character, \\, ? or #."
        raise InvalidRequest(msg)
    if _BAD_ESCAPE.search(path) is not None:
        msg = 'The path holds a "%" that no two hex digits follow. Write a literal percent sign as %25.'
        raise InvalidRequest(msg)
    if not literal:
        _check_ordinary(path)


def normal(path: bytes) -> bytes:
    """``path`` as RFC 3986 section 6.2.2 writes it: unreserved characters unencoded, other escapes in capital digits.

    Runs of slashes become one; dot segments stay (``check`` refuses them). The same object where nothing changes.
    """
    if _SEVERAL.search(path) is None:
        return path
    written = _SLASHES.sub(b"/", _ESCAPE.sub(_normal_escape, path))
    return path if written == path else written


def readings(path: bytes) -> tuple[bytes, ...]:
    """Every way an upstream may read ``path``, which ``check`` let pass; the path itself first. Each must be allowed.

    Some servers compare the path as it came, some undo escapes of unreserved characters, some those of ``/`` and other
    path characters too before they route; some drop ``;parameters`` from each segment; some merge slashes; some take
    what follows two slashes at the beginning for a host; some do several of these. Most paths have one reading.
    """
    if _SEVERAL.search(path) is None:
        return (path,)
    written = _ESCAPE.sub(_normal_escape, path)
    ways = [path, written, _ROUTED_ESCAPE.sub(_decoded_escape, written)]
    ways += [_PARAMETERS.sub(b"", way) for way in ways]
    ways += [_NETWORK_PATH.sub(b"", way, count=1) or b"/" for way in ways if way.startswith(b"//")]
    ways += [_SLASHES.sub(b"/", way) for way in ways]
    return tuple(dict.fromkeys(ways))


def _check_ordinary(path: bytes) -> None:
    if _HIDDEN.search(path) is not None:
        msg = "The path holds an encoded control character, backslash or overlong sequence. Leave it out."
        raise InvalidRequest(msg)
    if _holds_dots(path):
        msg = (
            'The path holds a dot segment ("." or ".."), perhaps behind an encoding or ";", which servers resolve '
            "differently. Send the path without it, or let an operator say `paths: literal` in the definition."
        )
        raise InvalidRequest(msg)


def _holds_dots(path: bytes) -> bool:
    """Whether any server could take a part of ``path`` for a dot segment."""
    for _ in range(_ROUNDS):
        path = unquote_to_bytes(path)
    return any(segment.split(b";", 1)[0] in _DOTS for segment in _SEPARATOR.split(path))


def _normal_escape(match: re.Match[bytes]) -> bytes:
    byte = int(match[1], 16)
    return bytes((byte,)) if byte in _UNRESERVED else match[0].upper()


def _decoded_escape(match: re.Match[bytes]) -> bytes:
    return bytes((int(match[0][1:], 16),))
