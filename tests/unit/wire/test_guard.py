"""The egress guard: addresses, what hides in them, what operators open, names and peers."""

import asyncio
import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from pathlib import Path
from typing import Any

import pytest

from tieline.core.errors import DestinationNotAllowed, SettingsError, UpstreamUnreachable
from tieline.core.urls import Origin
from tieline.wire.addresses import METADATA
from tieline.wire.guard import Guard, has_address

HOST = "api.example.com"
INSIDE = ["10.0.0.1", "127.0.0.1", "169.254.169.254", "172.16.5.4", "192.168.1.1", "100.64.0.1", "0.0.0.0", "224.0.0.1"]

# Every block of both IANA special-purpose registries, and multicast, as first address, last address, and whether the
# registry says that it is globally reachable. Written apart from the product's table.
REGISTRY_V4 = [
    ("0.0.0.0", "0.255.255.255", False),
    ("10.0.0.0", "10.255.255.255", False),
    ("100.64.0.0", "100.127.255.255", False),
    ("127.0.0.0", "127.255.255.255", False),
    ("169.254.0.0", "169.254.255.255", False),
    ("172.16.0.0", "172.31.255.255", False),
    ("192.0.0.0", "192.0.0.255", False),
    ("192.0.0.0", "192.0.0.7", False),
    ("192.0.0.8", "192.0.0.8", False),
    ("192.0.0.9", "192.0.0.9", True),
    ("192.0.0.10", "192.0.0.10", True),
    ("192.0.0.170", "192.0.0.171", False),
    ("192.0.2.0", "192.0.2.255", False),
    ("192.31.196.0", "192.31.196.255", True),
    ("192.52.193.0", "192.52.193.255", True),
    ("192.88.99.0", "192.88.99.255", False),
    ("192.168.0.0", "192.168.255.255", False),
    ("192.175.48.0", "192.175.48.255", True),
    ("198.18.0.0", "198.19.255.255", False),
    ("198.51.100.0", "198.51.100.255", False),
    ("203.0.113.0", "203.0.113.255", False),
    ("224.0.0.0", "239.255.255.255", False),
    ("240.0.0.0", "255.255.255.255", False),
]
REGISTRY_V6 = [
    ("::", "::", False),
    ("::1", "::1", False),
    ("::2", "::ffff:ffff", False),
    ("::ffff:0:0", "::ffff:ffff:ffff", False),
    ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", False),
    ("100::", "100::ffff:ffff:ffff:ffff", False),
    ("100:0:0:1::", "100::1:ffff:ffff:ffff:ffff", False),
    ("2001::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff", False),
    ("2001:1::", "2001:1::", False),
    ("2001:1::1", "2001:1::3", True),
    ("2001:1::4", "2001:1:ffff:ffff:ffff:ffff:ffff:ffff", False),
    ("2001:2::", "2001:2:0:ffff:ffff:ffff:ffff:ffff", False),
    ("2001:2:1::", "2001:2:ffff:ffff:ffff:ffff:ffff:ffff", False),
    ("2001:3::", "2001:3:ffff:ffff:ffff:ffff:ffff:ffff", True),
    ("2001:4::", "2001:4:111:ffff:ffff:ffff:ffff:ffff", False),
    ("2001:4:112::", "2001:4:112:ffff:ffff:ffff:ffff:ffff", True),
    ("2001:4:113::", "2001:f:ffff:ffff:ffff:ffff:ffff:ffff", False),
    ("2001:10::", "2001:1f:ffff:ffff:ffff:ffff:ffff:ffff", False),
    ("2001:20::", "2001:3f:ffff:ffff:ffff:ffff:ffff:ffff", True),
    ("2001:40::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", False),
    ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", False),
    ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", False),
    ("2620:4f:8000::", "2620:4f:8000:ffff:ffff:ffff:ffff:ffff", True),
    ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", False),
    ("4000::", "5eff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", False),
    ("5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", False),
    ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", False),
    ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", False),
    ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", False),
    ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", False),
]
# Outside 2000::/3 and outside every block of the registry.
RESERVED_V6 = [
    "::1:0:0",
    "64:ff9a:ffff::",
    "64:ff9b:2::",
    "100::2:0:0:0:0",
    "1fff:ffff::",
    "5f01::",
    "e000::",
    "fe7f::",
]


