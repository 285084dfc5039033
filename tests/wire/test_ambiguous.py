"""Requests that two servers could read differently: the right status, a closed connection, nothing at the upstream."""

import asyncio
import dataclasses
import json

import pytest

from tests.wire.conftest import StartStage
from tests.wire.raw import SECONDS, Peer, Upstream, answer, chunked
from tests.wire.stage import Stage

TARGET = b"/relay/api/thing"
HOST = b"Host: a\r\n"


def line(text: bytes = b"GET " + TARGET + b" HTTP/1.1") -> bytes:
    """A request line and ``Host``; ``KEY`` will become the app key's field."""
    return text + b"\r\n" + HOST + b"KEY\r\n"


def post(*fields: bytes, body: bytes = b"") -> bytes:
    """A POST with these fields."""
    return line(b"POST " + TARGET + b" HTTP/1.1") + b"".join(field + b"\r\n" for field in fields) + b"\r\n" + body


CHUNKS = chunked(b"abc")
MALFORMED = {
    "length and chunks": post(b"Content-Length: 3", b"Transfer-Encoding: chunked", body=CHUNKS),
    "chunks and length": post(b"Transfer-Encoding: chunked", b"Content-Length: 3", body=CHUNKS),
    "two equal lengths": post(b"Content-Length: 3", b"Content-Length: 3", body=b"abc"),
    "two lengths": post(b"Content-Length: 3", b"Content-Length: 4", body=b"abc"),
    "a list of lengths": post(b"Content-Length: 3, 3", body=b"abc"),
    "a signed length": post(b"Content-Length: +3", body=b"abc"),
    "a negative length": post(b"Content-Length: -3", body=b"abc"),
    "a hexadecimal length": post(b"Content-Length: 0x3", body=b"abc"),
    "a length with an underscore": post(b"Content-Length: 1_0", body=b"0123456789"),
    "a length with a space": post(b"Content-Length: 1 0", body=b"0123456789"),
    "an empty length": post(b"Content-Length: ", body=b"abc"),
    "an endless length": post(b"Content-Length: 99999999999999999999", body=b"abc"),
    "gzip coding": post(b"Transfer-Encoding: gzip", body=CHUNKS),
    "gzip, chunked": post(b"Transfer-Encoding: gzip, chunked", body=CHUNKS),
    "chunked, gzip": post(b"Transfer-Encoding: chunked, gzip", body=CHUNKS),
    "chunked twice": post(b"Transfer-Encoding: chunked, chunked", body=CHUNKS),
    "chunked in two fields": post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=CHUNKS),
    "identity": post(b"Transfer-Encoding: identity", body=CHUNKS),
    "identity, then chunked": post(b"Transfer-Encoding: identity", b"Transfer-Encoding: chunked", body=CHUNKS),
    "nearly chunked": post(b"Transfer-Encoding: xchunked", body=CHUNKS),
    "chunked with a parameter": post(b"Transfer-Encoding: chunked;q=1", body=CHUNKS),
    "chunked behind a vertical tab": post(b"Transfer-Encoding: \x0bchunked", body=CHUNKS),
    "an empty coding": post(b"Transfer-Encoding: ", body=CHUNKS),
    "space before a colon": post(b"Content-Length : 3", body=b"abc"),
    "tab before a colon": post(b"Transfer-Encoding\t: chunked", body=CHUNKS),
    "a coding with an underscore": post(b"Transfer_Encoding: chunked", body=CHUNKS),
    "a length with an underscore in its name": post(b"Content_Length: 3", body=b"abc"),
    "a chunk size with a sign": post(b"Transfer-Encoding: chunked", body=b"+3\r\nabc\r\n0\r\n\r\n"),
    "a hexadecimal chunk size": post(b"Transfer-Encoding: chunked", body=b"0x3\r\nabc\r\n0\r\n\r\n"),
    "an endless chunk size": post(b"Transfer-Encoding: chunked", body=b"fffffffffffffffff\r\nabc\r\n"),
    "a chunk longer than its size": post(b"Transfer-Encoding: chunked", body=b"3\r\nabcd\r\n0\r\n\r\n"),
    "bare LF after a chunk size": post(b"Transfer-Encoding: chunked", body=b"3\nabc\r\n0\r\n\r\n"),
    "bare LF after a chunk": post(b"Transfer-Encoding: chunked", body=b"3\r\nabc\n0\r\n\r\n"),
    "bare LF in a chunk extension": post(b"Transfer-Encoding: chunked", body=b"3;a\nb\r\nabc\r\n0\r\n\r\n"),
    "bare LF after the last chunk": post(b"Transfer-Encoding: chunked", body=b"0\r\n\n"),
    "a trailer with a length": post(b"Transfer-Encoding: chunked", body=b"0\r\nContent-Length: 3\r\n\r\n"),
    "a bad trailer": post(b"Transfer-Encoding: chunked", body=b"0\r\nno colon\r\n\r\n"),
    "a folded field": line() + b"X: a\r\n b\r\n\r\n",
    "a folded first field": b"GET " + TARGET + b" HTTP/1.1\r\n Host: a\r\n\r\n",
    "bare LF after the line": b"GET " + TARGET + b" HTTP/1.1\nHost: a\r\n\r\n",
    "bare LF after a field": line() + b"X: a\n\r\n",
    "bare LF at the end": line() + b"\n",
    "bare LF at the beginning": b"\n" + line() + b"\r\n",
    "bare CR in a field": line() + b"X: a\rY: b\r\n\r\n",
    "NUL in a value": line() + b"X: a\x00b\r\n\r\n",
    "NUL in a name": line() + b"X\x00: a\r\n\r\n",
    "NUL in the target": line(b"GET " + TARGET + b"\x00 HTTP/1.1") + b"\r\n",
    "a control character in a value": line() + b"X: a\x0bb\r\n\r\n",
    "DEL in a value": line() + b"X: a\x7fb\r\n\r\n",
    "a byte above 127 in the target": line(b"GET " + TARGET + b"\xe9 HTTP/1.1") + b"\r\n",
    "a name with a bracket": line() + b"X(: a\r\n\r\n",
    "a name with a space": line() + b"X Y: a\r\n\r\n",
    "no name": line() + b": a\r\n\r\n",
    "no colon": line() + b"nonsense\r\n\r\n",
    "no host": b"GET " + TARGET + b" HTTP/1.1\r\nKEY\r\n\r\n",
    "two hosts": line() + b"Host: b\r\n\r\n",
    "two equal hosts": line() + b"host: a\r\n\r\n",
    "two spaces before the target": line(b"GET  " + TARGET + b" HTTP/1.1") + b"\r\n",
    "two spaces after the target": line(b"GET " + TARGET + b"  HTTP/1.1") + b"\r\n",
    "a tab in the line": line(b"GET\t" + TARGET + b" HTTP/1.1") + b"\r\n",
    "a space at the line's end": line(b"GET " + TARGET + b" HTTP/1.1 ") + b"\r\n",
    "a space at the line's beginning": line(b" GET " + TARGET + b" HTTP/1.1") + b"\r\n",
    "a space in the target": line(b"GET " + TARGET + b" x HTTP/1.1") + b"\r\n",
    "a fragment": line(b"GET " + TARGET + b"#x HTTP/1.1") + b"\r\n",
    "a fragment behind a query": line(b"GET " + TARGET + b"?a#x HTTP/1.1") + b"\r\n",
    "a target without a slash": line(b"GET relay/api/thing HTTP/1.1") + b"\r\n",
    "a URL with a user name": line(b"GET http://user@127.0.0.1" + TARGET + b" HTTP/1.1") + b"\r\n",
    "OPTIONS with another scheme": line(b"OPTIONS ftp://127.0.0.1/ HTTP/1.1") + b"\r\n",
    "GET of the whole server": line(b"GET * HTTP/1.1") + b"\r\n",
    "HTTP/0.9": b"GET " + TARGET + b"\r\n\r\n",
    "HTTP/0.9 by name": line(b"GET " + TARGET + b" HTTP/0.9") + b"\r\n",
    "HTTP/1.2": line(b"GET " + TARGET + b" HTTP/1.2") + b"\r\n",
    "HTTP/2.0": line(b"GET " + TARGET + b" HTTP/2.0") + b"\r\n",
    "the HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "http/1.1": line(b"GET " + TARGET + b" http/1.1") + b"\r\n",
    "HTTP/1.10": line(b"GET " + TARGET + b" HTTP/1.10") + b"\r\n",
    "ICE/1.0": line(b"GET " + TARGET + b" ICE/1.0") + b"\r\n",
    "an unknown method": line(b"STEAL " + TARGET + b" HTTP/1.1") + b"\r\n",
    "a method in small letters": line(b"get " + TARGET + b" HTTP/1.1") + b"\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "chunks in HTTP/1.0": line(b"POST " + TARGET + b" HTTP/1.0") + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    "an unknown expectation": post(b"Expect: 200-ok", b"Content-Length: 3", body=b"abc"),
    "a twin of Authorization": line() + b"X_Api_Key: k\r\n\r\n",
    "a twin of X-Forwarded-For": line() + b"X_Forwarded-For: 10.0.0.1\r\n\r\n",
    "a twin of a method override": line() + b"X_HTTP_Method_Override: DELETE\r\n\r\n",
    "a twin of the environment": line() + b"Tieline_Environment: live\r\n\r\n",
    "a twin of the key": line() + b"Tieline_Key: k\r\n\r\n",
}


