"""Where an app key is found, that it goes no further, and that the provider's secret does not come back."""

import asyncio
from base64 import b64encode
from typing import Any

import pytest

from tests.wire.conftest import StartStage
from tests.wire.raw import Peer, Upstream, answer, chunked
from tests.wire.stage import PROVIDER_KEY, Stage

SECRET = PROVIDER_KEY.encode()
HEADER_SCHEME = {"scheme": "api_key", "in": "header", "name": "X-Custom-Key"}
QUERY_SCHEME = {"scheme": "api_key", "in": "query", "name": "token"}
COOKIE_SCHEME = {"scheme": "api_key", "in": "cookie", "name": "session"}

PLACES: dict[str, tuple[Any, str, str]] = {
    "bearer": ({"scheme": "bearer"}, "Authorization: Bearer KEY", ""),
    "bearer in another case": ({"scheme": "bearer"}, "AUTHORIZATION: bearer KEY", ""),
    "the bare key": ({"scheme": "bearer"}, "Authorization: KEY", ""),
    "Tieline-Key": ({"scheme": "bearer"}, "Tieline-Key: KEY", ""),
    "x-api-key": ({"scheme": "bearer"}, "x-api-key: KEY", ""),
    "api-key": ({"scheme": "bearer"}, "api-key: KEY", ""),
    "the scheme's header": (HEADER_SCHEME, "x-custom-KEY: KEY", ""),
    "key in the query": ({"scheme": "bearer"}, "", "key=KEY"),
    "the scheme's query name": (QUERY_SCHEME, "", "a=1&token=KEY&b=2"),
    "an encoded query": ({"scheme": "bearer"}, "", "%6bey=%74l_KEYREST"),
    "Basic user": ({"scheme": "basic"}, "Authorization: Basic USER", ""),
    "Basic password": ({"scheme": "basic"}, "Authorization: Basic PASSWORD", ""),
    "the scheme's cookie": (COOKIE_SCHEME, "Cookie: a=1; session=KEY; b=2", ""),
    "twice the same": ({"scheme": "bearer"}, "Authorization: Bearer KEY\r\nx-api-key: KEY", "key=KEY"),
}


def credential(auth: Any) -> dict[str, str]:
    """The credential of a scheme."""
    return {"username": PROVIDER_KEY} if auth["scheme"] == "basic" else {"key": PROVIDER_KEY}


@pytest.mark.parametrize(("auth", "field", "query"), PLACES.values(), ids=PLACES)
async def test_a_key_is_found_and_goes_no_further(start_stage: StartStage, auth: Any, field: str, query: str) -> None:
    """In each place of the contract, and the upstream sees the provider's secret instead."""
    stage = await start_stage(auth=auth)
    stage.worker.source.put_credential("api", credential(auth))
    await stage.worker.caught_up()
    key = stage.key

    def fill(text: str) -> bytes:
        text = text.replace("KEYREST", key[3:]).replace("USER", b64encode(f"{key}:".encode()).decode())
        text = text.replace("PASSWORD", b64encode(f"me:{key}".encode()).decode())
        name, colon, value = text.partition(":")
        return (name + colon + value.replace("KEY", key)).encode() if colon else text.replace("KEY", key).encode()

    fields = [fill(each) for each in field.split("\r\n") if each]
    path = b"/thing?" + fill(query) if query else b"/thing"
    got = await stage.ask(stage.request(b"GET", path, *fields, key=False))
    assert got.status == 200
    seen = stage.upstream.seen[0]
    assert key.encode() not in seen.raw
    assert b64encode(key.encode())[:-2] not in seen.raw
    place = b64encode(SECRET + b":") if auth["scheme"] == "basic" else SECRET
    assert seen.raw.count(place) == 1


