"""Proposals for streams of no known provider, from the first bytes of an answer."""

from typing import Any

import orjson
import pytest

from tests.unit.dataplane.streams.reading import failure, read
from tieline.dataplane.answers.streams import Done, detect
from tieline.definitions.model import Spot, Stream


@pytest.mark.parametrize(
    ("sample", "media", "format"),
    [
        (b"", "text/event-stream; charset=utf-8", "sse"),
        (b"", "", "sse"),
        (b": hi\n\n", "", "sse"),
        (b"event: a\nda", "text/plain", "sse"),
        (b"data", "Text/Event-Stream", "sse"),
        (b"", "application/x-ndjson", "ndjson"),
        (b'{"a":1}\n{"a":2}\n{"a"', "application/json", "ndjson"),
        (b'{"a":1}\n', "text/plain", "ndjson"),
        (b"[1]\n[2]\n[3", "", "ndjson"),
        (b"", "application/json", "json_array"),
        (b'\xef\xbb\xbf [\n{"a":1', "application/json", "json_array"),
        (b'[{"a":1}]', "", "json_array"),
        (b'{"a":1}{"a":2}{"a', "application/json", "json_concatenated"),
        (b'{\n"a":1\n}{\n"a":2', "application/json", "json_concatenated"),
        (b"", "application/json-seq", "json_concatenated"),
        (b'\x1e{"a":1}\n\x1e{"a":2}\n', "", "json_concatenated"),
        (b"Once upon", "text/plain", "text"),
        (b"\xff\x00", "", "text"),
        (b'{"a":1}\n{"a":2}\n', "text/event-stream", "ndjson"),
        (b'data: {"a":1}\n\n', "application/x-ndjson", "sse"),
    ],
)
def test_the_format_is_told_by_media_type_and_looks(sample: bytes, media: str, format: str) -> None:
    """The media type first where it says it all and the first bytes do not say otherwise."""
    assert detect(sample, media).format == format


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        (b"data: Once\n\ndata:  upon\n\ndata: [DONE]\n\n", Stream(text=Spot("$"), end="[DONE]")),
        (b'event: token\ndata: Once\n\nevent: info\ndata: {"a":1}\n\n', Stream(text=Spot("$", "token"))),
        (
            b'data: {"type":"say","text":"Once"}\n\ndata: {"type":"meta","usage":{"n":1}}\n\ndata: {"type":"end"}\n\n',
            Stream(text=Spot("text", "say"), usage=Spot("usage", "meta"), done=Spot("$", "end")),
        ),
        (
            b'{"out":{"text":"Once","odd key":[{"token":"O"}]},"done":false}\n{"out":{"text":""},"done":true}\n',
            Stream("ndjson", text=Spot("out.text"), done=Spot("done")),
        ),
        (b'["Once"," upon"]', Stream("json_array", text=Spot("$"))),
        (
            b'[{"results":[{"odd key":{"answer":"Once"}}]},',
            Stream("json_array", text=Spot('results[0]."odd key".answer')),
        ),
        (b'{"id":1,"done":true}\n{"id":2,"done":true}\n', Stream("ndjson")),
        (b'{"id":1}\n{"id":', Stream("ndjson")),
        (b"data: \xff\n\n", Stream()),
        (b'{"a":' * 30 + b'{"text":"Once"}' + b"}" * 30, Stream("ndjson")),
        (
            (
                b'data: {"type":"reasoning-delta","delta":"Hm"}\n\ndata: {"type":"text-delta","delta":"Hi"}\n\n'
                b'data: {"type":"text-delta","delta":"!"}\n\ndata: {"type":"message-end"}\n\n'
            ),
            Stream(text=Spot("delta", "text-delta"), done=Spot("$", "message-end")),
        ),
        (
            (
                b'data: {"type":"transcript.text.delta","delta":"Hi"}\n\n'
                b'data: {"type":"transcript.text.done","text":"Hi"}\n\n'
            ),
            Stream(text=Spot("delta", "transcript.text.delta"), done=Spot("$", "transcript.text.done")),
        ),
        (
            b'event: speech.audio.delta\ndata: {"audio":"Z"}\n\nevent: speech.audio.done\ndata: {"usage":{"n":1}}\n\n',
            Stream(usage=Spot("usage", "speech.audio.done"), done=Spot("$", "speech.audio.done")),
        ),
        (
            (
                b'event: message.delta\ndata: {"content":"Hi"}\n\nevent: message.delta\ndata: {"content":"!"}\n\n'
                b'event: message.completed\ndata: {"content":"Hi!"}\n\n'
            ),
            Stream(text=Spot("content", "message.delta"), done=Spot("$", "message.completed")),
        ),
        (b'{"reasoning":{"text":"Hm"},"answer":"Hi"}\n{"answer":"!"}\n', Stream("ndjson", text=Spot("answer"))),
        (b'data: {"broken\n\n', Stream(text=Spot("$"))),
        (b'{"text":"Once"}\n{"broken\n{"text":', Stream("json_concatenated", text=Spot("text"))),
    ],
)
def test_text_usage_and_end_are_guessed_by_their_names(sample: bytes, expected: Stream) -> None:
    """What cannot be seen is left out."""
    assert detect(sample) == expected


