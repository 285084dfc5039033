"""The egress guard: which host, which address, which peer a request may go to (security.md, section 2, rule 1).

Owns the one strict parse of a base URL, the credential's host list and the check of every address that a name leads to.
It opens no connection: ``pool`` dials the very addresses that :meth:`Guard.resolve` returned and shows the peer to
:meth:`Guard.check_peer`. It knows nothing of HTTP, proxies or the environment. The tables are in ``addresses``.
"""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_network
from typing import Any, Literal, Protocol

import idna

from tieline.core.errors import DestinationNotAllowed, InvalidInput, SettingsError, UpstreamUnreachable
from tieline.wire.addresses import METADATA, Address, block_of, embedded, is_this_host, parse

Scheme = Literal["http", "https"]
Listeners = Callable[[], Collection[tuple[str, int]]]
Endpoint = tuple[socket.AddressFamily, str, int]

URL_MOST = 8192
NAME_MOST = 253
_PORTS: dict[Scheme, int] = {"http": 80, "https": 443}
_URL = re.compile(r"(?P<scheme>[Hh][Tt][Tt][Pp][Ss]?)://(?P<authority>[^/?#]*)(?P<path>[^?#]*)(?P<rest>.*)")
_NEVER = re.compile(r"[\x00-\x20\x7f\\]")
_BRACKETED = re.compile(r"\[([0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)\](?::(.*))?")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
# Underscores are no host names by RFC 952, yet DNS carries them and container networks are full of them.
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
# What a URL parser of the WHATWG kind, or inet_aton, would read as a number, and the whole host as an IPv4 address.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PATH = re.compile(r"(?:/(?:[A-Za-z0-9\-._~!$&'()*+,;=:@]|%[0-9A-Fa-f]{2})*)*")
_PATH_NEVER = re.compile(r"(?i)%(?:[01][0-9a-f]|7f|5c)|/(?:\.|%2e){1,2}(?:/|$)|//")


class Resolver(Protocol):
    """Looks a name up, as the running loop's ``getaddrinfo`` does."""

    def __call__(self, host: str, port: int, *, type: int) -> Awaitable[Iterable[tuple[Any, ...]]]:
        """Tuples whose last item is the socket address; raises OSError when the name leads nowhere."""
        ...


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
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        object.__setattr__(self, "authority", f"{host}{port}".encode())


def canonical_host(text: str) -> str:
    """``text`` as a host in its one form; raises ValueError, which says why, for everything that would need repair.

    Names become ASCII by IDNA 2008 (RFC 5891) without any mapping. IPv4 is four decimal numbers without leading zeros
    and nothing else; IPv6 has no brackets and no zone id.
    """
    if ":" in text:
        try:
            return str(parse(text))
        except ValueError as error:
            raise ValueError("its host is no plain IPv6 address") from error
    if not 0 < len(text) <= NAME_MOST:
        raise ValueError("its host is empty or longer than 253 characters")
    labels = text.split(".")
    if not all(labels):
        raise ValueError("its host has an empty part or ends in a dot")
    host = ".".join(_ascii_label(label) for label in labels)
    if _NUMBER.fullmatch(host.rpartition(".")[2]):
        try:
            return str(IPv4Address(host))
        except ValueError as error:
            raise ValueError(
                "its host reads as an odd IPv4 address; write four decimal numbers without leading zeros"
            ) from error
    if len(host) > NAME_MOST:
        raise ValueError("its host is longer than 253 characters in ASCII")
    return host


def _ascii_label(label: str) -> str:
    lowered = label.lower()
    if label.isascii() and _LABEL.fullmatch(lowered) is None:
        raise ValueError("its host holds characters that a host name cannot have, or a part of more than 63 characters")
    if label.isascii() and not lowered.startswith("xn--"):
        return lowered
    try:
        return idna.alabel(lowered if label.isascii() else label).decode()
    except ValueError as error:
        raise ValueError("its host holds an international name that IDNA 2008 does not allow") from error


def parse_base(url: str) -> tuple[Origin, str]:
    """The origin of the base URL ``url``, and its path without a slash at the end (so ``""`` for a bare host).

    Raises InvalidInput, which says why and never repeats the URL, for whatever a lenient parser would repair or read
    differently from another: another scheme, a user name, a query, a fragment, backslashes, spaces and control
    characters, odd IPv4 notations, zone ids, empty parts of the host, port 0, dot segments.
    """
    try:
        return _parse_base(url)
    except ValueError as error:
        raise InvalidInput(f"The base URL is not usable: {error}.", param="base_url") from error


