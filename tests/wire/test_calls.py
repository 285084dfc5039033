"""The call door: parameters in, the typed answer out; who may, by which method, and what is refused how."""

from typing import Any

import pytest

from tests.wire import calling
from tests.wire.calling import error, json_answer, result
from tests.wire.conftest import StartStage
from tests.wire.raw import saying
from tests.wire.stage import PROVIDER_KEY, Stage

CALLS: dict[str, Any] = {
    "ask": {
        "method": "POST",
        "path": "/chat",
        "parameters": {"prompt": {}, "model": {"default": "small"}},
        "body": {"type": "json", "template": {"model": "<model>", "text": "<prompt>"}},
        "response": {"type": "json", "fields": [{"path": "choices[0].text", "type": "text", "name": "answer"}]},
    },
    "look": {"path": "/things/<id>?q=<q>", "parameters": {"id": {"type": "integer"}, "q": {"optional": True}}},
    "search": {
        "method": "POST",
        "use_as": "data",
        "path": "/search",
        "parameters": {"tags": {"type": "list", "in": "body"}},
        "body": {"type": "json"},
    },
}


@pytest.fixture
async def stage(start_stage: StartStage) -> Stage:
    """A worker before an upstream that answers every call with one choice."""
    return await start_stage(saying(json_answer({"choices": [{"text": "hello"}], "id": 7})), calls=CALLS)


async def test_a_call_sends_its_template_and_answers_its_fields(stage: Stage) -> None:
    """Values in their places, the provider's key added, the answer in its detected shape."""
    answer = await calling.run(stage, "ask", {"prompt": 'say "hi"\n'})
    seen = stage.upstream.seen[0]
    assert result(answer) == {"answer": "hello"}
    assert (seen.line, seen.body) == (b"POST /v1/chat HTTP/1.1", b'{"model":"small","text":"say \\"hi\\"\\n"}')
    assert seen.one(b"authorization") == b"Bearer " + PROVIDER_KEY.encode()
    assert seen.one(b"content-type") == b"application/json"


async def test_a_head_that_comes_again_has_the_body_of_its_own_run(stage: Stage) -> None:
    """Heads of a call are remembered, bodies never: each run sends what it was given."""
    for prompt in ("one", "two", "three"):
        await calling.run(stage, "ask", {"prompt": prompt})
    assert [seen.body for seen in stage.upstream.seen] == [
        b'{"model":"small","text":"%b"}' % prompt for prompt in (b"one", b"two", b"three")
    ]


async def test_an_answer_tells_its_id_and_timing(stage: Stage) -> None:
    """As every answer of Tieline's."""
    answer = await calling.run(stage, "ask", {"prompt": "x"})
    assert answer.one(b"tieline-request-id").startswith(b"req_")
    assert b"upstream;dur=" in answer.one(b"server-timing")
    assert answer.one(b"content-type") == b"application/json"
    assert b"tieline-error" not in answer.names


async def test_nothing_of_the_callers_head_goes_to_the_provider(stage: Stage) -> None:
    """A call sends what its definition says."""
    await calling.run(stage, "ask", {"prompt": "x"}, b"X-Mine: yes", b"Cookie: a=b", b"User-Agent: mine")
    seen = stage.upstream.seen[0]
    assert {b"x-mine", b"cookie"}.isdisjoint(seen.names)
    assert seen.one(b"user-agent") == b"tieline"
    assert stage.key.encode() not in seen.raw


async def test_a_data_call_runs_by_get(stage: Stage) -> None:
    """Its parameters are in the query string, read by their types."""
    await calling.run(stage, "look", method=b"GET", query=b"id=42&q=a%20b%26c")
    assert stage.upstream.seen[0].target == b"/v1/things/42?q=a%20b%26c"


async def test_a_data_call_may_be_a_post_of_the_providers(stage: Stage) -> None:
    """It only reads, whatever its method."""
    await calling.run(stage, "search", method=b"GET", query=b"tags=a&tags=b")
    seen = stage.upstream.seen[0]
    assert (seen.line, seen.body) == (b"POST /v1/search HTTP/1.1", b'{"tags":["a","b"]}')


async def test_what_is_optional_is_left_out(stage: Stage) -> None:
    """The whole query pair goes."""
    await calling.run(stage, "look", {"id": 42})
    assert stage.upstream.seen[0].target == b"/v1/things/42"


