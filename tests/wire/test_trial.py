"""A call tried once for an operator: sent as the data plane would send it, its answer masked and bounded."""

import asyncio
import gzip
from typing import Any

import pytest

from tests.wire.conftest import StartUpstream
from tests.wire.raw import Peer, Upstream, answer, chunked, saying
from tests.wire.stage import PROVIDER_KEY, definition
from tieline.core.errors import (
    CredentialMissing,
    DestinationNotAllowed,
    InvalidParameter,
    MissingParameter,
    TielineError,
    UnknownCall,
    UpstreamProtocolError,
    UpstreamResponseTooLarge,
    UpstreamUnreachable,
)
from tieline.dataplane.operator.opening import Opening
from tieline.dataplane.operator.trial import BEGINNING_MOST, DOCUMENT_MOST, Trial
from tieline.ports.operator import TrialAnswer, TrialFile, TrialRun
from tieline.testing.connections import MemoryConnections
from tieline.testing.dataplane import MemorySource
from tieline.testing.vault import memory_keyring
from tieline.wire.guard import Guard
from tieline.wire.tls import Trust

CALLS: dict[str, Any] = {
    "read": {"path": "/things/<id>", "parameters": {"id": {"default": "7"}, "page": {"in": "query", "optional": True}}},
    "write": {
        "method": "POST",
        "path": "/things",
        "parameters": {"text": {}, "file": {"type": "file", "optional": True}},
        "body": {
            "type": "multipart",
            "fields": [{"name": "text", "value": "<text>"}, {"name": "file", "value": "<file>"}],
        },
    },
    "elsewhere": {"url": "http://<where>/x", "parameters": {"where": {}}},
    "private": {
        "path": "/secret",
        "parameters": {"note": {"in": "query", "private": True}},
    },
}
SECRET = "a-private-value-" + "not-real"


async def tried(
    upstream: Upstream, call: str = "read", values: Any = None, *, key: bool = True, **more: Any
) -> TrialAnswer:
    """What running the call once shows."""
    source = MemorySource(await memory_keyring())
    source.put_api(definition(upstream.port, calls=CALLS, **more.pop("changes", {})))
    if key:
        source.put_credential("api", {"key": PROVIDER_KEY, "call.private.note": SECRET})
    guard = more.pop("guard", None) or Guard(["127.0.0.1"])
    trial = Trial(Opening(source, MemoryConnections(), source.keyring, guard, Trust()))
    return await trial.run(TrialRun("api", call, "live", values or {}, **more))


def json_answer(body: bytes, *fields: bytes) -> bytes:
    """An answer that is JSON."""
    return answer(body, b"Content-Type: application/json", *fields)


async def test_the_request_is_that_of_the_data_plane(start_upstream: StartUpstream) -> None:
    """Path, query and the provider's key; one request, and its connection is not kept."""
    upstream = await start_upstream(saying(json_answer(b'{"id": 7}', b"X-Id: 1")))
    found = await tried(upstream, values={"id": "a/b", "page": "2"})
    assert (found.status, found.body, found.whole) == (200, b'{"id": 7}', True)
    assert ("x-id", "1") in found.headers
    (seen,) = upstream.seen
    assert seen.line == b"GET /v1/things/a%2Fb?page=2 HTTP/1.1"
    assert seen.one(b"authorization") == b"Bearer " + PROVIDER_KEY.encode()
    await upstream.until(lambda upstream: upstream.open == 0)


async def test_files_are_sent_in_a_form(start_upstream: StartUpstream) -> None:
    """A file whose name would end its field does not; one whose name would end its header is refused."""
    upstream = await start_upstream(saying(json_answer(b"{}")))
    file = TrialFile('x"; evil="1', "text/plain", b"\x00content\r\n")
    await tried(upstream, "write", {"text": "hello"}, files={"file": file})
    (seen,) = upstream.seen
    assert b"\x00content\r\n\r\n--" in seen.body
    assert b'"; evil' not in seen.body
    assert b"hello" in seen.body
    with pytest.raises(InvalidParameter):
        await tried(upstream, "write", {"text": "hello"}, files={"file": TrialFile("x\r\nEvil: 1", "text/plain", b"")})


@pytest.mark.parametrize(
    ("call", "values", "error"),
    [
        ("none", {}, UnknownCall),
        ("write", {}, MissingParameter),
        ("read", {"colour": "red"}, InvalidParameter),
        ("read", {"id": 7}, InvalidParameter),
        ("private", {"note": "mine"}, InvalidParameter),
        ("elsewhere", {"where": "169.254.169.254"}, DestinationNotAllowed),
        ("elsewhere", {"where": "localhost"}, DestinationNotAllowed),
    ],
)
async def test_what_cannot_be_sent_is_not(
    start_upstream: StartUpstream, call: str, values: Any, error: type[TielineError]
) -> None:
    """Wrong parameters, no such call, a URL of the call that leads where the credential may not go."""
    upstream = await start_upstream()
    with pytest.raises(error):
        await tried(upstream, call, values)
    assert upstream.seen == []


async def test_the_guard_and_the_credential_are_needed(start_upstream: StartUpstream) -> None:
    """An inner address that nobody allowed, an API without its key."""
    upstream = await start_upstream()
    with pytest.raises(DestinationNotAllowed):
        await tried(upstream, guard=Guard())
    with pytest.raises(CredentialMissing):
        await tried(upstream, key=False)
    assert upstream.seen == []


