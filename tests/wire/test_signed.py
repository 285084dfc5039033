"""Signing schemes through the real relay, judged by servers that others wrote: lighttpd, botocore and oauthlib."""

import asyncio
import base64
import contextlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import botocore.config
import botocore.exceptions
import botocore.parsers
import botocore.session
import pytest

from tests.peers import aws, digest, oauth1
from tests.peers.judges import TEXT, Answer, Arrival, Court, judging
from tests.wire.raw import Message, Peer, drop
from tieline.core.secret import Secret
from tieline.core.urls import Origin
from tieline.dataplane.operator.opening import Opening
from tieline.dataplane.operator.signin import SignIns
from tieline.ports.connections import ConnectionKey, SealedToken
from tieline.ports.signins import SignInRow
from tieline.schemes.base import Outgoing
from tieline.schemes.challenge import parameters
from tieline.schemes.digest import Digest
from tieline.schemes.sign_in_context import pack
from tieline.testing.connections import MemoryConnections
from tieline.testing.dataplane import Worker, serving
from tieline.vault.envelope import Place
from tieline.vault.intake import Intake
from tieline.wire.guard import Guard
from tieline.wire.tls import Trust

FORM = b"Content-Type: application/x-www-form-urlencoded"
JSON = b"Content-Type: application/json"
AWS_FIELDS = {"access_key_id": aws.PERMANENT[0], "secret_access_key": aws.PERMANENT[1]}
OAUTH1_FIELDS = {"consumer_key": oauth1.CONSUMER[0], "consumer_secret": oauth1.CONSUMER[1]}
TOKEN_FIELDS = {**OAUTH1_FIELDS, "token": oauth1.GIVEN[0], "token_secret": oauth1.GIVEN[1]}

CALLS = {
    "look": {
        "path": "/<name>?q=<q>",
        "use_as": "data",
        "parameters": {"name": {}, "q": {}},
        "response": {"type": "text"},
    },
    "send": {
        "method": "POST",
        "path": "/things",
        "parameters": {"title": {}},
        "body": {"type": "json", "template": {"title": "<title>"}},
        "response": {"type": "text"},
    },
    "fill": {
        "method": "POST",
        "path": "/things",
        "parameters": {"title": {}},
        "body": {"type": "form", "fields": [{"name": "title", "value": "<title>"}]},
        "response": {"type": "text"},
    },
}
VALUES_OF = {name: {"title": 'say "hi" & é\n'} for name in ("send", "fill")} | {"look": {"name": "a b", "q": "a+b&c"}}


class Relayed:
    """A worker before one server, and a client of it."""

    def __init__(self, worker: Worker, key: str, stack: AsyncExitStack) -> None:
        self.worker = worker
        self.key = key.encode()
        self._stack = stack

    async def ask(self, method: bytes, path: bytes, *fields: bytes, body: bytes | None = None) -> Message:
        """The answer to one request on a connection of its own."""
        lines = [b"%b /relay/api%b HTTP/1.1" % (method, path), b"Host: tieline.test", b"Tieline-Key: " + self.key]
        lines += fields
        if body is not None:
            lines.append(b"Content-Length: %d" % len(body))
        return await self._send(b"\r\n".join(lines) + b"\r\n\r\n" + (body or b""), method)

    async def run(self, call: str, values: Mapping[str, Any]) -> Any:
        """The result of a call."""
        body = json.dumps(values).encode()
        head = f"POST /call/api/{call} HTTP/1.1\r\nHost: tieline.test\r\nContent-Length: {len(body)}\r\n"
        got = await self._send(head.encode() + b"Tieline-Key: " + self.key + b"\r\n\r\n" + body, b"POST")
        assert got.status == 200, got.body
        return json.loads(got.body)

    async def _send(self, raw: bytes, method: bytes) -> Message:
        client = await Peer.connect(self.worker.port)
        self._stack.push_async_callback(drop, [client])
        await client.send(raw)
        return await client.message(method=method)


StartRelayed = Callable[..., Any]


