"""Which IP addresses are public, which hide another address, and which belong to a cloud's metadata service.

Owns the tables. It knows nothing of names, of what an operator has opened, or of our own listeners (``guard``).

Sources: the IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890, RFC 8190) as published in September 2026
(the IPv6 one last changed on 2025-10-09), the IPv4 and IPv6 multicast registries, and RFC 4291 for IPv6 outside
2000::/3. An address is public when the most specific block that holds it is marked globally reachable. What the
registries leave open (6to4, Teredo, the deprecated relay block) is not. Python's ``ipaddress`` serves for parsing only:
its ``is_global`` and ``is_private`` disagree with the registries, differently from one Python version to the next.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_network

from tieline.core.urls import Address, parse_address

Network = IPv4Network | IPv6Network

_SPECIAL_V4 = (
    ("0.0.0.0/8", False, "this network (RFC 791)"),
    ("10.0.0.0/8", False, "private use (RFC 1918)"),
    ("100.64.0.0/10", False, "shared address space (RFC 6598)"),
    ("127.0.0.0/8", False, "loopback (RFC 1122)"),
    ("169.254.0.0/16", False, "link-local (RFC 3927)"),
    ("172.16.0.0/12", False, "private use (RFC 1918)"),
    ("192.0.0.0/24", False, "IETF protocol assignments (RFC 6890)"),
    ("192.0.0.9/32", True, "port control protocol anycast (RFC 7723)"),
    ("192.0.0.10/32", True, "traversal using relays around NAT anycast (RFC 8155)"),
    ("192.0.2.0/24", False, "documentation (RFC 5737)"),
    ("192.88.99.0/24", False, "6to4 relay anycast, deprecated (RFC 7526)"),
    ("192.168.0.0/16", False, "private use (RFC 1918)"),
    ("198.18.0.0/15", False, "benchmarking (RFC 2544)"),
    ("198.51.100.0/24", False, "documentation (RFC 5737)"),
    ("203.0.113.0/24", False, "documentation (RFC 5737)"),
    ("224.0.0.0/4", False, "multicast (RFC 5771)"),
    ("240.0.0.0/4", False, "reserved (RFC 1112)"),
    # 192.31.196.0/24, 192.52.193.0/24 and 192.175.48.0/24 are special, yet globally reachable like everything else.
)

_SPECIAL_V6 = (
    ("::/0", False, "outside global unicast (RFC 4291)"),
    ("::/96", False, "IPv4-compatible, unspecified or loopback (RFC 4291)"),
    ("::ffff:0:0/96", False, "IPv4-mapped (RFC 4291)"),
    ("::ffff:0:0:0/96", False, "IPv4-translated (RFC 2765)"),
    ("64:ff9b::/96", True, "IPv4-IPv6 translation (RFC 6052)"),
    ("64:ff9b:1::/48", False, "local-use IPv4-IPv6 translation (RFC 8215)"),
    ("100::/64", False, "discard-only (RFC 6666)"),
    ("100:0:0:1::/64", False, "dummy prefix (RFC 9780)"),
    ("2000::/3", True, "global unicast (RFC 4291)"),
    ("2001::/23", False, "IETF protocol assignments (RFC 2928)"),
    ("2001::/32", False, "Teredo (RFC 4380)"),
    ("2001:1::1/128", True, "port control protocol anycast (RFC 7723)"),
    ("2001:1::2/128", True, "traversal using relays around NAT anycast (RFC 8155)"),
    ("2001:1::3/128", True, "DNS-SD service registration anycast (RFC 9665)"),
    ("2001:2::/48", False, "benchmarking (RFC 5180)"),
    ("2001:3::/32", True, "automatic multicast tunnelling (RFC 7450)"),
    ("2001:4:112::/48", True, "AS112 (RFC 7535)"),
    ("2001:10::/28", False, "ORCHID, deprecated (RFC 4843)"),
    ("2001:20::/28", True, "ORCHIDv2 (RFC 7343)"),
    ("2001:30::/28", True, "drone remote identifiers (RFC 9374)"),
    ("2001:db8::/32", False, "documentation (RFC 3849)"),
    ("2002::/16", False, "6to4 (RFC 3056)"),
    ("3fff::/20", False, "documentation (RFC 9637)"),
    ("5f00::/16", False, "segment routing identifiers (RFC 9602)"),
    ("fc00::/7", False, "unique local (RFC 4193)"),
    ("fe80::/10", False, "link-local (RFC 4291)"),
    ("fec0::/10", False, "site-local, deprecated (RFC 3879)"),
    ("ff00::/8", False, "multicast (RFC 4291)"),
)

# Services that hand a machine's own credentials to whoever asks from it. Sources: the clouds' documentation.
METADATA: frozenset[Address] = frozenset(
    parse_address(text)
    for text in (
        "169.254.169.254",  # AWS, Google Cloud, Azure, Oracle, OpenStack, DigitalOcean, Hetzner and others
        "169.254.170.2",  # AWS ECS task credentials
        "169.254.170.23",  # AWS EKS Pod Identity
        "169.254.0.23",  # Tencent Cloud
        "169.254.42.42",  # Scaleway
        "100.100.100.200",  # Alibaba Cloud
        "168.63.129.16",  # Azure's host channel, in public address space
        "192.0.0.192",  # Oracle Cloud Classic
        "fd00:ec2::254",  # AWS
        "fd00:ec2::23",  # AWS EKS Pod Identity
        "fd20:ce::254",  # Google Cloud
        "fd00:42::42",  # Scaleway
        "fd00:c1::a9fe:a9fe",  # Oracle Cloud
        "fe80::a9fe:a9fe",  # OpenStack
    )
)


@dataclass(frozen=True, slots=True)
class Block:
    """A block of addresses: whether packets for it leave for the public network, and what it is for."""

    network: Network
    public: bool
    name: str


def _blocks(table: Sequence[tuple[str, bool, str]]) -> tuple[Block, ...]:
    """The table's blocks, the most specific first, so that the first that holds an address decides."""
    blocks = (Block(ip_network(network), public, name) for network, public, name in table)
    return tuple(sorted(blocks, key=lambda block: -block.network.prefixlen))


