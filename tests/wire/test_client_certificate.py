"""The scheme ``mtls`` against nginx, which asks for a client certificate and says whose it got."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, load_pem_private_key, pkcs12

from tests.wire.fronts import STOP_SECONDS, listens
from tests.wire.raw import drop, until
from tests.wire.stage import Stage
from tieline.testing.dataplane import Worker, serving
from tieline.wire.tls import Trust

PASSWORD = "not-real"
NGINX = """daemon off; master_process off; pid {folder}/pid; error_log {folder}/error warn;
events {{ }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.key;
    ssl_client_certificate {folder}/ca.pem; ssl_verify_client on;
    location /token {{ return 200 '{{"access_token":"token-for-$ssl_client_verify"}}'; }}
    location / {{ return 200 "$ssl_client_verify $ssl_client_s_dn $http_authorization"; }}
  }}
}}
"""


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Signs nginx's certificate and its clients'."""
    return trustme.CA()


@pytest.fixture
async def nginx(
    authority: trustme.CA, program: Callable[[str], str], free_port: Callable[[], int], tmp_path: Path
) -> AsyncIterator[int]:
    """nginx with a certificate for inside.example.com, and the port that it listens on."""
    server = authority.issue_cert("inside.example.com")
    server.private_key_pem.write_to_path(str(tmp_path / "server.key"))
    (tmp_path / "server.pem").write_bytes(b"".join(each.bytes() for each in server.cert_chain_pems))
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    port = free_port()
    path = tmp_path / "nginx.conf"
    path.write_text(NGINX.format(folder=tmp_path, port=port))
    words = ("-p", str(tmp_path), "-e", str(tmp_path / "error"), "-c", str(path))
    process = await asyncio.create_subprocess_exec(program("nginx"), *words)
    try:
        await until(lambda: listens(port) or process.returncode is not None)
        yield port
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), STOP_SECONDS)


def pair(authority: trustme.CA, name: str = "tieline") -> dict[str, str]:
    """A client's certificate and key in PEM."""
    made = authority.issue_cert(f"{name}.example.com", common_name=name)
    chain = "".join(each.bytes().decode() for each in made.cert_chain_pems)
    return {"certificate": chain, "key": made.private_key_pem.bytes().decode()}


class Api:
    """A worker with the API that nginx is."""

    def __init__(self, worker: Worker, port: int, authority: trustme.CA) -> None:
        self.worker = worker
        self.port = port
        self.trusted = {"authorities": authority.cert_pem.bytes().decode()}
        self.key = ""

    async def answer(self, fields: dict[str, str], **auth: object) -> tuple[int, bytes]:
        """Status and body of a request with this certificate and a key."""
        schemes: list[dict[str, object]] = [
            {"scheme": "mtls", "server_name": "inside.example.com", **auth},
            {"scheme": "bearer"},
        ]
        named = {f"mtls.{name}": value for name, value in fields.items()}
        return await self.ask({**named, "bearer.key": "sk-" + "not-real"}, *schemes)

    async def ask(self, fields: dict[str, str], *auth: dict[str, object]) -> tuple[int, bytes]:
        """Status and body of a request with this credential for these schemes."""
        base_url = f"https://127.0.0.1:{self.port}"
        data = {"tieline": "v1", "api": "api", "base_url": base_url, "auth": [*auth]}
        self.worker.source.put_api(data)
        self.worker.source.put_credential("api", fields)
        self.key = self.key or self.worker.source.put_key("api")
        await self.worker.caught_up()
        stage = Stage(self.worker, None, self.key)  # type: ignore[arg-type]  # the upstream is nginx
        try:
            got = await stage.get(b"/")
            return got.status, got.body
        finally:
            await drop(stage.clients)


@pytest.fixture
async def api(stack: AsyncExitStack, nginx: int, authority: trustme.CA) -> Api:
    """The API, served by a worker with the usual authorities."""
    return Api(await stack.enter_async_context(serving(trust=Trust())), nginx, authority)


