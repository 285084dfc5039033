"""Every type of body, as the upstream gets it."""

from typing import Any

import pytest

from tests.wire import calling
from tests.wire.calling import json_answer
from tests.wire.conftest import StartStage
from tests.wire.raw import saying

ODD = 'a&b="c" <d> ✓\n'


@pytest.mark.parametrize(
    ("body", "content_type", "sent"),
    [
        ({"type": "json", "template": {"v": "<v>", "in": "x <v>"}}, b"application/json",
         b'{"v":"a&b=\\"c\\" <d> \xe2\x9c\x93\\n","in":"x a&b=\\"c\\" <d> \xe2\x9c\x93\\n"}'),
        ({"type": "json", "template": ["<v>"], "content_type": "application/vnd.api+json"}, b"application/vnd.api+json",
         b'["a&b=\\"c\\" <d> \xe2\x9c\x93\\n"]'),
        ({"type": "form", "fields": [{"name": "v", "value": "<v>"}]}, b"application/x-www-form-urlencoded",
         b"v=a%26b%3D%22c%22+%3Cd%3E+%E2%9C%93%0A"),
        ({"type": "xml", "template": '<r a="<v>">\\<b><v></b></r>'}, b"application/xml",
         b'<r a="a&amp;b=&quot;c&quot; &lt;d&gt; \xe2\x9c\x93&#10;"><b>a&amp;b="c" &lt;d&gt; \xe2\x9c\x93\n</b></r>'),
        ({"type": "graphql", "query": "query Q($v: T) { f }", "variables": {"v": "<v>"},
          "operation_name": "Q"}, b"application/json",
         b'{"query":"query Q($v: T) { f }","operationName":"Q","variables":{"v":"a&b=\\"c\\" <d> \xe2\x9c\x93\\n"}}'),
        ({"type": "raw", "template": "v is <v>", "content_type": "text/plain"}, b"text/plain",
         b'v is a&b="c" <d> \xe2\x9c\x93\n'),
    ],
    ids=["json", "json by another type", "form", "xml", "graphql", "raw"],
)  # fmt: skip
async def test_a_value_keeps_to_its_place(
    start_stage: StartStage, body: dict[str, Any], content_type: bytes, sent: bytes
) -> None:
    """Whatever it holds, and the length is that of the bytes."""
    calls = {"it": {"method": "POST", "path": "/it", "parameters": {"v": {}}, "body": body}}
    stage = await start_stage(saying(json_answer({})), calls=calls)
    answer = await calling.run(stage, "it", {"v": ODD})
    assert answer.status == 200, answer.body
    seen = stage.upstream.seen[0]
    assert (seen.one(b"content-type"), seen.body) == (content_type, sent)
    assert int(seen.one(b"content-length")) == len(sent)


async def test_no_body_is_no_body(start_stage: StartStage) -> None:
    """A POST says so, a GET says nothing."""
    calls = {"post": {"method": "POST", "path": "/it"}, "get": {"path": "/it"}}
    stage = await start_stage(saying(json_answer({})), calls=calls)
    await calling.run(stage, "post")
    await calling.run(stage, "get")
    post, get = stage.upstream.seen
    assert (post.one(b"content-length"), get.every(b"content-length")) == (b"0", [])
    assert b"content-type" not in post.names


async def test_shared_values_go_into_calls_too(start_stage: StartStage) -> None:
    """Headers, query pairs and body members, private ones with them."""
    calls = {"it": {"method": "POST", "path": "/it", "body": {"type": "json", "template": {"a": 1}}}}
    stage = await start_stage(
        saying(json_answer({})),
        calls=calls,
        headers=[{"name": "X-Version", "value": "7"}],
        parameters=[{"name": "tenant", "in": "body", "value": "t"}, {"name": "v", "in": "query", "value": "2"},
                    {"name": "token", "in": "body", "private": True}],
    )  # fmt: skip
    stage.worker.source.put_credential(
        "api", {"key": "sk-" + "not-real-1234567", "parameter.token": "tok-" + "not-real"}
    )
    await stage.worker.caught_up()
    await calling.run(stage, "it")
    seen = stage.upstream.seen[0]
    assert (seen.target, seen.one(b"x-version")) == (b"/v1/it?v=2", b"7")
    assert seen.body == b'{"a":1,"tenant":"t","token":"tok-not-real"}'


async def test_a_call_cannot_set_what_is_the_schemes(start_stage: StartStage) -> None:
    """An operator is told when it is run."""
    calls = {
        "it": {"path": "/it", "headers": [{"name": "Authorization", "value": "<mine>"}], "parameters": {"mine": {}}}
    }
    stage = await start_stage(saying(json_answer({})), calls=calls)
    assert calling.error(await calling.run(stage, "it", {"mine": "x"}))["param"] == "it"
    assert stage.upstream.accepted == 0


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\x00b", " a"])
async def test_a_header_takes_no_line_breaks(start_stage: StartStage, value: str) -> None:
    """A value cannot become another field."""
    calls = {"it": {"path": "/it", "headers": [{"name": "X-It", "value": "<v>"}], "parameters": {"v": {}}}}
    stage = await start_stage(saying(json_answer({})), calls=calls)
    assert calling.error(await calling.run(stage, "it", {"v": value}))["code"] == "invalid_parameter"
    assert stage.upstream.accepted == 0


@pytest.mark.parametrize(
    ("call", "given", "sent"),
    [
        ({"body": {"type": "json", "template": {"acct": "own", "a": 1}}}, {}, b'{"acct":"own","a":1}'),
        ({"body": {"type": "json"}, "parameters": {"acct": {"in": "body"}}}, {"acct": "mine"}, b'{"acct":"mine"}'),
        ({"body": {"type": "form", "fields": [{"name": "acct", "value": "own"}]}}, {}, b"acct=own"),
        ({"body": {"type": "json", "template": "<all>"}, "parameters": {"all": {"type": "object"}}},
         {"all": {"acct": "mine"}}, b'{"acct":"mine"}'),
        ({"body": {"type": "json", "template": "<all>"}, "parameters": {"all": {"type": "object"}}},
         {"all": {"a": 1}}, b'{"a":1,"acct":"shared"}'),
        ({"body": {"type": "json", "template": {"a": 1}}}, {}, b'{"a":1,"acct":"shared"}'),
    ],
)  # fmt: skip
async def test_a_calls_own_member_wins_over_a_shared_one(
    start_stage: StartStage, call: dict[str, Any], given: dict[str, Any], sent: bytes
) -> None:
    """A shared value fills in where the call's template and parameters say nothing of the member."""
    shared = [{"name": "acct", "in": "body", "value": "shared"}]
    calls = {"it": {"method": "POST", "path": "/it", **call}}
    stage = await start_stage(saying(json_answer({})), parameters=shared, calls=calls)
    assert (await calling.run(stage, "it", given)).status == 200
    assert stage.upstream.seen[0].body == sent
