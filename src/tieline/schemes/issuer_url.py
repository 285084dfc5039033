"""URLs of issuers, taken apart for requests that are signed: options that were checked, with their variables filled in.

Knows no issuer.
"""

from dataclasses import dataclass

from tieline.core.urls import Origin, parse_url


@dataclass(frozen=True, slots=True)
class IssuerUrl:
    """A URL that is known to fit."""

    text: str

    @property
    def origin(self) -> Origin:
        """Where it leads."""
        return parse_url(self.text).origin

    @property
    def path(self) -> bytes:
        """Its path, with a slash at the end where there is one."""
        return parse_url(self.text).path.encode() or b"/"

    @property
    def query(self) -> bytes:
        """Its query, without the question mark."""
        return (parse_url(self.text).query or "").encode()
