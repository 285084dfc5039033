"""Hides a secret that an upstream sends back: an echo service, a debugging page, a careless error text.

Each byte of the secret becomes ``*``, so that lengths stay true. It sees plain bytes only: a secret that comes back
compressed or encoded is not found, which is why a credential is bound to hosts that may know it anyway.
"""

from collections.abc import Sequence

_STEM = 4


def mask(data: bytes, secrets: Sequence[bytes]) -> bytes:
    """``data`` with every occurrence of ``secrets`` (of at least 12 bytes each) hidden."""
    for secret in secrets:
        if data.find(secret) >= 0:  # ``in`` asks first whether the secret is a number, and takes three times as long
            data = data.replace(secret, b"*" * len(secret))
    return data


class StreamMask:
    """Masks a body that comes in pieces. Holds back the end of a piece only where a secret may begin in it."""

    __slots__ = ("_held", "_secrets")

    def __init__(self, secrets: Sequence[bytes]) -> None:
        self._secrets = secrets
        self._held = b""

    def feed(self, data: bytes, *, last: bool) -> bytes:
        """What can be passed on of the body so far; everything once it is the ``last`` piece."""
        if self._held:
            data = self._held + data
            self._held = b""
        data = mask(data, self._secrets)
        if last or not data:
            return data
        end = data[-1]  # mostly a line feed, which few secrets hold
        keep = 0
        for secret in self._secrets:
            if end in secret:
                keep = max(keep, _begun(data, secret))
        if keep:
            self._held = data[-keep:]
            return data[:-keep]
        return data


def _begun(data: bytes, secret: bytes) -> int:
    """How many bytes at the end of ``data`` may be the beginning of ``secret``."""
    for short in range(1, _STEM):
        if data.endswith(secret[:short]):
            return _longest(data, secret)
    return _longest(data, secret) if secret[:_STEM] in data[-len(secret) :] else 0


def _longest(data: bytes, secret: bytes) -> int:
    for length in range(min(len(secret) - 1, len(data)), 0, -1):
        if data.endswith(secret[:length]):
            return length
    return 0
