"""Ends that no definition names: what events say of them by themselves, and what a connection's end can tell."""

from typing import Any

import orjson
import pytest

from tests.unit.dataplane.streams.reading import failure, read
from tests.unit.dataplane.streams.test_stream_detection import sse
from tieline.dataplane.answers.streams import Done, Event, StreamReader, detect
from tieline.dataplane.answers.streams.marks import EndMarks
from tieline.definitions.model import Spot, Stream


def tokens(*values: Any) -> list[bytes]:
    """An event of each value."""
    return [sse(value) for value in values]


def output(text: str, reason: str) -> dict[str, Any]:
    """An event of DashScope."""
    return {"output": {"choices": [{"message": {"content": text}, "finish_reason": reason}]}}


ENDED: dict[str, tuple[Spot, list[bytes]]] = {
    "Text Generation Inference": (Spot("token.text"), tokens(
        {"index": 1, "token": {"text": "Hi"}, "generated_text": None, "details": None},
        {"index": 2, "token": {"text": "!"}, "generated_text": "Hi!", "details": {"finish_reason": "length"}})),
    "DashScope": (Spot("output.choices[0].message.content"), tokens(output("Hi", "null"), output("!", "stop"))),
    "watsonx.ai": (Spot("results[0].generated_text"), tokens(
        {"results": [{"generated_text": "Hi", "stop_reason": "not_finished"}]},
        {"results": [{"generated_text": "!", "stop_reason": "eos_token"}]})),
    "ElevenLabs": (Spot("text"), tokens({"text": "Hi", "isFinal": None}, {"text": "!", "isFinal": True})),
}  # fmt: skip


@pytest.mark.parametrize("name", ENDED)
def test_a_polite_cut_is_known_by_what_the_events_say(name: str) -> None:
    """Between two events, and with no mark in the definition."""
    text, (first, second) = ENDED[name]
    whole = read(Stream(text=text), first, second)[-1]
    assert isinstance(whole, Done)
    assert whole.text == "Hi!"
    code, words = failure(read(Stream(text=text), first))
    assert code == "upstream_protocol_error"
    assert "said that it is over" in words


def test_a_mark_that_is_named_may_be_not_set_in_words() -> None:
    """DashScope writes "null", and not null."""
    text, events = ENDED["DashScope"]
    named = Stream(text=text, done=Spot("output.choices[0].finish_reason"))
    done = read(named, *events)[-1]
    assert isinstance(done, Done)
    assert done.text == "Hi!"


def test_streams_that_say_nothing_of_their_end_are_believed() -> None:
    """As are lists of things that are done or not, and a mark that was set once."""
    for values in (({"n": 1}, {"n": 2}), ({"done": False}, {"completed": False}),
                   ({"is_final": True}, {"is_final": False})):  # fmt: skip
        assert isinstance(read(Stream("ndjson"), *(orjson.dumps(each) + b"\n" for each in values))[-1], Done)


@pytest.mark.parametrize(
    ("stream", "data", "sure"),
    [(Stream(), sse({"a": 1}), False), (Stream("text"), b"Hi", False), (Stream("ndjson"), b'{"a":1}\n', False),
     (Stream("json_array"), b"[1]", True), (Stream(), b"data: [DONE]\n\n", True),
     (Stream(), sse({"finish_reason": None}, {"finish_reason": "stop"}), True)],
)  # fmt: skip
def test_the_end_of_a_connection_alone_is_no_sure_end(stream: Stream, data: bytes, sure: bool) -> None:
    """Where events or brackets say that it is over, it is."""
    reader = StreamReader(stream)
    done = [*reader.feed(data), *reader.finish(sure=False)][-1]
    assert isinstance(done, Done)
    assert done.sure is sure


def test_marks_are_looked_for_in_the_beginning_and_not_too_deep() -> None:
    """So that a long stream costs little."""
    marks = EndMarks()
    for _ in range(16):
        marks.note({"a": 1})
    marks.note({"finish_reason": None})
    deep = EndMarks()
    deep.note({"a": {"b": {"c": {"d": {"e": {"finish_reason": None}}}}}})
    deep.note("text")
    assert (marks.waiting, deep.waiting) == (None, None)


