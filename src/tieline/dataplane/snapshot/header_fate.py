"""What becomes of header fields that come by: which go on, which are the engine's or the operator's to write.

A field is REFUSED whose name differs in ``_`` and ``-`` only from one that is the definition's own: CGI-like gateways
take the two for one (``X_Account`` for ``X-Account``), so the caller's could take the place of the operator's.
"""

from tieline.wire import framing

DROPPED, PASSED, CONTENT_TYPE, CONTENT_ENCODING, ADDRESS, REFUSED, RATE = range(7)
_NOTED = {
    b"content-type": CONTENT_TYPE,
    b"content-encoding": CONTENT_ENCODING,
    b"location": ADDRESS,
    b"content-location": ADDRESS,
    b"link": ADDRESS,
}
_RATES = b"x-ratelimit-"
_NAMES_MOST = 1024
_NAME_MOST = 128


class HeaderFate(dict[bytes, int]):
    """What becomes of a header field in one direction, by its name as written: a cache of the verdicts by name.

    A verdict is worked out when a name is first looked up. At most 1,024 names of at most 128 bytes are kept; further
    ones are worked out each time, since callers choose them.
    """

    def __init__(
        self,
        dropped: frozenset[bytes],
        *,
        own: frozenset[bytes] = frozenset(),
        addresses: frozenset[bytes] = frozenset(),
    ) -> None:
        """All names in lower case: ``own`` are those whose twins are refused, ``addresses`` hold URLs of the API."""
        super().__init__()
        self._dropped = dropped
        self._own = own
        self._folded = frozenset(_folded(name) for name in own)
        self._addresses = addresses

    def __missing__(self, name: bytes) -> int:
        lower = name.lower()
        if lower in self._dropped or lower.startswith(b"tieline-") or framing.is_engine_owned(lower):
            fate = DROPPED
        elif lower not in self._own and _folded(lower) in self._folded:
            fate = REFUSED
        elif lower in self._addresses:
            fate = ADDRESS
        else:
            fate = _NOTED.get(lower, RATE if lower.startswith(_RATES) else PASSED)
        if len(self) < _NAMES_MOST and len(name) < _NAME_MOST:
            self[name] = fate
        return fate


def _folded(name: bytes) -> bytes:
    """``name`` as servers behind CGI-like gateways see it."""
    return name.replace(b"_", b"-")
