"""What a client asks reaches the upstream as it came, and what the upstream answers reaches the client as it came."""

import gzip

import pytest

from tests.wire.conftest import StartStage
from tests.wire.raw import Peer, Upstream, answer, chunked, saying, saying_once
from tests.wire.stage import PROVIDER_KEY, Stage

METHODS = [b"GET", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"PROPFIND", b"QUERY"]


@pytest.mark.parametrize("method", METHODS)
async def test_a_method_arrives_as_it_was_sent(stage: Stage, method: bytes) -> None:
    """The upstream sees the client's method and the path below the base URL."""
    await stage.ask(stage.request(method))
    assert stage.upstream.seen[0].line == method + b" /v1/thing HTTP/1.1"


@pytest.mark.parametrize(
    "path",
    [
        b"/a/b/c",
        b"/a/",
        b"/",
        b"",
        b"/%C3%A9t%C3%A9",
        b"/a%2Fb",
        b"/a;v=1/b,c/!$&'()*+=:@~-._",
        b"/x?q=1&q=2&&=&q=%20+%zz&a[]=b|c",
        b"/x?",
        b"?",
        b"?only=query",
        b"/x?tl=a/../b//c",
        b"/a//b",
        b"//a",
        b"/a//",
        b"///",
        b"/a/b//?x",
        b"/%61%2d%7E/caf%c3%a9",
        b"/a%3ab;x=1//c",
    ],
)
async def test_path_and_query_arrive_byte_for_byte(stage: Stage, path: bytes) -> None:
    """Nothing is renamed: empty segments, escapes and a lone question mark stay."""
    await stage.get(path)
    assert stage.upstream.seen[0].target == b"/v1" + path


@pytest.mark.parametrize("path", [b"/a/../b", b"/a/./b", b"/..", b"/%2e%2E/b", b"/a%2f../b", b"/t1/../t2/secret"])
async def test_dot_segments_are_refused_and_not_resolved(stage: Stage, path: bytes) -> None:
    """In the open or encoded: two servers would read them differently. Nothing reaches the upstream."""
    got = await stage.get(path)
    assert (got.status, got.json["error"]["code"]) == (400, "invalid_request")
    assert "dot segment" in got.json["error"]["message"]
    assert stage.upstream.seen == []


async def test_an_object_store_gets_every_key_as_it_is(start_stage: StartStage) -> None:
    """With ``paths: literal`` four names stay four names."""
    stage = await start_stage(paths="literal")
    keys = [b"/bucket/a//b", b"/bucket/t1/../t2/secret", b"/bucket/./a", b"/bucket/a%2F..%2Fb%00%5C"]
    for key in keys:
        await stage.ask(stage.request(b"PUT", key, body=b"x"))
    assert [seen.target for seen in stage.upstream.seen] == [b"/v1" + key for key in keys]


@pytest.mark.parametrize("method", [b"GET", b"DELETE", b"OPTIONS", b"HEAD", b"POST"])
async def test_a_length_of_nothing_arrives_where_it_was_sent(stage: Stage, method: bytes) -> None:
    """``Content-Length: 0`` goes on with every method, the first time and when the head comes again."""
    client = await stage.connect()
    for _ in range(2):
        await client.send(stage.request(method, body=b""))
        await client.message(method=method)
    assert [seen.every(b"content-length") for seen in stage.upstream.seen] == [[b"0"], [b"0"]]


@pytest.mark.parametrize("method", [b"GET", b"DELETE", b"OPTIONS", b"HEAD"])
async def test_no_length_arrives_where_none_was_sent(stage: Stage, method: bytes) -> None:
    """A request without a body needs no ``Content-Length``."""
    await stage.ask(stage.request(method), method=method)
    assert stage.upstream.seen[0].every(b"content-length") == []


async def test_fields_arrive_in_order_with_case_and_duplicates(stage: Stage) -> None:
    """Names are not changed, values not joined, order is kept."""
    fields = [
        b"X-One: 1",
        b"x-TWO: a, b",
        b"X-One: 2",
        b"Accept-Encoding: gzip, br",
        b"X-Empty: ",
        b"X-Latin: \xe9\xff",
    ]
    await stage.get(b"/thing", *fields)
    seen = stage.upstream.seen[0].headers
    assert [name + b": " + value for name, value in seen[1:-1]] == fields


async def test_the_upstream_gets_its_own_host_and_the_provider_key(stage: Stage) -> None:
    """``Host`` is the upstream's; the app key is replaced by the provider's."""
    await stage.get()
    seen = stage.upstream.seen[0]
    assert seen.one(b"host") == b"127.0.0.1:%d" % stage.upstream.port
    assert seen.one(b"authorization") == b"Bearer " + PROVIDER_KEY.encode()
    assert stage.key.encode() not in seen.raw