QUOTED = b'event: data\ndata: "Hi"\n\nevent: data\ndata: " \\"you\\""\n\nevent: end\ndata:\n\n'


def test_text_in_quotes_is_read_where_all_of_it_is_quoted() -> None:
    """LangServe; the last event is the mark, without which the stream is not whole."""
    learned = detect(QUOTED, "text/event-stream")
    assert learned.text == Spot("$", "data", parse=True)
    done = read(learned, QUOTED)[-1]
    assert isinstance(done, Done)
    assert done.text == 'Hi "you"'
    assert failure(read(learned, QUOTED[: QUOTED.index(b"event: end")]))[0] == "upstream_protocol_error"
    assert detect(b'data: "Hi"\n\ndata: you\n\n').text == Spot("$")


def test_text_in_quotes_that_is_none_stays_as_it_is() -> None:
    """Numbers and broken quotes too."""
    found = read(Stream(text=Spot("$", parse=True)), b'data: 12\n\ndata: "Hi\n\ndata: "you"\n\n')[-1]
    assert isinstance(found, Done)
    assert found.text == '12"Hiyou'


def test_text_under_data_is_found_where_the_event_is_a_piece() -> None:
    """Flowise; its metadata is no text."""
    values = ({"event": "start", "data": ""}, {"event": "token", "data": "Hi"}, {"event": "metadata", "data": {"a": 1}},
              {"event": "end", "data": "[DONE]"})  # fmt: skip
    sample = b"".join(b"message:\n" + sse(value) for value in values)
    learned = detect(sample, "text/event-stream")
    assert (learned.text, learned.done) == (Spot("data", "token"), Spot("$", "end"))
    found = read(learned, sample)
    assert isinstance(found[-1], Done)
    assert found[-1].text == "Hi"
    assert Event("metadata", {"data": {"a": 1}, "event": "metadata"}) in found


def test_usage_is_found_by_what_it_counts() -> None:
    """Cohere's first version tells it as tokens, beside what it bills."""
    counts = {
        "billed_units": {"input_tokens": 5, "output_tokens": 1},
        "tokens": {"input_tokens": 70, "output_tokens": 2},
    }
    sample = b"".join(orjson.dumps(each) + b"\n" for each in (
        {"event_type": "text-generation", "text": "Hi"},
        {"event_type": "stream-end", "is_finished": True, "response": {"meta": {"tokens": counts["tokens"], **counts}}},
    ))  # fmt: skip
    done = read(detect(sample, "application/stream+json"), sample)[-1]
    assert isinstance(done, Done)
    assert done.usage == {"input": 70, "output": 2}


ERRORS: list[tuple[dict[str, Any], str]] = [
    ({"errors": [{"code": "token_quota_reached", "message": "Quota reached"}], "trace": "e1", "status_code": 403},
     "Quota reached (token_quota_reached)"),
    ({"detail": {"status": "quota_exceeded", "message": "This request exceeds your quota"}}, "exceeds your quota"),
    ({"message": "You have insufficient quota", "error": "quota_exceeded", "code": 1008}, "insufficient quota"),
]  # fmt: skip


@pytest.mark.parametrize(("event", "says"), ERRORS)
def test_an_error_in_mid_stream_is_known_by_holding_nothing_else(event: dict[str, Any], says: str) -> None:
    """watsonx.ai and ElevenLabs, as an event of any name."""
    for name in ("", "message", "error"):
        code, words = failure(read(Stream(text=Spot("text")), sse({"text": "Hi"}) + sse(event, name=name)))
        assert code == "upstream_error"
        assert says in words


@pytest.mark.parametrize(
    "event", [{"message": "Hi", "error": None, "code": 0}, {"detail": "Loading"}, {"message": "Hi", "error": "e"},
              {"code": 1, "errors": []}, {"id": 1, "errors": ["e"], "status": 1}],
)  # fmt: skip
def test_what_only_looks_like_an_error_is_data(event: dict[str, Any]) -> None:
    """Lines of a log, and items with errors of their own."""
    found = read(Stream(), sse(event))
    assert isinstance(found[-1], Done)
    assert found[:-1]