def is_allowed(ip: str, *allow: str, host: str = HOST) -> bool:
    """Whether a guard, closed but for ``allow``, lets ``host`` lead to ``ip`` at port 443."""
    try:
        Guard(allow).check_address(ip, 443, host)
    except DestinationNotAllowed:
        return False
    return True


def has_ipv6_loopback() -> bool:
    """Whether the kernel lists ``::1`` among its addresses."""
    listed = Path("/proc/net/if_inet6")
    return listed.exists() and f"{1:032x}" in listed.read_text()


def placed(prefix: str, *places: tuple[int, bytes]) -> str:
    """The IPv6 address ``prefix`` with bytes put at places."""
    raw = bytearray(IPv6Address(prefix).packed)
    for place, content in places:
        raw[place : place + len(content)] = content
    return str(IPv6Address(bytes(raw)))


def forms_of(inner: str) -> dict[str, str]:
    """Every way to write the IPv4 address ``inner`` inside an IPv6 address."""
    four = IPv4Address(inner).packed
    hidden = bytes(255 - byte for byte in four)
    return {
        "mapped": f"::ffff:{inner}",
        "mapped, in hex": f"0:0:0:0:0:FFFF:{four.hex()[:4]}:{four.hex()[4:]}",
        "compatible": placed("::", (12, four)),
        "translated": placed("::ffff:0:0:0", (12, four)),
        "NAT64": placed("64:ff9b::", (12, four)),
        "local NAT64, 96 bits": placed("64:ff9b:1::", (12, four)),
        "local NAT64, 96 bits, a subnet": placed("64:ff9b:1:7:0:9::", (12, four)),
        "local NAT64, 64 bits": placed("64:ff9b:1:5::", (9, four)),
        "local NAT64, 56 bits": placed("64:ff9b:1:500::", (7, four[:1]), (9, four[1:])),
        "local NAT64, 48 bits": placed("64:ff9b:1::", (6, four[:2]), (9, four[2:])),
        "6to4": placed("2002::1", (2, four)),
        "Teredo server": placed("2001::fefe:fefe", (4, four)),
        "Teredo client": placed("2001:0:808:808::", (12, hidden)),
        "ISATAP": placed("2600:1f00:1:2:0:5efe::", (12, four)),
        "ISATAP, globally unique": placed("2600:1f00:1:2:200:5efe::", (12, four)),
    }


FORMS = list(forms_of("8.8.8.8"))
PUBLIC_FORMS = {"NAT64", "ISATAP", "ISATAP, globally unique"}


def is_registered_public(address: IPv4Address | IPv6Address) -> bool:
    """What the registry says: blocks marked reachable lie within others, so they come first."""
    rows = REGISTRY_V4 if address.version == 4 else REGISTRY_V6
    held = [
        reachable for first, last, reachable in rows if int(ip_address(first)) <= int(address) <= int(ip_address(last))
    ]
    if held:
        return any(held)
    return address.version == 4 or address in IPv6Network("2000::/3")


class Names:
    """A resolver that gives each of its answers once, in order, and then the last one for ever."""

    def __init__(self, *answers: list[str] | OSError) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, int, int]] = []

    async def __call__(self, host: str, port: int, *, type: int) -> Iterable[tuple[Any, ...]]:
        self.asked.append((host, port, type))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, OSError):
            raise answer
        return [self.info(ip, port) for ip in answer]

    @staticmethod
    def info(ip: str, port: int) -> tuple[Any, ...]:
        if ":" not in ip:
            return (socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port))
        name, _, zone = ip.partition("%")
        return (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (name, port, 0, int(zone or 0)))


