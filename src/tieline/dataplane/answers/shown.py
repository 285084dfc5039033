"""A body as people may see it: decoded, in UTF-8 where it is text, secrets hidden in every dress they may wear."""

from typing import Final

from tieline.dataplane.answers.charset import charset_of, is_marked, text_of
from tieline.dataplane.answers.mask import Mask, mask
from tieline.dataplane.answers.pieces_mask import mask_pieces

BYTES: Final = (b"image/", b"audio/", b"video/", b"font/")
"""Media types of which nobody reads text."""


def shown_body(body: bytes, content_type: bytes, hides: Mask, *, whole: bool) -> bytes:
    """``body`` without its content coding as it is shown; ``whole``: it was not cut."""
    if content_type.lower().startswith(BYTES):
        body = mask(body, hides.of_files)
    else:
        charset = charset_of(content_type)
        if charset or is_marked(body):
            body = text_of(body, charset).encode()
        body = mask_pieces(hides.body(body), hides.secrets, whole=whole)
    return body if whole else hides.beginning(body)
