"""What a response learns from answers: the type of an answer, streams, several answers at once."""

import json
from typing import Any

import pytest

from tieline.dataplane.answers.streams import Delta, Done, Event, StreamReader
from tieline.dataplane.answers.streams.recognition import recognise_stream
from tieline.definitions.infer.learning import AnswerSample, StreamSample, changes, learn, read_samples
from tieline.definitions.infer.media import kind_of_answer
from tieline.definitions.infer.samples import hide_secrets, keep_in
from tieline.definitions.infer.shape import shape
from tieline.definitions.infer.unreadable import UnreadableAnswer
from tieline.definitions.model import Field, Response, Stream, StreamEvent

PNG = b"\x89PNG\r\n\x1a\n\x00\x00"


def taught(before: Response, *bodies: bytes, anew: bool = False, **said: Any) -> Response:
    """What answers of these bodies teach."""
    samples = read_samples(before, [AnswerSample(body, **said) for body in bodies], anew=anew)
    return learn(before, samples, anew=anew)


def streamed(*events: tuple[str | None, Any], stream: Stream | None = None) -> AnswerSample:
    """An answer that was seen to be a stream."""
    return AnswerSample(b"", seen=StreamSample(stream or Stream(), events, ""))


@pytest.mark.parametrize(
    ("body", "content_type", "disposition", "kind"),
    [
        (b'{"a": 1}', "application/json; charset=utf-8", "", "json"),
        (b"\xef\xbb\xbf[1]", "application/vnd.api+json", "", "json"),
        (b'{"a": 1}', "application/vnd.github+json", 'attachment; filename="x.json"', "json"),
        (b'{"a": 1}', "text/plain", "", "json"),
        (b'{"a": ', "application/json", "", "text"),
        (b"7", "application/json", "", "number"),
        (b"false", "application/json", "", "boolean"),
        (b'"word"', "application/json", "", "json"),
        (b"-1.5e3\n", "text/plain", "", "number"),
        (b"TRUE", "", "", "boolean"),
        (b"yes", "", "", "text"),
        (b"<a/>", "application/xml", "", "xml"),
        (b"<rss version='2.0'><channel/></rss>", "text/plain", "", "xml"),
        (b"<p>x<br>y</p>", "", "", "text"),
        (b"<html><head/></html>", "", "", "text"),
        (b"a,b\n1,2\n", "text/csv", "", "csv"),
        (b"a\tb\n1\t2\n", "text/tab-separated-values", "", "csv"),
        (b"Dear Ann, hello\nand good, bye\n", "text/plain", "", "text"),
        (b"one line, only", "text/plain", "", "text"),
        (b"name,age\nAnn,7\n", "application/octet-stream", "", "csv"),
        (b"name,age\nAnn,7\n", "text/plain", "attachment; filename=x", "file"),
        (PNG, "", "", "image"),
        (PNG, "application/octet-stream", "", "image"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "", "", "image"),
        (b"\xff\xd8\xff\xe0", "image/jpeg", "", "image"),
        (b"%PDF-1.7", "", "", "file"),
        (b"PK\x03\x04", "application/vnd.ms-excel", "", "file"),
        (b"\x00\x01\xff", "", "", "file"),
        (b"text", "audio/mpeg", "", "file"),
        (b"\xe9t\xe9", "text/plain; charset=iso-8859-1", "", "text"),
        (b" \r\n", "text/html", "", "empty"),
        (b'{"total": 1}', "text/html", "", "json"),
        (b'[{"id": 1}]', "text/html; charset=utf-8", "", "json"),
        (b"<?xml version='1.0'?><a><b>1</b></a>", "text/html", "", "xml"),
        (b"<html><body>5</body></html>", "text/html", "", "text"),
        (b"5", "text/html", "", "text"),
        (b"{not json}", "text/css", "", "text"),
        (b"key: value\n", "application/yaml", "", "text"),
    ],
)
def test_the_type_of_an_answer(body: bytes, content_type: str, disposition: str, kind: str) -> None:
    """The media type where the content bears it out, else what the content looks like."""
    assert kind_of_answer(body, content_type, disposition) == kind


def test_an_empty_answer_beside_others_says_nothing() -> None:
    """Of an answer and an empty one, the answer counts; the empty one alone is of type empty."""
    assert taught(Response(), b"", b'{"a": 1}').fields == (Field("a", "integer", sample=1),)
    assert taught(Response(), b"", b" ").type == "empty"
    known = Response(fields=(Field("a", "text"),))
    with pytest.raises(UnreadableAnswer, match="empty"):
        taught(known, b"")
    assert taught(known, b"", anew=True).type == "empty"


def test_several_xml_answers_agree_on_lists() -> None:
    """One element in one answer and two in another are a list."""
    found = taught(Response(), b"<r><i>1</i></r>", b"<r><i>1</i><i>2</i></r>")
    assert {one.path: one.list for one in found.fields} == {"r": False, "r.i": True}


def test_a_type_that_was_chosen_stays_and_its_settings_too() -> None:
    """Text stays text although the answer is JSON; captured headers stay whatever is learned."""
    before = Response("text", capture_headers=("etag",))
    assert taught(before, b'{"a": 1}') == before
    found = taught(before, b'{"a": 1}', anew=True)
    assert (found.type, found.capture_headers) == ("json", ("etag",))


