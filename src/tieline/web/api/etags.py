"""The revision of an API as an entity tag, and the conditions that requests make with it (RFC 9110 section 13.1.1)."""

import re

from tieline.core.errors import InvalidInput

_TAG = re.compile(r'\s*(?:"([0-9]{1,9})"|(?:W/)?"[\x21\x23-\x7e]*")\s*')


def etag(revision: int) -> str:
    """The value of ``ETag`` for a revision."""
    return f'"{revision}"'


def revisions(if_match: str | None) -> list[int] | None:
    """The revisions that ``If-Match`` names; None where any will do. Raises InvalidInput."""
    if if_match is None or if_match.strip() == "*":
        return None
    tags = [_TAG.fullmatch(tag) for tag in if_match.split(",")]
    if not all(tags):
        msg = 'If-Match must be the ETag of the API as it was read, such as "3" in quotes, or *.'
        raise InvalidInput(msg, param="If-Match")
    return [int(tag[1]) for tag in tags if tag is not None and tag[1] is not None]
