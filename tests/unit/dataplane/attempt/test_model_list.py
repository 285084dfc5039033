"""A request is held to its key's list of models, and an API's list is cut down to it: what passes, in which words."""

import gzip
import json
import random
from typing import Any

import pytest

from tieline.core.errors import ModelNotAllowed, UpstreamError, UpstreamProtocolError
from tieline.dataplane.attempt.model_list import (
    LIST_MOST,
    MessageCheck,
    check_body,
    check_target,
    lists_models,
    only_allowed,
    too_large,
)
from tieline.wire.framing import Headers

MODELS = ("gpt-4.1*", "o3")
JSON = (b"Content-Type", b"application/json")
FORM = (b"content-type", b"application/x-www-form-urlencoded")
CHAT = b"/v1/chat/completions"


def refused(caught: "pytest.ExceptionInfo[ModelNotAllowed]") -> str:
    """The words of a refusal; it names the member that an app has to change, and what its key may use."""
    assert caught.value.param == "model"
    assert "gpt-4.1*, o3" in caught.value.public
    return caught.value.public


def checked(body: bytes, *headers: tuple[bytes, bytes], method: bytes = b"POST", target: bytes = CHAT) -> None:
    """A body that was sent to ``target`` is looked at."""
    path, _, query = target.partition(b"?")
    check_body(MODELS, (method, path, query, list(headers)), body)


@pytest.mark.parametrize(
    "target", [b"/chat/completions", b"/models/gpt-4.1-mini", b"/x?model=o3", b"/models/o3:generateContent", b"/?a=o4"]
)
def test_a_target_that_names_no_other_model_is_allowed(target: bytes) -> None:
    """Or none at all."""
    path, _, query = target.partition(b"?")
    check_target(MODELS, path, query)


@pytest.mark.parametrize("target", [b"/models/o4", b"/x?model=o4", b"/x?model=o3&model=o4", b"/deployments/o4/chat"])
def test_a_target_that_names_another_model_is_refused(target: bytes) -> None:
    """With its name, and those that may be asked."""
    path, _, query = target.partition(b"?")
    with pytest.raises(ModelNotAllowed) as caught:
        check_target(MODELS, path, query)
    assert "may not use the model o4." in refused(caught)


def sent(*messages: bytes, target: bytes = b"/realtime?model=o3", is_text: bool = True) -> None:
    """Hold messages over a WebSocket to the list, in their order."""
    path, _, query = target.partition(b"?")
    check = MessageCheck(MODELS, path, query)
    for message in messages:
        check.check(message, is_text=is_text)


LARGE = b'{"audio":"' + b"Ab/+" * 8_000 + b'",%b}'


@pytest.mark.parametrize(
    "message",
    [
        b'{"type":"session.update","session":{"type":"realtime"}}',
        b'{"type":"session.update","session":{"model":"o3"}}',
        b'{"item":{"content":[{"text":"the model o4 is better"}]},"metadata":{"model":"o4"}}',
        b"ping",
        b"",
        LARGE % b'"model":"o3"',
        LARGE % b'"a":"\\"model\\":\\"o4\\"","b":"\\u00e9","models":null',
    ],
)
def test_messages_that_name_no_other_model_are_sent(message: bytes) -> None:
    """Where the target names one that is allowed."""
    sent(message, message)


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (b'{"type":"session.update","session":{"model":"o4"}}', "may not use the model o4"),
        (b'{"type":"response.create","response":{"model":"o4"}}', "may not use the model o4"),
        (b'{"type":"response.create","model":"o3","Model":"o4"}', "may not use the model o4"),
        (b'{"type":"response.create","\\u006dodel":"o4"}', "may not use the model o4"),
        (b'{"session":{"audio":{"input":{"transcription":{"model":"o4"}}}}}', "may not use the model o4"),
        (b'{"model":"o3"} {"model":"o4"}', "no JSON"),
        (b'\xef\xbb\xbf {"model":"o4"}', "may not use the model o4"),
        (b'{"model":"o3","a":"\xff"}', "not in UTF-8"),
        ('{"model":"o4"}'.encode("utf-16"), "not in UTF-8"),
        (LARGE % b'"session":{"MODEL" :\n"o4"}', "may not use the model o4"),
        (LARGE % b'"model":"o3","model":"o4"', "may not use the model o4"),
        (LARGE % b'"metadata":{"model":"o4"}', "may not use the model o4"),
        (LARGE % b'"\\u006dodel":"o4"', "plain letters as escapes"),
        (LARGE % b'"model":"o\\n4"', "no plain text"),
        (LARGE % b'"model":["o4"]', "no plain text"),
        (LARGE % b"'model':'o4'", "no JSON"),
    ],
)
def test_a_message_that_names_another_model_is_refused(message: bytes, says: str) -> None:
    """However it is written, and whatever came before."""
    with pytest.raises(ModelNotAllowed) as caught:
        sent(b'{"type":"session.update"}', message)
    assert says in refused(caught)


