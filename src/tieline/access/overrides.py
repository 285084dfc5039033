"""Requests that ask the upstream to take another method than the one decided on are refused.

The path and method that were decided on are those that are served; see permissions.md section 2.
"""

from collections.abc import Sequence
from urllib.parse import unquote_to_bytes

from tieline.core.errors import InvalidRequest

OVERRIDE_FIELDS = frozenset({b"x-http-method-override", b"x-http-method", b"x-method-override"})
_LENGTHS = frozenset(map(len, OVERRIDE_FIELDS))
_PARAMETER = b"_method"
# Lower case, and "_" as "-": servers behind CGI-like gateways cannot tell the two apart.
_FOLD = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ_", b"abcdefghijklmnopqrstuvwxyz-")


def check_override(headers: Sequence[tuple[bytes, bytes]], query: bytes) -> None:
    """Refuse a method override in the headers or, as ``_method``, in the query (as sent, without its question mark).

    Raises:
        InvalidRequest: the request holds one.
    """
    for name, _ in headers:
        if len(name) in _LENGTHS and name.translate(_FOLD) in OVERRIDE_FIELDS:
            msg = f'The header "{name.decode("ascii", "replace")}" is not allowed. Send the method itself.'
            raise InvalidRequest(msg)
    if query and any(_name(pair) == _PARAMETER for pair in query.split(b"&")):
        msg = 'The parameter "_method" is not allowed in the query. Send the method itself.'
        raise InvalidRequest(msg)


def _name(pair: bytes) -> bytes:
    name = pair.partition(b"=")[0]
    return (unquote_to_bytes(name) if b"%" in name else name).lower()