class TestRegistry:
    @pytest.mark.parametrize(("first", "last", "reachable"), REGISTRY_V4 + REGISTRY_V6)
    def test_the_ends_of_every_special_block_are_judged_as_registered(
        self, first: str, last: str, reachable: bool
    ) -> None:
        """Refused, but for blocks that the registry marks globally reachable."""
        assert (is_allowed(first), is_allowed(last)) == (reachable, reachable)

    @pytest.mark.parametrize(("first", "last"), [row[:2] for row in REGISTRY_V4 + REGISTRY_V6])
    def test_the_neighbours_of_every_special_block_are_judged_by_their_own_block(self, first: str, last: str) -> None:
        """One before and one after: public, unless another block begins there."""
        beside = [ip_address(first) - 1] if int(ip_address(first)) else []
        beside += [ip_address(last) + 1] if int(ip_address(last)) + 1 not in (1 << 32, 1 << 128) else []
        assert [is_allowed(str(ip)) for ip in beside] == [is_registered_public(ip) for ip in beside]

    @pytest.mark.parametrize("ip", RESERVED_V6)
    def test_ipv6_outside_global_unicast_is_refused(self, ip: str) -> None:
        """What IANA has given to nobody leads nowhere good."""
        assert not is_allowed(ip)

    def test_translation_by_the_well_known_prefix_begins_and_ends_where_registered(self) -> None:
        """Public inside are public addresses only; both neighbours are reserved."""
        ends = ["64:ff9b::", "64:ff9b::ffff:ffff", "64:ff9a:ffff:ffff:ffff:ffff:ffff:ffff", "64:ff9b::1:0:0"]
        assert not any(map(is_allowed, ends))
        assert is_allowed("64:ff9b::1.0.0.0")
        assert is_allowed("64:ff9b::223.255.255.255")

    @pytest.mark.parametrize(
        "ip",
        ["", " ", "localhost", "127.1", "0x7f.0.0.1", "2130706433", "0177.0.0.1", "8.8.8.8 ", "8.8.8.8/32", "[::1]",
         "fe80::1%eth0", "2606:4700::1%1", "::1::", "８.8.8.8", "8.8.8"],
    )  # fmt: skip
    def test_what_is_no_plain_address_is_refused(self, ip: str) -> None:
        """A zone id, an odd notation or rubbish from a resolver."""
        with pytest.raises(DestinationNotAllowed, match="no plain address"):
            Guard(["0.0.0.0/0", "::/0"]).check_address(ip, 443, HOST)


class TestEmbedded:
    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize("inner", INSIDE)
    def test_an_inner_address_in_any_clothes_is_refused(self, inner: str, form: str) -> None:
        """A translator or tunnel on the way would deliver to the inner address."""
        assert not is_allowed(forms_of(inner)[form])

    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize("inner", [inner for inner in INSIDE if inner != "0.0.0.0"])
    def test_opening_all_of_ipv6_opens_no_inner_ipv4_address(self, inner: str, form: str) -> None:
        """What the operator opened is IPv6, not what hides in it."""
        assert not is_allowed(forms_of(inner)[form], "::/0")

    @pytest.mark.parametrize("form", FORMS)
    def test_a_public_address_is_allowed_in_the_clothes_that_are_public_themselves(self, form: str) -> None:
        """DNS64 and ISATAP networks work; forms that the registry does not call reachable stay closed."""
        assert is_allowed(forms_of("8.8.8.8")[form]) == (form in PUBLIC_FORMS)

    @pytest.mark.parametrize("form", FORMS)
    def test_a_form_is_opened_by_opening_it_and_what_it_holds(self, form: str) -> None:
        """The outer block and the inner network together, one alone never."""
        ip = forms_of("10.9.8.7")[form]
        assert is_allowed(ip, "::/0", "0.0.0.0/0")
        assert not is_allowed(ip, "::/0")
        assert is_allowed(ip, "0.0.0.0/0") == (form in PUBLIC_FORMS)

    @pytest.mark.parametrize("form", [form for form in FORMS if form.startswith("local NAT64")])
    def test_an_operators_local_translation_prefix_reaches_public_addresses(self, form: str) -> None:
        """With the prefix opened, whatever its length is."""
        assert is_allowed(forms_of("8.8.4.4")[form], "64:ff9b:1::/48")

    def test_the_empty_reading_is_refused_where_it_is_the_only_one(self) -> None:
        """The prefix alone stands for 0.0.0.0."""
        assert not is_allowed("64:ff9b:1::", "64:ff9b:1::/48")


