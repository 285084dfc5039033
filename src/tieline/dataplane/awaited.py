"""What the end of an answer waits for where an API says ``audit: strict``: that the record of its request is stored.

Knows no store and no HTTP: a record is stored or it is not, and whoever waits for it is told so once.
"""

from collections.abc import Callable

from tieline.core.errors import NotReady, NotRecorded, TielineError

RETRY_AFTER = 1.0

Told = Callable[[bool], None]
"""Is told whether the record is stored."""


class AwaitedRecord:
    """The record of one request, on its way into the store."""

    __slots__ = ("_stored", "_told")

    def __init__(self) -> None:
        self._stored: bool | None = None
        self._told: Told | None = None

    def then(self, told: Told) -> None:
        """Call ``told`` once it is known; at once where it is."""
        if self._stored is None:
            self._told = told
        else:
            told(self._stored)

    def tell(self, *, stored: bool) -> None:
        """It is known now. A second time means nothing."""
        if self._stored is None:
            self._stored = stored
            told, self._told = self._told, None
            if told is not None:
                told(stored)


def unrecorded(*, sent: bool) -> TielineError:
    """What a client is told whose record could not be stored; ``sent``: the upstream was asked before that showed."""
    if sent:
        return NotRecorded(
            "The upstream was asked, but the record of it could not be stored, and without one this API gives no "
            "answer (audit: strict). It may have done what was asked: look before you send it again.",
            retry_after=RETRY_AFTER,
        )
    return NotReady(
        "Request records cannot be stored now, and without one this API takes no request (audit: strict). Nothing was "
        "sent. Try again.",
        retry_after=RETRY_AFTER,
    )