def test_answers_that_are_not_utf8_cannot_be_read_as_text() -> None:
    """But for XML, whose declaration names the encoding."""
    with pytest.raises(UnreadableAnswer, match="not UTF-8"):
        taught(Response("csv"), b"a,b\n\xff,2\n")
    latin = '<?xml version="1.0" encoding="iso-8859-1"?><a>é</a>'.encode("latin-1")
    assert taught(Response(), latin).fields == (Field("a", "text", sample="é"),)


def test_events_are_typed_by_name() -> None:
    """Each name once, with what its events have together; a provider's preset needs none."""
    seen = streamed(("a", {"x": 1}), (None, {"y": "z"}), ("a", {"x": 1.5, "w": True}))
    stream = learn(Response(), read_samples(Response(), [seen])).stream
    assert stream is not None
    assert [(event.name, [(one.path, one.type) for one in event.fields]) for event in stream.events] == [
        ("a", [("x", "number"), ("w", "boolean")]),
        (None, [("y", "text")]),
    ]
    preset = Stream(preset="openai_chat")
    assert learn(Response(), read_samples(Response(), [streamed((None, {}), stream=preset)])).stream == preset


def test_a_shape_that_people_gave_stays() -> None:
    """Its events widen and no others are added; anew, what came is proposed."""
    before = Response("stream", stream=Stream("ndjson", end="STOP", events=(StreamEvent("a"),)))
    seen = streamed(("a", {"x": 1}), ("b", {"y": 2}))
    after = learn(before, read_samples(before, [seen]))
    assert after.stream is not None
    assert (after.stream.format, after.stream.end, [event.name for event in after.stream.events]) == (
        "ndjson", "STOP", ["a"],
    )  # fmt: skip
    assert [(each.event, each.difference.path, each.difference.kind) for each in changes(before, after)] == [
        ("a", "x", "new")
    ]
    renewed = learn(before, read_samples(before, [seen], anew=True), anew=True)
    assert renewed.stream is not None
    assert [event.name for event in renewed.stream.events] == ["a", "b"]


def test_samples_of_streams_are_kept_as_asked_for() -> None:
    """Those of events like those of fields; a person's own sample stays."""
    event = StreamEvent("a", (Field("x", "text", sample="hello"),))
    pinned = Field("id", "text", pinned=True, sample="mine")
    after = Response("stream", (pinned, Field("n", "integer", sample=5)), stream=Stream(events=(event,)))
    kept = keep_in(after, Response(fields=(pinned,)), "masked")
    assert [one.sample for one in kept.fields] == ["mine", 999]
    assert kept.stream is not None
    assert kept.stream.events[0].fields[0].sample == "x" * 8
    assert keep_in(after, Response(), "none").fields[0].sample is None


@pytest.mark.parametrize(
    ("path", "sample", "is_hidden"),
    [
        ("clientSecret", "abcdef", True),
        ("data[].api_key", "abcdef", True),
        ("tokens[].token", ["abc"], True),
        ("key", "mit", False),
        ("primary_key", "7", False),
        ("usage.total_token", 5, False),
        ("token_type", "Bearer", False),
        ("next_page_token", "CAUQAA", True),
        ("note", "sk-" + "notreal0123456789abcdef", True),
        ("note", "eyJhbGciOi" + "JIUzI1NiJ9.eyJzdWIiOiIxIn0.x", True),
        ("note", "a-b-c", False),
    ],
)
def test_a_sample_of_a_secret_is_masked(path: str, sample: Any, is_hidden: bool) -> None:
    """By the name it stands under, or by its look."""
    (found,) = hide_secrets([Field(path, "text", sample=sample)])
    assert (found.sample != sample) == is_hidden


def test_learning_twice_is_learning_once() -> None:
    """The same answer again changes nothing."""
    body = json.dumps({"a": [1, 2.5], "b": {"c": None}, "d": '{"e": 1}'}).encode()
    once = taught(Response(), body)
    assert taught(once, body) == once
    assert changes(once, taught(once, body)) == ()


def test_a_learned_stream_hands_out_everything_once() -> None:
    """Objects are not there at each level again, nor the text beside its delta: less comes out than came in."""
    events: tuple[dict[str, Any], ...] = (
        {"type": "start", "message": {"id": "m", "model": {"name": "x", "limits": {"tokens": 9}}}},
        {"type": "text-delta", "id": "t", "delta": "The tides rise "},
        {"type": "text-delta", "id": "t", "delta": "and fall."},
        {"type": "message-end", "usage": {"input": {"tokens": 3}, "output": {"tokens": 5}}},
    )
    body = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
    seen = recognise_stream(body, "text/event-stream")
    assert seen is not None
    learned = learn(Response(), read_samples(Response(), [AnswerSample(body, seen=seen)])).stream
    assert learned is not None
    assert [event.name for event in learned.events] == ["start", "text-delta", "message-end"]
    reader = StreamReader(learned)
    items = reader.feed(body) + reader.finish()
    assert items == [
        Event("start", {**events[0]}),
        Delta("The tides rise "),
        Event("text-delta", {"id": "t"}),
        Delta("and fall."),
        Event("message-end", {**events[3]}),
        Done("The tides rise and fall.", {}, events[3]["usage"]),
    ]


def test_what_a_sample_had_not_is_handed_out_by_the_call_that_learned_from_it() -> None:
    """Languages of a repository: two were seen, another one comes."""
    learned = taught(Response(), b'{"C": 78769, "Python": 7769}')
    assert shape({"Rust": 1}, learned.fields, learned.unknown) == {"Rust": 1}
    again = taught(learned, b'{"Rust": 1}')
    assert [(one.path, one.type) for one in again.fields] == [("$", "map"), ("*", "integer")]