class TestOpening:
    @pytest.mark.parametrize("ip", ["10.0.0.0", "10.1.2.3", "10.255.255.255"])
    def test_a_network_is_opened_from_its_first_to_its_last_address(self, ip: str) -> None:
        """And nothing beside it."""
        assert is_allowed(ip, "10.0.0.0/8")
        assert not is_allowed("172.16.0.1", "10.0.0.0/8")
        assert not is_allowed("fd00::1", "10.0.0.0/8")

    @pytest.mark.parametrize("ip", ["127.0.0.1", "::1", "fd00::1", "fe80::1", "224.0.0.1", "::ffff:10.0.0.1"])
    def test_an_address_listed_by_itself_is_opened(self, ip: str) -> None:
        """With and without its prefix length."""
        length = 128 if ":" in ip else 32
        assert is_allowed(ip, ip)
        assert is_allowed(ip, f"{ip}/{length}")

    @pytest.mark.parametrize("ip", ["::1", "::"])
    def test_ipv6_loopback_is_opened_with_its_network(self, ip: str) -> None:
        """It stands among the compatible addresses, yet holds no IPv4 address."""
        assert is_allowed(ip, "::/64")

    def test_a_host_is_opened_by_its_name(self) -> None:
        """Wherever it leads inside, and for that name only."""
        assert is_allowed("10.0.0.1", "inner.example", host="inner.example")
        assert is_allowed("fd00::1", "Inner.Example", host="inner.example")
        assert not is_allowed("10.0.0.1", "inner.example", host="other.inner.example")

    @pytest.mark.parametrize("ip", sorted(map(str, METADATA)))
    def test_metadata_services_stay_closed_until_listed_by_themselves(self, ip: str) -> None:
        """Neither a network nor the host's name opens them."""
        network = "0.0.0.0/0" if ":" not in ip else "::/0"
        half = f"{ip}/31" if ":" not in ip and int(ip[-1]) % 2 == 0 else network
        assert not is_allowed(ip)
        assert not is_allowed(ip, network, half, HOST)
        assert is_allowed(ip, network, ip)

    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize("ip", ["169.254.169.254", "168.63.129.16", "100.100.100.200", "192.0.0.192"])
    def test_metadata_services_stay_closed_in_any_clothes(self, ip: str, form: str) -> None:
        """With everything opened, and even with the plain address listed by itself."""
        assert not is_allowed(forms_of(ip)[form], "0.0.0.0/0", "::/0", HOST)
        assert not is_allowed(forms_of(ip)[form], "0.0.0.0/0", "::/0", HOST, ip)

    @pytest.mark.parametrize(
        "text", ["10.0.0.1/8", "10.0.0.0/33", "::1/64", "", "127.1", "0x7f.1", "h/8", "*.h", "h:80", "http://h", "h."]
    )
    def test_an_opening_that_is_no_network_and_no_host_stops_the_start(self, text: str) -> None:
        """A mistyped network never opens less or more than it says."""
        with pytest.raises(SettingsError, match="--allow-destination cannot be") as caught:
            Guard([text])
        assert caught.value.param == "allow_destinations"

    @pytest.mark.parametrize(
        ("ip", "why"),
        [
            ("10.1.2.3", "is not public: private use (RFC 1918)"),
            ("169.254.169.254", "belongs to a cloud's metadata service"),
            ("127.1", "is no plain address"),
        ],
    )
    def test_a_refusal_tells_host_and_reason_to_the_caller_and_the_address_to_the_log(self, ip: str, why: str) -> None:
        """What a name means inside is not for callers; the name itself, the reason and the remedy are."""
        with pytest.raises(DestinationNotAllowed, match="--allow-destination") as caught:
            Guard().check_address(ip, 443, HOST)
        assert caught.value.public.startswith(f"{HOST} leads to an address that {why}; ")
        assert ip not in caught.value.public
        assert caught.value.detail == f"{HOST} leads to {ip}, which {why}"