@pytest.fixture
def relayed(stack: AsyncExitStack) -> StartRelayed:
    """Starts a worker for an API at a URL with a scheme and its credential."""

    async def start(
        url: str, auth: Mapping[str, Any], fields: Mapping[str, str], connections: MemoryConnections | None = None
    ) -> Relayed:
        worker = await stack.enter_async_context(serving(connections=connections))
        worker.source.put_api({"tieline": "v1", "api": "api", "base_url": url, "auth": auth, "calls": CALLS})
        worker.source.put_credential("api", fields)
        key = worker.source.put_key("api")
        await worker.caught_up()
        return Relayed(worker, key, stack)

    return start


@pytest.fixture
def guarded(program: Callable[[str], str], free_port: Callable[[], int], tmp_path: Path) -> Iterator[str]:
    """The URL of a lighttpd that asks for Digest."""
    with digest.guarding(program("lighttpd"), tmp_path, free_port()) as url:
        yield url


@pytest.fixture
def amazon() -> Iterator[Court]:
    """A server that judges AWS signatures by botocore."""
    with judging(aws.judge) as court:
        yield court


@pytest.fixture
async def provider() -> AsyncIterator[tuple[oauth1.Provider, Court]]:
    """A provider of OAuth 1.0 by oauthlib, and the server it is reached at."""
    judge = oauth1.Provider()
    with judging(judge) as court:
        yield judge, court


# -- in calls


@pytest.mark.parametrize("call", ["look", "send", "fill"])
async def test_a_call_is_signed_for_aws(relayed: StartRelayed, amazon: Court, call: str) -> None:
    """Its own body, whatever its kind."""
    auth = {"scheme": "aws_sigv4", "service": "execute-api", "region": "eu-central-1"}
    api = await relayed(amazon.url + "/v1", auth, AWS_FIELDS)
    assert await api.run(call, VALUES_OF[call]) == "signed"


@pytest.mark.parametrize("call", ["look", "send", "fill"])
@pytest.mark.parametrize("place", ["header", "query"])
async def test_a_call_is_signed_for_oauthlib(
    relayed: StartRelayed, provider: tuple[oauth1.Provider, Court], call: str, place: str
) -> None:
    """The pairs of its form are part of what is signed."""
    api = await relayed(provider[1].url, {"scheme": "oauth1", "in": place}, TOKEN_FIELDS)
    assert await api.run(call, VALUES_OF[call]) == "whose:a-token"


async def test_a_call_proves_itself_to_lighttpd(relayed: StartRelayed, guarded: str) -> None:
    """And is repeated once it knows the challenge."""
    fields = {"username": digest.USER, "password": digest.PASSWORD}
    api = await relayed(guarded + "/sha256", {"scheme": "digest"}, fields)
    assert await api.run("look", {"name": "a.txt", "q": 'x "y"'}) == digest.CONTENT


@pytest.mark.parametrize(("call", "place"), [("send", b'"key":"KEY"}'), ("fill", b"&key=KEY")])
async def test_a_call_has_the_key_in_its_body(relayed: StartRelayed, call: str, place: bytes) -> None:
    """Beside what the call's own template says."""
    key = "body-" + "not-real-key"
    with judging(lambda _: (200, TEXT, b"ok")) as court:
        api = await relayed(court.url, {"scheme": "api_key", "in": "body", "name": "key"}, {"key": key})
        assert await api.run(call, VALUES_OF[call]) == "ok"
    assert court.arrivals[0].body.endswith(place.replace(b"KEY", key.encode()))
    assert b"title" in court.arrivals[0].body


# -- digest


@pytest.mark.parametrize("folder", ["md5", "sha256"])
async def test_lighttpd_takes_the_proof(relayed: StartRelayed, guarded: str, folder: str) -> None:
    """At the first request, which is repeated, and at many at once after it; the name is beyond ASCII."""
    fields = {"username": digest.USER, "password": digest.PASSWORD}
    api = await relayed(f"{guarded}/{folder}", {"scheme": "digest"}, fields)
    first = await api.ask(b"GET", b"/a.txt?x=%22y%22")
    many = await asyncio.gather(*(api.ask(b"GET", b"/a.txt") for _ in range(8)))
    assert {(each.status, each.body) for each in (first, *many)} == {(200, digest.CONTENT.encode())}


async def test_lighttpd_refuses_another_password(relayed: StartRelayed, guarded: str) -> None:
    """The caller sees its refusal."""
    api = await relayed(guarded + "/sha256", {"scheme": "digest"}, {"username": digest.USER, "password": "another"})
    assert (await api.ask(b"GET", b"/a.txt")).status == 401


