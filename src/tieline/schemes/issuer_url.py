"""URLs of issuers, taken apart for requests that are signed: options that were checked, with their variables filled in.

Knows no issuer.
"""

from dataclasses import dataclass
from urllib.parse import urlsplit

from tieline.wire.guard import Origin, parse_base


@dataclass(frozen=True, slots=True)
class IssuerUrl:
    """A URL that is known to fit."""

    text: str

    @property
    def origin(self) -> Origin:
        """Where it leads."""
        return parse_base(self.text.partition("?")[0])[0]

    @property
    def path(self) -> bytes:
        """Its path, with a slash at the end where there is one."""
        return urlsplit(self.text).path.encode() or b"/"

    @property
    def query(self) -> bytes:
        """Its query, without the question mark."""
        return self.text.partition("?")[2].encode()
