"""Contract section 4: every error that Tieline makes, in its shape, with its fields; and what is recorded."""

import asyncio
import json
import time
from typing import Any

import pytest

from tests.wire.conftest import StartStage
from tests.wire.raw import Message, Peer, Upstream, answer, saying, until
from tests.wire.stage import Stage
from tieline.core.errors import ANSWERS
from tieline.testing.dataplane import MemorySource
from tieline.wire.proxies import TrustedProxies


def check(got: Message, code: str) -> Any:
    """The error of an answer that Tieline made, after checking everything the contract says of it."""
    rule = ANSWERS[code]
    assert got.status == rule.status
    assert got.one(b"tieline-error") == code.encode()
    assert got.one(b"content-type") == b"application/json"
    assert got.one(b"cache-control") == b"no-store"
    assert got.every(b"x-should-retry") == ([] if rule.retry is None else [b"true" if rule.retry else b"false"])
    assert bool(got.every(b"retry-after")) == (rule.status == 503)
    body = json.loads(got.body)
    assert list(body) == ["error"]
    error = body["error"]
    assert set(error) == {"message", "type", "code", "param", "request_id"}
    assert (error["type"], error["code"]) == ("tieline_error", code)
    assert error["request_id"] == got.one(b"tieline-request-id").decode()
    assert error["request_id"].startswith("req_")
    assert error["message"][0].isupper()
    assert len(error["message"]) > 20
    return error


async def test_no_key_is_missing_app_key(stage: Stage) -> None:
    """401, with the way to send one."""
    error = check(await stage.ask(stage.request(key=False)), "missing_app_key")
    assert "Authorization: Bearer" in error["message"]


@pytest.mark.parametrize(
    "value",
    [b"Bearer sk-not-ours", b"Bearer tl_live_short", b"Bearer tl_live_" + b"A" * 49, b"Basic eDp5", b"nonsense"],
)
async def test_a_key_without_the_form_is_invalid_app_key(stage: Stage, value: bytes) -> None:
    """Form and checksum are enough to refuse it; the store is not asked."""
    raw = stage.request(b"GET", b"/thing", b"Authorization: " + value, key=False)
    check(await stage.ask(raw), "invalid_app_key")


async def test_an_unknown_key_is_invalid_app_key(stage: Stage) -> None:
    """A good form that nobody was given."""
    stage.key = (await _other_source(stage)).put_key("api")
    check(await stage.get(), "invalid_app_key")


async def _other_source(stage: Stage) -> MemorySource:
    return MemorySource(stage.worker.source.keyring)


async def test_an_expired_key_is_expired_app_key(stage: Stage) -> None:
    """The moment counts, not a change of the store."""
    end = time.time() + 2
    stage.key = stage.worker.source.put_key("api", expires_at=end)
    assert (await stage.get()).status == 200
    await until(lambda: time.time() > end)
    check(await stage.get(), "expired_app_key")


async def test_a_revoked_key_is_revoked_app_key(stage: Stage) -> None:
    """Also on a connection that used it before."""
    client = await stage.connect()
    await client.send(stage.request())
    assert (await client.message()).status == 200
    stage.worker.source.change_key(stage.key, revoked=True)
    await stage.worker.caught_up()
    await client.send(stage.request())
    check(await client.message(), "revoked_app_key")


@pytest.mark.parametrize(
    ("networks", "allowed"),
    [
        (["127.0.0.0/8"], True),
        (["127.0.0.1/32", "10.0.0.0/8"], True),
        (["10.0.0.0/8"], False),
        (["::1/128"], False),
        (["::ffff:127.0.0.1/128"], False),
    ],
)
async def test_a_key_from_elsewhere_is_address_not_allowed(stage: Stage, networks: list[str], *, allowed: bool) -> None:
    """``from_ip`` is compared with the client's address."""
    stage.key = stage.worker.source.put_key("api", from_ip=networks)
    got = await stage.get()
    if allowed:
        assert got.status == 200
    else:
        check(got, "address_not_allowed")


async def test_a_key_sees_the_client_behind_a_trusted_proxy(stage: Stage) -> None:
    """And only behind such a one; a refusal names the address that was seen."""
    stage.key = stage.worker.source.put_key("api", from_ip=["203.0.113.0/24"])
    for trusted, told, seen in (
        (["10.0.0.0/8"], b"203.0.113.9", "127.0.0.1"),
        (["127.0.0.1"], b"192.0.2.1", "192.0.2.1"),
        (["127.0.0.1"], b"203.0.113.9", ""),
    ):
        stage.worker.service.listener.proxies = TrustedProxies(trusted)
        got = await stage.get(b"/thing", b"X-Forwarded-For: " + told)
        assert (got.status == 200) is (not seen)
        assert not seen or f"which is {seen} as" in got.json["error"]["message"]