async def refused(stage: Stage, raw: bytes, status: int, code: str) -> None:
    """Send ``raw``: it must be answered with ``status`` and ``code``, and end the connection."""
    client = await stage.connect()
    await client.send(raw.replace(b"KEY", stage.bearer))
    got = await client.message()
    assert (got.status, got.one(b"tieline-error")) == (status, code.encode())
    assert json.loads(got.body)["error"]["message"]
    assert got.one(b"connection") == b"close"
    assert await client.is_over()
    client.close()
    assert stage.upstream.seen == []
    await stage.settled()


@pytest.mark.parametrize("raw", MALFORMED.values(), ids=MALFORMED)
async def test_a_malformed_message_is_a_400_and_the_end(stage: Stage, raw: bytes) -> None:
    """Contract section 4: 400, the connection closes; and nothing of it went out."""
    await refused(stage, raw, 400, "invalid_request")


@pytest.mark.parametrize("method", [b"TRACE", b"CONNECT"])
async def test_trace_and_connect_are_never_relayed(stage: Stage, method: bytes) -> None:
    """They are answered with 405, before anybody is asked for a key."""
    target = b"example.com:443" if method == b"CONNECT" else TARGET
    await refused(stage, line(method + b" " + target + b" HTTP/1.1") + b"\r\n", 405, "method_not_allowed")