def test_a_proposal_reads_its_sample() -> None:
    """The deltas of the sample are its text."""
    sample = b'data: {"chunk":"Once"}\n\ndata: {"chunk":" upon"}\n\ndata: [DONE]\n\n'
    assert read(detect(sample), sample)[-1] == Done("Once upon")


def test_a_preset_is_a_matter_of_format_too() -> None:
    """A provider's events in another framing are read by what is seen of them."""
    sample = b'{"object":"chat.completion.chunk","choices":[{"delta":{"content":"Hi"}}]}\n{"object":"x"}\n'
    assert detect(sample) == Stream("ndjson", text=Spot("choices[0].delta.content"))


def test_a_stream_that_is_cut_before_its_learned_end_is_an_error() -> None:
    """The sample's last event is the mark; without it the stream is not whole."""
    delta, end = b'data: {"type":"text-delta","delta":"Hi"}\n\n', b'data: {"type":"message-end"}\n\n'
    learned = detect(delta + end)
    assert isinstance(read(learned, delta, end)[-1], Done)
    assert failure(read(learned, delta))[0] == "upstream_protocol_error"


def sse(*values: dict[str, Any], name: str = "") -> bytes:
    """Events of these values, of this name where they have one."""
    return b"".join(
        [(f"event: {name}\n" if name else "").encode() + b"data: " + orjson.dumps(v) + b"\n\n" for v in values]
    )


_PIECE = {"delta": {"message": {"content": {"text": "Hi"}}}}
_COUNTS = {
    "billed_units": {"input_tokens": 5, "output_tokens": 10},
    "tokens": {"input_tokens": 15, "output_tokens": 10},
}
_ASSISTANT = {"delta": {"content": [{"index": 0, "type": "text", "text": {"value": "Hi"}}]}}
_DIFY_END = {"event": "message_end", "metadata": {"usage": {"prompt_tokens": 10, "completion_tokens": 2}}}
_COHERE_1 = ({"event_type": "text-generation", "text": "Hi"}, {"event_type": "stream-end", "is_finished": True})
NAMED_WITHIN: dict[str, tuple[bytes, dict[str, int] | None]] = {
    "dify": (sse({"event": "message", "answer": "Hi"}, _DIFY_END), {"input": 10, "output": 2}),
    "cohere, first version": (b"".join(orjson.dumps(each) + b"\n" for each in _COHERE_1), None),
    "cohere, second version": (
        sse(_PIECE, name="content-delta") + sse({"delta": {"usage": _COUNTS}}, name="message-end"),
        {"input": 15, "output": 10},
    ),
    "assistants": (
        sse(_ASSISTANT, name="thread.message.delta")
        + sse({}, name="thread.run.completed")
        + b"event: done\ndata: [DONE]\n\n",
        None,
    ),
}


@pytest.mark.parametrize("case", NAMED_WITHIN, ids=list(NAMED_WITHIN))
def test_text_usage_and_end_are_found_whatever_names_an_event(case: str) -> None:
    """By SSE or by a member of it; cut anywhere before the last event, the stream is not done."""
    sample, usage = NAMED_WITHIN[case]
    stream = detect(sample, "text/event-stream" if sample[:1] != b"{" else "application/stream+json")
    done = read(stream, sample)[-1]
    assert isinstance(done, Done)
    assert (done.text, done.usage) == ("Hi", usage)
    assert not [cut for cut in range(len(sample) - 2) if isinstance(read(stream, sample[:cut])[-1], Done)]


ERRORS: list[dict[str, Any]] = [
    {"event": "error", "status": 400, "message": "boom"},
    {"event": "error", "data": "boom"},
    {"type": "error", "errorText": "boom"},
    {"error": "boom", "error_type": "generation"},
]


@pytest.mark.parametrize("event", ERRORS)
def test_an_error_in_a_stream_is_known_by_its_members(event: dict[str, Any]) -> None:
    """As Dify, Flowise, the AI SDK and Text Generation Inference tell it, in no provider's preset."""
    code, words = failure(read(Stream("sse"), b'data: {"a": "b"}\n\ndata: ' + orjson.dumps(event) + b"\n\n"))
    assert code == "upstream_error"
    assert "boom" in words