async def test_an_area_that_is_not_granted_is_missing_permission(start_stage: StartStage) -> None:
    """The message and ``param`` name the area and the level; the key may do the rest."""
    areas = [{"area": "files", "title": "Files", "levels": ["read", "write"], "match": ["* /files", "* /files/*"]}]
    stage = await start_stage(areas=areas)
    grants = {"mode": "restricted", "grants": {"api": {"files": "read"}}}
    stage.key = stage.worker.source.put_key("api", permissions=grants)
    assert (await stage.get(b"/files/a")).status == 200
    error = check(await stage.ask(stage.request(b"DELETE", b"/files/a")), "missing_permission")
    assert error["param"] == "api:files=write"
    assert "Files: Write" in error["message"]
    check(await stage.get(b"/elsewhere"), "missing_permission")
    assert len(stage.upstream.seen) == 1


async def test_an_api_of_another_app_is_missing_permission(stage: Stage) -> None:
    """A key opens its app's APIs only."""
    stage.key = stage.worker.source.put_key("other")
    assert check(await stage.get(), "missing_permission")["param"] == "api"


@pytest.mark.parametrize(
    "path", [b"/relay/nothing/x", b"/relay/nothing", b"/relay/", b"/relay/API/x", b"/relay/%61pi/x"]
)
async def test_an_unknown_api_is_404(stage: Stage, path: bytes) -> None:
    """Names are matched as they are written."""
    check(await stage.ask(b"GET " + path + b" HTTP/1.1\r\nHost: a\r\n" + stage.bearer + b"\r\n\r\n"), "unknown_api")


@pytest.mark.parametrize("path", [b"/", b"/relay", b"/api/v1/apis", b"/console", b"/relayed/api", b"/healthz/x"])
async def test_nothing_else_is_served(stage: Stage, path: bytes) -> None:
    """The app listener has its doors and no others."""
    check(await stage.ask(b"GET " + path + b" HTTP/1.1\r\nHost: a\r\n\r\n"), "unknown_api")


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b"live", None),
        (b"development", "environment_not_allowed"),
        (b"Live", "invalid_request"),
        (b"", "invalid_request"),
        (b"staging", "invalid_request"),
    ],
)
async def test_the_environment_must_be_the_keys_own(stage: Stage, value: bytes, code: str | None) -> None:
    """``Tieline-Environment`` may say what the key says anyway."""
    got = await stage.get(b"/thing", b"Tieline-Environment: " + value)
    if code is None:
        assert got.status == 200
        assert b"tieline-environment" not in stage.upstream.seen[0].names
    else:
        check(got, code)


async def test_a_key_uses_the_credential_of_its_environment(start_stage: StartStage) -> None:
    """Development has its own secret, and none where none is set."""
    stage = await start_stage()
    source = stage.worker.source
    stage.key = source.put_key("api", environment="development")
    await stage.worker.caught_up()
    error = check(await stage.get(), "credential_missing")
    assert "tieline credential set api --environment development" in error["message"]
    source.put_credential("api", {"key": "sk-sandbox-" + "development"}, environment="development")
    await stage.worker.caught_up()
    assert (await stage.get()).status == 200
    assert stage.upstream.seen[0].one(b"authorization") == b"Bearer sk-sandbox-" + b"development"


@pytest.mark.parametrize(
    "field", [b"X-HTTP-Method-Override: DELETE", b"x-http-method: DELETE", b"X-Method-Override: DELETE"]
)
async def test_a_method_override_is_refused(stage: Stage, field: bytes) -> None:
    """The method that is decided on is the method that is sent."""
    check(await stage.ask(stage.request(b"POST", b"/thing", field)), "invalid_request")


@pytest.mark.parametrize("query", [b"_method=DELETE", b"a=b&_method=x", b"%5Fmethod=x", b"_METHOD=x"])
async def test_a_method_override_in_the_query_is_refused(stage: Stage, query: bytes) -> None:
    """However it is written."""
    check(await stage.ask(stage.request(b"POST", b"/thing?" + query)), "invalid_request")


