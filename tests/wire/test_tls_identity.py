"""A client certificate towards an upstream, and whom Tieline trusts there instead of the usual authorities."""

import ssl
from collections.abc import AsyncIterator

import pytest
import trustme

from tests.wire.conftest import StartUpstream
from tests.wire.raw import Peer, Upstream, answer, until
from tieline.core.errors import UpstreamError, UpstreamTlsError
from tieline.core.secret import Secret
from tieline.core.urls import Origin
from tieline.wire.deadlines import Deadlines
from tieline.wire.fetch import FetchLimits, fetch
from tieline.wire.guard import Guard
from tieline.wire.pool import Lane, Pool
from tieline.wire.tls import TlsIdentity, Trust

ASK = b"GET / HTTP/1.1\r\nhost: upstream\r\n\r\n"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Signs the upstream's certificate and its clients'."""
    return trustme.CA()


@pytest.fixture
async def port(authority: trustme.CA, start_upstream: StartUpstream) -> int:
    """An upstream called upstream.example that answers with the name in its client's certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("upstream.example").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED

    async def serve(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        await peer.send(answer(peer.writer.get_extra_info("peercert")["subjectAltName"][0][1].encode()))
        await peer.gone()

    return (await start_upstream(serve, ssl=context)).port


@pytest.fixture
async def pool(port: int) -> AsyncIterator[Pool]:
    """Connections that are closed before the upstream is."""
    made = Pool(Guard(["127.0.0.1"]), Deadlines(), Trust())
    yield made
    made.close()
    await until(lambda: made.open_connections == 0)


def identity(authority: trustme.CA, client: str, **changes: str | bytes) -> TlsIdentity:
    """A client of the authority, which it alone trusts."""
    made = authority.issue_cert(client)
    chain = b"".join(each.bytes() for each in made.cert_chain_pems)
    key = Secret(made.private_key_pem.bytes())
    parts: dict[str, str | bytes] = {"authorities": authority.cert_pem.bytes(), "server_name": "upstream.example"}
    return TlsIdentity(client, chain, key, **(parts | changes))  # type: ignore[arg-type]


def lane(pool: Pool, port: int, who: TlsIdentity | None) -> Lane:
    """Connections to the upstream as ``who``."""
    return pool.lane(Origin("https", "127.0.0.1", port), "api/1", who)


async def test_the_upstream_sees_the_client_certificate(pool: Pool, port: int, authority: trustme.CA) -> None:
    """Under its own name, checked by the authorities given."""
    answer = await fetch(lane(pool, port, identity(authority, "tieline.example")), ASK, FetchLimits())
    assert answer.body == b"tieline.example"


async def test_without_a_certificate_the_upstream_refuses(pool: Pool, port: int, authority: trustme.CA) -> None:
    """The connection ends before an answer."""
    who = TlsIdentity("nobody", authorities=authority.cert_pem.bytes(), server_name="upstream.example")
    with pytest.raises(UpstreamError):
        await fetch(lane(pool, port, who), ASK, FetchLimits())


async def test_the_server_name_is_what_is_checked(pool: Pool, port: int, authority: trustme.CA) -> None:
    """A certificate for another name is not trusted."""
    with pytest.raises(UpstreamTlsError):
        await fetch(
            lane(pool, port, identity(authority, "tieline.example", server_name="other.example")), ASK, FetchLimits()
        )


async def test_other_authorities_are_not_trusted(pool: Pool, port: int, authority: trustme.CA) -> None:
    """Those of the identity stand in place of the usual ones."""
    other = trustme.CA().cert_pem.bytes()
    with pytest.raises(UpstreamTlsError):
        await fetch(lane(pool, port, identity(authority, "tieline.example", authorities=other)), ASK, FetchLimits())


async def test_each_identity_has_connections_of_its_own(pool: Pool, port: int, authority: trustme.CA) -> None:
    """The same origin and credential as two clients are two lanes."""
    one, two = (lane(pool, port, identity(authority, name)) for name in ("one.example", "two.example"))
    assert one is not two
    assert {(await fetch(each, ASK, FetchLimits())).body for each in (one, two)} == {b"one.example", b"two.example"}


async def test_a_key_that_does_not_fit_is_an_error(pool: Pool, port: int, authority: trustme.CA) -> None:
    """It is told when the lane is made."""
    good = identity(authority, "tieline.example")
    mixed = TlsIdentity("mixed", good.certificate, identity(authority, "other.example").key)
    with pytest.raises(ssl.SSLError):
        lane(pool, port, mixed)