def _parse_base(url: str) -> tuple[Origin, str]:
    if len(url) > URL_MOST:
        raise ValueError(f"it is longer than {URL_MOST} characters")
    if _NEVER.search(url):
        raise ValueError("it holds a space, a control character or a backslash")
    match = _URL.fullmatch(url)
    if match is None:
        raise ValueError("it must begin with http:// or https://")
    if match["rest"]:
        raise ValueError("it has a query or a fragment; parameters are described beside it")
    scheme: Scheme = "https" if match["scheme"].lower() == "https" else "http"
    host, port = _split_authority(match["authority"])
    return Origin(scheme, canonical_host(host), _PORTS[scheme] if port is None else _port(port)), _path(match["path"])


def _split_authority(authority: str) -> tuple[str, str | None]:
    """Host and port text of an authority; None where there is no colon for a port."""
    if "@" in authority:
        raise ValueError("it holds a user name or password; secrets belong to the credential")
    if authority.startswith("["):
        match = _BRACKETED.fullmatch(authority)
        if match is None:
            raise ValueError("the brackets of its host hold no plain IPv6 address")
        return match[1], match[2]
    host, colon, port = authority.partition(":")
    return host, port if colon else None


def _port(text: str) -> int:
    if _PORT.fullmatch(text) is None or int(text) > 0xFFFF:
        raise ValueError("its port is not a number from 1 to 65535")
    return int(text)


def _path(text: str) -> str:
    if _PATH.fullmatch(text) is None:
        raise ValueError("its path holds characters that must be percent-encoded")
    if _PATH_NEVER.search(text):
        raise ValueError("its path has dot segments, empty segments, or encoded control characters or backslashes")
    return text.removesuffix("/")


def bound_host(text: str) -> str:
    """One entry of a credential's host list in its one form: a host, or ``*.`` and a name for the names below it.

    An IPv6 address may stand in brackets, as in a URL; its one form has none.

    Raises InvalidInput for anything else.
    """
    try:
        return _bound_host(text)
    except ValueError as error:
        raise InvalidInput(
            "A credential's host list holds an entry that is not usable. Give host names without scheme or port, such "
            "as api.example.com, or *.example.com for the names below it.",
            detail=repr(error),
            param="hosts",
        ) from error


def _bound_host(text: str) -> str:
    if text.startswith("[") and text.endswith("]") and ":" in text:
        return canonical_host(text[1:-1])
    if not text.startswith("*."):
        return canonical_host(text)
    host = canonical_host(text[2:])
    if _is_literal(host):
        raise ValueError("nothing stands below an address")
    return f"*.{host}"


@lru_cache(maxsize=4096)
def _bound_host_or_none(text: str) -> str | None:
    try:
        return _bound_host(text)
    except ValueError:
        return None


def _is_literal(host: str) -> bool:
    """Whether a canonical host is an address: no name has a colon, or a number as its last part."""
    return ":" in host or host.rpartition(".")[2].isdigit()


def has_address(address: Address) -> bool:
    """Whether ``address`` is one of this machine's: only then can a socket be bound to it. Nothing is sent.

    Where the kernel lets sockets bind to any address (``ip_nonlocal_bind``), every address counts as ours.
    """
    family = socket.AF_INET if isinstance(address, IPv4Address) else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True


