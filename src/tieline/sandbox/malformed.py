"""Answers that break HTTP/1.1 on purpose, byte for byte (RFC 9112), for ``sandbox-malformed-http-<kind>``."""

from collections.abc import Mapping

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
_BODY = b'{"object":"sandbox"}'
_SIZE = b"content-length: 20\r\n"

MESSAGES: Mapping[str, bytes] = {
    "status-line": b"HTP/1.1 abc This is no status line\r\n\r\n",
    "two-lengths": _HEAD + _SIZE + b"content-length: 21\r\n\r\n" + _BODY,
    "odd-length": _HEAD + b"content-length: +20\r\n\r\n" + _BODY,
    "length-and-chunked": _HEAD + _SIZE + b"transfer-encoding: chunked\r\n\r\n14\r\n" + _BODY + b"\r\n0\r\n\r\n",
    "bad-chunk": _HEAD + b"transfer-encoding: chunked\r\n\r\nxyz\r\n" + _BODY + b"\r\n0\r\n\r\n",
    "short-body": _HEAD + b"content-length: 1000\r\n\r\n" + _BODY,
    "long-body": _HEAD + b"content-length: 10\r\n\r\n" + _BODY,
    "two-answers": (_HEAD + _SIZE + b"\r\n" + _BODY) * 2,
    "folded-header": _HEAD + b"x-folded: one\r\n two\r\n" + _SIZE + b"\r\n" + _BODY,
    "bare-newlines": (_HEAD + _SIZE + b"\r\n").replace(b"\r\n", b"\n") + _BODY,
    "nul-header": _HEAD + b"x-nul: a\x00b\r\n" + _SIZE + b"\r\n" + _BODY,
    "spaced-header": _HEAD + b"x-spaced : one\r\n" + _SIZE + b"\r\n" + _BODY,
    "endless-head": _HEAD + b"".join(b"x-%d: %s\r\n" % (i, b"a" * 1000) for i in range(256)) + _SIZE + b"\r\n" + _BODY,
    "nothing": b"",
}