TOO_LARGE = {
    "a target": (line(b"GET " + TARGET + b"?" + b"x" * 8192 + b" HTTP/1.1") + b"\r\n", 414, "uri_too_long"),
    "an endless target": (b"GET /" + b"x" * 100_000, 414, "uri_too_long"),
    "101 fields": (line() + b"X: y\r\n" * 99 + b"\r\n", 431, "headers_too_large"),
    "a field": (line() + b"X: " + b"y" * 33_000 + b"\r\n\r\n", 431, "headers_too_large"),
    "an endless field": (line() + b"X: " + b"y" * 400_000, 431, "headers_too_large"),
    "many fields": (line() + b"X: %b\r\n" % (b"y" * 400) * 90 + b"\r\n", 431, "headers_too_large"),
    "endless trailers": (
        post(b"Transfer-Encoding: chunked", body=b"0\r\n" + b"X: y\r\n" * 200),
        431,
        "headers_too_large",
    ),
}


@pytest.mark.parametrize(("raw", "status", "code"), TOO_LARGE.values(), ids=TOO_LARGE)
async def test_what_is_too_large_is_refused(stage: Stage, raw: bytes, status: int, code: str) -> None:
    """Targets beyond 8 KiB, heads beyond 32 KiB or 100 fields end the connection."""
    await refused(stage, raw, status, code)