class Guard:
    """Decides where requests may go.

    ``allow`` holds what the operator opened: networks, addresses and host names; SettingsError for anything else.
    ``own`` tells the addresses Tieline itself listens on; their ports are closed on every local address, whatever is
    opened. ``is_local`` tells a local address.
    """

    def __init__(
        self,
        allow: Sequence[str] = (),
        own: Listeners = lambda: (),
        *,
        is_local: Callable[[Address], bool] = has_address,
    ) -> None:
        self._own = own
        self._is_local = is_local
        self._networks: list[IPv4Network | IPv6Network] = []
        self._hosts: set[str] = set()
        for text in allow:
            self._open(text)
        self._exact: set[Address] = {
            network.network_address for network in self._networks if network.prefixlen == network.max_prefixlen
        }

    def _open(self, text: str) -> None:
        try:
            self._networks.append(ip_network(text))
        except ValueError:
            try:
                self._hosts.add(canonical_host(text))
            except ValueError as error:
                raise SettingsError(
                    f'--allow-destination cannot be "{text}". Give a network such as 10.0.0.0/8 (without bits beyond '
                    "its prefix), an address or a host name.",
                    param="allow_destinations",
                ) from error

    def check_host(self, host: str, bound_hosts: Collection[str]) -> None:
        """Raise DestinationNotAllowed unless the credential's host list names ``host`` (canonical, as in an Origin).

        ``*.example.com`` stands for every name below example.com, not for example.com itself. An entry that
        :func:`bound_host` would refuse names nothing.
        """
        for entry in bound_hosts:
            rule = _bound_host_or_none(entry)
            if rule == host or (rule is not None and rule.startswith("*.") and host.endswith(rule[1:])):
                return
        raise DestinationNotAllowed(
            f"The credential is not bound to the host {host}, so it is not sent there. Add the host to the API's "
            "hosts, or correct the base URL.",
            detail=f"{host} is none of {sorted(bound_hosts)}",
        )

    def check_address(self, ip: str, port: int, host: str) -> None:
        """Raise DestinationNotAllowed unless ``ip``, to which ``host`` led, may be dialled at ``port``.

        In this order: our own listeners never; an address that the operator listed by itself always; metadata services
        never; a host that the operator listed always; otherwise the address and every IPv4 address that it may stand
        for must be public or opened.
        """
        try:
            address = parse(ip)
        except ValueError as error:
            raise _refused(host, ip, "is no plain address") from error
        meant: list[Address] = [address, *sorted(embedded(address))]
        if self._is_own(meant, port):
            raise DestinationNotAllowed(
                f"{host} leads to Tieline itself, which never calls itself. Correct the base URL.",
                detail=f"{host} leads to {ip}, a local address, and {port} is our own port",
            )
        if address in self._exact:
            return
        if not METADATA.isdisjoint(meant):
            raise _refused(host, ip, "belongs to a cloud's metadata service")
        if host in self._hosts:
            return
        for each in meant:
            block = block_of(each)
            if not block.public and not any(each in network for network in self._networks):
                raise _refused(host, ip, f"is not public: {block.name}")

    async def resolve(self, origin: Origin, *, resolver: Resolver | None = None) -> list[Endpoint]:
        """The addresses to dial for ``origin``: looked up once, each of them checked, in the resolver's order.

        One refused address refuses them all (DestinationNotAllowed): a name that leads inside and outside at once is a
        trap. Raises UpstreamUnreachable when the name leads nowhere. The caller keeps the time.
        """
        if _is_literal(origin.host):
            found = [origin.host]
        else:
            found = await _look_up(origin, resolver or asyncio.get_running_loop().getaddrinfo)
        for ip in found:
            self.check_address(ip, origin.port, origin.host)
        return [(_family(ip), ip, origin.port) for ip in dict.fromkeys(found)]

    def check_peer(self, dialled_ip: str, peername: Sequence[Any] | None) -> None:
        """Raise DestinationNotAllowed unless the socket's ``peername`` is the address that was dialled."""
        try:
            same = peername is not None and parse(str(peername[0])) == parse(dialled_ip)
        except ValueError:
            same = False
        if not same:
            raise DestinationNotAllowed(
                "The connection did not reach the address that was checked, so nothing was sent over it. Look for a "
                "proxy or a packet filter that redirects connections.",
                detail=f"dialled {dialled_ip}, peer {peername!r}",
            )

    def _is_own(self, addresses: Iterable[Address], port: int) -> bool:
        if all(port != ours for _, ours in self._own()):
            return False
        return any(is_this_host(address) or self._is_local(address) for address in addresses)


async def _look_up(origin: Origin, resolver: Resolver) -> list[str]:
    try:
        answers = list(await resolver(origin.host, origin.port, type=socket.SOCK_STREAM))
    except OSError as error:
        raise UpstreamUnreachable(
            f"The host {origin.host} cannot be found. Check its name, and Tieline's name server.", detail=repr(error)
        ) from error
    if not answers:
        raise UpstreamUnreachable(f"The host {origin.host} has no address. Check its name.")
    return [_address_of(answer[-1]) for answer in answers]


def _address_of(place: Sequence[Any]) -> str:
    """The address of a socket address, with the zone id that IPv6 has in its fourth item, so that it is refused."""
    zone = f"%{place[3]}" if len(place) > 3 and place[3] else ""
    return f"{place[0]}{zone}"


def _family(ip: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in ip else socket.AF_INET


def _refused(host: str, ip: str, why: str) -> DestinationNotAllowed:
    """The refusal of ``ip``. Its public text keeps the address to itself: what a name means inside is not told."""
    return DestinationNotAllowed(
        f"{host} leads to an address that {why}; Tieline does not connect to it. If it is meant, an operator can open "
        "it with --allow-destination.",
        detail=f"{host} leads to {ip}, which {why}",
    )
