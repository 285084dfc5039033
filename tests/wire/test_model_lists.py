"""Keys with a list of models, as a client and an upstream meet them."""

import gzip
import json
from typing import Any

import pytest

from tests.wire import calling
from tests.wire.calling import json_answer
from tests.wire.conftest import StartStage
from tests.wire.raw import Message, chunked, saying
from tests.wire.stage import Stage

JSON = b"Content-Type: application/json"
FORM = b"Content-Type: multipart/form-data; boundary=edge"
CHAT = b"/chat/completions"
LIST = {"object": "list", "data": [{"id": "gpt-4.1-mini"}, {"id": "gpt-5"}, {"id": "gpt-4.1"}]}
KEPT = {"object": "list", "data": [{"id": "gpt-4.1-mini"}, {"id": "gpt-4.1"}]}


async def listed(start_stage: StartStage, *answers: bytes, **more: Any) -> Stage:
    """A stage whose key may use gpt-4.1 and its like."""
    stage = await start_stage(saying(*(answers or [json_answer({"ok": 1})] * 3)), usage={"kind": "openai"}, **more)
    stage.worker.source.change_key(stage.key, models=("gpt-4.1*",))
    await stage.worker.caught_up()
    return stage


def refusal(message: Message) -> str:
    """The words of a refusal for a model."""
    error = json.loads(message.body)["error"]
    assert (message.status, error["code"], error["param"]) == (403, "model_not_allowed", "model"), message.body
    return str(error["message"])


@pytest.mark.parametrize(
    "body", [b'{"model":"gpt-4.1-mini","x":1}', b'{"model":"gpt-4.1","input":"' + b"x" * 200_000 + b'"}']
)
async def test_what_is_allowed_goes_out_as_it_came(start_stage: StartStage, body: bytes) -> None:
    """Small and large, by length and in chunks."""
    stage = await listed(start_stage)
    assert (await stage.ask(stage.request(b"POST", CHAT, JSON, body=body), method=b"POST")).status == 200
    raw = stage.request(b"POST", CHAT, JSON, b"Transfer-Encoding: chunked") + chunked(body[:9], body[9:])
    assert (await stage.ask(raw, method=b"POST")).status == 200
    assert [each.body for each in stage.upstream.seen] == [body, body]


@pytest.mark.parametrize(
    ("body", "fields", "says"),
    [
        (b'{"model":"gpt-5"}', (JSON,), "may not use the model gpt-5. It may use gpt-4.1*."),
        (b'{"model":"gpt-4.1","model":"gpt-5"}', (JSON,), "may not use the model gpt-5"),
        (b'{"model":"gpt-4.1","\\u006dodel":"gpt-5"}', (JSON,), "may not use the model gpt-5"),
        (b'{"model":"gpt-5"}', (), "may not use the model gpt-5"),
        ('{"model":"gpt-5"}'.encode("utf-16"), (JSON,), "not in UTF-8"),
        (b'{"model":"gpt-4.1"}{"model":"gpt-5"}', (JSON,), "no JSON"),
        (gzip.compress(b'{"model":"gpt-5"}', mtime=0), (JSON, b"Content-Encoding: gzip"), "Content-Encoding"),
        (b'{"model":"gpt-4.1"}', (JSON, FORM), "two Content-Types"),
        (b'{"messages":[]}', (JSON,), "names none"),
        (b'--edge\r\nContent-Disposition: form-data; name="model"\r\n\r\ngpt-5\r\n--edge--\r\n', (FORM,), "gpt-5"),
    ],
)
async def test_what_is_not_allowed_reaches_no_upstream(
    start_stage: StartStage, body: bytes, fields: tuple[bytes, ...], says: str
) -> None:
    """However it is written."""
    stage = await listed(start_stage)
    assert says in refusal(await stage.ask(stage.request(b"POST", CHAT, *fields, body=body), method=b"POST"))
    assert not stage.upstream.seen


@pytest.mark.parametrize("path", [b"/models/gpt-5", b"/models/gpt%2D5", b"/x?model=gpt-5", b"/x?model=gpt-4.1&model=o"])
async def test_a_model_in_the_path_or_query_counts(start_stage: StartStage, path: bytes) -> None:
    """A model that is hidden is not told about."""
    stage = await listed(start_stage)
    assert "may not use the model" in refusal(await stage.get(path))
    assert (await stage.get(b"/models/gpt-4.1")).status == 200


@pytest.mark.parametrize("way", ["length", "chunks", "gzip"])
async def test_the_list_of_models_is_cut_down(start_stage: StartStage, way: str) -> None:
    """To what the key may use, with the right length; the connection goes on."""
    body = json.dumps(LIST).encode()
    if way == "chunks":
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        said = head + chunked(body[:20], body[20:])
    elif way == "gzip":
        coded = gzip.compress(body, mtime=0)
        said = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(coded) + coded
    else:
        said = json_answer(LIST)
    stage = await listed(start_stage, said, said)
    client = await stage.connect()
    for _ in range(2):
        await client.send(stage.request(b"GET", b"/models"))
        found = await client.message()
        assert json.loads(found.body) == KEPT
        assert b"content-encoding" not in found.names


@pytest.mark.parametrize("said", [json_answer("x"), b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{"])
async def test_a_list_that_cannot_be_read_is_not_passed_on(start_stage: StartStage, said: bytes) -> None:
    """It could hold anything."""
    stage = await listed(start_stage, said)
    found = await stage.get(b"/models")
    assert (found.status, json.loads(found.body)["error"]["code"]) == (502, "upstream_protocol_error")


async def test_errors_in_place_of_the_list_pass(start_stage: StartStage) -> None:
    """They are the upstream's."""
    stage = await listed(start_stage, json_answer({"error": "no"}, status=b"401 Unauthorized"))
    assert (await stage.get(b"/models")).status == 401


async def test_calls_keep_to_the_list(start_stage: StartStage) -> None:
    """By what they send, whoever wrote the model: the caller, or the definition."""
    parameters = {"model": {"in": "body"}}
    call = {"path": CHAT.decode(), "method": "POST", "use_as": "action"}
    fixed = call | {"body": {"type": "json", "template": {"model": "gpt-5"}}}
    chosen = call | {"parameters": parameters, "body": {"type": "json", "template": {"model": "<model>"}}}
    stage = await listed(start_stage, calls={"fixed": fixed, "chosen": chosen})
    assert calling.result(await calling.run(stage, "chosen", {"model": "gpt-4.1"})) == {"ok": 1}
    for found in (await calling.run(stage, "chosen", {"model": "gpt-5"}), await calling.run(stage, "fixed")):
        assert calling.error(found)["code"] == "model_not_allowed"
    assert len(stage.upstream.seen) == 1


async def test_chat_streams_are_asked_for_usage_under_a_list_too(start_stage: StartStage) -> None:
    """What was read for the list is what is spliced."""
    stage = await listed(start_stage)
    body = b'{"stream":true,"model":"gpt-4.1"}'
    await stage.ask(stage.request(b"POST", CHAT, JSON, body=body), method=b"POST")
    assert stage.upstream.seen[0].body == b'{"stream_options":{"include_usage":true},' + body[1:]


async def test_apis_without_models_are_not_looked_into(start_stage: StartStage) -> None:
    """An API that tells no usage has none."""
    stage = await start_stage(saying(json_answer({"ok": 1})))
    stage.worker.source.change_key(stage.key, models=("gpt-4.1*",))
    await stage.worker.caught_up()
    body = b'{"model":"Golf"}'
    assert (await stage.ask(stage.request(b"POST", b"/cars", JSON, body=body), method=b"POST")).status == 200