@pytest.mark.parametrize(
    "field",
    [
        b"Keep-Alive: timeout=5",
        b"Proxy-Authorization: Basic eDp5",
        b"Proxy-Connection: keep-alive",
        b"TE: trailers",
        b"Trailer: X-Sum",
        b"Upgrade: h2c",
        b"Connection: keep-alive",
        b"Tieline-Anything: 1",
        b"tieline-connection: user-1",
    ],
)
async def test_fields_of_one_hop_stop_here(stage: Stage, field: bytes) -> None:
    """Hop-by-hop fields and Tieline's own are not handed on."""
    await stage.get(b"/thing", field)
    assert field.split(b":")[0].lower() not in stage.upstream.seen[0].names


async def test_fields_named_by_connection_stop_here(stage: Stage) -> None:
    """What ``Connection`` names is for this hop; naming the provider key's field there does not remove it."""
    await stage.get(b"/thing", b"Connection: close, X-Hop, Authorization", b"X-Hop: 1", b"X-Stays: 2")
    seen = stage.upstream.seen[0]
    assert b"x-hop" not in seen.names
    assert seen.one(b"x-stays") == b"2"
    assert seen.one(b"authorization") == b"Bearer " + PROVIDER_KEY.encode()


async def test_an_answer_comes_back_in_order_with_case_and_duplicates(start_stage: StartStage) -> None:
    """Status, reason, names, values and order of the upstream's answer are kept."""
    fields = [b"X-One: 1", b"set-COOKIE: a=1", b"Set-Cookie: b=2", b"X-Latin: \xe9", b"Server: theirs"]
    stage = await start_stage(saying(answer(b"ok", *fields, status=b"218 This Is Fine")))
    got = await stage.get()
    assert got.line == b"HTTP/1.1 218 This Is Fine"
    assert [name + b": " + value for name, value in got.headers[: len(fields)]] == fields


