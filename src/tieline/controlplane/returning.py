"""Where a browser may be sent after a sign-in: to the console, or to an origin that whoever runs it named."""

from collections.abc import Sequence
from urllib.parse import parse_qsl, urlencode

from tieline.core.errors import InvalidInput
from tieline.core.urls import parse_url

RETURN_MOST = 2_000
OUTCOME = "connection"


def checked_return(url: str | None, console_url: str, allowed: Sequence[str]) -> str | None:
    """``url`` if a browser may be sent there. Raises ``InvalidInput``, which does not repeat it."""
    if url is None:
        return None
    if len(url) > RETURN_MOST or not url.isascii() or not url.isprintable() or any(mark in url for mark in ' \\"<>#'):
        raise _refused(f"must be a URL of at most {RETURN_MOST} ASCII characters without a fragment")
    try:
        origin = str(parse_url(url).origin)
    except ValueError as error:
        raise _refused("is no URL") from error
    if origin not in {console_url, *allowed}:
        raise _refused("leads to an origin that is not allowed; whoever runs Tieline allows one with --return-origin")
    return url


def with_outcome(url: str, *, connected: bool) -> str:
    """``url`` with ``connection=connected`` or ``connection=refused`` added to its query."""
    head, _, query = url.partition("?")
    pairs = [pair for pair in parse_qsl(query, keep_blank_values=True) if pair[0] != OUTCOME]
    return f"{head}?{urlencode([*pairs, (OUTCOME, 'connected' if connected else 'refused')])}"


def _refused(why: str) -> InvalidInput:
    return InvalidInput(f"return_to {why}.", param="return_to")
