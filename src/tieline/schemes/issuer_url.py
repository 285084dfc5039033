"""URLs of issuers as definitions write them: whole, with a query where the issuer wants one, ``<variables>`` perhaps.

Knows no issuer. The guard's strict parse of base URLs decides what is one.
"""

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tieline.core.errors import CredentialMissing, InvalidInput
from tieline.wire.guard import Origin, parse_base

_VARIABLE = re.compile(r"<[A-Za-z][A-Za-z0-9_]*>")
_QUERY = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/?]|%[0-9A-Fa-f]{2})*")


@dataclass(frozen=True, slots=True)
class IssuerUrl:
    """A URL that is known to fit."""

    text: str

    @staticmethod
    def fits(text: Any) -> bool:
        """Whether ``text`` is a URL by the rules of base URLs, a query besides; whatever its variables may hold."""
        if not isinstance(text, str):
            return False
        url, _, query = _VARIABLE.sub("x", text).partition("?")
        try:
            parse_base(url)
        except InvalidInput:
            return False
        return _QUERY.fullmatch(query) is not None

    @property
    def origin(self) -> Origin:
        """Where it leads. Raises CredentialMissing where private variables have made it no URL."""
        try:
            return parse_base(self.text.partition("?")[0])[0]
        except InvalidInput:
            raise CredentialMissing(
                "The variables of the credential do not fit the URL of its issuer. An operator sets them again."
            ) from None

    @property
    def path(self) -> bytes:
        """Its path, with a slash at the end where there is one."""
        return urlsplit(self.text).path.encode() or b"/"

    @property
    def query(self) -> bytes:
        """Its query, without the question mark."""
        return self.text.partition("?")[2].encode()
