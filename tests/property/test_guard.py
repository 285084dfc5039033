"""The egress guard against an oracle written apart from it: no inner address passes, no public one is refused."""

import random
import re
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.core.errors import DestinationNotAllowed
from tieline.core.urls import canonical_host, parse_base
from tieline.wire.guard import Guard

FULL, REDUCED = 300_000, 6_000
GUARD = Guard()
# Public by their registry, and refused for what answers there.
METADATA_IN_PUBLIC_SPACE = {"168.63.129.16"}
PLAIN_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")


def is_public_v4(number: int) -> bool:
    """The IPv4 registry by octets."""
    a, b, c, d = number.to_bytes(4, "big")
    if a in (0, 10, 127) or a >= 224:
        return False
    match a:
        case 100:
            return not 64 <= b <= 127
        case 169:
            return b != 254
        case 172:
            return not 16 <= b <= 31
        case 192:
            within = (b, c) == (0, 0) and d not in (9, 10)
            return b != 168 and not within and (b, c) not in ((0, 2), (88, 99))
        case 198:
            return b not in (18, 19) and (b, c) != (51, 100)
        case 203:
            return (b, c) != (0, 113)
    return True


def is_public_v6(number: int) -> bool:
    """The IPv6 registry by groups of 16 bits, with the IPv4 address of the two forms that are public themselves."""
    g = [number >> shift & 0xFFFF for shift in range(112, -1, -16)]
    if g[:6] == [0x64, 0xFF9B, 0, 0, 0, 0]:
        return is_public_v4(number & 0xFFFFFFFF)
    if g[5] == 0x5EFE and g[4] in (0, 0x200) and not is_public_v4(number & 0xFFFFFFFF):
        return False
    if not 0x2000 <= g[0] <= 0x3FFF or g[0] == 0x2002 or (g[0] == 0x3FFF and g[1] < 0x1000):
        return False
    if g[0] != 0x2001 or g[1] >= 0x200:
        return g[:2] != [0x2001, 0x0DB8]
    anycast = g[1:7] == [1, 0, 0, 0, 0, 0] and g[7] in (1, 2, 3)
    return anycast or g[1] == 3 or g[1:3] == [4, 0x112] or 0x20 <= g[1] <= 0x3F


def is_allowed(ip: IPv4Address | IPv6Address) -> bool:
    """What the guard says of a host that leads to ``ip``."""
    try:
        GUARD.check_address(str(ip), 443, "api.example.com")
    except DestinationNotAllowed:
        return False
    return True


# Where verdicts change: the edges of blocks, as the octets and groups that they are made of.
octets = st.sampled_from(
    [0, 1, 9, 10, 16, 18, 19, 31, 51, 63, 64, 88, 99, 100, 113, 127, 128, 168, 169, 172, 192, 198, 203]
)
edge_octets = st.one_of(octets, st.sampled_from([223, 224, 239, 240, 254, 255]), st.integers(0, 255))
groups = st.sampled_from([0, 1, 2, 3, 4, 0x10, 0x1F, 0x20, 0x3F, 0x40, 0x64, 0x100, 0x112, 0x1FF, 0x200, 0xDB8, 0x5EFE])
heads = st.sampled_from(
    [0x1FFF, 0x2000, 0x2001, 0x2002, 0x2003, 0x3FFF, 0x4000, 0x5F00, 0xFC00, 0xFE80, 0xFEC0, 0xFF00]
)
edge_groups = st.one_of(groups, heads, st.sampled_from([0xFFF, 0x1000, 0xFF9B, 0xFFFF]), st.integers(0, 0xFFFF))
v4 = st.tuples(edge_octets, edge_octets, edge_octets, edge_octets).map(bytes).map(IPv4Address)
v6 = st.lists(edge_groups, min_size=8, max_size=8).map(
    lambda groups: IPv6Address(b"".join(group.to_bytes(2, "big") for group in groups))
)