async def test_secrets_that_come_back_are_masked(start_upstream: StartUpstream) -> None:
    """The provider's key and a private value, in headers and body, cut anywhere on their way."""
    key = PROVIDER_KEY.encode()
    body = b'{"you sent": "Bearer ' + key + b'", "note": "' + SECRET.encode() + b'"}'
    head = b"HTTP/1.1 200 OK\r\nX-Echo: " + key + b"\r\nTransfer-Encoding: chunked\r\n\r\n"
    upstream = await start_upstream(saying(head + chunked(body[:30], body[30:40], body[40:])))
    found = await tried(upstream, "private")
    assert key not in found.body
    assert SECRET.encode() not in found.body
    assert PROVIDER_KEY not in str(found.headers)
    assert len(found.body) == len(body)


async def test_a_redirect_is_an_answer(start_upstream: StartUpstream) -> None:
    """It is not followed: the credential goes nowhere else."""
    other = await start_upstream()
    redirect = answer(b"", b"Location: http://127.0.0.1:%d/" % other.port, status=b"302 Found")
    found = await tried(await start_upstream(saying(redirect)))
    assert found.status == 302
    assert other.seen == []


async def test_an_encoded_answer_is_decoded(start_upstream: StartUpstream) -> None:
    """Within bounds: a bomb is refused."""
    upstream = await start_upstream(saying(json_answer(gzip.compress(b'{"a": 1}'), b"Content-Encoding: gzip")))
    assert (await tried(upstream)).body == b'{"a": 1}'
    bomb = gzip.compress(bytes(64 * 1024 * 1024))
    upstream = await start_upstream(saying(json_answer(bomb, b"Content-Encoding: gzip")))
    with pytest.raises(UpstreamResponseTooLarge):
        await tried(upstream)


async def test_another_charset_becomes_utf8(start_upstream: StartUpstream) -> None:
    """By the media type's word."""
    said = answer("é".encode("latin-1"), b"Content-Type: text/plain; charset=iso-8859-1")
    assert (await tried(await start_upstream(saying(said)))).body == "é".encode()


@pytest.mark.parametrize(
    ("media", "most"),
    [(b"application/json", DOCUMENT_MOST), (b"image/png", BEGINNING_MOST), (b"text/event-stream", BEGINNING_MOST)],
)
async def test_an_endless_answer_is_cut(start_upstream: StartUpstream, media: bytes, most: int) -> None:
    """A document may be long, of the others the beginning is enough; the upstream is hung up on.

    The last bytes are left out: half a secret, in whatever dress, could stand there.
    """

    async def forever(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: " + media + b"\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await peer.send(chunked(b"x" * 65_536)[: -len(b"0\r\n\r\n")])
            await asyncio.sleep(0)

    upstream = await start_upstream(forever)
    found = await tried(upstream)
    assert most - 1024 < len(found.body) < most
    assert not found.whole
    await upstream.until(lambda upstream: upstream.open == 0)


async def test_an_upstream_that_is_not_there_is_said(start_upstream: StartUpstream) -> None:
    """And one that speaks no HTTP."""
    upstream = await start_upstream(saying(b"SSH-2.0-x\r\n"))
    with pytest.raises(UpstreamProtocolError):
        await tried(upstream)
    with pytest.raises(UpstreamUnreachable):
        await tried(upstream, changes={"base_url": "http://127.0.0.1:1/v1"})


async def test_whoever_gives_up_takes_the_request_with_them(start_upstream: StartUpstream) -> None:
    """A cancelled trial leaves no connection behind."""

    async def silent(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        await peer.gone()

    upstream = await start_upstream(silent)
    running = asyncio.create_task(tried(upstream))
    await upstream.until(lambda upstream: len(upstream.seen) == 1)
    running.cancel()
    await asyncio.wait([running])
    await upstream.until(lambda upstream: upstream.open == 0)
    assert running.cancelled()


@pytest.mark.parametrize(
    "reply",
    [
        json_answer(gzip.compress(b'{"k": "%b"}' % PROVIDER_KEY.encode()), b"Content-Encoding: gzip"),
        json_answer(b'{"k": "%b"}' % "".join(f"\\u{ord(mark):04x}" for mark in PROVIDER_KEY).encode()),
        answer(PROVIDER_KEY.encode("utf-16"), b"Content-Type: text/plain"),
        answer(PROVIDER_KEY.replace("-", "&#45;").encode(), b"Content-Type: text/html"),
        answer(PROVIDER_KEY.replace("-", "%2D").encode(), b"X-Key: " + PROVIDER_KEY.replace("-", "%2D").encode()),
        json_answer(b'{"long": "' + b"x" * (DOCUMENT_MOST - 20) + PROVIDER_KEY.encode() + b'"}'),
    ],
    ids=["gzip", "escaped", "utf-16", "html", "url", "cut"],
)
async def test_nothing_that_may_be_kept_holds_the_key(start_upstream: StartUpstream, reply: bytes) -> None:
    """What is shown and learned from was masked as its reader sees it."""
    found = await tried(await start_upstream(saying(reply)))
    seen = found.body.decode() + repr(found.headers)
    forms = (PROVIDER_KEY, PROVIDER_KEY[:12], PROVIDER_KEY[-12:], "sandbox%2D", "\\u0073")
    assert all(form not in seen for form in forms)
