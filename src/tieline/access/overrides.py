"""Requests that ask the upstream to take another method or path than the one decided on are refused.

The path and method that were decided on are those that are served; see permissions.md section 2. Looks at header fields
and the query; bodies are not read for it.
"""

from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

from tieline.core.errors import InvalidRequest

_METHOD_FIELDS = frozenset({b"x-http-method-override", b"x-http-method", b"x-method-override"})
_PATH_FIELDS = frozenset(
    {b"x-original-url", b"x-original-uri", b"x-rewrite-url", b"x-override-url", b"x-http-path-override"}
)
# What proxies tell of the request that they had themselves; some servers take it for the request.
_TOLD_FIELDS = frozenset(
    {
        b"x-forwarded-uri",
        b"x-forwarded-path",
        b"x-original-path",
        b"x-forwarded-method",
        b"x-original-method",
        b"x-method",
    }
)
_RESTRICTED_FIELDS = _PATH_FIELDS | _TOLD_FIELDS
OVERRIDE_FIELDS = _METHOD_FIELDS | _RESTRICTED_FIELDS
_PARAMETER = b"_method"
# Lower case, and "_" as "-": servers behind CGI-like gateways cannot tell the two apart.
_FOLD = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ_", b"abcdefghijklmnopqrstuvwxyz-")
# What PHP makes an underscore of in the name of a parameter.
_UNDERSCORED = bytes.maketrans(b". [", b"___")


def check_override(headers: Iterable[tuple[bytes, bytes]], query: bytes) -> None:
    """Refuse a method override in the headers or, as ``_method``, in the query (as sent, without its question mark).

    Raises:
        InvalidRequest: the request holds one.
    """
    _refuse(headers, _METHOD_FIELDS, "the method itself")
    if query and any(_overrides(pair) for pair in query.replace(b";", b"&").split(b"&")):
        msg = 'The parameter "_method" is not allowed in the query. Send the method itself.'
        raise InvalidRequest(msg)


def check_path_override(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Refuse headers that ask for another path, or tell of another path or method: for keys that may not do everything.

    A key that may do everything gains nothing by them, and some proxies set them.

    Raises:
        InvalidRequest: the request holds one.
    """
    _refuse(headers, _RESTRICTED_FIELDS, "the method and path themselves, or use an unrestricted key")


def _refuse(headers: Iterable[tuple[bytes, bytes]], names: frozenset[bytes], advice: str) -> None:
    for name, _ in headers:
        if name.translate(_FOLD) in names:
            msg = f'The header "{name.decode("ascii", "replace")}" is not allowed. Send {advice}.'
            raise InvalidRequest(msg)


def _overrides(pair: bytes) -> bool:
    """Whether some server takes the name of ``pair`` for ``_method``, alone or with an index (``_method[]``)."""
    name = pair.partition(b"=")[0]
    if b"method" not in (lower := name.lower()) and b"%" not in lower:
        return False
    plain = unquote_to_bytes(lower.replace(b"+", b" ")).lower().lstrip(b" ")
    return plain[:1].translate(_UNDERSCORED) + plain[1:].partition(b"[")[0] == _PARAMETER
