"""Bounds that several resources share: titles, lifetimes, ids, cursors. Errors name the field, never what it held."""

import re
from datetime import datetime, timedelta

from tieline.core.errors import InvalidInput, NotFound
from tieline.core.ids import Prefix
from tieline.core.names import TITLE_LENGTH, is_title
from tieline.core.pages import LIMIT_MOST, PageRequest

LIFETIME_MOST = 10 * 366 * 86_400

_LISTED_BY = {
    "API": "tieline api list",
    "app": "tieline app list",
    "app key": "tieline key list",
    "connection": "tieline connection list",
    "admin token": "tieline token list",
    "call": "tieline call list API",
    "budget": "tieline budget list",
    "webhook": "tieline webhook list",
    "credential version": "tieline credential list API",
}

_ID = re.compile(r"([a-z]{2,4})_[0-9a-hjkmnp-tv-z]{25}")


def checked_title(text: str, field: str) -> str:
    """``text`` if it can be a name that people read. Raises ``InvalidInput`` naming ``field``."""
    if not is_title(text):
        msg = f"{field} must be 1 to {TITLE_LENGTH} printable characters without blanks at its ends."
        raise InvalidInput(msg, param=field)
    return text


def checked_name(name: str, prefix: Prefix, nouns: str) -> str:
    """``name`` if something that is found by id or name can have it: a title that is neither an id nor part of a path.

    Ids of its kind begin with ``prefix``; ``nouns`` is what they are called. Raises ``InvalidInput``.
    """
    checked_title(name, "name")
    if is_id(name, prefix) or "/" in name or name in {".", ".."}:
        msg = f'name must not look like an id, hold a "/" or be dots, since {nouns} are found by name. Choose another.'
        raise InvalidInput(msg, param="name")
    return name


def expiry(seconds: int | None, now: datetime) -> datetime | None:
    """When something made at ``now`` that lives ``seconds`` ends; None for never. Raises ``InvalidInput``."""
    if seconds is None:
        return None
    if not 1 <= seconds <= LIFETIME_MOST:
        msg = f"expires_in is in seconds and must be 1 to {LIFETIME_MOST}; leave it out for no expiry."
        raise InvalidInput(msg, param="expires_in")
    return now + timedelta(seconds=seconds)


def is_id(text: str, prefix: Prefix) -> bool:
    """Whether ``text`` has the form of an id with this prefix."""
    match = _ID.fullmatch(text)
    return match is not None and match[1] == prefix


def checked_id(text: str, prefix: Prefix, noun: str) -> str:
    """``text`` if it has the form of an id of a ``noun``. Raises ``NotFound``: no other text can name one."""
    if not is_id(text, prefix):
        raise not_found(noun)
    return text


def checked_page(page: PageRequest, prefix: Prefix) -> PageRequest:
    """``page`` if its bounds are good and its cursor is an id with this prefix. Raises ``InvalidInput``."""
    checked_limit(page)
    if page.after is not None and not is_id(page.after, prefix):
        msg = 'after must be the "next" of the page before; leave it out for the first page.'
        raise InvalidInput(msg, param="after")
    return page


def checked_limit(page: PageRequest) -> int:
    """How many items ``page`` asks for, if so many may be. Raises ``InvalidInput``."""
    if not 1 <= page.limit <= LIMIT_MOST:
        msg = f"limit must be 1 to {LIMIT_MOST}."
        raise InvalidInput(msg, param="limit")
    return page.limit


def not_found(noun: str) -> NotFound:
    """The error for a ``noun`` that is not there. The name asked for is not repeated: it may be a misplaced secret."""
    command = _LISTED_BY.get(noun)
    shown = f"`{command}` shows those there are" if command else "List them to see which there are"
    return NotFound(f"There is no such {noun}. {shown}; correct what was named.")