@given(v4)
def test_ipv4_near_the_edges_of_blocks_is_judged_as_the_registry_says(ip: IPv4Address) -> None:
    """Refused or allowed, never otherwise than the oracle."""
    assert is_allowed(ip) == (is_public_v4(int(ip)) and str(ip) not in METADATA_IN_PUBLIC_SPACE)


@given(v6)
def test_ipv6_near_the_edges_of_blocks_is_judged_as_the_registry_says(ip: IPv6Address) -> None:
    """Refused or allowed, never otherwise than the oracle."""
    assert is_allowed(ip) == is_public_v6(int(ip))


def test_no_public_address_is_refused_and_no_other_allowed(soak: bool) -> None:
    """Addresses from all over both spaces, half of the IPv6 ones in global unicast."""
    chance = random.Random("addresses")
    wrong: list[str] = []
    for _ in range(FULL if soak else REDUCED):
        four, six = IPv4Address(chance.getrandbits(32)), IPv6Address(chance.getrandbits(128))
        near = IPv6Address(1 << 125 | chance.getrandbits(125))
        wrong += [str(four)] if is_allowed(four) != is_public_v4(int(four)) else []
        wrong += [str(ip) for ip in (six, near) if is_allowed(ip) != is_public_v6(int(ip))]
    assert [ip for ip in wrong if ip not in METADATA_IN_PUBLIC_SPACE] == []


def test_first_and_last_addresses_of_24_bit_blocks_are_judged_right(soak: bool) -> None:
    """Nearly all blocks of IPv4 begin and end there; all 2²⁵ of them would take ten minutes."""
    chance = random.Random("blocks")
    blocks = chance.sample(range(1 << 24), FULL if soak else REDUCED)
    ends = (number for block in blocks for number in (block << 8, block << 8 | 0xFF))
    assert [
        str(IPv4Address(number)) for number in ends if is_allowed(IPv4Address(number)) != is_public_v4(number)
    ] == []


@given(st.text(max_size=40), st.sampled_from(["https://{}", "http://{}/v1", "https://{}:8443", "http://[{}]", "{}"]))
def test_no_text_makes_the_parse_fail_otherwise_than_by_refusing(text: str, form: str) -> None:
    """ValueError, or an origin that stands in the URL as it is."""
    url = form.format(text)
    try:
        origin, path = parse_base(url)
    except ValueError:
        return
    assert canonical_host(origin.host) == origin.host
    assert origin.authority.isascii()
    assert url.rstrip("/").endswith(path)


parts = [
    "api.example.com", "evil.example", "::1", "127.0.0.1", "0x7f", "1", "8600", "xn--", "http", "https", "://", "*",
    ".", "..", "@", ":", "/", "//", "\\", "#", "?", "%2f", "%5c", "%2e", "%00", "[", "]", " ", "\t", "\n", "\0",
    "。", "１",
]  # fmt: skip


@given(st.lists(st.sampled_from(parts), max_size=8))
def test_a_url_made_of_traps_leads_only_where_every_reader_would_go(pieces: list[str]) -> None:
    """What is accepted is a plain authority right behind the scheme, so no other parser finds another host in it."""
    url = "https://" + "".join(pieces)
    try:
        origin, _ = parse_base(url)
    except ValueError:
        return
    authority = url.removeprefix("https://").partition("/")[0]
    host = authority.partition(":")[0] if not authority.startswith("[") else authority[1:].partition("]")[0]
    assert origin.host in (host.lower(), host)
    assert PLAIN_NAME.fullmatch(host) or host in ("127.0.0.1", "::1") or "::1" in host


@pytest.mark.parametrize("inner", ["127.0.0.1", "10.0.0.1", "169.254.169.254"])
@given(v6)
def test_an_inner_address_behind_any_public_prefix_is_refused_as_isatap(inner: str, prefix: IPv6Address) -> None:
    """The interface identifier decides, whatever stands before it."""
    four = int(IPv4Address(inner))
    for mark in (0x00005EFE, 0x02005EFE):
        assert not is_allowed(IPv6Address(int(prefix) >> 64 << 64 | mark << 32 | four))