def test_where_the_target_names_no_model_the_first_message_has_to() -> None:
    """Else the API would choose."""
    sent(b'{"setup":{"model":"models/o3"}}', b'{"realtimeInput":{}}', target=b"/ws/Bidi")
    for first in (b'{"type":"session.update"}', b"\x00\x01", b'{"setup":{"model":"models/o4"}}'):
        with pytest.raises(ModelNotAllowed):
            sent(first, b'{"setup":{"model":"models/o3"}}', target=b"/ws/Bidi", is_text=first[:1] == b"{")


def test_each_response_that_is_asked_for_over_a_websocket_names_its_model() -> None:
    """As over HTTP; the query says nothing of it."""
    create = b'{"type":"response.create","model":"o3"}'
    sent(create, create, target=b"/responses")
    with pytest.raises(ModelNotAllowed) as caught:
        sent(create, b'{"type":"response.create"}', target=b"/responses?model=o3")
    assert "names none" in refused(caught)


@pytest.mark.parametrize("data", [b"\x00\x00\x01\x02", b"{\x00[\xff", b"[\xff\xfe", b"RIFF", bytes(range(256)) * 200])
def test_sound_names_no_model(data: bytes) -> None:
    """Though it may begin as JSON does."""
    sent(data, is_text=False)
    with pytest.raises(ModelNotAllowed):
        sent(b'{"model":"o4"}', is_text=False)


def test_a_query_that_cannot_be_read_is_refused() -> None:
    """It could name anything."""
    with pytest.raises(ModelNotAllowed) as caught:
        check_target(MODELS, b"/x", b"&".join([b"a=1"] * 10_001))
    assert "the query of this request cannot be read" in refused(caught)


def test_a_model_is_allowed_with_the_prefix_that_some_apis_give_it() -> None:
    """``models/`` is no part of a name; other folders are."""
    checked(b'{"model": "models/o3"}', JSON)
    with pytest.raises(ModelNotAllowed):
        checked(b'{"model": "tuned/o3"}', JSON)
    check_body(("models/*",), (b"POST", CHAT, b"", [JSON]), b'{"model": "models/any"}')


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b'{"model": "gpt-4.1-mini", "messages": []}', (JSON,)),
        (b'{"model": "o3"}', ()),
        (b"model=o3&n=1", ((b"X-Own", b"1"), FORM)),
    ],
)
def test_a_body_that_names_allowed_models_passes(body: bytes, headers: tuple[tuple[bytes, bytes], ...]) -> None:
    """As the kind that its Content-Type says, or JSON where it looks like that."""
    checked(body, *headers)


@pytest.mark.parametrize(
    ("body", "headers", "says"),
    [
        (b'{"model": "o4"}', (JSON,), "may not use the model o4."),
        (b"model=o4", (FORM,), "may not use the model o4."),
        (b"model=o4", ((b"X-Own", b"text/plain"), FORM), "may not use the model o4."),
        (b'{"model": "o3"', (JSON,), "the body of this request cannot be read: it is no JSON"),
        (b'{"model": "o3"}', (JSON, FORM), "two Content-Types"),
        (b'{"model": "o3"}', (JSON, (b"Content-Encoding", b"gzip")), "Content-Encoding"),
    ],
)
def test_a_body_that_names_another_model_or_hides_it_is_refused(
    body: bytes, headers: tuple[tuple[bytes, bytes], ...], says: str
) -> None:
    """In words that say what to do."""
    with pytest.raises(ModelNotAllowed) as caught:
        checked(body, *headers)
    assert says in refused(caught)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("m" * 100, "m" * 100),
        ("m" * 101, "that it names"),
        ("a\u202eb", "that it names"),
    ],
)
def test_a_name_is_repeated_where_it_can_be_read(name: str, shown: str) -> None:
    """A long one, or one with signs that are not seen, would fill or turn around whatever shows it."""
    with pytest.raises(ModelNotAllowed) as caught:
        checked(json.dumps({"model": name}).encode(), JSON)
    assert f"may not use the model {shown}. It may use" in refused(caught)


ASKS = [
    b"/completions", b"/v1/chat/completions/", b"/responses", b"/embeddings", b"/images/edits", b"/audio/speech",
    b"/audio/transcriptions", b"/audio/translations", b"/moderations", b"/v1/messages", b"/videos", b"/V1/Rerank",
]  # fmt: skip