@pytest.mark.parametrize("algorithm", ["MD5", "MD5-sess", "SHA-256", "SHA-256-sess"])
@pytest.mark.parametrize("more", ["", ", userhash=true", ', opaque="o\\"p"'])
async def test_curl_gives_the_answer_that_we_would(program: Callable[[str], str], algorithm: str, more: str) -> None:
    """To a challenge with the same client nonce: another client of the standard, by other people."""
    told = f'Digest realm="a realm", nonce="n1", qop="auth", algorithm={algorithm}{more}'

    def ask(arrival: Arrival) -> Answer:
        return (200, TEXT, b"ok") if arrival.header("authorization") else (401, {"WWW-Authenticate": told}, b"")

    with judging(ask) as court:
        words = ("--silent", "--digest", "--user", "Mufasa:Circle of Life", court.url + "/dir/index.html?a=%20b")
        curl = await asyncio.create_subprocess_exec(program("curl"), *words, stdout=asyncio.subprocess.DEVNULL)
        assert await curl.wait() == 0
    theirs = parameters(court.arrivals[-1].header("authorization").removeprefix("Digest ").encode())
    fields = {"username": Secret(b"Mufasa"), "password": Secret(b"Circle of " + b"Life")}
    applier = Digest(lambda: theirs["cnonce"]).bind({}, fields)
    outgoing = Outgoing(b"GET", b"/dir/index.html", b"a=%20b", [], Origin("http", "127.0.0.1", 80))
    assert applier.answered([], 401, [(b"WWW-Authenticate", told.encode())])
    applier.apply(outgoing)
    ours = parameters((outgoing.header(b"authorization") or b"").removeprefix(b"Digest "))
    assert ours == {"algorithm": algorithm, **theirs}


# -- aws_sigv4


@pytest.mark.parametrize("place", ["header", "query"])
@pytest.mark.parametrize("service", ["execute-api", "s3"])
@pytest.mark.parametrize(
    ("method", "path", "fields", "body"),
    [
        (b"GET", b"/", [], None),
        (b"GET", b"/a%20b/c(d)?q=a+b&acl&n=%C3%A9&q=A", [b"X-Amz-Meta-A:   two   words "], None),
        (b"POST", b"/things", [JSON], b'{"a": "\xc3\xa9"}'),
        (b"DELETE", b"/things/1", [], None),
        (b"PUT", b"/key", [], b"x" * 100_000),
        (b"PUT", b"//a//b", [], b"x"),
        (b"GET", b"/%61%2d/plus%2bplus", [], None),
    ],
)
async def test_botocore_makes_the_signature_that_arrived(
    relayed: StartRelayed, amazon: Court, place: str, service: str, method: bytes, path: bytes, fields: Any, body: Any
) -> None:
    """In both forms, by the path rules of both kinds of service, over what the socket brought."""
    auth = {"scheme": "aws_sigv4", "service": service, "region": "eu-central-1", "in": place}
    api = await relayed(amazon.url + "/v1", auth, AWS_FIELDS)
    got = await api.ask(method, path, *fields, body=body)
    assert (got.status, got.body) == (200, b"signed")
    assert amazon.arrivals[0].body == (body or b"")


async def test_an_unsigned_payload_is_streamed_whatever_its_size(relayed: StartRelayed, amazon: Court) -> None:
    """More than a body that is read may have, and in chunks."""
    auth = {"scheme": "aws_sigv4", "service": "s3", "region": "eu-central-1", "payload": "unsigned"}
    api = await relayed(amazon.url, auth, AWS_FIELDS)
    piece = b"x" * 1_000_000
    chunked = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for _ in range(17)) + b"0\r\n\r\n"
    client = await Peer.connect(api.worker.port)
    head = b"PUT /relay/api/key HTTP/1.1\r\nHost: t\r\nTieline-Key: %b\r\nTransfer-Encoding: chunked\r\n\r\n" % api.key
    await client.send(head + chunked)
    got = await client.message(method=b"PUT")
    await drop([client])
    assert got.status == 200
    assert len(amazon.arrivals[0].body) == 17_000_000