async def test_an_answer_without_a_reason_is_handed_on(start_stage: StartStage) -> None:
    """``HTTP/1.1 200`` and nothing behind it is a good status line."""
    stage = await start_stage(saying(b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok"))
    assert (await stage.get()).body == b"ok"


async def test_a_reason_with_control_characters_is_left_out(start_stage: StartStage) -> None:
    """llhttp takes any byte in a reason; no client is shown them."""
    stage = await start_stage(saying(answer(status=b"200 O\x01\x00\x1bK")))
    assert (await stage.get()).line == b"HTTP/1.1 200 "


@pytest.mark.parametrize(
    "field",
    [
        b"Connection: keep-alive",
        b"Keep-Alive: timeout=9",
        b"Proxy-Authenticate: Basic",
        b"Tieline-Request-Id: req_theirs",
    ],
)
async def test_answer_fields_of_one_hop_stop_here(start_stage: StartStage, field: bytes) -> None:
    """Hop-by-hop fields and fields in Tieline's name do not come back from an upstream."""
    stage = await start_stage(saying(answer(b"ok", field)))
    got = await stage.get()
    name, _, value = field.partition(b": ")
    assert value not in got.every(name)


async def test_answer_fields_named_by_connection_stop_here(start_stage: StartStage) -> None:
    """What the upstream's ``Connection`` names is for its hop only."""
    stage = await start_stage(saying(answer(b"ok", b"Connection: keep-alive, X-Hop", b"X-Hop: 1", b"X-Stays: 1")))
    got = await stage.get()
    assert b"x-hop" not in got.names
    assert got.one(b"x-stays") == b"1"


async def test_dropped_answer_fields_do_not_come_back(start_stage: StartStage) -> None:
    """``drop_response_headers`` holds for heads and trailers, in any case of letters."""
    raw = b"HTTP/1.1 200 OK\r\nX-Org: secret\r\nTransfer-Encoding: chunked\r\n\r\n"
    stage = await start_stage(
        saying(raw + chunked(b"x", trailers=b"x-ORG: secret\r\n")), drop_response_headers=["x-org"]
    )
    got = await stage.get()
    assert b"x-org" not in got.names
    assert got.trailers == []


async def test_dropped_request_fields_do_not_go_out(start_stage: StartStage) -> None:
    """``drop_request_headers`` holds for heads and trailers."""
    stage = await start_stage(drop_request_headers=["OpenAI-Organization"])
    raw = stage.request(b"POST", b"/thing", b"openai-organization: org", b"Transfer-Encoding: chunked")
    await stage.ask(raw + chunked(b"x", trailers=b"OpenAI-Organization: org\r\nX-Sum: 1\r\n"))
    seen = stage.upstream.seen[0]
    assert b"openai-organization" not in seen.names
    assert seen.trailers == [(b"X-Sum", b"1")]


async def test_encoded_bodies_pass_as_they_are(start_stage: StartStage) -> None:
    """A gzip body is neither unpacked nor packed again."""
    packed = gzip.compress(b"hello " * 100)
    stage = await start_stage(saying(answer(packed, b"Content-Encoding: gzip")))
    got = await stage.get()
    assert got.one(b"content-encoding") == b"gzip"
    assert got.body == packed


@pytest.mark.parametrize(
    "status", [b"301 Moved Permanently", b"302 Found", b"307 Temporary Redirect", b"308 Permanent"]
)
async def test_a_redirect_is_returned_and_not_followed(start_stage: StartStage, status: bytes) -> None:
    """The client sees the redirect; nobody else is asked."""
    other = await start_stage()
    where = b"Location: http://127.0.0.1:%d/v1/elsewhere" % other.upstream.port
    stage = await start_stage(saying(answer(b"", where, status=status)))
    got = await stage.get()
    assert got.status == int(status[:3])
    assert got.one(b"location") == where.partition(b": ")[2]
    assert other.upstream.accepted == 0


async def test_answers_carry_the_request_id_and_the_timing(stage: Stage) -> None:
    """``Tieline-Request-Id`` always, ``Server-Timing`` on what is no stream; no ``Tieline-Error`` on the upstream's."""
    got = await stage.get()
    assert got.one(b"tieline-request-id").startswith(b"req_")
    assert got.one(b"server-timing").startswith(b"tieline;dur=")
    assert b"tieline-error" not in got.names


async def test_shared_headers_and_parameters_are_added(start_stage: StartStage) -> None:
    """The definition's own replace what a client sends under the same name."""
    stage = await start_stage(
        headers=[{"name": "X-Version", "value": "2"}],
        parameters=[{"name": "tenant", "in": "query", "value": "a b"}],
    )
    await stage.get(b"/thing?tenant=evil&te%6Eant=evil&q=1", b"x-version: 1")
    seen = stage.upstream.seen[0]
    assert seen.one(b"x-version") == b"2"
    assert seen.target == b"/v1/thing?q=1&tenant=a%20b"


async def test_shared_values_with_a_condition_leave_other_paths_alone(start_stage: StartStage) -> None:
    """A header for ``/assistants*`` neither reaches nor replaces anything elsewhere."""
    stage = await start_stage(
        headers=[{"name": "OpenAI-Beta", "value": "assistants=v2", "when": "/assistants*"}],
        parameters=[{"name": "v", "in": "query", "value": "2", "when": "/assistants*"}],
    )
    await stage.get(b"/realtime?v=1", b"OpenAI-Beta: realtime=v1")
    await stage.get(b"/assistants/a?v=1", b"OpenAI-Beta: realtime=v1")
    elsewhere, there = stage.upstream.seen
    assert (elsewhere.target, elsewhere.one(b"openai-beta")) == (b"/v1/realtime?v=1", b"realtime=v1")
    assert (there.target, there.one(b"openai-beta")) == (b"/v1/assistants/a?v=2", b"assistants=v2")


async def test_an_http10_client_gets_an_answer_it_understands(start_stage: StartStage) -> None:
    """Chunks become a body that ends with the connection; interim answers are kept back."""
    chunky = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    stage = await start_stage(saying(chunky + chunked(b"ab", b"cd")))
    client = await stage.connect()
    await client.send(stage.request(version=b"1.0"))
    head, _, body = (await client.rest()).partition(b"\r\n\r\n")
    assert b"chunked" not in head
    assert body == b"abcd"


async def test_an_http10_client_may_keep_its_connection(stage: Stage) -> None:
    """``Connection: keep-alive`` is answered in kind where the length is known."""
    client = await stage.connect()
    for _ in range(2):
        await client.send(stage.request(b"GET", b"/thing", b"Connection: keep-alive", version=b"1.0"))
        assert (await client.message()).one(b"connection") == b"keep-alive"


async def test_an_http10_client_needs_no_host(stage: Stage) -> None:
    """HTTP/1.0 knows no ``Host``; the upstream gets one all the same."""
    raw = b"GET /relay/api/thing HTTP/1.0\r\n" + stage.bearer + b"\r\n\r\n"
    assert (await stage.ask(raw)).body == b"hello"
    assert stage.upstream.seen[0].one(b"host")


async def test_an_http10_upstream_is_understood(start_stage: StartStage) -> None:
    """An answer of HTTP/1.0 that ends with the connection is whole, and the connection is not used again."""
    stage = await start_stage(saying_once(b"HTTP/1.0 200 OK\r\nX-Old: 1\r\n\r\nab", b"cd"))
    for _ in range(2):
        got = await stage.get()
        assert got.body == b"abcd"
        assert got.one(b"transfer-encoding") == b"chunked"
    assert stage.upstream.accepted == 2


async def test_early_hints_are_passed_on(start_stage: StartStage) -> None:
    """A 103 reaches the client before the answer, without what only Tieline may say."""
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\nTieline-Error: no\r\nX-Org: no\r\n\r\n"
    stage = await start_stage(saying(hints + answer()), drop_response_headers=["x-org"])
    got = await stage.get()
    assert [each.status for each in got.interim] == [103]
    assert got.interim[0].headers == [(b"Link", b"</style.css>")]
    assert got.body == b"hello"


async def test_a_head_may_arrive_byte_by_byte_on_both_sides(start_stage: StartStage) -> None:
    """However TCP cuts them, messages are the same."""

    async def drip(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        await peer.send_bytewise(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"abc", b"de"))

    stage = await start_stage(drip)
    client = await stage.connect()
    await client.send_bytewise(stage.request(b"POST", b"/thing", b"X-A: b", body=b"0123456789"))
    assert (await client.message()).body == b"abcde"
    assert stage.upstream.seen[0].body == b"0123456789"


async def test_options_of_the_whole_server_is_no_path_of_an_api(stage: Stage) -> None:
    """``OPTIONS *`` is a good request that asks for nothing that is served here."""
    got = await stage.ask(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")
    assert got.one(b"tieline-error") == b"unknown_api"


async def test_pipelined_requests_may_be_cut_between_carriage_return_and_line_feed(stage: Stage) -> None:
    """Two requests in two segments, the first of which ends within the empty line."""
    client = await stage.connect()
    both = stage.request(path=b"/one") + stage.request(path=b"/two")
    cut = both.index(b"\r\n\r\n") + 3
    await client.send(both[:cut])
    await stage.get(b"/meanwhile")
    await client.send(both[cut:])
    assert [(await client.message()).status for _ in range(2)] == [200, 200]
    assert [seen.target for seen in stage.upstream.seen][1:] == [b"/v1/one", b"/v1/two"]


async def test_a_target_may_be_a_whole_url(stage: Stage) -> None:
    """RFC 9112 section 3.2.2: what arrives is the path."""
    raw = b"GET http://tieline.test/relay/api/a//b?c HTTP/1.1\r\nHost: tieline.test\r\n" + stage.bearer + b"\r\n\r\n"
    assert (await stage.ask(raw)).status == 200
    assert stage.upstream.seen[0].target == b"/v1/a//b?c"


async def test_a_user_who_is_named_twice_is_nobody(stage: Stage) -> None:
    """``Tieline-Connection`` stands once, or the request is refused."""
    got = await stage.get(b"/thing", b"Tieline-Connection: bob", b"Tieline-Connection: ann")
    assert (got.status, stage.upstream.seen) == (400, [])


async def test_overrides_and_the_app_key_do_not_travel_as_trailers(stage: Stage) -> None:
    """Other trailer fields do."""
    raw = stage.request(b"POST", b"/thing", b"Transfer-Encoding: chunked")
    fields = b"X-HTTP-Method-Override: DELETE\r\nX-Debug: " + stage.key.encode() + b"\r\nX-Sum: 1\r\n"
    assert (await stage.ask(raw + chunked(b"x", trailers=fields))).status == 200
    assert stage.upstream.seen[0].trailers == [(b"X-Sum", b"1")]


async def test_the_app_key_reaches_no_upstream_wherever_a_client_repeats_it(stage: Stage) -> None:
    """As supabase-py and others do: in further headers, in cookies, in the query, with the same head again too."""
    key = stage.key.encode()
    fields = [b"apikey: " + key, b"X-Debug: k=" + key, b"Cookie: a=1; k=" + key, b"X-Stays: 1"]
    client = await stage.connect()
    for _ in range(2):
        await client.send(stage.request(b"GET", b"/thing?a=1&apikey=" + key, *fields))
        await client.message()
    for seen in stage.upstream.seen:
        assert key not in seen.raw
        assert (seen.target, seen.one(b"cookie"), seen.one(b"x-stays")) == (b"/v1/thing?a=1", b"a=1", b"1")


async def test_a_url_that_was_signed_with_an_app_key_is_refused(start_stage: StartStage) -> None:
    """What boto3 makes with ``generate_presigned_url``: it would open every path for as long as the key lives."""
    auth = {"scheme": "aws_sigv4", "service": "s3", "region": "eu-central-1"}
    stage = await start_stage(auth=auth)
    credential = stage.key.encode() + b"%2F20260102%2Feu-central-1%2Fs3%2Faws4_request"
    path = b"/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=" + credential + b"&X-Amz-Signature=0"
    got = await stage.ask(stage.request(b"GET", path, key=False))
    assert (got.status, stage.upstream.seen) == (400, [])
    assert "presigned URL" in got.json["error"]["message"]