@pytest.mark.parametrize("step", [1000, 7])
async def test_a_large_head_is_refused_however_it_arrives(stage: Stage, step: int) -> None:
    """The limit holds for a head that comes in small pieces."""
    client = await stage.connect()
    raw = stage.request(b"GET", b"/thing", b"X: " + b"y" * 40_000)
    sending = asyncio.create_task(client.send_bytewise(raw, step))
    got = await client.message()
    assert got.one(b"tieline-error") == b"headers_too_large"
    sending.cancel()
    await asyncio.wait([sending])


async def test_the_largest_head_passes(stage: Stage) -> None:
    """100 fields and a target of 8 KiB are taken."""
    fields = [b"X-%d: %b" % (number, b"y" * 200) for number in range(98)]
    path = b"/thing?" + b"q" * (8192 - len(b"/relay/api/thing?"))
    assert (await stage.get(path, *fields)).body == b"hello"


async def test_empty_lines_before_a_request_are_passed_over(stage: Stage) -> None:
    """RFC 9112 section 2.2: old clients end a body with an extra CRLF."""
    client = await stage.connect()
    await client.send(b"\r\n\r\n" + stage.request() + b"\r\n" + stage.request())
    assert (await client.message()).body == b"hello"
    assert (await client.message()).body == b"hello"


async def test_an_underscore_that_imitates_nothing_passes(stage: Stage) -> None:
    """A name of somebody's own arrives as it was written."""
    assert (await stage.get(b"/thing", b"X_Mine: 1")).body == b"hello"
    assert stage.upstream.seen[0].every(b"X_Mine") == [b"1"]


async def test_a_field_may_end_in_spaces(stage: Stage) -> None:
    """Optional white space around a value is no part of it, for framing too."""
    raw = stage.request(b"POST", b"/thing", b"Content-Length: 3 ", b"Expect: 100-continue \t") + b"abc"
    assert (await stage.ask(raw)).body == b"hello"
    assert stage.upstream.seen[0].body == b"abc"


async def test_a_body_that_goes_wrong_on_its_way_is_given_up(start_stage: StartStage) -> None:
    """Its head was passed on already: the upstream is cut off, the client gets its 400."""

    async def script(upstream: Upstream, peer: Peer) -> None:
        upstream.seen.append(await peer.head())
        await peer.gone()

    stage = await start_stage(script)
    client = await stage.connect()
    await client.send(stage.request(b"POST", b"/thing", b"Transfer-Encoding: chunked") + b"3\r\nabc\r\n")
    await stage.upstream.until(lambda upstream: bool(upstream.seen))
    await client.send(b"nonsense\r\n")
    assert (await client.message()).status == 400
    await stage.upstream.until(lambda upstream: upstream.open == 0)