@pytest.mark.parametrize("service", ["s3", "dynamodb"])
async def test_the_official_sdk_works_with_an_app_key_for_its_access_key(
    relayed: StartRelayed, amazon: Court, service: str
) -> None:
    """By its endpoint and that key alone, and any secret: what it signs itself does not go on."""
    api = await relayed(amazon.url, {"scheme": "aws_sigv4", "service": service, "region": "eu-central-1"}, AWS_FIELDS)

    def use() -> None:
        client = botocore.session.Session().create_client(
            service,
            region_name="eu-central-1",
            endpoint_url=f"{api.worker.url}/relay/api",
            aws_access_key_id=api.key.decode(),
            aws_secret_access_key="anything",
            config=botocore.config.Config(retries={"max_attempts": 1}, proxies={}),
        )
        # the judge's answer, a word of its own, is no answer of AWS
        with contextlib.suppress(botocore.parsers.ResponseParserError, botocore.exceptions.ClientError):
            if service == "s3":
                client.put_object(Bucket="bucket", Key="a key+(1)", Body=b"content" * 10)
            else:
                client.describe_table(TableName="things")

    await asyncio.to_thread(use)
    assert set(amazon.answers) == {200}
    assert aws.PERMANENT[0] in amazon.arrivals[0].header("authorization")
    assert b"content" * 10 in amazon.arrivals[0].body or service != "s3"


async def test_a_role_is_assumed_once(relayed: StartRelayed, amazon: Court) -> None:
    """Its temporary keys, asked of the token service, sign all that follows."""
    role = {"role_arn": "arn:aws:iam::123456789012:role/demo", "external_id": "customer-7"}
    auth = {
        "scheme": "aws_sigv4",
        "service": "execute-api",
        "region": "eu-central-1",
        "assume_role": {**role, "sts_url": amazon.url + "/sts/"},
    }
    api = await relayed(amazon.url + "/v1", auth, AWS_FIELDS)
    got = await asyncio.gather(*(api.ask(b"POST", b"/things", body=b"{}") for _ in range(5)))
    assert {each.status for each in got} == {200}
    assert [each.target for each in amazon.arrivals].count("/sts/") == 1
    assert sum(aws.TEMPORARY[0] in each.header("authorization") for each in amazon.arrivals) == 5


# -- oauth1


@pytest.mark.parametrize("method", ["HMAC-SHA1", "HMAC-SHA256", "HMAC-SHA512", "PLAINTEXT"])
@pytest.mark.parametrize("place", ["header", "query", "body"])
async def test_oauthlib_takes_the_signature_that_arrived(
    relayed: StartRelayed, provider: tuple[oauth1.Provider, Court], method: str, place: str
) -> None:
    """Of a form, whose pairs are signed, with the parameters in each place; and a second time with another nonce."""
    auth = {"scheme": "oauth1", "signature_method": method, "in": place, "realm": "photos"}
    api = await relayed(provider[1].url + "/v1", auth, TOKEN_FIELDS)
    for _ in range(2):
        got = await api.ask(b"POST", b"/photos?size=original&q=a%20b", FORM, body=b"title=A+b%26&c=%C3%A9")
        assert (got.status, got.body) == (200, b"whose:a-token")


@pytest.mark.parametrize(("method", "body"), [(b"GET", None), (b"PUT", b'{"a": 1}')])
async def test_oauthlib_takes_requests_without_a_form(
    relayed: StartRelayed, provider: tuple[oauth1.Provider, Court], method: bytes, body: bytes | None
) -> None:
    """Nothing of the body is signed."""
    api = await relayed(provider[1].url, {"scheme": "oauth1"}, TOKEN_FIELDS)
    got = await api.ask(method, b"/photos", JSON, body=body)
    assert (got.status, got.body) == (200, b"whose:a-token")


async def test_oauthlib_refuses_another_secret(relayed: StartRelayed, provider: tuple[oauth1.Provider, Court]) -> None:
    """So it does look at it."""
    api = await relayed(provider[1].url, {"scheme": "oauth1"}, {**TOKEN_FIELDS, "token_secret": "another"})
    assert (await api.ask(b"GET", b"/photos")).status == 401


