"""An answer that names the API's own address leads its client back to the relay, and not to the provider."""

import pytest
from openai import AsyncOpenAI

from tests.wire.conftest import StartStage
from tests.wire.raw import answer, saying
from tests.wire.stage import Stage
from tieline.dataplane.relaying.answer_urls import led_back
from tieline.testing.requests import FakeClient
from tieline.wire.proxies import TrustedProxies

HOST = b"http://tieline.test"


async def location(start_stage: StartStage, value: bytes, *fields: bytes, name: bytes = b"Location") -> bytes:
    """What a client gets of a field that holds ``value``; PORT and HERE stand for the upstream's port and origin."""
    stage = await start_stage()
    origin = b"http://127.0.0.1:%d" % stage.upstream.port
    stage.upstream.script = saying(answer(b"", name + b": " + value.replace(b"HERE", origin), status=b"307 Moved"))
    return (await stage.get(b"/thing", *fields)).one(name).replace(origin, b"HERE")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"HERE/v1/models/", HOST + b"/relay/api/models/"),
        (b"HERE/v1", HOST + b"/relay/api"),
        (b"HERE/v1?page=2#x", HOST + b"/relay/api?page=2#x"),
        (b"HERE/v1/a//b%2Fc?u=HERE/v1", HOST + b"/relay/api/a//b%2Fc?u=HERE/v1"),
        (b"/v1/models?after=1", b"/relay/api/models?after=1"),
        (b"HERE/v10/models", b"HERE/v10/models"),
        (b"HERE/v1/../other", b"HERE/v1/../other"),
        (b"HERE/v1/a/..?page=2", b"HERE/v1/a/..?page=2"),
        (b"HERE/v1/a?next=/../b/./c&dir=/..", HOST + b"/relay/api/a?next=/../b/./c&dir=/.."),
        (b"HERE/v1/a#/../b", HOST + b"/relay/api/a#/../b"),
        (b"HERE/other", b"HERE/other"),
        (b"/other", b"/other"),
        (b"next?page=2", b"next?page=2"),
        (b"?page=2", b"?page=2"),
        (b"https://elsewhere.example/v1/models", b"https://elsewhere.example/v1/models"),
        (b"http://127.0.0.1/v1/models", b"http://127.0.0.1/v1/models"),
        (b"http://user@127.0.0.1:1/v1/models", b"http://user@127.0.0.1:1/v1/models"),
        (b"", b""),
    ],
)
async def test_a_redirect_below_the_base_url_leads_back(start_stage: StartStage, value: bytes, expected: bytes) -> None:
    """Whole URLs and paths; what lies elsewhere is not changed."""
    assert await location(start_stage, value) == expected


@pytest.mark.parametrize(("name", "changed"), [(b"Content-Location", True), (b"X-Next", False), (b"Refresh", False)])
async def test_only_fields_that_hold_addresses_are_changed(start_stage: StartStage, name: bytes, changed: bool) -> None:
    """Other fields pass as they are, whatever they hold."""
    expected = HOST + b"/relay/api/x" if changed else b"HERE/v1/x"
    assert await location(start_stage, b"HERE/v1/x", name=name) == expected


async def test_the_pages_of_a_link_field_lead_back(start_stage: StartStage) -> None:
    """As Octokit's ``paginate`` and PyGithub follow them; parameters and other links stay."""
    value = (
        b'<HERE/v1/repos?page=2>; rel="next", <https://docs.example/x>; rel="help", <HERE/v1/repos?page=9>; rel="last"'
    )
    expected = value.replace(b"HERE/v1", HOST + b"/relay/api")
    assert await location(start_stage, value, name=b"Link") == expected


async def test_a_field_that_the_definition_names_leads_back(start_stage: StartStage) -> None:
    """As google-genai's ``files.upload`` needs it: it sends its bytes to the URL in ``X-Goog-Upload-URL``."""
    stage = await start_stage(rewrite_response_headers=["X-Goog-Upload-URL"])
    where = b"http://127.0.0.1:%d/v1/upload?upload_id=1" % stage.upstream.port
    stage.upstream.script = saying(answer(b"", b"X-Goog-Upload-URL: " + where))
    got = await stage.get()
    assert got.one(b"x-goog-upload-url") == HOST + b"/relay/api/upload?upload_id=1"


async def test_a_client_that_follows_comes_back_with_its_key(start_stage: StartStage) -> None:
    """As openai-python does with a 307: what it is led to is served, with the provider's key in place of its own."""
    stage = await start_stage()
    where = b"Location: http://127.0.0.1:%d/v1/models/" % stage.upstream.port
    stage.upstream.script = saying(answer(b"", where, status=b"307 Temporary Redirect"), answer(b"there"))
    path = (await stage.get(b"/models")).one(b"location").removeprefix(HOST + b"/relay/api")
    assert (await stage.get(path)).body == b"there"
    assert stage.upstream.seen[1].target == b"/v1/models/"


