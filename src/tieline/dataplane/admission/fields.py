"""The request fields that are meant for Tieline itself, by lower-case name; none of them goes on to an upstream."""

import re
from collections.abc import Mapping
from typing import Final

from tieline.access.overrides import OVERRIDE_FIELDS
from tieline.core.errors import InvalidRequest

CONNECTION: Final = b"tieline-connection"
ENVIRONMENT: Final = b"tieline-environment"
IDEMPOTENCY_KEY: Final = b"idempotency-key"
PAGES: Final = b"tieline-pages"
TAG: Final = b"tieline-tag"
NOTABLE: Final = OVERRIDE_FIELDS | {ENVIRONMENT, CONNECTION, IDEMPOTENCY_KEY, PAGES, TAG}
"""What the listener looks out for and puts into ``Request.noted``."""
_TAG = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}")


def check_tag(noted: Mapping[bytes, bytes]) -> None:
    """Raise InvalidRequest where ``Tieline-Tag`` is none: a short name, so that it costs no column of usage much."""
    tag = noted.get(TAG)
    if tag is not None and _TAG.fullmatch(tag) is None:
        raise InvalidRequest(
            "Tieline-Tag is a name of 1 to 64 letters, digits and . _ : / -, such as team-a or job:nightly.",
            param="Tieline-Tag",
        )