@pytest.mark.parametrize("path", ASKS)
def test_a_request_that_leaves_the_choice_of_the_model_to_the_api_is_refused(path: bytes) -> None:
    """It would choose any."""
    with pytest.raises(ModelNotAllowed) as caught:
        checked(b'{"n": 1}', JSON, target=path)
    assert "names none" in refused(caught)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        (b"GET", CHAT),
        (b"POST", b"/v1/files"),
        (b"POST", b"/v1/responses/resp_1/cancel"),
        (b"POST", b"/v1/chat/completions?model=o3"),
        (b"POST", b"/deployments/o3/chat/completions"),
    ],
)
def test_a_request_that_asks_no_model_or_names_it_elsewhere_passes(method: bytes, target: bytes) -> None:
    """The path or query counts as much as the body."""
    checked(b'{"n": 1}', JSON, method=method, target=target)


def test_a_body_too_large_to_be_read_is_refused_with_its_bound() -> None:
    """In MiB."""
    with pytest.raises(ModelNotAllowed) as caught:
        raise too_large(MODELS)
    assert "larger than the 16 MiB" in refused(caught)


@pytest.mark.parametrize(
    ("method", "path", "is_list"),
    [
        (b"GET", b"/v1/models", True),
        (b"GET", b"/Models/", True),
        (b"POST", b"/v1/models", False),
        (b"GET", b"/v1/models/o3", False),
        (b"GET", b"/v1/supermodels", False),
        (b"GET", b"/models/x", False),
        (b"GET", b"/modelsX", False),
    ],
)
def test_what_an_apis_list_of_models_is(method: bytes, path: bytes, *, is_list: bool) -> None:
    """What is read at ``/models``, wherever that stands."""
    assert lists_models(method, path) is is_list


def cut(document: Any, headers: Headers = ()) -> Any:
    """A list as a key sees it."""
    return json.loads(only_allowed(MODELS, headers, json.dumps(document).encode()))


LISTS: dict[str, tuple[Any, Any]] = {
    "data": (
        {"object": "list", "data": [{"id": "o3"}, {"id": "o4"}, {"id": "gpt-4.1"}], "has_more": False},
        {"object": "list", "data": [{"id": "o3"}, {"id": "gpt-4.1"}], "has_more": False},
    ),
    "models with a prefix": (
        {"models": [{"name": "models/o3", "n": 1}, {"name": "models/o4"}]},
        {"models": [{"name": "models/o3", "n": 1}]},
    ),
    "the first that is a list": ({"data": {}, "models": ["o4", "o3"]}, {"data": {}, "models": ["o3"]}),
    "names alone": (["o3", "o4"], ["o3"]),
    "members called model": ([{"model": "o3"}, {"model": "o4"}], [{"model": "o3"}]),
    "an id before a name": ([{"id": "o4", "name": "o3"}, {"name": "o4", "id": "o3"}], [{"name": "o4", "id": "o3"}]),
    "what has no name": ([{"n": 1}, {"id": 3}, {"id": None}, 3, None, ["o3"], {}], []),
    "nothing": ({"data": []}, {"data": []}),
}


@pytest.mark.parametrize(("document", "kept"), LISTS.values(), ids=LISTS)
def test_a_list_is_cut_down_to_what_its_key_may_use(document: Any, kept: Any) -> None:
    """What stands beside it stays; what cannot be told to be allowed is left out."""
    assert cut(document) == kept


def test_a_list_is_read_whatever_its_coding() -> None:
    """It is passed on without one."""
    coded = gzip.compress(json.dumps(["o3", "o4"]).encode())
    assert json.loads(only_allowed(MODELS, [(b"Content-Encoding", b"gzip")], coded)) == ["o3"]


@pytest.mark.parametrize("body", [b"", b"{", b'"o3"', b"3", b"{}", b'{"data": {"id": "o3"}}', b'{"items": ["o3"]}'])
def test_a_list_that_is_none_is_not_passed_on(body: bytes) -> None:
    """It could name models that the key may not know of."""
    with pytest.raises(UpstreamProtocolError):
        only_allowed(MODELS, (), body)


@pytest.mark.parametrize(("size", "fits"), [(LIST_MOST, True), (LIST_MOST + 1, False)])
def test_a_coded_list_may_become_as_large_as_one_that_is_not(size: int, *, fits: bool) -> None:
    """4 MiB."""
    space = random.Random(1).choices(b" \n", k=size - 6)  # packed eight times at most, as real lists are
    coded = gzip.compress(b'["o3"]' + bytes(space), compresslevel=1)
    headers = [(b"Content-Encoding", b"gzip")]
    if fits:
        assert only_allowed(MODELS, headers, coded) == b'["o3"]'
    else:
        with pytest.raises(UpstreamError):
            only_allowed(MODELS, headers, coded)
