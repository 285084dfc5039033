"""What the admin API confirmed works for the next request, in whatever place that request's key stands."""

from typing import Any

import pytest

from tests.wire.conftest import StartUpstream
from tests.wire.raw import Peer
from tests.wire.stage import PROVIDER_KEY, definition
from tests.wire.test_second_look import SilentSource
from tieline.dataplane.admission.admit import LOOKING_MOST
from tieline.testing.dataplane import Worker, serving
from tieline.testing.vault import memory_keyring

SIGV4 = {"scheme": "aws_sigv4", "service": "s3", "region": "eu-west-1"}


async def status(worker: Worker, *fields: bytes, target: bytes = b"/relay/api/x") -> int:
    """The status of one GET with these fields."""
    peer = await Peer.connect(worker.port)
    await peer.send(b"\r\n".join([b"GET " + target + b" HTTP/1.1", b"Host: a", *fields, b"", b""]))
    message = await peer.message()
    peer.close()
    return message.status


PLACES = {
    "x-goog-api-key": ({"scheme": "api_key", "in": "header", "name": "x-goog-api-key"}, b"x-goog-api-key: %b", b""),
    "xi-api-key": ({"scheme": "api_key", "in": "header", "name": "xi-api-key"}, b"xi-api-key: %b", b""),
    "query": ({"scheme": "api_key", "in": "query", "name": "token"}, b"", b"?token=%b"),
    "scope of SigV4": (SIGV4, b"Authorization: AWS4-HMAC-SHA256 Credential=%b/20261130/eu-west-1/s3/aws4_request", b""),
    "cookie": ({"scheme": "api_key", "in": "cookie", "name": "session"}, b"Cookie: session=%b", b""),
}


@pytest.mark.parametrize(("auth", "field", "query"), PLACES.values(), ids=PLACES)
async def test_a_key_in_a_place_that_only_a_new_api_names_is_found(
    start_upstream: StartUpstream, auth: dict[str, str], field: bytes, query: bytes
) -> None:
    """API, credential and key were made a moment ago and the worker was told of none."""
    upstream = await start_upstream()
    source = SilentSource(await memory_keyring())
    async with serving(source) as worker:
        source.put_api(definition(upstream.port, auth=auth))
        if auth is SIGV4:
            source.put_credential("api", {"access_key_id": "AKIDEXAMPLE", "secret_access_key": PROVIDER_KEY})
        else:
            source.put_credential("api", {"key": PROVIDER_KEY})
        key = source.put_key("api").encode()
        target = b"/relay/api/x" + (query % key if query else b"")
        assert await status(worker, *([field % key] if field else []), target=target) == 200


async def test_a_change_of_the_place_is_found_too(start_upstream: StartUpstream) -> None:
    """The API was known, with its key elsewhere."""
    upstream = await start_upstream()
    source = SilentSource(await memory_keyring())
    source.put_api(definition(upstream.port))
    source.put_credential("api", {"key": PROVIDER_KEY})
    key = source.put_key("api").encode()
    async with serving(source) as worker:
        assert await status(worker, b"xi-api-key: " + key) == 401
        source.put_api(definition(upstream.port, auth={"scheme": "api_key", "name": "xi-api-key"}))
        assert await status(worker, b"xi-api-key: " + key) == 200


async def test_a_key_that_was_given_more_may_use_it(start_upstream: StartUpstream) -> None:
    """Its network was widened, its end put off; what was revoked stays so."""
    upstream = await start_upstream()
    source = SilentSource(await memory_keyring())
    source.put_api(definition(upstream.port))
    source.put_credential("api", {"key": PROVIDER_KEY})
    key = source.put_key("api", from_ip=["10.0.0.0/8"], expires_at=1.0)
    bearer = b"Authorization: Bearer " + key.encode()
    async with serving(source) as worker:
        assert await status(worker, bearer) == 401
        source.change_key(key, expires_at=None)
        assert await status(worker, bearer) == 403
        source.change_key(key, from_ip=())
        assert await status(worker, bearer) == 200


async def test_a_parameter_that_a_call_was_just_given_is_taken(start_upstream: StartUpstream) -> None:
    """A run is not refused for what its call has become able to do."""
    upstream = await start_upstream()
    source = SilentSource(await memory_keyring())
    call: dict[str, Any] = {"path": "/it", "response": {"type": "empty"}}
    source.put_api(definition(upstream.port, calls={"it": call}))
    source.put_credential("api", {"key": PROVIDER_KEY})
    bearer = b"Authorization: Bearer " + source.put_key("api").encode()
    async with serving(source) as worker:
        assert await status(worker, bearer, target=b"/call/api/it?city=Rome") == 400
        call |= {"path": "/it/<city>", "parameters": {"city": {}}}
        source.put_api(definition(upstream.port, calls={"it": call}))
        assert await status(worker, bearer, target=b"/call/api/it?city=Rome") == 204
    assert upstream.seen[-1].line == b"GET /v1/it/Rome HTTP/1.1"


async def test_a_store_that_does_not_answer_holds_no_stranger_for_long(start_upstream: StartUpstream) -> None:
    """A request that would be refused anyway is refused at once while two thousand wait for a look already."""
    source = SilentSource(await memory_keyring())
    async with serving(source) as worker:
        worker.service.admission.looking = LOOKING_MOST
        assert await status(worker) == 401
        assert source.asked == 0