async def test_nginx_sees_the_certificate(api: Api, authority: trustme.CA) -> None:
    """And what the next scheme of the list adds, which comes back masked."""
    status, body = await api.answer({**pair(authority), **api.trusted})
    assert (status, body.startswith(b"SUCCESS "), b"CN=tieline" in body) == (200, True, True)
    assert body.endswith(b" " + b"*" * len("Bearer sk-not-real"))


async def test_nginx_sees_the_certificate_of_a_bundle(api: Api, authority: trustme.CA) -> None:
    """PKCS#12 with a password."""
    given = pair(authority, "bundled")
    chain = x509.load_pem_x509_certificates(given["certificate"].encode())
    key = load_pem_private_key(given["key"].encode(), None)
    assert isinstance(key, EllipticCurvePrivateKey)
    data = pkcs12.serialize_key_and_certificates(
        b"me", key, chain[0], chain[1:], BestAvailableEncryption(PASSWORD.encode())
    )
    fields = {"bundle": b64encode(data).decode(), "password": PASSWORD, **api.trusted}
    status, body = await api.answer(fields, format="pkcs12")
    assert (status, b"CN=bundled" in body) == (200, True)


async def test_without_a_certificate_nginx_refuses(api: Api) -> None:
    """Its own answer comes back."""
    status, body = await api.answer(api.trusted)
    assert (status, b"No required SSL certificate" in body) == (400, True)


async def test_a_certificate_of_another_authority_is_refused(api: Api) -> None:
    """By nginx."""
    status, body = await api.answer({**pair(trustme.CA()), **api.trusted})
    assert (status, b"SSL certificate error" in body) == (400, True)


async def test_a_new_credential_is_a_new_connection(api: Api, authority: trustme.CA) -> None:
    """Nothing of the old certificate is used again."""
    for name in ("first", "second"):
        _, body = await api.answer({**pair(authority, name), **api.trusted})
        assert f"CN={name}".encode() in body


async def test_nginx_is_not_trusted_without_its_authority(api: Api, authority: trustme.CA) -> None:
    """A client certificate does not widen whom Tieline trusts."""
    status, body = await api.answer(pair(authority))
    assert (status, b"upstream_tls_error" in body) == (502, True)


async def test_another_name_is_not_trusted(api: Api, authority: trustme.CA) -> None:
    """The server's certificate is for inside.example.com."""
    status, _ = await api.answer({**pair(authority), **api.trusted}, server_name="outside.example.com")
    assert status == 502


async def test_a_token_is_bound_to_the_certificate(api: Api, authority: trustme.CA) -> None:
    """RFC 8705: the issuer knows the client by it, and the API wants to see the same one with the token."""
    fields = {"client_id": "app", **pair(authority, "bound"), **api.trusted}
    auth = {
        "scheme": "oauth2",
        "grant": "client_credentials",
        "client_authentication": "mtls",
        "certificate": {"server_name": "inside.example.com"},
        "certificate_bound": True,
        "token_url": f"https://127.0.0.1:{api.port}/token",
    }
    status, body = await api.ask(fields, auth)
    assert (status, b"CN=bound" in body) == (200, True)
    assert body.endswith(b"Bearer " + b"*" * len("token-for-SUCCESS"))
    status, body = await api.ask(fields, {**auth, "certificate_bound": False})
    assert (status, b"upstream_tls_error" in body) == (502, True)  # without it nobody here trusts nginx


async def test_a_broken_pair_is_told(api: Api, authority: trustme.CA) -> None:
    """A credential that was put past the checks takes no worker down."""
    mixed = {**pair(authority), "key": pair(authority)["key"], **api.trusted}
    status, body = await api.answer(mixed)
    assert (status, b"credential_missing" in body, b"does not belong" in body) == (424, True, True)
