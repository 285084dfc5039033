"""The cookies that a login's answers set, and to which hosts they go (RFC 6265 section 5). Knows no step.

Paths and ``Secure`` are left aside: a definition says which requests there are. A cookie for all of a domain is one of
the host that set it or of a domain above it, never of a whole top-level domain.
"""

import re
from collections.abc import Sequence
from dataclasses import astuple, dataclass

import orjson

from tieline.core.dates import date_of
from tieline.core.secret import Secret
from tieline.schemes.flow import IssuerAnswer

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,200}")
_VALUE = re.compile(r"[\x21-\x3a\x3c-\x7e]{0,8192}")
_MOST = 50


@dataclass(frozen=True, slots=True, repr=False)
class Cookie:
    """A cookie for ``host`` alone or, where ``below``, for the hosts below it too."""

    name: str
    value: str
    host: str
    below: bool

    def goes_to(self, host: str) -> bool:
        """Whether a request to ``host`` carries it (section 5.1.3)."""
        return host == self.host or (self.below and host.endswith("." + self.host))


class Jar:
    """Cookies by name, host and reach; a later one takes the place of an earlier one."""

    def __init__(self, cookies: Sequence[Cookie] = ()) -> None:
        self._cookies = {(each.name, each.host, each.below): each for each in cookies}

    @classmethod
    def opened(cls, sealed: Secret) -> "Jar":
        """The jar that ``sealed`` was made of."""
        return cls([Cookie(*each) for each in orjson.loads(sealed.reveal_bytes())])

    def sealed(self) -> Secret:
        """All of it as one secret, to be kept."""
        return Secret(orjson.dumps([astuple(each) for each in self._cookies.values()]))

    def learn(self, answer: IssuerAnswer, host: str, now: float) -> None:
        """Take in what an answer of ``host`` sets and drop what it ends; ``now`` is seconds since the epoch."""
        for name, value in answer.headers:
            if name == "set-cookie":
                self._set(value, host, now)

    def held_for(self, host: str) -> Sequence[Cookie]:
        """What a request to ``host`` carries, the more exact one of two that share a name."""
        found: dict[str, Cookie] = {}
        for each in sorted(self._cookies.values(), key=lambda each: (len(each.host), not each.below)):
            if each.goes_to(host):
                found[each.name] = each
        return list(found.values())

    def values(self) -> Sequence[str]:
        """Every value in it, for masking."""
        return [each.value for each in self._cookies.values()]

    def _set(self, line: str, host: str, now: float) -> None:
        pair, *attributes = [part.strip() for part in line.split(";")]
        name, _, value = (part.strip() for part in pair.partition("="))
        said = {key.strip().lower(): each.strip() for key, _, each in (part.partition("=") for part in attributes)}
        domain = said.get("domain", "").lstrip(".").lower()
        below = bool(domain)
        if domain and not (Cookie("", "", domain, below=True).goes_to(host) and "." in domain):
            return
        cookie = Cookie(name, value, domain or host, below)
        key = (name, cookie.host, below)
        self._cookies.pop(key, None)
        fits = _NAME.fullmatch(name) is not None and _VALUE.fullmatch(value) is not None
        if fits and len(self._cookies) < _MOST and not _has_ended(said, now):
            self._cookies[key] = cookie


def cookie_of(answer: IssuerAnswer, name: str) -> str | None:
    """The value of the cookie ``name`` that an answer sets, None where it sets none."""
    for each, line in answer.headers:
        found, _, value = (part.strip() for part in line.partition(";")[0].partition("="))
        if each == "set-cookie" and found == name:
            return value
    return None


def _has_ended(said: dict[str, str], now: float) -> bool:
    if "max-age" in said:
        return not said["max-age"].isdecimal() or int(said["max-age"][:12]) == 0
    end = date_of(said.get("expires", ""))
    return end is not None and end <= now
