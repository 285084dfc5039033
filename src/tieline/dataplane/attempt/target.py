"""Where a call's request goes: a path below the API's base URL, or a whole URL, which another answer may have told.

Owns the one reading of such URLs; whether the credential may go there is said where the connection is made.
"""

from typing import NamedTuple
from urllib.parse import quote

from tieline.access.paths import check
from tieline.core.errors import InvalidRequest, UpstreamProtocolError
from tieline.core.urls import Origin, parse_base, resolved
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

    The one place that decides on addresses which an answer names (next pages, ``Link``, redirects). They stay at the
    origin that was asked, or at its https twin: an API behind a proxy often names itself with ``http``, and is asked
    by https all the same; one that was asked by http may lead to https.

    Raises:
        UpstreamProtocolError: it is no URL that can be asked for, or leads to another origin, which the credential was
            not sent to.
    """
    here = asked.origin or plan.origin
    try:
        address, _, query = quote(resolved(asked.url(plan), url), safe=_URL_SAFE).partition("?")
        origin, path = _split(address)
        there = _same_or_twin(here, origin)
        target = _at(plan, there or origin, path, query.encode("ascii"))
    except (InvalidRequest, ValueError):
        raise UpstreamProtocolError("The upstream's answer leads to a URL that is not usable.") from None
    if there is None:
        raise UpstreamProtocolError(
            f"The upstream's answer leads away from {here.authority.decode('ascii')}, to another host, port or scheme. "
            "Answers are followed at their own origin only; describe the other one as an API of its own."
        )
    return target


def _same_or_twin(here: Origin, there: Origin) -> Origin | None:
    """The origin to go on at, where ``there`` is ``here`` or differs by ``http`` for ``https`` alone; else None."""
    if there == here:
        return here
    if there.host != here.host or there.scheme == here.scheme:
        return None
    usual = 80 if there.scheme == "http" else 443
    if there.port not in {usual, here.port}:
        return None
    return here if here.scheme == "https" else there


def _of_url(plan: Plan, url: str, query: bytes) -> Target:
    origin, path = _split(url)
    return _at(plan, origin, path, query)


def _split(url: str) -> tuple[Origin, bytes]:
    """Origin and path of a URL without a query. Raises ValueError."""
    scheme, mark, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    origin, _ = parse_base(f"{scheme}{mark}{authority}")
    return origin, (slash + path or "/").encode("ascii")


def _at(plan: Plan, origin: Origin, path: bytes, query: bytes) -> Target:
    """The target at ``origin``. Raises InvalidRequest where the path can be read in several ways."""
    check(path, literal=plan.table.literal and origin == plan.origin)
    base = plan.base_path
    if origin == plan.origin and (path == base or path.startswith(base + b"/")):
        return Target(path[len(base) :], query)
    return Target(path, query, origin)
