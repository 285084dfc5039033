"""What becomes of header fields that come by: which go on, which are the engine's or the operator's to write."""

from tieline.wire import framing

DROPPED, PASSED, CONTENT_TYPE, CONTENT_ENCODING = range(4)
_NOTED = {b"content-type": CONTENT_TYPE, b"content-encoding": CONTENT_ENCODING}
_NAMES_MOST = 1024
_NAME_MOST = 128


class HeaderFate(dict[bytes, int]):
    """What becomes of a header field in one direction, by its name as written: a cache of the verdicts by name.

    A verdict is worked out when a name is first looked up. At most 1,024 names of at most 128 bytes are kept; further
    ones are worked out each time, since callers choose them.
    """

    def __init__(self, dropped: frozenset[bytes]) -> None:
        super().__init__()
        self._dropped = dropped

    def __missing__(self, name: bytes) -> int:
        lower = name.lower()
        if lower in self._dropped or lower.startswith(b"tieline-") or framing.is_engine_owned(lower):
            fate = DROPPED
        else:
            fate = _NOTED.get(lower, PASSED)
        if len(self) < _NAMES_MOST and len(name) < _NAME_MOST:
            self[name] = fate
        return fate