PATHS = {
    "an encoded slash": b"/files/a%2F..%2F..%2Fadmin",
    "dots": b"/files/../admin",
    "encoded dots": b"/files/%2e%2e/admin",
    "dots behind a semicolon": b"/files/..;/admin",
    "dots before an encoded slash": b"/files/..%2fadmin",
    "a backslash": b"/files/..\\admin",
    "an encoded backslash": b"/files/..%5cadmin",
    "dots encoded twice": b"/files/%252e%252e/admin",
    "above the root": b"/../../relay/other/x",
    "an encoded NUL": b"/files/a%00",
    "a broken escape": b"/files/%zz",
    "an overlong dot": b"/files/%c0%ae%c0%ae/admin",
    "double slashes": b"//admin",
    "an encoded letter": b"/%61dmin",
}


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
async def test_no_trick_with_the_path_leads_around_the_decision(start_stage: StartStage, path: bytes) -> None:
    """What reaches the upstream, if anything, is a path that the key was allowed."""
    areas = [
        {"area": "files", "levels": ["read"], "match": ["GET /files/*"]},
        {"area": "admin", "levels": ["read"], "match": ["GET /admin", "GET /admin/*"]},
    ]
    stage = await start_stage(areas=areas)
    grants = {"mode": "restricted", "grants": {"api": {"files": "read"}}}
    stage.key = stage.worker.source.put_key("api", permissions=grants)
    got = await stage.get(path)
    assert got.status in {400, 403}
    assert stage.upstream.seen == []


async def test_errors_to_head_have_no_body(stage: Stage) -> None:
    """The fields say what happened; the length is that of the body a GET would get."""
    client = await stage.connect()
    for _ in range(2):
        await client.send(stage.request(b"HEAD", key=False))
        got = await client.message(method=b"HEAD")
        assert (got.status, got.one(b"tieline-error")) == (401, b"missing_app_key")
        assert int(got.one(b"content-length")) > 0


async def test_an_error_does_not_end_the_connection(stage: Stage) -> None:
    """A refusal of a well-formed request leaves the client its connection."""
    client = await stage.connect()
    for status in (401, 200, 401, 200):
        await client.send(stage.request(key=status == 200))
        assert (await client.message()).status == status


async def test_request_ids_are_unique(stage: Stage) -> None:
    """One for each request, refused or not, and the record has the same."""
    ids = {(await stage.get()).one(b"tieline-request-id") for _ in range(20)}
    assert len(ids) == 20
    assert {record.id.encode() for record in await stage.worker.recorded(20)} == ids


async def test_timing_is_plausible(start_stage: StartStage) -> None:
    """``Server-Timing`` tells Tieline's share and the upstream's, in milliseconds."""

    async def script(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        await asyncio.sleep(0.2)
        await peer.send(answer())

    stage = await start_stage(script)
    began = time.monotonic()
    timing = (await stage.get()).one(b"server-timing").decode()
    took = (time.monotonic() - began) * 1000
    ours, theirs = (float(part.partition("dur=")[2]) for part in timing.split(", "))
    assert 190 < theirs <= took
    assert 0 <= ours <= took - theirs


async def test_a_record_tells_what_happened_and_no_secret(start_stage: StartStage) -> None:
    """Method, path without query, area, level, sizes, durations, status."""
    areas = [{"area": "files", "levels": ["read", "write"], "match": ["* /files/*"]}]
    stage = await start_stage(saying(answer(b"x" * 10, status=b"201 Created")), areas=areas)
    await stage.ask(stage.request(b"POST", b"/files/a?token=secret", body=b"y" * 7))
    record = (await stage.worker.recorded(1))[0]
    assert (record.method, record.path, record.area, record.level) == ("POST", "/files/a", "files", "write")
    assert (record.status, record.outcome, record.code) == (201, "complete", None)
    assert (record.bytes_in, record.bytes_out) == (7, 10)
    assert 0 < (record.upstream_ms or 0) < record.duration_ms < 5000
    assert (record.api, record.environment) == ("api", "live")
    assert "secret" not in repr(record)


async def test_a_refusal_is_recorded_for_its_key(stage: Stage) -> None:
    """What a good key was refused is on record; strangers leave none."""
    await stage.ask(stage.request(key=False))
    await stage.get(b"/a%00")
    record = (await stage.worker.recorded(1))[0]
    assert (record.outcome, record.status, record.code) == ("refused", 400, "invalid_request")
    assert len(stage.worker.source.records) == 1


async def test_a_used_key_is_noted(stage: Stage) -> None:
    """The store hears when a key was last used."""
    await stage.get()
    await stage.worker.recorded(1)
    assert stage.worker.source.used.keys() == {row.key_id for row in stage.worker.source.keys.values()}
