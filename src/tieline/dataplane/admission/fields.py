"""The request fields that are meant for Tieline itself, by lower-case name; none of them goes on to an upstream."""

from typing import Final

from tieline.access.overrides import OVERRIDE_FIELDS

CONNECTION: Final = b"tieline-connection"
ENVIRONMENT: Final = b"tieline-environment"
IDEMPOTENCY_KEY: Final = b"idempotency-key"
PAGES: Final = b"tieline-pages"
NOTABLE: Final = OVERRIDE_FIELDS | {ENVIRONMENT, CONNECTION, IDEMPOTENCY_KEY, PAGES}
"""What the listener looks out for and puts into ``Request.noted``."""
