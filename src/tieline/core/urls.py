"""The one grammar of URLs, hosts and paths: for definitions, settings, the egress guard and whatever answers name.

It refuses rather than repairs: what two parsers could read differently is no URL here. What is accepted has one form:
names in lower-case ASCII (IDNA 2008, RFC 5891, without any mapping), IPv4 as four decimal numbers, IPv6 as RFC 5952
writes it, ports as numbers. Where requests may go is policy, and ``wire.guard``'s.

Every function raises ValueError, whose text says what is wrong, what to write, and never repeats a URL.
"""

import re
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal, NamedTuple, TypeAlias

Scheme = Literal["http", "https"]
Address: TypeAlias = IPv4Address | IPv6Address

URL_MOST = 8192
NAME_MOST = 253
PORTS: dict[Scheme, int] = {"http": 80, "https": 443}

_URL = re.compile(r"(?P<scheme>[Hh][Tt][Tt][Pp][Ss]?)://(?P<authority>[^/?#]*)(?P<path>[^?#]*)(?P<rest>.*)")
_REFERENCE = re.compile(  # RFC 3986 appendix B
    r"(?:(?P<scheme>[^:/?#]+):)?(?://(?P<authority>[^/?#]*))?(?P<path>[^?#]*)(?:\?(?P<query>[^#]*))?(?:#.*)?", re.DOTALL
)
_NEVER = re.compile(r"[\x00-\x20\x7f\\]")
_BRACKETED = re.compile(r"\[([0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)\](?::(.*))?")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
# Underscores are no host names by RFC 952, yet DNS carries them and container networks are full of them.
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
# What a URL parser of the WHATWG kind, or inet_aton, would read as a number, and the whole host as an IPv4 address.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PLAIN = r"A-Za-z0-9\-._~!$&'()*+,;=:@"
_BASE_PATH = re.compile(rf"(?:[/{_PLAIN}]|%[0-9A-Fa-f]{{2}})*")
_TARGET = re.compile(rf"/(?:[{_PLAIN}/?\[\]|]|%[0-9A-Fa-f]{{2}})*")
_BRACES = re.compile(r"[{}]+([A-Za-z][A-Za-z0-9_]*)?")
_HIDDEN = re.compile(r"%(?:[01][0-9a-f]|7f|5c|2e)", re.IGNORECASE)
_FORBIDDEN_SEGMENT = re.compile(r"//|/\.{1,2}(?=[/;]|$)")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an upstream is: scheme, host and port.

    ``host`` is a lower-case ASCII name, a dotted IPv4 address or an IPv6 address without brackets; anything else raises
    ValueError. ``authority`` is the ``Host`` field for it: without the port where the port is the scheme's own.
    """

    scheme: Scheme
    host: str
    port: int
    authority: bytes = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        if canonical_host(self.host) != self.host or not 0 < self.port <= 0xFFFF:
            raise ValueError("an origin needs a canonical host and a port from 1 to 65535")
        port = "" if self.port == PORTS[self.scheme] else f":{self.port}"
        object.__setattr__(self, "authority", f"{bracketed(self.host)}{port}".encode())

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority.decode()}"


class Url(NamedTuple):
    """A URL in parts: ``path`` as it is written, ``query`` without its mark, None where there is no mark."""

    origin: Origin
    path: str
    query: str | None


def parse_url(text: str) -> Url:
    """The http or https URL ``text``, without user name and fragment, its path and query not looked at."""
    if len(text) > URL_MOST:
        raise ValueError(f"a URL has at most {URL_MOST} characters; shorten it")
    if _NEVER.search(text):
        raise ValueError("a URL holds no blanks, control characters or backslashes; remove them")
    found = _URL.fullmatch(text)
    if found is None:
        raise ValueError("this is no URL; write it like https://api.example.com/v1")
    query, mark, _ = found["rest"].partition("#")
    if mark:
        raise ValueError("a URL here has no fragment; remove # and what follows")
    scheme: Scheme = "https" if found["scheme"].lower() == "https" else "http"
    host, port = _split_authority(found["authority"])
    origin = Origin(scheme, canonical_host(host), PORTS[scheme] if port is None else parse_port(port))
    return Url(origin, found["path"], query[1:] if query else None)


def resolved(base: str, reference: str) -> str:
    """What ``reference`` names in an answer from the URL ``base`` (RFC 3986 section 5.2): whole, without a fragment.

    Its dot segments are resolved, a whole URL's too; empty segments stay, as servers tell them apart. Nothing else of
    it is looked at.
    """
    here, there = _REFERENCE.fullmatch(base), _REFERENCE.fullmatch(reference)
    assert here is not None  # the grammar of appendix B takes any text
    assert there is not None
    scheme, authority, path, query = there.group("scheme", "authority", "path", "query")
    if scheme is None and authority is None:
        authority = here["authority"]
        if not path:
            path, query = here["path"], query if query is not None else here["query"]
        elif not path.startswith("/"):
            path = here["path"].rpartition("/")[0] + "/" + path
    address = f"{scheme or here['scheme']}:" + (f"//{authority}" if authority is not None else "")
    return address + _without_dots(path) + (f"?{query}" if query is not None else "")


def _without_dots(path: str) -> str:
    """``path`` with its dot segments resolved (RFC 3986 section 5.2.4); a reference cannot climb above the root.

    Those behind two slashes at the beginning stay: parsers that take such a path for a host resolve others.
    """
    if "/." not in path or path.startswith("//"):
        return path
    kept: list[str] = []
    first, *segments = path.split("/")
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in {".", ".."}:
        kept.append("")
    return "/".join([first, *kept])


def parse_base(text: str) -> tuple[Origin, str]:
    """The origin of a base URL, and its path without a slash at the end (so ``""`` for a bare host)."""
    found = parse_url(text)
    if found.query is not None:
        raise ValueError("a base URL has no query; use shared parameters")
    if _BASE_PATH.fullmatch(found.path) is None:
        raise ValueError("a base URL's path holds visible ASCII characters without {}[]|, others percent-encoded")
    _check_path(found.path)
    return found.origin, found.path.removesuffix("/")


def base_url(text: str) -> str:
    """A base URL in its one form, without a slash at its end."""
    origin, path = parse_base(text)
    return f"{origin}{path}"


def full_url(text: str) -> str:
    """A URL that may have a query, in its one form."""
    found = parse_url(text)
    query = "" if found.query is None else f"?{found.query}"
    return f"{found.origin}{target((found.path or '/') + query)}"


def host_field(text: str) -> str:
    """The host that a ``Host`` field names (RFC 9110 section 7.2), in its one form and without brackets.

    A dot at the end of a name is the root's and says nothing; a port is looked at and left out.
    """
    if not text.isascii():
        raise ValueError("a Host field is ASCII; write an international name in its xn-- form")
    host, port = _split_authority(text)
    if port is not None:
        parse_port(port)
    return canonical_host(host.removesuffix("."))


def host_of(url: str) -> str:
    """The host of a URL that was accepted (it may hold ``<slots>``), as written: an IPv6 address in brackets."""
    authority = url.split("://", 1)[1].split("/", 1)[0].split("?", 1)[0]
    return re.sub(r":[0-9]+$", "", authority)


def target(text: str, *, query: bool = True) -> str:
    """A path, with a query where ``query`` allows one, that cannot climb, hide a character or be read in two ways."""
    if not text.startswith("/"):
        other = "write what follows the host; another host's is a call's url" if "://" in text else 'begin it with "/"'
        raise ValueError(f"this is no path; {other}")
    if "#" in text:
        raise ValueError("a path has no fragment; remove # and what follows")
    _refuse_braces(text, ", %7B and %7D for braces")
    if _TARGET.fullmatch(text) is None:
        raise ValueError("a path holds visible ASCII characters only, others percent-encoded")
    path, mark, _ = text.partition("?")
    if mark and not query:
        raise ValueError("no query is allowed here; use parameters")
    _check_path(path)
    return text


def written_host(text: str) -> str:
    """A host in its one form as URLs write it: an IPv6 address has brackets, here as there."""
    if text.startswith("[") and text.endswith("]") and ":" in text:
        return bracketed(canonical_host(text[1:-1]))
    if ":" in text:
        raise ValueError("this is no host: leave out scheme and port, and put an IPv6 address in brackets")
    return canonical_host(text)


def canonical_host(text: str) -> str:
    """``text`` as a host in its one form, an IPv6 address without brackets."""
    if ":" in text:
        try:
            return str(parse_address(text))
        except ValueError:
            raise ValueError("this is no IPv6 address; write it like [2001:db8::1], without a zone") from None
    if not 0 < len(text) <= NAME_MOST:
        raise ValueError(f"this is no host of 1 to {NAME_MOST} characters; write a name such as api.example.com")
    labels = text.split(".")
    if not all(labels):
        raise ValueError("this is no host: it has an empty part or a dot at its end; remove the dot")
    host = ".".join(_ascii_label(label) for label in labels)
    if _NUMBER.fullmatch(host.rpartition(".")[2]):
        try:
            return str(IPv4Address(host))
        except ValueError:
            raise ValueError(
                "this host is no IPv4 address; write four decimal numbers such as 192.0.2.1, without leading zeros"
            ) from None
    if len(host) > NAME_MOST:
        raise ValueError(f"a host has at most {NAME_MOST} characters in ASCII; shorten it")
    return host


def is_address(host: str) -> bool:
    """Whether a canonical host is an address: no name has a colon, or a number as its last part."""
    return ":" in host or host.rpartition(".")[2].isdigit()


def bracketed(host: str) -> str:
    """A canonical host as it stands in a URL."""
    return f"[{host}]" if ":" in host else host


def parse_address(text: str) -> Address:
    """The address written in ``text``: four decimal numbers without leading zeros, or RFC 4291's forms, no zone."""
    address = ip_address(text)
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        raise ValueError("an address with a zone id")
    return address


