"""Where a call's request goes: a path below the API's base URL, or a whole URL, which another answer may have told.

Owns the one reading of such URLs; whether the credential may go there is said where the connection is made.
"""

from typing import NamedTuple
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

from tieline.access.paths import check
from tieline.core.errors import InvalidRequest, UpstreamProtocolError
from tieline.core.urls import Origin, parse_base
from tieline.dataplane.snapshot.plan import Plan
from tieline.definitions.fill.request import Filled

_URL_SAFE = "!#$%&'()*+,/:;=?@[]~"


class Target(NamedTuple):
    """``path`` as it is sent: below the base URL where ``origin`` is None, else whole and at ``origin``."""

    path: bytes
    query: bytes
    origin: Origin | None = None

    @property
    def below(self) -> bytes | None:
        """The path that permissions are decided on; None for what is not below the base URL, which no area covers."""
        return self.path if self.origin is None else None

    def url(self, plan: Plan) -> str:
        """The URL that is sent to, but for what the API shares and its schemes add."""
        origin = self.origin or plan.origin
        path = self.path if self.origin is not None else plan.base_path + self.path
        query = b"?" + self.query if self.query else b""
        return f"{origin.scheme}://{(origin.authority + path + query).decode('ascii')}"


def target_of(plan: Plan, filled: Filled) -> Target:
    """Where a filled call goes. Raises InvalidRequest where its URL is not usable."""
    if filled.path is not None:
        path = filled.path.encode("ascii")
        check(path, literal=plan.table.literal)
        return Target(path, filled.query)
    assert filled.url is not None  # it is one or the other
    try:
        return _of_url(plan, filled.url, filled.query)
    except ValueError:
        raise InvalidRequest("The URL that this call makes of its parameters is not usable. Check its host.") from None


def told_target(plan: Plan, asked: Target, url: str) -> Target:
    """Where an answer to ``asked`` says to go next; ``url`` may be relative to it (RFC 3986), its fragment is dropped.

    Raises:
        UpstreamProtocolError: it is no URL that can be asked for.
    """
    try:
        whole = urljoin(asked.url(plan), url)
        address, _, query = quote(_without_dots(whole.partition("#")[0]), safe=_URL_SAFE).partition("?")
        return _of_url(plan, address, query.encode("ascii"))
    except (InvalidRequest, ValueError):
        raise UpstreamProtocolError("The upstream's answer leads to a URL that is not usable.") from None


def _without_dots(url: str) -> str:
    """``url`` with its dot segments resolved (RFC 3986 section 5.2.4), which ``urljoin`` leaves in a whole URL."""
    parts = urlsplit(url)
    if "/." not in parts.path or parts.path.startswith("//"):
        return url
    return urlunsplit(parts._replace(path=urljoin("http://host/", parts.path).removeprefix("http://host")))


def _of_url(plan: Plan, url: str, query: bytes) -> Target:
    scheme, mark, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    origin, _ = parse_base(f"{scheme}{mark}{authority}")
    whole = (slash + path or "/").encode("ascii")
    check(whole, literal=plan.table.literal and origin == plan.origin)
    base = plan.base_path
    if origin == plan.origin and (whole == base or whole.startswith(base + b"/")):
        return Target(whole[len(base) :], query)
    return Target(whole, query, origin)
