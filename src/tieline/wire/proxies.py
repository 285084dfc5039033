"""What proxies in front of the app listener say of a client: its address, and the address that it used.

Only proxies that the operator named (``--trusted-proxy``) are believed, and of several only as far as each one before
is such a proxy itself. Follows RFC 7239 (``Forwarded``) and the older ``X-Forwarded-*`` fields.
"""

import re
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from tieline.wire.framing import is_authority

Headers = Sequence[tuple[bytes, bytes]]

_ELEMENT = re.compile(rb'(?:"(?:[^"\\]|\\.)*"|[^",])+')
_PAIR = re.compile(rb'(?:^|;)\s*(?P<name>[A-Za-z]+)=(?:"(?P<quoted>[^"\\]*)"|(?P<plain>[^;,"\s]*))')
_NODE = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<four>[0-9.]+))(?::[0-9]{1,5})?|(?P<bare>[0-9A-Fa-f:.]+)")


class TrustedProxies:
    """The proxies that are believed; ``networks`` are networks or addresses as text. Raises ValueError for others."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks: list[IPv4Network | IPv6Network] = [ip_network(text) for text in networks]

    def client(self, peer: str, headers: Headers) -> str:
        """The address of the client whose request with ``headers`` came from ``peer``.

        The last address in the fields that is no trusted proxy's. Where they cannot be read, or where both kinds are
        there and differ, it is that of the last proxy that said something clear: nobody is taken for somebody else.
        """
        if not self._trusts(peer):
            return peer
        forwarded, older = _values(headers, b"forwarded"), _values(headers, b"x-forwarded-for")
        found = {self._walk(peer, chain) for chain in (_nodes(forwarded), _listed(older)) if chain}
        return found.pop() if len(found) == 1 else peer

    def address(self, peer: str, headers: Headers) -> tuple[bytes, bytes]:
        """Scheme and host under which the client reached the proxy before us; each empty where that is not told."""
        if not self._trusts(peer):
            return b"", b""
        elements = _elements(_values(headers, b"forwarded"))
        last = elements[-1] if elements else {}
        schemes = _listed(_values(headers, b"x-forwarded-proto")) or [last.get(b"proto", b"")]
        hosts = _listed(_values(headers, b"x-forwarded-host")) or [last.get(b"host", b"")]
        scheme, host = schemes[-1].lower(), hosts[-1]
        return scheme if scheme in {b"http", b"https"} else b"", host if is_authority(host) else b""

    def _walk(self, peer: str, chain: list[bytes]) -> str:
        """From the nearest hop to the farthest, as long as each is trusted."""
        seen = peer
        for node in reversed(chain):
            told = _address(node)
            if told is None:
                return seen
            seen = str(told)
            if not self._trusts(seen):
                return seen
        return seen

    def _trusts(self, text: str) -> bool:
        address = _address(text.encode())
        return address is not None and any(address in network for network in self._networks)


def _values(headers: Headers, name: bytes) -> bytes:
    return b",".join([value for each, value in headers if each.lower() == name])


def _listed(value: bytes) -> list[bytes]:
    return [item.strip() for item in value.split(b",")] if value else []


def _elements(value: bytes) -> list[dict[bytes, bytes]]:
    """The hops of a ``Forwarded`` value, the farthest first, each with its pairs by lower-case name."""
    return [
        {pair["name"].lower(): pair["quoted"] or pair["plain"] or b"" for pair in _PAIR.finditer(element.strip())}
        for element in _ELEMENT.findall(value)
    ]


def _nodes(value: bytes) -> list[bytes]:
    return [element.get(b"for", b"") for element in _elements(value)]


def _address(node: bytes) -> IPv4Address | IPv6Address | None:
    """The address of a hop, with or without a port; None for a made-up name, ``unknown`` and whatever else."""
    found = _NODE.fullmatch(node.decode("latin-1").partition("%")[0])
    if found is None:
        return None
    try:
        address = ip_address(found["six"] or found["four"] or found["bare"])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
