"""A token's end that an API tells in the body of a good answer is understood alike by both doors."""

import gzip
from collections.abc import Callable

import orjson
import pytest

from tests.wire import calling
from tests.wire.conftest import StartUpstream
from tests.wire.raw import Message, Peer, Script, Upstream, answer, chunked
from tests.wire.stage import Stage, definition
from tieline.testing.dataplane import serving

OVER = orjson.dumps({"errcode": 42001, "errmsg": "access_token expired"})
GOOD = orjson.dumps({"errcode": 0, "name": "Ada"})
JSON = b"Content-Type: application/json"


def plain(body: bytes) -> bytes:
    """As it is."""
    return answer(body, JSON)


def zipped(body: bytes) -> bytes:
    """In a content coding."""
    return answer(gzip.compress(body), JSON, b"Content-Encoding: gzip")


def in_chunks(body: bytes) -> bytes:
    """Some bytes at a time."""
    head = b"HTTP/1.1 200 OK\r\n" + JSON + b"\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + chunked(*(body[at : at + 7] for at in range(0, len(body), 7)))


async def issuer(upstream: Upstream, peer: Peer) -> None:
    """A new token each time."""
    while True:
        await upstream.read(peer)
        token = orjson.dumps({"access_token": f"token-{len(upstream.seen)}", "expires_in": 3600})
        await peer.send(answer(token, JSON))


def api(how: Callable[[bytes], bytes], good: bytes) -> Script:
    """Takes the second token and later ones only, and says so with 200."""

    async def script(upstream: Upstream, peer: Peer) -> None:
        while True:
            seen: Message = await upstream.read(peer)
            await peer.send(how(OVER if seen.one(b"authorization") == b"Bearer token-1" else good))

    return script


@pytest.mark.parametrize("how", [plain, zipped, in_chunks])
@pytest.mark.parametrize("door", ["relay", "call"])
async def test_expiry_that_is_told_with_200_renews_the_token(
    start_upstream: StartUpstream, door: str, how: Callable[[bytes], bytes]
) -> None:
    """The judge sees the decoded body; the caller sees one answer, that to the renewed token."""
    tokens, upstream = await start_upstream(issuer), await start_upstream(api(how, GOOD))
    auth = {
        "scheme": "oauth2",
        "grant": "client_credentials",
        "token_url": f"http://127.0.0.1:{tokens.port}/token",
        "renew_on": {"status": [200], "body": {"path": "errcode", "equals": [40014, 42001]}},
    }
    call = {"path": "/it", "response": {"type": "json"}}
    async with serving() as worker:
        worker.source.put_api(definition(upstream.port, auth=auth, calls={"it": call}))
        worker.source.put_credential("api", {"client_id": "me", "client_secret": "a-secret-not-real"})
        stage = Stage(worker, upstream, worker.source.put_key("api"))
        if door == "call":
            assert calling.result(await calling.run(stage, "it")) == orjson.loads(GOOD)
        else:
            got = await stage.get()
            body = gzip.decompress(got.body) if got.every(b"content-encoding") else got.body
            assert (got.status, body) == (200, GOOD)
        assert (len(tokens.seen), len(upstream.seen)) == (2, 2)


async def test_an_answer_that_is_looked_at_goes_on_as_it_came(start_upstream: StartUpstream) -> None:
    """Also where it is larger than what is looked at, and comes slowly."""
    large = orjson.dumps({"errcode": 0, "data": "x" * 200_000})
    tokens, upstream = await start_upstream(issuer), await start_upstream(api(in_chunks, large))
    auth = {
        "scheme": "oauth2",
        "grant": "client_credentials",
        "token_url": f"http://127.0.0.1:{tokens.port}/token",
        "renew_on": {"body": {"path": "errcode", "equals": 42001}},
    }
    async with serving() as worker:
        worker.source.put_api(definition(upstream.port, auth=auth))
        worker.source.put_credential("api", {"client_id": "me", "client_secret": "a-secret-not-real"})
        stage = Stage(worker, upstream, worker.source.put_key("api"))
        assert (await stage.get()).body == large
        assert (await stage.get()).body == large
