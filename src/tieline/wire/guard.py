"""The egress guard: which host, which address, which peer a request may go to (security.md, section 2, rule 1).

Owns the credential's host list and the check of every address that a name leads to; the grammar is ``core.urls``. It
opens no connection: ``pool`` dials the very addresses that :meth:`Guard.resolve` returned and shows the peer to
:meth:`Guard.check_peer`. It knows nothing of HTTP, proxies or the environment. The tables are in ``addresses``.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_network
from typing import Any, Protocol

from tieline.core.errors import DestinationNotAllowed, SettingsError, UpstreamUnreachable
from tieline.core.urls import Address, Origin, bracketed, canonical_host, is_address, parse_address
from tieline.wire.addresses import METADATA, block_of, embedded, is_this_host

Listeners = Callable[[], Collection[tuple[str, int]]]
Endpoint = tuple[socket.AddressFamily, str, int]


class Resolver(Protocol):
    """Looks a name up, as the running loop's ``getaddrinfo`` does."""

    def __call__(self, host: str, port: int, *, type: int) -> Awaitable[Iterable[tuple[Any, ...]]]:
        """Tuples whose last item is the socket address; raises OSError when the name leads nowhere."""
        ...


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

        The list holds hosts in their one form as URLs write them (``core.urls.written_host``).
        """
        if bracketed(host) in bound_hosts:
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
            address = parse_address(ip)
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
        if is_address(origin.host):
            found = [origin.host]
        else:
            found = await _look_up(origin, resolver or asyncio.get_running_loop().getaddrinfo)
        for ip in found:
            self.check_address(ip, origin.port, origin.host)
        return [(_family(ip), ip, origin.port) for ip in dict.fromkeys(found)]

    def check_peer(self, dialled: Collection[str], peername: Sequence[Any] | None) -> None:
        """Raise DestinationNotAllowed unless the socket's ``peername`` is one of the addresses that were dialled."""
        try:
            same = peername is not None and parse_address(str(peername[0])) in {parse_address(each) for each in dialled}
        except ValueError:
            same = False
        if not same:
            raise DestinationNotAllowed(
                "The connection did not reach the address that was checked, so nothing was sent over it. Look for a "
                "proxy or a packet filter that redirects connections.",
                detail=f"dialled {list(dialled)}, peer {peername!r}",
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