_BLOCKS_V4 = _blocks(_SPECIAL_V4)
_BLOCKS_V6 = _blocks(_SPECIAL_V6)
_PUBLIC_V4 = Block(ip_network("0.0.0.0/0"), public=True, name="public")

_LOW = ip_network("::/96"), ip_network("::ffff:0:0/96"), ip_network("::ffff:0:0:0/96"), ip_network("64:ff9b::/96")
_THIS_HOST = ip_network("0.0.0.0/8"), ip_network("127.0.0.0/8"), ip_network("::/127")
_NOT_COMPATIBLE = ip_network("::/127")  # unspecified and loopback: addresses of their own, though they stand in ::/96
_NAT64_LOCAL = ip_network("64:ff9b:1::/48")
_TEREDO = ip_network("2001::/32")
_SIX_TO_FOUR = ip_network("2002::/16")
_ISATAP = b"\x00\x00\x5e\xfe", b"\x02\x00\x5e\xfe"
# RFC 6052, section 2.2: where the four bytes stand for a prefix of 48, 56, 64 and 96 bits; byte 8 is left out.
_NAT64_PLACES = (6, 7, 9, 10), (7, 9, 10, 11), (9, 10, 11, 12), (12, 13, 14, 15)


def block_of(address: Address) -> Block:
    """The most specific block that holds ``address``."""
    if isinstance(address, IPv4Address):
        return next((block for block in _BLOCKS_V4 if address in block.network), _PUBLIC_V4)
    return next(block for block in _BLOCKS_V6 if address in block.network)


def is_this_host(address: Address) -> bool:
    """Whether ``address`` means the machine itself wherever it is used: loopback, or unspecified."""
    return any(address in network for network in _THIS_HOST)


def embedded(address: Address) -> frozenset[IPv4Address]:
    """Every IPv4 address that ``address`` may stand for: where a translator or tunnel would deliver its packets.

    Mapped and compatible (RFC 4291), translated (RFC 2765), NAT64 by the well-known and the local-use prefix (RFC 6052,
    RFC 8215), 6to4 (RFC 3056), Teredo's server and client (RFC 4380), and ISATAP under any prefix (RFC 5214).
    """
    if isinstance(address, IPv4Address):
        return frozenset()
    packed = address.packed
    found: set[bytes] = set()
    if packed[8:12] in _ISATAP or (address not in _NOT_COMPATIBLE and any(address in network for network in _LOW)):
        found.add(packed[12:])
    if address in _SIX_TO_FOUR:
        found.add(packed[2:6])
    if address in _TEREDO:
        found.update((packed[4:8], bytes(byte ^ 0xFF for byte in packed[12:])))
    if address in _NAT64_LOCAL:
        found.update(_nat64_readings(packed))
    return frozenset(map(IPv4Address, found))


def _nat64_readings(packed: bytes) -> set[bytes]:
    """What a translator may read from an address under the local-use prefix, whose length only its operator knows.

    A reading needs zeros behind it (RFC 6052, section 2.2). The empty reading 0.0.0.0 counts only when it is the only
    one, for it stands in every address that was made with another prefix length.
    """
    found = {bytes(packed[place] for place in places) for places in _NAT64_PLACES if not any(packed[places[-1] + 1 :])}
    return found - {bytes(4)} or found
