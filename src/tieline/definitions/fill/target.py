"""A call's path or URL: a value fills one segment, one host label or one port, and cannot reach beyond it.

Query pairs are in ``pairs``.
"""

import re
from urllib.parse import quote

from tieline.access.paths import check
from tieline.core.errors import InvalidParameter, InvalidRequest, UriTooLong
from tieline.definitions.fill.scope import SlotScope, ValueForms, joined, slots_of, whole
from tieline.definitions.fill.values import invalid

TARGET_MOST = 64 * 1024
_NOT_RAW = re.compile(r"[\x00-\x20\x7f\\?#]")
_RAW_SAFE = "!$&'()*+,;=:@/-._~[]|{}%"
_NOT_IN_PATH = re.compile(r"[\x00-\x1f\x7f\\]")
_DOTS = re.compile(r"/(?:\.|%2e){1,2}(?:;[^/]*)?(?=/|$)", re.IGNORECASE)
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_HOST = re.compile(rf"{_LABEL.pattern}(?:\.{_LABEL.pattern})*")
_HOST_MOST = 253


class PathTemplate:
    """A compiled path, without query; ``static`` is the path itself where no value goes into it."""

    __slots__ = ("_names", "_pieces", "_raw", "static")

    def __init__(self, text: str, scope: SlotScope) -> None:
        self._pieces = scope.split(text)
        scope.refuse_optional(self._pieces, "path")
        self._names = slots_of(self._pieces)
        self._raw = frozenset(name for name in self._names if name in scope.rules and scope.rules[name].raw)
        self.static = "".join(piece for piece in self._pieces if isinstance(piece, str)) if not self._names else None

    def render(self, run: ValueForms) -> str:
        """The path as it is sent: each value percent-encoded as one segment, raw ones as they are.

        Raises InvalidParameter for a value that would climb, empty its segment, or that servers could read in two ways.
        """
        if self.static is not None:
            return self.static
        found = {name: self._value(name, run) for name in self._names}
        parts = [piece if isinstance(piece, str) else found[piece.name] for piece in self._pieces]
        path = joined("", parts, TARGET_MOST, uri_too_long)
        self._refuse_empty(path, run)
        if _DOTS.search(path) is not None:
            raise self._refusal()
        try:
            check(path.encode("ascii"))
        except InvalidRequest:
            raise self._refusal() from None
        return path

    def _value(self, name: str, run: ValueForms) -> str:
        text = run.text(name)
        if len(text) > TARGET_MOST:
            raise uri_too_long()
        if name in self._raw:
            if _NOT_RAW.search(text) is not None:
                raise invalid(
                    name, "goes into a path as it is and holds a blank, backslash, ? or #; encode or remove it"
                )
            return quote(text, safe=_RAW_SAFE)
        if _NOT_IN_PATH.search(text) is not None:
            raise invalid(name, "goes into a path and holds a control character or backslash; remove it")
        return quote(text, safe="")

    def _refuse_empty(self, path: str, run: ValueForms) -> None:
        last = self._pieces[-1]
        ends = path.endswith("/") and not (isinstance(last, str) and last.endswith("/"))
        raw_end = not isinstance(last, str) and last.name in self._raw and run.text(last.name).endswith("/")
        if "//" in path or (ends and not raw_end):
            blank = next((name for name in self._names if not run.text(name)), self._names[0])
            raise invalid(blank, "is blank and would leave a segment of the path empty; give a value")

    def _refusal(self) -> InvalidParameter:
        names = " or ".join(self._names)
        message = (
            f"The value of {names} would change the path's shape; give one without dot segments and odd encodings."
        )
        return InvalidParameter(message, param=self._names[0])


class UrlTemplate:
    """A compiled URL in full, without query: scheme, host and path."""

    __slots__ = ("_fits", "_host", "_path", "_port", "_scheme")

    def __init__(self, text: str, scope: SlotScope) -> None:
        scheme, _, rest = text.partition("://")
        authority, slash, path = rest.partition("/")
        self._scheme = f"{scheme.lower()}://"
        self._path = PathTemplate(slash + path or "/", scope)
        host, colon, port = authority.rpartition(":")
        if not port.isdigit():
            host, colon, port = authority, "", ""
        self._port = colon + port
        self._host = scope.split(host)
        self._fits = _HOST if whole(self._host) is not None else _LABEL
        scope.refuse_optional(self._host, "host")

    def render(self, run: ValueForms) -> str:
        """The URL as it is sent. Whether the host may be reached is for the credential's hosts and the guard to say."""
        parts = []
        for piece in self._host:
            if isinstance(piece, str):
                parts.append(piece)
                continue
            text = run.text(piece.name)
            if len(text) > _HOST_MOST or self._fits.fullmatch(text) is None:
                raise invalid(piece.name, "goes into a host, which has letters, digits and hyphens; give such a name")
            parts.append(text)
        return f"{self._scheme}{''.join(parts).lower()}{self._port}{self._path.render(run)}"


def uri_too_long() -> UriTooLong:
    """What a path or query of more than 64 KiB is refused with."""
    return UriTooLong(
        f"The URL that this call makes of its parameters is longer than {TARGET_MOST // 1024} KiB. Give less."
    )
