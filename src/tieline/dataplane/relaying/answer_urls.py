"""URLs in the header fields of a relayed answer: those below the API's base URL lead back to the relay.

So that a client that follows a redirect, a next page or an upload's address comes back with its app key, instead of
taking the key to the provider (as nginx's ``proxy_redirect`` does it). Knows header values; bodies pass as they are.
"""

import re

from tieline.core.urls import PORTS, Origin
from tieline.dataplane.snapshot.plan import Plan
from tieline.wire.request import Request

_LINK = re.compile(rb"<([^<>]*)>")
_ABSOLUTE = re.compile(rb"(?:(?P<scheme>[Hh][Tt][Tt][Pp][Ss]?):)?//(?P<authority>[^/?#]*)(?P<rest>.*)", re.DOTALL)
_AUTHORITY = re.compile(rb"(?P<host>[^\[\]@:]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")
_PATH_WITH_DOTS = re.compile(rb"[^?#]*?/(?:\.|%2e){1,2}(?:[/?#]|\Z)", re.IGNORECASE)


def led_back(plan: Plan, request: Request, name: bytes, value: bytes) -> bytes:
    """The value of an answer's field as the client of ``request`` gets it; ``name`` is in any case.

    ``Link`` holds URLs in pointed brackets (RFC 8288), all other fields are one URL. A URL that lies elsewhere than
    below the base URL is not changed, nor is one with dot segments in its path, which would lead out again.
    """
    if name.lower() == b"link":
        return _LINK.sub(lambda found: b"<" + _led_back(plan, request, found[1]) + b">", value)
    return _led_back(plan, request, value)


def _led_back(plan: Plan, request: Request, url: bytes) -> bytes:
    found = _ABSOLUTE.match(url)
    if found is None:
        rest, address = url, b""
        if not url.startswith(b"/"):
            return url  # relative to what was asked for, here as there
    elif _is_of(plan.origin, found["scheme"] or plan.origin.scheme.encode(), found["authority"]):
        rest, address = found["rest"], request.address
    else:
        return url
    base = plan.base_path
    below = rest[len(base) :]
    if not rest.startswith(base) or below[:1] not in (b"", b"/", b"?", b"#") or _PATH_WITH_DOTS.match(rest) is not None:
        return url
    return b"%b/relay/%b%b" % (address, plan.name.encode(), below)


def _is_of(origin: Origin, scheme: bytes, authority: bytes) -> bool:
    """Whether a URL names the host and port of ``origin``: by https or http alike, where both are at their own ports.

    Behind a TLS terminator many servers take themselves for ``http://``; the request goes out by the base URL anyway.
    """
    found = _AUTHORITY.fullmatch(authority)
    if found is None or found["host"].strip(b"[]").lower() != origin.host.encode():
        return False
    if found["port"] is None or int(found["port"]) == PORTS["https" if scheme.lower() == b"https" else "http"]:
        return origin.port == PORTS[origin.scheme]
    return int(found["port"]) == origin.port
