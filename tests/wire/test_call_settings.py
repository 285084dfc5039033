"""A call's settings: timeout, retries, idempotency, cache, redirects, whole URLs."""

import asyncio
from typing import Any

import pytest

from tests.wire import calling
from tests.wire.calling import error, json_answer, result
from tests.wire.conftest import StartStage
from tests.wire.raw import Peer, Script, Upstream, answer, saying, until
from tests.wire.stage import definition

GOOD = json_answer({"ok": True})
BUSY = json_answer({"message": "busy"}, b"Retry-After: 0", status=b"503 Service Unavailable")
POST = {"method": "POST", "path": "/it", "body": {"type": "json", "template": {"n": 1}}}


def one(**settings: Any) -> dict[str, Any]:
    """A definition's calls: one named ``it`` with these settings."""
    return {"it": {"path": "/it", **settings}}


def counting(*, after: asyncio.Event | None = None) -> Script:
    """A script that answers each request with how many there were before, once ``after`` is set."""

    async def count(upstream: Upstream, peer: Peer) -> None:
        while True:
            await upstream.read(peer)
            number = len(upstream.seen)
            if after is not None:
                await after.wait()
            await peer.send(json_answer({"n": number}))

    return count


def dropping(times: int) -> Script:
    """A script that closes so many connections after their request without an answer, then answers."""

    async def drop(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        if len(upstream.seen) > times:
            await peer.send(GOOD)

    return drop


# -- retries


async def test_a_passing_trouble_is_tried_again(start_stage: StartStage) -> None:
    """As often as the call says."""
    stage = await start_stage(saying(BUSY, BUSY, GOOD), calls=one(retry={"attempts": 3}))
    assert result(await calling.run(stage, "it")) == {"ok": True}
    assert len(stage.upstream.seen) == 3


async def test_tries_have_an_end(start_stage: StartStage) -> None:
    """Then the upstream's word is the answer."""
    stage = await start_stage(saying(BUSY), calls=one(retry={"attempts": 2}))
    assert (await calling.run(stage, "it")).status == 503
    assert len(stage.upstream.seen) == 2


async def test_a_lost_connection_is_tried_again(start_stage: StartStage) -> None:
    """A GET may be sent twice."""
    stage = await start_stage(dropping(1), calls=one(retry={"attempts": 2}))
    assert result(await calling.run(stage, "it")) == {"ok": True}


@pytest.mark.parametrize("script", [saying(BUSY), dropping(9)], ids=["busy", "lost"])
async def test_what_may_have_been_done_is_not_done_twice(start_stage: StartStage, script: Script) -> None:
    """A POST without a key could have had its effect."""
    stage = await start_stage(script, calls={"it": {**POST, "retry": {"attempts": 5}}})
    assert (await calling.run(stage, "it")).status in {502, 503}
    assert len(stage.upstream.seen) == 1


async def test_a_keyed_post_is_tried_again_under_one_key(start_stage: StartStage) -> None:
    """The provider sees that it is the same."""
    calls = {"it": {**POST, "retry": {"attempts": 3}, "idempotency": {"header": "X-Once"}}}
    stage = await start_stage(saying(BUSY, GOOD), calls=calls)
    assert result(await calling.run(stage, "it")) == {"ok": True}
    first, second = (seen.one(b"x-once") for seen in stage.upstream.seen)
    assert first == second
    assert (await calling.run(stage, "it")).status == 200
    assert stage.upstream.seen[2].one(b"x-once") != first


async def test_a_long_retry_after_goes_to_the_caller(start_stage: StartStage) -> None:
    """It is theirs to wait for."""
    busy = json_answer({}, b"Retry-After: 3600", status=b"429 Too Many Requests")
    stage = await start_stage(saying(busy, GOOD), calls=one(retry={"attempts": 5}))
    found = await calling.run(stage, "it")
    assert (found.status, found.one(b"retry-after")) == (429, b"3600")
    assert len(stage.upstream.seen) == 1


async def test_a_wait_that_outlasts_the_timeout_is_not_begun(start_stage: StartStage) -> None:
    """The answer that is here is better."""
    busy = json_answer({}, b"Retry-After: 20", status=b"503 Busy")
    stage = await start_stage(saying(busy), calls=one(retry={"attempts": 5}, timeout="2s"))
    assert (await calling.run(stage, "it")).status == 503


async def test_a_silent_upstream_runs_into_the_calls_timeout(start_stage: StartStage) -> None:
    """And its connection is cut."""

    async def silent(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        await peer.gone()

    stage = await start_stage(silent, calls=one(timeout="200ms"))
    found = await calling.run(stage, "it")
    assert (found.status, error(found)["code"]) == (504, "upstream_timeout")
    await stage.upstream.until(lambda upstream: upstream.open == 0)


async def test_an_upstream_that_is_not_there_is_told(start_stage: StartStage) -> None:
    """Nothing was sent, so that even a POST is tried again."""
    stage = await start_stage(calls={"it": POST})
    stage.worker.source.put_api(definition(1, calls={"it": {**POST, "retry": {"attempts": 2}}}))
    await stage.worker.caught_up()
    assert error(await calling.run(stage, "it"))["code"] == "upstream_unreachable"


# -- cache


async def test_an_answer_is_kept_for_the_same_values(start_stage: StartStage) -> None:
    """Other values are another answer; its age is told."""
    parameters = {"id": {"in": "query"}}
    stage = await start_stage(counting(), calls=one(parameters=parameters, cache={"ttl": "1m"}))
    first, again = await calling.run(stage, "it", {"id": "a"}), await calling.run(stage, "it", {"id": "a"})
    assert (result(first), result(again)) == ({"n": 1}, {"n": 1})
    assert (b"age" in first.names, again.one(b"age")) == (False, b"0")
    assert result(await calling.run(stage, "it", {"id": "b"})) == {"n": 2}


async def test_only_the_named_parameters_tell_answers_apart(start_stage: StartStage) -> None:
    """The others make no difference."""
    parameters = {"id": {"in": "query"}, "trace": {"in": "query"}}
    calls = one(parameters=parameters, cache={"ttl": "1m", "key": ["id"]})
    stage = await start_stage(counting(), calls=calls)
    assert result(await calling.run(stage, "it", {"id": "a", "trace": "1"})) == {"n": 1}
    assert result(await calling.run(stage, "it", {"id": "a", "trace": "2"})) == {"n": 1}


async def test_errors_are_not_kept(start_stage: StartStage) -> None:
    """Neither as errors nor as data."""
    bad = json_answer({}, status=b"404 Not Found")
    stage = await start_stage(
        saying(bad, GOOD), calls=one(cache={"ttl": "1m"}, response={"type": "json", "include_errors": True})
    )
    assert result(await calling.run(stage, "it"))["status"] == 404
    assert result(await calling.run(stage, "it"))["status"] == 200


async def test_a_changed_api_keeps_nothing(start_stage: StartStage) -> None:
    """What was fetched by another definition or credential is not this one's."""
    stage = await start_stage(counting(), calls=one(cache={"ttl": "1m"}))
    assert result(await calling.run(stage, "it")) == {"n": 1}
    stage.worker.source.put_credential("api", {"key": "sk-other-" + "not-real"})
    await stage.worker.caught_up()
    assert result(await calling.run(stage, "it")) == {"n": 2}


async def test_a_kept_answer_is_for_those_who_may_run_the_call(start_stage: StartStage) -> None:
    """Another app with the same credential gets it, a stranger does not."""
    stage = await start_stage(counting(), calls=one(cache={"ttl": "1m"}))
    await calling.run(stage, "it")
    other, stranger = stage.worker.source.put_key("api"), stage.worker.source.put_key("else")
    nobody = stage.worker.source.put_key("api", permissions={"mode": "restricted", "grants": {}})
    assert result(await calling.run(stage, "it", key=other)) == {"n": 1}
    assert (await calling.run(stage, "it", key=stranger)).status == 403
    assert (await calling.run(stage, "it", key=nobody)).status == 403


async def test_environments_keep_their_own(start_stage: StartStage) -> None:
    """They may have other URLs and credentials."""
    stage = await start_stage(counting(), calls=one(cache={"ttl": "1m"}))
    stage.worker.source.put_credential("api", {"key": "sk-dev-" + "not-real"}, environment="development")
    key = stage.worker.source.put_key("api", environment="development")
    await stage.worker.caught_up()
    assert result(await calling.run(stage, "it")) == {"n": 1}
    assert result(await calling.run(stage, "it", key=key)) == {"n": 2}


# -- idempotency

ONCE = b"Idempotency-Key: order-1"


async def test_a_call_runs_once_under_a_key(start_stage: StartStage) -> None:
    """The second answer is the first one's, and says so."""
    stage = await start_stage(counting(), calls={"it": POST})
    first, again = await calling.run(stage, "it", {}, ONCE), await calling.run(stage, "it", {}, ONCE)
    assert result(first) == result(again) == {"n": 1}
    assert again.one(b"idempotency-replayed") == b"true"
    assert first.one(b"tieline-request-id") != again.one(b"tieline-request-id")


async def test_a_key_is_for_one_end_user(start_stage: StartStage) -> None:
    """Nobody gets another one's answer, though app and parameters are the same."""
    stage = await start_stage(counting(), calls={"it": POST})
    ann, bob = b"Tieline-Connection: ann", b"Tieline-Connection: bob"
    assert result(await calling.run(stage, "it", {}, ONCE, ann)) == {"n": 1}
    for fields in ([ONCE, bob], [ONCE]):
        refused = await calling.run(stage, "it", {}, *fields)
        assert (refused.status, error(refused)["code"]) == (422, "idempotency_mismatch")
    assert result(await calling.run(stage, "it", {}, ONCE, ann)) == {"n": 1}


async def test_a_key_is_for_one_revision(start_stage: StartStage) -> None:
    """What the call was before may be something else than what it is now: it is neither repeated nor run again."""
    stage = await start_stage(counting(), calls={"it": POST})
    await calling.run(stage, "it", {}, ONCE)
    await stage.configure(calls={"it": {**POST, "path": "/that"}})
    assert (await calling.run(stage, "it", {}, ONCE)).status == 422
    assert len(stage.upstream.seen) == 1


async def test_a_key_is_for_one_request(start_stage: StartStage) -> None:
    """Other parameters under it are a mistake."""
    calls = {"it": {"method": "POST", "path": "/it", "parameters": {"n": {"in": "query"}}}}
    stage = await start_stage(counting(), calls=calls)
    await calling.run(stage, "it", {"n": "1"}, ONCE)
    found = await calling.run(stage, "it", {"n": "2"}, ONCE)
    assert (found.status, error(found)["code"]) == (422, "idempotency_mismatch")


async def test_a_key_in_use_is_told(start_stage: StartStage) -> None:
    """Two runs at once would be two."""
    go = asyncio.Event()
    stage = await start_stage(counting(after=go), calls={"it": POST})
    client = await stage.connect()
    await client.send(calling.request(stage, "it", {}, ONCE))
    await stage.upstream.until(lambda upstream: len(upstream.seen) == 1)
    found = await calling.run(stage, "it", {}, ONCE)
    assert (found.status, error(found)["code"]) == (409, "idempotency_in_progress")
    go.set()
    assert result(await client.message()) == {"n": 1}
    assert result(await calling.run(stage, "it", {}, ONCE)) == {"n": 1}


async def test_an_apps_keys_are_its_own(start_stage: StartStage) -> None:
    """The same word of another app is another run, for the provider too."""
    calls = {"it": {**POST, "idempotency": {}}}
    stage = await start_stage(counting(), calls=calls)
    other = stage.worker.source.put_key("api")
    assert result(await calling.run(stage, "it", {}, ONCE)) == {"n": 1}
    assert result(await calling.run(stage, "it", {}, ONCE, key=other)) == {"n": 2}
    first, second = (seen.one(b"idempotency-key") for seen in stage.upstream.seen)
    assert first != second
    assert b"order-1" not in first + second


async def test_an_error_is_no_answer_to_keep(start_stage: StartStage) -> None:
    """The next one runs anew."""
    stage = await start_stage(saying(json_answer({}, status=b"500 X"), GOOD), calls={"it": POST})
    assert (await calling.run(stage, "it", {}, ONCE)).status == 500
    assert result(await calling.run(stage, "it", {}, ONCE)) == {"ok": True}


async def test_a_run_under_a_key_goes_on_when_its_client_leaves(start_stage: StartStage) -> None:
    """Whoever asks again under the key is given its answer: the call was run once."""
    go = asyncio.Event()
    stage = await start_stage(counting(after=go), calls={"it": POST})
    client = await stage.connect()
    await client.send(calling.request(stage, "it", {}, ONCE))
    await stage.upstream.until(lambda upstream: len(upstream.seen) == 1)
    client.reset()
    await until(lambda: stage.worker.service.listener.open_connections == 0)
    go.set()
    await stage.settled()
    await until(lambda: not stage.worker.service.calls.runner.idempotency._running)
    again = await calling.run(stage, "it", {}, ONCE)
    assert (result(again), again.one(b"idempotency-replayed")) == ({"n": 1}, b"true")
    outcomes = [record.outcome for record in await stage.worker.recorded(2)]
    assert outcomes == ["client_gone", "complete"]


# -- redirects


def redirecting(location: bytes, status: bytes = b"302 Found") -> Script:
    """A script that sends the first request elsewhere, and answers whatever comes next with what it was."""

    async def redirect(upstream: Upstream, peer: Peer) -> None:
        while True:
            message = await upstream.read(peer)
            if len(upstream.seen) == 1:
                await peer.send(answer(b"", b"Location: " + location, status=status))
            else:
                await peer.send(json_answer({"line": message.line.decode(), "body": message.body.decode()}))

    return redirect


@pytest.mark.parametrize(
    ("status", "line", "body"),
    [
        (b"302 Found", "GET /v1/else?x=1 HTTP/1.1", ""),
        (b"303 See Other", "GET /v1/else?x=1 HTTP/1.1", ""),
        (b"307 Temporary Redirect", "POST /v1/else?x=1 HTTP/1.1", '{"n":1}'),
        (b"308 Permanent Redirect", "POST /v1/else?x=1 HTTP/1.1", '{"n":1}'),
    ],
)
async def test_a_redirect_is_followed_where_the_call_says_so(
    start_stage: StartStage, status: bytes, line: str, body: str
) -> None:
    """With the method that its status asks for (RFC 9110 section 15.4), and the secret again."""
    stage = await start_stage(
        redirecting(b"/v1/else?x=1#there", status), calls={"it": {**POST, "follow_redirects": True}}
    )
    assert result(await calling.run(stage, "it")) == {"line": line, "body": body}
    assert b"authorization" in stage.upstream.seen[1].names


@pytest.mark.parametrize("location", [b"http://other.test/v1/x", b"//other.test/", b"http://127.0.0.1:1/v1", b"\\\\x"])
async def test_a_redirect_elsewhere_is_not_followed(start_stage: StartStage, location: bytes) -> None:
    """The secret stays with its origin."""
    stage = await start_stage(redirecting(location), calls=one(follow_redirects=True))
    found = await calling.run(stage, "it")
    assert (found.status, error(found)["code"]) == (502, "upstream_error")
    assert len(stage.upstream.seen) == 1


async def test_redirects_have_an_end(start_stage: StartStage) -> None:
    """A circle is left."""
    stage = await start_stage(
        saying(answer(b"", b"Location: /v1/it", status=b"302 Found")), calls=one(follow_redirects=True)
    )
    assert (await calling.run(stage, "it")).status == 502
    assert len(stage.upstream.seen) == 6


async def test_a_redirect_needs_permission_too(start_stage: StartStage) -> None:
    """It is decided on the path that it leads to."""
    areas = [{"area": "it", "title": "It", "levels": ["read"], "match": ["GET /it"]},
             {"area": "else", "title": "Else", "levels": ["read"], "match": ["GET /else"]}]  # fmt: skip
    stage = await start_stage(redirecting(b"/v1/else"), calls=one(follow_redirects=True), areas=areas)
    key = stage.worker.source.put_key("api", permissions={"mode": "restricted", "grants": {"api": {"it": "read"}}})
    found = await calling.run(stage, "it", key=key)
    assert (found.status, error(found)["param"]) == (403, "api:else=read")


# -- whole URLs


async def test_a_whole_url_goes_to_a_bound_host(start_stage: StartStage, start_upstream: Any) -> None:
    """Over connections of its own, with the secret."""
    other = await start_upstream(counting())
    stage = await start_stage(
        calls={"it": {"url": f"http://127.0.0.1:{other.port}/files/<id>", "parameters": {"id": {}}}},
        hosts=["127.0.0.1"],
    )
    assert result(await calling.run(stage, "it", {"id": "a/b"})) == {"n": 1}
    assert other.seen[0].target == b"/files/a%2Fb"
    assert (stage.upstream.accepted, b"authorization" in other.seen[0].names) == (0, True)


async def test_a_host_from_a_parameter_is_still_a_bound_one(start_stage: StartStage) -> None:
    """A caller cannot lead the secret astray."""
    calls = {"it": {"url": "http://<host>/steal", "parameters": {"host": {}}}}
    stage = await start_stage(calls=calls, hosts=["127.0.0.1"])
    found = await calling.run(stage, "it", {"host": "evil.test"})
    assert (found.status, error(found)["code"]) == (403, "destination_not_allowed")
