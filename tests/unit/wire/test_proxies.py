"""Whose address a request has, as proxies tell it that may tell it."""

import pytest

from tieline.wire.proxies import TrustedProxies

PROXIES = TrustedProxies(["10.0.0.0/8", "::1"])


def fields(*pairs: tuple[str, str]) -> list[tuple[bytes, bytes]]:
    """Header fields."""
    return [(name.encode(), value.encode()) for name, value in pairs]


@pytest.mark.parametrize(
    ("peer", "headers", "client"),
    [
        ("10.0.0.1", [("X-Forwarded-For", "203.0.113.9")], "203.0.113.9"),
        ("::1", [("x-forwarded-for", "203.0.113.9:5050")], "203.0.113.9"),
        ("::ffff:10.0.0.1", [("X-Forwarded-For", "2001:db8::9")], "2001:db8::9"),
        ("10.0.0.1", [("X-Forwarded-For", "[2001:db8::9]:443")], "2001:db8::9"),
        ("10.0.0.1", [("X-Forwarded-For", "192.0.2.66, 203.0.113.9, 10.0.0.2")], "203.0.113.9"),
        ("10.0.0.1", [("X-Forwarded-For", "192.0.2.66"), ("X-Forwarded-For", "203.0.113.9")], "203.0.113.9"),
        ("10.0.0.1", [("X-Forwarded-For", "10.0.0.3, 10.0.0.2")], "10.0.0.3"),
        ("10.0.0.1", [("Forwarded", "for=203.0.113.9;proto=https;by=10.0.0.1")], "203.0.113.9"),
        ("10.0.0.1", [("Forwarded", 'For="[2001:db8::9]:4711", for=10.0.0.2')], "2001:db8::9"),
        ("10.0.0.1", [("Forwarded", "for=203.0.113.9"), ("X-Forwarded-For", "203.0.113.9")], "203.0.113.9"),
    ],
)
def test_the_client_behind_trusted_proxies_is_seen(peer: str, headers: list[tuple[str, str]], client: str) -> None:
    """The nearest address that is no trusted proxy's; what a client wrote itself stands before it."""
    assert PROXIES.client(peer, fields(*headers)) == client


@pytest.mark.parametrize(
    ("peer", "headers"),
    [
        ("203.0.113.1", [("X-Forwarded-For", "10.9.9.9")]),
        ("203.0.113.1", [("Forwarded", "for=10.9.9.9")]),
        ("10.0.0.1", []),
        ("10.0.0.1", [("X-Forwarded-For", "unknown")]),
        ("10.0.0.1", [("X-Forwarded-For", "203.0.113.9, ")]),
        ("10.0.0.1", [("Forwarded", "for=_hidden")]),
        ("10.0.0.1", [("Forwarded", "proto=https")]),
        ("10.0.0.1", [("Forwarded", "for=203.0.113.9"), ("X-Forwarded-For", "203.0.113.10")]),
        ("10.0.0.1", [("X-Forwarded-For", "1.2.3.4.5")]),
    ],
)
def test_otherwise_the_other_end_of_the_connection_is_the_client(peer: str, headers: list[tuple[str, str]]) -> None:
    """Strangers are not believed, nor what cannot be read, nor two fields that contradict each other."""
    assert PROXIES.client(peer, fields(*headers)) == peer


def test_the_address_that_the_client_used_is_what_the_nearest_proxy_says() -> None:
    """The last value, and only of the forms that can be."""
    told = fields(("X-Forwarded-Proto", "http, https"), ("X-Forwarded-Host", "evil@x, relay.example:8443"))
    assert PROXIES.address("10.0.0.1", told) == (b"https", b"relay.example:8443")
    assert PROXIES.address("10.0.0.1", fields(("Forwarded", 'host="relay.example";proto=HTTPS'))) == (
        b"https",
        b"relay.example",
    )
    assert PROXIES.address("10.0.0.1", fields(("X-Forwarded-Host", "a b"), ("X-Forwarded-Proto", "ftp"))) == (b"", b"")
    assert PROXIES.address("203.0.113.1", told) == (b"", b"")


def test_a_long_chain_costs_what_its_bytes_cost() -> None:
    """Thirty thousand bytes of hops and of quotes."""
    chain = ", ".join(["10.0.0.2"] * 3000)
    assert PROXIES.client("10.0.0.1", fields(("X-Forwarded-For", f"203.0.113.9, {chain}"))) == "203.0.113.9"
    assert PROXIES.client("10.0.0.1", fields(("Forwarded", 'for="' * 6000))) == "10.0.0.1"