def parse_port(text: str) -> int:
    """The port written in ``text``."""
    if _PORT.fullmatch(text) is None or int(text) > 0xFFFF:
        raise ValueError("the port is out of range or no number; ports go from 1 to 65535")
    return int(text)


def _split_authority(authority: str) -> tuple[str, str | None]:
    """Host and port text of an authority; None where there is no colon for a port."""
    if "@" in authority:
        raise ValueError("a URL holds no user name or password; put them into the credential")
    if authority.startswith("["):
        found = _BRACKETED.fullmatch(authority)
        if found is None:
            raise ValueError("this is no IPv6 address; write it like [2001:db8::1], without a zone")
        return found[1], found[2]
    host, colon, port = authority.partition(":")
    return host, port if colon else None


def _ascii_label(label: str) -> str:
    lowered = label.lower()
    if label.isascii() and _LABEL.fullmatch(lowered) is None:
        _refuse_braces(label)
        raise ValueError(
            "this is no host: letters, digits and hyphens in parts of at most 63; write a name such as api.example.com"
        )
    if label.isascii() and not lowered.startswith("xn--"):
        return lowered
    import idna  # noqa: PLC0415 -- its tables are large, and most processes never meet an international name (ADR 25)

    try:
        return idna.alabel(lowered if label.isascii() else label).decode()
    except ValueError:
        raise ValueError("a host holds an international name that IDNA 2008 does not allow; correct it") from None


def _refuse_braces(text: str, otherwise: str = "") -> None:
    """Other formats write a value's place in braces, so they are seldom meant."""
    braces = _BRACES.search(text)
    if braces is not None:
        raise ValueError(f"braces stand for nothing here; write <{braces[1] or 'name'}> for a value{otherwise}")


def _check_path(path: str) -> None:
    if _HIDDEN.search(path):
        raise ValueError("a path holds no encoded dots, backslashes or control characters; write it plainly")
    if _FORBIDDEN_SEGMENT.search(path):
        raise ValueError('a path has no "//", "/./" or "/../"; write it plainly')