async def test_openais_sdk_follows_a_redirect_through_the_relay(start_stage: StartStage) -> None:
    """Its HTTP client keeps the key for the same origin only, which the relay's address is."""
    stage = await start_stage()
    where = b"Location: http://127.0.0.1:%d/v1/models/" % stage.upstream.port
    page = answer(b'{"object": "list", "data": []}', b"Content-Type: application/json")
    stage.upstream.script = saying(answer(b"", where, status=b"307 Temporary Redirect"), page)
    base = f"http://127.0.0.1:{stage.worker.port}/relay/api"
    async with AsyncOpenAI(base_url=base, api_key=stage.key, max_retries=0) as client:
        assert (await client.models.list()).data == []
    assert [seen.target for seen in stage.upstream.seen] == [b"/v1/models", b"/v1/models/"]


async def test_the_relays_address_is_the_one_that_the_client_used(start_stage: StartStage) -> None:
    """Its host, its port, and https where a proxy in front says so; nothing else is believed."""
    fields = [b"X-Forwarded-Proto: https", b"X-Forwarded-Host: elsewhere.example"]
    assert await location(start_stage, b"HERE/v1/x", *fields) == b"https://tieline.test/relay/api/x"
    assert await location(start_stage, b"HERE/v1/x", b"X-Forwarded-Proto: ftp") == HOST + b"/relay/api/x"


@pytest.mark.parametrize(
    ("trusted", "fields", "scheme"),
    [
        ("127.0.0.0/8", [b"X-Forwarded-Proto: https"], b"https"),
        ("127.0.0.0/8", [b"X-Forwarded-Proto: https, http"], b"http"),
        ("127.0.0.0/8", [b"Forwarded: proto=https"], b"https"),
        ("127.0.0.0/8", [], b"http"),
        ("192.0.2.0/24", [b"X-Forwarded-Proto: https"], b"http"),
        ("192.0.2.0/24", [b"Forwarded: proto=https"], b"http"),
    ],
)
async def test_where_proxies_are_named_they_alone_tell_the_scheme(
    start_stage: StartStage, trusted: str, fields: list[bytes], scheme: bytes
) -> None:
    """What a client behind them, or beside them, says of itself is not believed."""
    stage = await start_stage()
    stage.worker.service.listener.proxies = TrustedProxies([trusted])
    where = b"Location: http://127.0.0.1:%d/v1/x" % stage.upstream.port
    stage.upstream.script = saying(answer(b"", where, status=b"307 Moved"))
    assert (await stage.get(b"/thing", *fields)).one(b"location") == scheme + b"://tieline.test/relay/api/x"


async def test_a_server_that_takes_itself_for_http_leads_back_to_https(stage: Stage) -> None:
    """Behind a TLS terminator ``http://`` of the same host means the API too; the port counts where one is told."""
    stage.worker.source.put_api(
        {"tieline": "v1", "api": "far", "base_url": "https://api.example.com/v1", "auth": {"scheme": "none"}}
    )
    await stage.worker.caught_up()
    api = stage.worker.service.snapshot.apis.get(b"far")
    assert api is not None
    request = FakeClient().request(b"GET", b"/", authority=b"relay.test")
    plan = api.plans["live"]
    for url in (b"http://API.example.com/v1/x", b"https://api.example.com:443/v1/x", b"//api.example.com/v1/x"):
        assert led_back(plan, request, b"Location", url) == b"http://relay.test/relay/far/x"
    for url in (b"http://api.example.com:8080/v1/x", b"https://api.example.com.evil/v1/x"):
        assert led_back(plan, request, b"Location", url) == url


async def test_hints_before_the_answer_lead_back_too(start_stage: StartStage) -> None:
    """A 103 with ``Link``."""
    stage = await start_stage()
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: <http://127.0.0.1:%d/v1/x>\r\n\r\n" % stage.upstream.port
    stage.upstream.script = saying(hints + answer(b""))
    got = await stage.get()
    assert got.interim[0].one(b"link") == b"<" + HOST + b"/relay/api/x>"


@pytest.mark.parametrize("name", [b"X_Custom_Key", b"X_Account", b"x_drop_me", b"X-Odd", b"X_Sometimes"])
async def test_twins_of_the_definitions_own_fields_are_refused(start_stage: StartStage, name: bytes) -> None:
    """CGI-like servers cannot tell ``_`` and ``-`` apart: the caller's would stand beside the operator's."""
    stage = await start_stage(
        auth={"scheme": "api_key", "name": "X-Custom-Key"},
        headers=[
            {"name": "X-Account", "value": "ours"},
            {"name": "X_Odd", "value": "ours"},
            {"name": "X-Sometimes", "value": "ours", "when": "/some/*"},
        ],
        drop_request_headers=["X-Drop-Me"],
    )
    got = await stage.get(b"/thing", name + b": theirs")
    assert (got.status, stage.upstream.seen) == (400, [])
    assert "imitates" in got.json["error"]["message"]
    assert (await stage.get(b"/thing", b"X_Unrelated: 1")).status == 200