async def test_the_rest_of_query_and_cookies_stays(start_stage: StartStage) -> None:
    """Only the pair with the key is taken out."""
    stage = await start_stage(auth=COOKIE_SCHEME)
    raw = stage.request(b"GET", b"/x?a=1&&key=%b&b=%%20" % stage.key.encode(), b"Cookie: a=1; b=2", key=False)
    assert (await stage.ask(raw)).status == 200
    seen = stage.upstream.seen[0]
    assert seen.target == b"/v1/x?a=1&&b=%20"
    assert seen.one(b"cookie") == b"a=1; b=2; session=" + SECRET


async def test_several_different_keys_are_refused(stage: Stage) -> None:
    """Nobody guesses which one is meant."""
    other = stage.worker.source.put_key("api").encode()
    got = await stage.get(b"/thing", b"x-api-key: " + other)
    assert (got.status, got.one(b"tieline-error")) == (400, b"invalid_request")
    got = await stage.get(b"/thing?key=" + other)
    assert got.status == 400
    assert stage.upstream.accepted == 0


async def test_what_a_client_sends_in_the_schemes_place_is_replaced(start_stage: StartStage) -> None:
    """A caller cannot put a secret of its own beside the provider's."""
    for auth, fields, path in (
        (HEADER_SCHEME, [b"X-Custom-Key: mine", b"x-custom-key: too"], b"/x"),
        (QUERY_SCHEME, [], b"/x?token=mine&t%6Fken=too"),
        (COOKIE_SCHEME, [b"Cookie: session=mine; a=1"], b"/x"),
    ):
        stage = await start_stage(auth=auth)
        assert (await stage.get(path, *fields)).status in {200, 400, 401}
        for seen in stage.upstream.seen:
            assert b"mine" not in seen.raw
            assert b"too" not in seen.raw
            assert seen.raw.count(SECRET) == 1


REFLECTED = [
    "in a header",
    "in the reason",
    "in an interim answer",
    "in a trailer",
    "in a body",
    "in chunks",
    "over two chunks",
    "byte by byte",
    "at the end of the connection",
    "in a redirect",
]


def reflection(how: str, secret: bytes) -> list[bytes]:
    """Answers of an upstream that gives ``secret`` away."""
    ok = b"HTTP/1.1 200 OK\r\n"
    chunky = ok + b"Transfer-Encoding: chunked\r\n\r\n"
    half = len(secret) // 2
    return {
        "in a header": [answer(b"", b"X-Echo: <" + secret + b">")],
        "in the reason": [answer(b"", status=b"200 " + secret)],
        "in an interim answer": [b"HTTP/1.1 103 Hints\r\nLink: " + secret + b"\r\n\r\n" + answer(b"")],
        "in a trailer": [chunky + chunked(b"x", trailers=b"X-Echo: " + secret + b"\r\n")],
        "in a body": [answer(b"<" + secret + b"><" + secret + b">")],
        "in chunks": [chunky + chunked(b"<" + secret + b">", b"and " + secret)],
        "over two chunks": [chunky + chunked(b"<" + secret[:half], secret[half:] + b">")],
        "byte by byte": [chunky, *[b"1\r\n%c\r\n" % byte for byte in b"<" + secret + b">"], b"0\r\n\r\n"],
        "at the end of the connection": [ok + b"\r\n<" + secret[:half], secret[half:]],
        "in a redirect": [answer(b"", b"Location: /?key=" + secret, status=b"302 Found")],
    }[how]


