"""The type every secret lives in: bytes that cannot be printed, serialised or copied out by accident."""

import hmac
from typing import NoReturn, Self


class Secret:
    """Secret bytes.

    ``repr``, ``str`` and ``format`` show a mask; JSON, pickle and copy refuse. ``reveal_bytes`` is the only way out, so
    that a reader finds every use of plaintext by searching for ``reveal``.
    """

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = value

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Hold ``text`` as UTF-8."""
        return cls(text.encode())

    def reveal_bytes(self) -> bytes:
        """The plaintext. Use it at once, never store, log or return it."""
        return self._value

    def __len__(self) -> int:
        return len(self._value)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value, other._value)

    __hash__ = None  # type: ignore[assignment]  # a secret is no dictionary key

    def __repr__(self) -> str:
        return "Secret(…)"

    def __str__(self) -> str:
        return "…"

    def __format__(self, _spec: str) -> str:
        return "…"

    def __reduce__(self) -> NoReturn:
        msg = "a Secret is not serialised"
        raise TypeError(msg)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: dict[int, object]) -> Self:
        return self


def redact(value: str) -> str:
    """How a secret may be shown: enough of its ends to recognise it, never enough to use it.

    At most a prefix that ends in ``-`` or ``_`` (``sk-``, ``tl_live_``) and the last four characters, and those only of
    values of 16 characters or more; anything shorter is shown as ``…`` alone.
    """
    if len(value) < 16 or not value.isprintable():
        return "…"
    head = value[:8]
    cut = max(head.rfind("-"), head.rfind("_")) + 1
    return f"{head[:cut]}…{value[-4:]}"