@pytest.mark.parametrize(
    ("call", "values", "status", "code", "param"),
    [
        ("ask", {}, 400, "missing_parameter", "prompt"),
        ("ask", {"prompt": 7}, 400, "invalid_parameter", "prompt"),
        ("ask", {"prompt": "x", "promt": "y"}, 400, "invalid_parameter", "promt"),
        ("ask", [], 400, "invalid_request", None),
        ("nothing", {}, 404, "unknown_call", "nothing"),
        ("UPPER", {}, 404, "unknown_call", None),
        ("look", {"id": "../x"}, 400, "invalid_parameter", "id"),
    ],
)
async def test_what_is_wrong_is_said(
    stage: Stage, call: str, values: Any, status: int, code: str, param: str | None
) -> None:
    """With the contract's codes; nothing reaches the provider."""
    answer = await calling.run(stage, call, values)
    found = error(answer)
    assert (answer.status, found["code"], found["param"]) == (status, code, param)
    assert answer.one(b"x-should-retry") == b"false"
    assert stage.upstream.accepted == 0


@pytest.mark.parametrize("method", [b"GET", b"PUT", b"DELETE"])
async def test_an_action_runs_by_post_alone(stage: Stage, method: bytes) -> None:
    """A link or a crawler changes nothing."""
    answer = await calling.run(stage, "ask", {"prompt": "x"}, method=method)
    assert (answer.status, error(answer)["code"]) == (405, "method_not_allowed")


async def test_a_query_is_for_get(stage: Stage) -> None:
    """Parameters of a POST are in one place."""
    assert error(await calling.run(stage, "look", {"id": 1}, query=b"id=2"))["code"] == "invalid_request"


async def test_a_body_that_is_no_json_is_refused(stage: Stage) -> None:
    """Whatever its type says."""
    answer = await calling.run(stage, "ask", None, b"Content-Type: text/plain", body=b"prompt=x")
    assert error(answer)["code"] == "invalid_request"


async def test_a_body_that_comes_in_pieces_is_gathered(stage: Stage) -> None:
    """However it is framed and cut."""
    client = await stage.connect()
    head = calling.request(stage, "ask", body=b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    await client.send_bytewise(head + b'7\r\n{"promp\r\n8\r\nt":"hei"\r\n1\r\n}\r\n0\r\n\r\n', 9)
    assert result(await client.message()) == {"answer": "hello"}


async def test_calls_follow_each_other_on_a_connection(stage: Stage) -> None:
    """And use the provider's connection again."""
    client = await stage.connect()
    for _ in range(3):
        await client.send(calling.request(stage, "ask", {"prompt": "x"}))
        assert result(await client.message()) == {"answer": "hello"}
    assert stage.upstream.accepted == 1


async def test_a_key_of_another_app_does_not_run_it(stage: Stage) -> None:
    """Its app does not use the API."""
    stranger = stage.worker.source.put_key("other")
    answer = await calling.run(stage, "ask", {"prompt": "x"}, key=stranger)
    assert (answer.status, error(answer)["code"]) == (403, "missing_permission")
    assert error(await calling.run(stage, "ask", {}, key="tl_live_" + "nonsense"))["code"] == "invalid_app_key"


async def test_a_call_that_was_just_added_is_found(stage: Stage) -> None:
    """Though its worker has not heard of it yet."""
    from tests.wire.stage import definition

    stage.worker.source.put_api(definition(stage.upstream.port, calls={"new": {"path": "/new"}}))
    assert (await calling.run(stage, "new")).status == 200


async def test_a_run_is_recorded(stage: Stage) -> None:
    """By its call, and the method and path that were sent."""
    await calling.run(stage, "look", {"id": 42})
    (record,) = await stage.worker.recorded(1)
    assert (record.api, record.call, record.method, record.path) == ("api", "look", "GET", "/things/42")
    assert (record.status, record.code, record.outcome, record.bytes_in) == (200, None, "complete", len(b'{"id":42}'))
    assert record.upstream_ms is not None


async def test_a_private_parameter_is_the_servers(start_stage: StartStage) -> None:
    """Its value comes from the credential; the caller cannot set it, nor see it come back."""
    secret = "account-" + "not-real-at-all"
    calls = {"pay": {"path": "/pay?account=<account>", "parameters": {"account": {"private": True}}}}
    stage = await start_stage(saying(json_answer({"seen": secret})), calls=calls)
    stage.worker.source.put_credential("api", {"key": PROVIDER_KEY, "call.pay.account": secret})
    await stage.worker.caught_up()
    assert error(await calling.run(stage, "pay", {"account": "mine"}))["code"] == "invalid_parameter"
    answer = await calling.run(stage, "pay")
    assert stage.upstream.seen[0].target == b"/v1/pay?account=" + secret.encode()
    assert secret.encode() not in answer.body


async def test_without_its_credential_a_call_is_refused(stage: Stage) -> None:
    """Once everything else is right with it."""
    stage.worker.source.sealed.clear()
    await stage.configure(calls=CALLS)
    assert error(await calling.run(stage, "ask", {}))["code"] == "missing_parameter"
    answer = await calling.run(stage, "ask", {"prompt": "x"})
    assert (answer.status, error(answer)["code"]) == (424, "credential_missing")