async def test_a_body_that_goes_wrong_under_an_answer_cuts_it(start_stage: StartStage) -> None:
    """There is no second answer."""

    async def script(upstream: Upstream, peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
        await peer.gone()

    stage = await start_stage(script)
    client = await stage.connect()
    await client.send(stage.request(b"POST", b"/thing", b"Transfer-Encoding: chunked"))
    await client.head()
    await client.send(b"nonsense\r\n")
    assert await client.is_reset()
    await stage.upstream.until(lambda upstream: upstream.open == 0)


async def test_a_refused_client_may_finish_what_it_was_sending(stage: Stage) -> None:
    """A client that reads only after it has sent everything finds its refusal, and no reset (RFC 9112 section 9.6)."""
    client = await stage.connect()
    await client.send(stage.request(b"POST", b"/thing", b"Content-Length: 500000", key=False))
    for _ in range(50):
        await client.send(b"x" * 10_000)
        await asyncio.sleep(0.005)
    assert (await client.message()).status == 401
    assert not await client.is_reset()


async def test_a_refused_client_that_sends_without_end_is_cut(stage: Stage) -> None:
    """A little of what it still sends is thrown away so that it reads its refusal; then the connection breaks."""
    client = await stage.connect()
    await client.send(stage.request(b"POST", b"/thing", b"Content-Length: 9000000000", key=False))
    sent = 0
    with pytest.raises(ConnectionError):
        while True:
            await client.send(b"x" * 100_000)
            sent += 100_000
    assert sent < 30_000_000


SMUGGLED = b"GET /relay/api/smuggled HTTP/1.1\r\nHost: a\r\nKEY\r\n\r\n"


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket", b"TLS/1.0", b"foo"])
@pytest.mark.parametrize("framing", ["length", "chunks"])
async def test_the_body_of_an_upgrade_is_a_body(stage: Stage, protocol: bytes, framing: str) -> None:
    """llhttp would take it for the next request; it goes with the request that it belongs to."""
    body = SMUGGLED.replace(b"KEY", stage.bearer)
    ask = [b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: " + protocol, b"HTTP2-Settings: x"]
    if framing == "length":
        raw = stage.request(b"POST", b"/real", *ask, body=body)
    else:
        raw = stage.request(b"POST", b"/real", *ask, b"Transfer-Encoding: chunked") + chunked(
            body, trailers=b"X: y\r\n"
        )
    client = await stage.connect()
    await client.send(raw + stage.request(b"GET", b"/after"))
    for _ in range(2):
        assert (await client.message()).body == b"hello"
    assert [seen.target for seen in stage.upstream.seen] == [b"/v1/real", b"/v1/after"]
    assert stage.upstream.seen[0].body == body


async def test_the_body_of_an_upgrade_may_come_in_pieces(stage: Stage) -> None:
    """It is a body wherever TCP cuts it."""
    raw = stage.request(b"POST", b"/real", b"Connection: upgrade", b"Upgrade: h2c", body=b"0123456789")
    client = await stage.connect()
    await client.send_bytewise(raw + stage.request(b"GET", b"/after"), 3)
    for _ in range(2):
        assert (await client.message()).body == b"hello"
    assert stage.upstream.seen[0].body == b"0123456789"


async def test_what_follows_an_upgrade_that_is_not_granted_is_read_on(stage: Stage) -> None:
    """Half a head behind it is kept until it is whole, and nonsense behind it is refused."""
    ask = stage.request(b"GET", b"/x", b"Connection: upgrade", b"Upgrade: h2c")
    client = await stage.connect()
    after = stage.request(b"GET", b"/after")
    await client.send(ask + after[:30])
    await client.send(after[30:])
    assert [(await client.message()).status for _ in range(2)] == [200, 200]
    await client.send(ask + b"nonsense\r\n\r\n")
    assert [(await client.message()).status for _ in range(2)] == [200, 400]
    assert await client.is_over()


async def test_a_refused_client_that_neither_reads_nor_leaves_is_cut(stage: Stage) -> None:
    """Lingering has an end."""
    listener = stage.worker.service.listener
    listener.patience = dataclasses.replace(listener.patience, linger=0.2)
    client = await stage.connect()
    await client.send(stage.request(b"POST", b"/thing", b"Content-Length: 9", key=False))
    await stage.settled()
    assert stage.upstream.accepted == 0


async def test_an_upgrade_storm_ends(stage: Stage) -> None:
    """Asking for upgrades over and over in one segment is refused before it costs anything."""
    client = await stage.connect()
    await client.send(stage.request(b"GET", b"/x", b"Connection: upgrade", b"Upgrade: h2c") * 100)
    statuses: list[int] = []
    while not statuses or statuses[-1] == 200:
        statuses.append((await client.message()).status)
    assert statuses[-1] == 400
    assert len(statuses) < 40
    assert await client.is_over()


async def test_a_crlf_flood_ends(stage: Stage) -> None:
    """Empty lines are no request: the time for a head runs."""
    stage.worker.service.listener.patience = dataclasses.replace(stage.worker.service.listener.patience, head=0.3)
    client = await stage.connect()
    with pytest.raises(ConnectionError):
        async with asyncio.timeout(SECONDS):
            while True:
                await client.send(b"\r\n" * 1000)
                await asyncio.sleep(0.02)


async def test_too_many_waiting_requests_are_refused(start_stage: StartStage) -> None:
    """A connection cannot pile up requests without bound behind one that waits."""

    async def script(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        await asyncio.sleep(0.2)
        await peer.send(answer())
        while True:
            await upstream.read(peer)
            await peer.send(answer())

    stage = await start_stage(script)
    client = await stage.connect()
    await client.send(stage.request(b"GET", b"/first"))
    await client.send(stage.request(b"GET", b"/x") * 1200)
    statuses: list[int] = []
    while not statuses or statuses[-1] == 200:
        statuses.append((await client.message()).status)
    assert statuses[-1] == 400
    assert len(statuses) <= 502


class TestSlowClients:
    """Patience is shortened; what is proved is that it ends."""

    @pytest.fixture
    async def hasty(self, stage: Stage) -> Stage:
        """A stage whose listener waits 700 ms for everything."""
        listener = stage.worker.service.listener
        listener.patience = dataclasses.replace(listener.patience, head=0.7, idle=0.7, stalled=0.7)
        return stage

    async def test_a_silent_connection_is_closed(self, hasty: Stage) -> None:
        """Whoever says nothing is not waited for."""
        client = await hasty.connect()
        assert await client.is_over()

    @pytest.mark.parametrize("rate", [0, 1])
    async def test_a_slow_head_is_a_400(self, hasty: Stage, rate: int) -> None:
        """A head that does not end in time is refused, also while it grows."""
        client = await hasty.connect()
        await client.send(b"GET /relay/api/thing HTTP/1.1\r\nHost: a\r\nX: ")
        answered = asyncio.create_task(client.message())
        while not answered.done():
            client.writer.write(b"y" * rate)
            await asyncio.sleep(0.02)
        got = await answered
        assert got.status == 400
        assert b"too long" in got.body

    async def test_a_slow_second_head_is_a_400(self, hasty: Stage) -> None:
        """The time for a head holds for every request of a connection."""
        client = await hasty.connect()
        await client.send(hasty.request() + b"GET /re")
        assert (await client.message()).body == b"hello"
        assert (await client.message()).status == 400

    async def test_an_idle_connection_is_closed(self, hasty: Stage) -> None:
        """After its answer a connection may rest for so long."""
        client = await hasty.connect()
        await client.send(hasty.request())
        assert (await client.message()).body == b"hello"
        assert await client.is_over()

    async def test_a_slow_body_is_a_400(self, stage: Stage) -> None:
        """A body has to arrive at a least rate, measured in windows."""
        listener = stage.worker.service.listener
        listener.patience = dataclasses.replace(listener.patience, body_window=0.3)
        client = await stage.connect()
        await client.send(stage.request(b"POST", b"/thing", b"Content-Length: 1000") + b"x" * 500)
        got = await client.message()
        assert got.status == 400
        assert b"too slowly" in got.body
        assert await client.is_over()

    async def test_a_steady_body_is_waited_for(self, stage: Stage) -> None:
        """Above the least rate a body may take its time."""
        listener = stage.worker.service.listener
        listener.patience = dataclasses.replace(listener.patience, body_window=1.0)
        client = await stage.connect()
        await client.send(stage.request(b"POST", b"/thing", b"Content-Length: 9000"))
        for _ in range(30):
            await client.send(b"x" * 300)
            await asyncio.sleep(0.1)
        assert (await client.message()).body == b"hello"