async def test_a_person_signs_in_and_the_relay_uses_their_token(
    relayed: StartRelayed, provider: tuple[oauth1.Provider, Court]
) -> None:
    """The three legs against oauthlib's provider, through the exit that sign-ins have; then a request."""
    judge, court = provider
    urls = {"request_url": "/initiate", "authorize_url": "/authorize", "token_url": "/token"}
    auth = {"scheme": "oauth1", "sign_in": {name: court.url + path for name, path in urls.items()}}
    store = MemoryConnections()
    api = await relayed(court.url, auth, OAUTH1_FIELDS, store)
    source, target = api.worker.source, ConnectionKey("api_api", "live", 0)
    intake = Intake(source.keyring)
    desk = SignIns(Opening(source, MemoryConnections(), source.keyring, Guard(["127.0.0.1"]), Trust()))

    sign_in, fingerprint = await desk.begin(target, "https://tieline.example/back", "state-1")
    came = judge.allow(sign_in.url)
    context = intake.seal(Place("sign_ins", "sgn_1", "kept", 0, "live"), pack(sign_in.context))
    now = datetime.now(UTC)
    row = SignInRow("sgn_1", target, "api", None, now, "op_1", now, fingerprint=fingerprint, context=context)
    token = await desk.finish(row, came)
    sealed = {
        name: intake.seal(Place("connection_secrets", "conn_1", name, 1, "live"), value)
        for name, value in token.values.items()
    }
    store.put(ConnectionKey("api_api", "live", 0, "", ""), SealedToken(fingerprint, sealed, None, (), token.account))

    got = await api.ask(b"GET", b"/photos")
    assert came["state"] == "state-1"
    assert (got.status, got.body[:6]) == (200, b"whose:")  # the token itself is masked where it comes back
    assert token.values["token"].reveal_bytes().decode() in court.arrivals[-1].header("authorization")


# -- hmac


@pytest.mark.parametrize(
    ("method", "body"), [(b"GET", None), (b"POST", b"quantity=1&price=0.1"), (b"PUT", b"x" * 100_000)]
)
async def test_a_signature_over_a_template_fits_what_arrived(
    relayed: StartRelayed, method: bytes, body: bytes | None
) -> None:
    """Recomputed by the standard library from the line, the fields and the body that the socket brought."""
    key = "shared-" + "not-real"

    def judge(arrival: Arrival) -> Answer:
        stamp, claimed = arrival.header("x-timestamp"), arrival.header("x-signature")
        text = f"{stamp}\n{arrival.method}\n{arrival.target}\n{arrival.header('host')}\n".encode() + arrival.body
        made = hmac.new(key.encode(), text, "sha512").digest()
        fits = abs(int(stamp) / 1000 - time.time()) < 60 and claimed == f"id-1:{base64.b64encode(made).decode()}"
        return (200, TEXT, b"fits") if fits else (401, TEXT, b"does not fit")

    auth = {
        "scheme": "hmac",
        "template": "<timestamp>\n<method>\n<target>\n<host>\n<body>",
        "algorithm": "sha512",
        "encoding": "base64",
        "timestamp": "unix_ms",
        "name": "X-Signature",
        "format": "<key_id>:<signature>",
        "headers": [{"name": "X-Timestamp", "value": "<timestamp>"}],
    }
    with judging(judge) as court:
        api = await relayed(court.url + "/v1", auth, {"key_id": "id-1", "secret": key})
        got = await api.ask(method, b"/orders?a=%20b&c", FORM, b"X-Timestamp: 1", body=body)
    assert (got.status, got.body) == (200, b"fits")


# -- a key in the body


@pytest.mark.parametrize(
    ("field", "body", "arrived"),
    [
        (JSON, b'{"a": 1.0, "n": 10000000000000000001}', b'{"a": 1.0, "n": 10000000000000000001,"auth":{"key":"KEY"}}'),
        (FORM, b"a=1&b=%20", b"a=1&b=%20&auth.key=KEY"),
    ],
)
async def test_a_key_goes_into_the_body_that_arrived(
    relayed: StartRelayed, field: bytes, body: bytes, arrived: bytes
) -> None:
    """Whose length is that of the new one; nothing else of it changed."""
    key = "body-" + "not-real-key"
    with judging(lambda _: (200, TEXT, b"ok")) as court:
        api = await relayed(court.url, {"scheme": "api_key", "in": "body", "name": "auth.key"}, {"key": key})
        assert (await api.ask(b"POST", b"/x", field, body=body)).status == 200
        refused = await api.ask(b"GET", b"/x")
    assert [each.body for each in court.arrivals] == [arrived.replace(b"KEY", key.encode())]
    assert refused.one(b"tieline-error") == b"credential_missing"
