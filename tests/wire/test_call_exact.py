"""JSON passes through a call unchanged: what a double or a decoder would change, stays as it was written."""

from typing import Any

import pytest

from tests.wire import calling
from tests.wire.conftest import StartStage
from tests.wire.raw import answer, saying

JSON = b"Content-Type: application/json"
FIELDS = [{"path": "b", "type": "json"}, {"path": "a", "type": "json"}]


def call(**response: Any) -> dict[str, Any]:
    """A definition's calls: ``it``, which answers JSON unless said."""
    return {"it": {"path": "/it", "response": response}}


@pytest.mark.parametrize(
    "value",
    ["18446744073709551616", "-9223372036854775809", "0.1234567890123456789", "1e400", "1E5", "1.50", "-0", "1e-7",
     "100.0", '"\\ud83d"', '"half \\ude00 and whole \\ud83d\\ude00"', "9" * 5_000, "[1.10,{}]"],
)  # fmt: skip
@pytest.mark.parametrize("picked", [False, True], ids=["whole", "fields"])
async def test_a_value_is_handed_out_as_it_was_written(start_stage: StartStage, value: str, picked: bool) -> None:
    """Whether all of the answer is handed out, or some of it; members stay in their order."""
    body = f'{{"b":{value},"a":[{value}]}}'
    stage = await start_stage(saying(answer(body.encode(), JSON)), calls=call(fields=FIELDS if picked else []))
    found = await calling.run(stage, "it")
    assert found.body.decode().replace("😀", "\\ud83d\\ude00") == body


async def test_a_whole_answer_is_not_written_anew(start_stage: StartStage) -> None:
    """Blanks, escapes and a member that comes twice are the caller's to read."""
    body = b'{ "a" : 1,\n "a": "\\u00e9\\/", "n": 1.0 }'
    stage = await start_stage(saying(answer(body, JSON)), calls=call())
    assert (await calling.run(stage, "it")).body == body


async def test_what_is_wrapped_is_exact_too(start_stage: StartStage) -> None:
    """Beside its status and headers."""
    stage = await start_stage(saying(answer(b"[1e400]", JSON)), calls=call(include_errors=True))
    assert b'"body":[1e400]' in (await calling.run(stage, "it")).body


async def test_a_number_is_exact(start_stage: StartStage) -> None:
    """Also where it is all of the answer."""
    stage = await start_stage(
        saying(answer(b"0.1234567890123456 \n")), calls={"it": {"path": "/it", "response": {"type": "number"}}}
    )
    assert (await calling.run(stage, "it")).body == b"0.1234567890123456"


async def test_several_cookies_are_a_list(start_stage: StartStage) -> None:
    """Commas stand within them, so that joined they could not be told apart; other fields are joined as ever."""
    fields = [b"Set-Cookie: a=1; Expires=Wed, 21 Oct 2026 07:28:00 GMT", b"Set-Cookie: b=2", b"X-A: 1", b"X-A: 2"]
    stage = await start_stage(saying(answer(b"{}", JSON, *fields)), calls=call(capture_headers=["set-cookie", "x-a"]))
    headers = calling.result(await calling.run(stage, "it"))["headers"]
    assert headers == {"set-cookie": [fields[0][12:].decode(), "b=2"], "x-a": "1, 2"}


@pytest.mark.parametrize("wrapped", [False, True], ids=["error", "data"])
async def test_graphql_errors_arrive_with_200(start_stage: StartStage, wrapped: bool) -> None:
    """Errors without data are an error, in the provider's words."""
    body = b'{"data": null, "errors": [{"message": "No field x.", "extensions": {"code": "BAD"}}]}'
    stage = await start_stage(saying(answer(body, JSON)), calls=call(include_errors=wrapped))
    found = await calling.run(stage, "it")
    if wrapped:
        assert calling.result(found)["error"]["message"] == "No field x."
    else:
        assert (found.status, calling.error(found)["code"]) == (502, "upstream_error")
        assert "No field x." in calling.error(found)["message"]


@pytest.mark.parametrize("body", [b'{"data": {"x": null}, "errors": [{"message": "Partly."}]}', b'{"errors": []}'])
async def test_what_has_data_is_an_answer(start_stage: StartStage, body: bytes) -> None:
    """GraphQL may answer a part."""
    stage = await start_stage(saying(answer(body, JSON)), calls=call())
    assert (await calling.run(stage, "it")).body == body