@pytest.mark.parametrize("how", REFLECTED)
async def test_the_secret_does_not_come_back(start_stage: StartStage, how: str) -> None:
    """An upstream that reflects it is masked byte by byte, wherever it stands and however it is cut."""

    async def script(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        for piece in reflection(how, SECRET):
            await peer.send(piece)
            await asyncio.sleep(0.002)

    stage = await start_stage(script)
    got = await stage.get()
    everything = got.raw + got.body + b"".join(each.raw for each in got.interim) + repr(got.trailers).encode()
    assert SECRET not in everything
    assert b"*" * len(SECRET) in everything


async def test_the_form_in_a_url_does_not_come_back(start_stage: StartStage) -> None:
    """A key with odd characters stands percent-encoded in a query, and in a redirect that repeats it."""

    async def script(upstream: Upstream, peer: Peer) -> None:
        seen = await upstream.read(peer)
        await peer.send(answer(seen.target, b"Location: " + seen.target, status=b"302 Found"))

    odd = "sk/sandbox+odd=key&not real"
    stage = await start_stage(script, auth=QUERY_SCHEME)
    stage.worker.source.put_credential("api", {"key": odd})
    await stage.worker.caught_up()
    got = await stage.get()
    sent = stage.upstream.seen[0].target
    assert sent == b"/v1/thing?token=sk%2Fsandbox%2Bodd%3Dkey%26not%20real"
    assert b"sk%2Fsandbox" not in got.raw + got.body


async def test_private_values_do_not_come_back(start_stage: StartStage) -> None:
    """Private headers and parameters are secrets like the key."""

    async def script(upstream: Upstream, peer: Peer) -> None:
        seen = await upstream.read(peer)
        await peer.send(answer(seen.raw))

    stage = await start_stage(
        script,
        headers=[{"name": "X-Account", "private": True}],
        parameters=[{"name": "tenant", "in": "query", "private": True}],
    )
    account, tenant = "account-not-real-1", "tenant not/real 22"
    fields = {"key": PROVIDER_KEY, "header.X-Account": account, "parameter.tenant": tenant}
    stage.worker.source.put_credential("api", fields)
    await stage.worker.caught_up()
    got = await stage.get(b"/thing?tenant=mine", b"X-Account: mine")
    seen = stage.upstream.seen[0]
    assert seen.one(b"x-account") == account.encode()
    assert seen.target == b"/v1/thing?tenant=tenant%20not%2Freal%2022"
    for value in (account.encode(), SECRET, b"tenant%20not%2Freal%2022"):
        assert value not in got.body
    assert len(got.body) == len(seen.raw)


@pytest.mark.parametrize("names", [b"Authorization", b"authorization, close", b"X-Custom-Key"])
async def test_naming_the_secrets_field_in_connection_does_not_remove_it(start_stage: StartStage, names: bytes) -> None:
    """Only what the client sent is dropped by it."""
    stage = await start_stage(auth=[{"scheme": "bearer"}, HEADER_SCHEME])
    fields = {"bearer.key": PROVIDER_KEY, "api_key.key": "custom-" + "not-real"}
    stage.worker.source.put_credential("api", fields)
    await stage.worker.caught_up()
    assert (await stage.get(b"/x", b"Connection: " + names)).status == 200
    seen = stage.upstream.seen[0]
    assert seen.one(b"authorization") == b"Bearer " + SECRET
    assert seen.one(b"x-custom-key") == b"custom-not-real"


@pytest.mark.parametrize("door", [b"/relay/", b"/call/", b"/call/api/"])
@pytest.mark.parametrize("typed", [b"sk-proj-abcdefghijklmnopqrstuvwxyz", b"a1b2c3d4e5f60718", b"AKIAIOSFODNN7EXAMPLE"])
async def test_a_providers_key_typed_into_the_path_is_not_repeated(stage: Stage, door: bytes, typed: bytes) -> None:
    """Neither in the error nor in the record."""
    lines = [b"GET " + door + typed + b" HTTP/1.1", b"Host: tieline.test", stage.bearer]
    found = await stage.ask(b"\r\n".join(lines) + b"\r\n\r\n")
    assert found.status == 404
    assert typed not in found.raw
    (record,) = await stage.worker.recorded(1)
    assert typed.decode() not in record.path


async def test_a_name_that_is_none_here_is_repeated(stage: Stage) -> None:
    """A slip of the finger is easier to see so."""
    found = await stage.ask(b"GET /relay/opnai/x HTTP/1.1\r\nHost: tieline.test\r\n" + stage.bearer + b"\r\n\r\n")
    assert b"no API named 'opnai'" in found.body
    (record,) = await stage.worker.recorded(1)
    assert record.path == "/relay/opnai/x"