class TestOwnListeners:
    OWN = (("127.0.0.1", 8600), ("0.0.0.0", 8601))

    @pytest.mark.parametrize("port", [8600, 8601])
    @pytest.mark.parametrize(
        "ip", ["127.0.0.1", "127.9.9.9", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1", "64:ff9b::127.0.0.1"]
    )
    def test_our_ports_are_closed_on_this_host_whatever_is_opened(self, ip: str, port: int) -> None:
        """By network, by name and by address."""
        guard = Guard(["0.0.0.0/0", "::/0", ip, HOST], lambda: self.OWN, is_local=lambda address: False)
        with pytest.raises(DestinationNotAllowed, match="leads to Tieline itself"):
            guard.check_address(ip, port, HOST)

    @pytest.mark.parametrize("ip", ["203.0.113.7", "9.9.9.9", "2606:4700::1", "::ffff:9.9.9.9"])
    def test_our_ports_are_closed_on_every_address_of_this_machine(self, ip: str) -> None:
        """Also on its public ones."""
        guard = Guard([ip], lambda: self.OWN, is_local=lambda address: str(address) in {ip, "9.9.9.9"})
        with pytest.raises(DestinationNotAllowed, match="leads to Tieline itself"):
            guard.check_address(ip, 8600, HOST)

    def test_other_ports_of_this_host_follow_the_usual_rules(self) -> None:
        """Another service on the same machine may be opened."""
        guard = Guard(["127.0.0.1"], lambda: self.OWN)
        guard.check_address("127.0.0.1", 8602, HOST)
        guard.check_address("9.9.9.9", 8602, HOST)

    def test_our_ports_are_open_on_other_machines(self) -> None:
        """Somebody else may listen on 8600."""
        Guard((), lambda: self.OWN).check_address("9.9.9.9", 8600, HOST)

    def test_listeners_that_open_later_count(self) -> None:
        """The guard asks each time."""
        own: list[tuple[str, int]] = []
        guard = Guard(["127.0.0.1"], lambda: own)
        guard.check_address("127.0.0.1", 8600, HOST)
        own.append(("127.0.0.1", 8600))
        with pytest.raises(DestinationNotAllowed):
            guard.check_address("127.0.0.1", 8600, HOST)

    @pytest.mark.parametrize(("ip", "ours"), [("127.0.0.1", True), ("192.0.2.1", False), ("2001:db8::1", False)])
    def test_the_machine_knows_its_own_addresses(self, ip: str, ours: bool) -> None:
        """Without a packet."""
        assert has_address(ip_address(ip)) is ours

    @pytest.mark.skipif(not has_ipv6_loopback(), reason="the kernel has no address ::1")
    def test_the_machine_knows_its_own_ipv6_addresses(self) -> None:
        """As well as its IPv4 ones."""
        assert has_address(IPv6Address("::1"))


class TestResolve:
    ORIGIN = Origin("https", HOST, 443)

    async def test_every_answer_is_returned_in_order_and_once(self) -> None:
        """These very addresses are dialled."""
        names = Names(["9.9.9.9", "2606:4700::1", "9.9.9.9", "1.1.1.1"])
        assert await Guard().resolve(self.ORIGIN, resolver=names) == [
            (socket.AF_INET, "9.9.9.9", 443),
            (socket.AF_INET6, "2606:4700::1", 443),
            (socket.AF_INET, "1.1.1.1", 443),
        ]
        assert names.asked == [(HOST, 443, socket.SOCK_STREAM)]

    @pytest.mark.parametrize("inside", [*INSIDE, "::1", "fd00::1", "::ffff:10.0.0.1", "2606:4700::1%2"])
    @pytest.mark.parametrize("place", [0, 1, 2])
    async def test_one_inner_answer_refuses_them_all(self, inside: str, place: int) -> None:
        """Wherever it stands: a name that leads inside and outside at once is a trap."""
        answers = ["9.9.9.9", "2606:4700::1"]
        answers.insert(place, inside)
        with pytest.raises(DestinationNotAllowed):
            await Guard().resolve(self.ORIGIN, resolver=Names(answers))

    async def test_a_name_that_leads_to_our_own_port_is_refused_at_that_port_only(self) -> None:
        """The port of the origin is what is asked for: another service on this machine may be opened."""
        guard = Guard([HOST], lambda: [("127.0.0.1", 8600)])
        names = Names(["127.0.0.1"])
        with pytest.raises(DestinationNotAllowed, match="leads to Tieline itself"):
            await guard.resolve(Origin("http", HOST, 8600), resolver=names)
        assert await guard.resolve(Origin("http", HOST, 8602), resolver=names)

    async def test_a_resolver_that_changes_its_answer_gains_nothing(self) -> None:
        """One look-up a time: what was checked is what is returned, and the next look-up is checked again."""
        names = Names(["9.9.9.9"], ["127.0.0.1"], ["9.9.9.9"], ["169.254.169.254"])
        guard = Guard()
        seen: list[str] = []
        for _ in range(6):
            try:
                seen += [ip for _, ip, _ in await guard.resolve(self.ORIGIN, resolver=names)]
            except DestinationNotAllowed:
                seen.append("refused")
        assert seen == ["9.9.9.9", "refused", "9.9.9.9", "refused", "refused", "refused"]
        assert len(names.asked) == 6

    @pytest.mark.parametrize("ip", ["9.9.9.9", "2606:4700::1"])
    async def test_an_address_is_not_looked_up(self, ip: str) -> None:
        """No resolver gets to interpret it."""
        names = Names(["127.0.0.1"])
        [(_, dialled, port)] = await Guard().resolve(Origin("http", ip, 8080), resolver=names)
        assert (dialled, port, names.asked) == (ip, 8080, [])

    @pytest.mark.parametrize("ip", [*INSIDE, "::1", "fd00::1", "::ffff:127.0.0.1"])
    async def test_an_inner_address_in_the_url_is_refused(self, ip: str) -> None:
        """A literal is checked like an answer."""
        with pytest.raises(DestinationNotAllowed):
            await Guard().resolve(Origin("http", str(ip_address(ip)), 80))

    @pytest.mark.parametrize("answer", [socket.gaierror(-2, "Name or service not known"), OSError("no network"), []])
    async def test_a_name_that_leads_nowhere_is_unreachable(self, answer: list[str] | OSError) -> None:
        """Not found and empty are the upstream's trouble, not a refusal."""
        with pytest.raises(UpstreamUnreachable, match=f"The host {HOST} (cannot be found|has no address)"):
            await Guard().resolve(self.ORIGIN, resolver=Names(answer))

    async def test_the_loops_own_resolver_is_used_and_its_answer_checked(self) -> None:
        """`localhost` is looked up for real, and refused until opened."""
        origin = Origin("http", "localhost", 80)
        with pytest.raises(DestinationNotAllowed, match="loopback"):
            await Guard().resolve(origin)
        assert await Guard(["localhost"]).resolve(origin)


class TestPeer:
    async def test_the_peer_of_a_real_connection_passes(self) -> None:
        """The socket shows the address that was resolved and dialled."""
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        guard = Guard(["127.0.0.0/8"])
        [(_, ip, _)] = await guard.resolve(Origin("http", "127.0.0.1", port))
        _, writer = await asyncio.open_connection(ip, port)
        guard.check_peer([ip], writer.get_extra_info("peername"))
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()

    def test_another_spelling_of_the_same_address_passes(self) -> None:
        """Addresses are compared, not texts."""
        Guard().check_peer(["9.9.9.9", "2606:4700:0::1"], ("2606:4700::1", 443, 0, 0))

    @pytest.mark.parametrize(
        "peername",
        [
            None,
            ("127.0.0.1", 443),
            ("9.9.9.10", 443),
            ("::ffff:9.9.9.9", 443, 0, 0),
            ("", 443),
            ("/run/socket",),
            (b"9", 1),
        ],
    )
    def test_another_peer_is_refused(self, peername: tuple[Any, ...] | None) -> None:
        """Redirected on the way, or no peer at all."""
        with pytest.raises(DestinationNotAllowed, match="did not reach the address that was checked"):
            Guard().check_peer(["9.9.9.9"], peername)

    def test_the_log_is_told_what_was_dialled_and_what_answered(self) -> None:
        """Both are needed to find what redirects."""
        with pytest.raises(DestinationNotAllowed) as caught:
            Guard().check_peer(["9.9.9.9", "1.1.1.1"], ("127.0.0.1", 443))
        assert caught.value.detail == "dialled ['9.9.9.9', '1.1.1.1'], peer ('127.0.0.1', 443)"
