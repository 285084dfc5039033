"""Usage read of an answer's bytes as they pass, however they are cut and coded."""

import gzip
import json
from typing import Any

import pytest

from tieline.dataplane.answers.usage_listener import GATHERED_MOST, UsageListener, without_usage_chunk
from tieline.definitions.model import Usage, UsageSpot
from tieline.metering.reading import UsageReading
from tieline.metering.usage.reader import UsageReader

OPENAI = UsageReader(Usage("openai"))
USED = {"prompt_tokens": 10, "completion_tokens": 5}
COUNTS = {"input_tokens": 10, "output_tokens": 5}
SSE = b"text/event-stream; charset=utf-8"


def heard(
    body: bytes, kind: bytes = b"application/json", *, cut: int = 1000, ended: bool = True, coding: bytes = b""
) -> UsageReading | None:
    """What a body tells that comes in pieces of ``cut`` bytes."""
    fields = [(b"Content-Encoding", coding)] if coding else []
    listener = UsageListener(OPENAI, fields, kind, 40)
    for start in range(0, len(body), cut):
        listener.feed(body[start : start + cut])
    return listener.reading(ended=ended)


def answer(**more: Any) -> bytes:
    """A whole answer of a chat."""
    return json.dumps({"model": "gpt-5", "choices": [], **more, "usage": USED}).encode()


@pytest.mark.parametrize("cut", [1, 7, 1000])
@pytest.mark.parametrize("coded", [False, True])
def test_a_whole_answer_is_read_however_it_comes(cut: int, coded: bool) -> None:
    """Compressed too."""
    body = gzip.compress(answer()) if coded else answer()
    assert heard(body, cut=cut, coding=b"gzip" if coded else b"") == UsageReading("gpt-5", None, COUNTS)


@pytest.mark.parametrize("cut", [1, 7, 1000])
@pytest.mark.parametrize("coded", [False, True])
def test_a_stream_is_read_event_by_event(cut: int, coded: bool) -> None:
    """And what came of one that breaks off is estimated."""
    piece = b'data: {"model":"gpt-5","choices":[{"delta":{"content":"Hi"}}]}\n\n'
    end = b"data: " + answer() + b"\n\ndata: [DONE]\n\n"
    whole = gzip.compress(piece * 3 + end) if coded else piece * 3 + end
    assert heard(whole, SSE, cut=cut, coding=b"gzip" if coded else b"") == UsageReading("gpt-5", None, COUNTS)
    if not coded:
        broken = UsageReading("gpt-5", None, {"input_tokens": 10, "output_tokens": 3}, estimated=True)
        assert heard(piece * 3, SSE, cut=cut, ended=False) == broken


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n"])
@pytest.mark.parametrize("null", [b"", b',"usage":null', b',"usage": null'])
@pytest.mark.parametrize("cut", [0, 1, 50])
def test_events_that_tell_nothing_are_passed_over(end: bytes, null: bytes, cut: int) -> None:
    """They count for an estimate all the same: event by event as they are sent, or cut anywhere."""
    events = [b'data: {"model":"gpt-5","choices":[{"delta":{"content":"Hi"}}]%b}%b' % (null, end)] * 9
    told = [*events, b"data: " + answer() + end]
    for sent, ended, want in (
        (told, True, UsageReading("gpt-5", None, COUNTS)),
        (events, False, UsageReading("gpt-5", None, {"input_tokens": 10, "output_tokens": 9}, estimated=True)),
    ):
        whole = b"".join(sent)
        listener = UsageListener(OPENAI, (), SSE, 40)
        for piece in sent if not cut else [whole[at : at + cut] for at in range(0, len(whole), cut)]:
            listener.feed(piece)
        assert listener.reading(ended=ended) == want


def test_a_large_answer_is_read_where_providers_tell_usage() -> None:
    """At its end; texts that look like a member of usage have their quotes escaped."""
    large = answer(data=["x" * (GATHERED_MOST * 2), '"usage":{"prompt_tokens":99}'])
    assert heard(large) == UsageReading("gpt-5", None, COUNTS)


@pytest.mark.parametrize(
    ("body", "unread"),
    [
        (b'{"data":"' + b"x" * GATHERED_MOST + b'"}', "an answer that is too large"),
        (b"<html>", "an answer that cannot be read"),
        (b'{"usage"', "an answer that cannot be read"),
    ],
)
def test_what_cannot_be_read_is_said(body: bytes, unread: str) -> None:
    """It is not taken for an answer that cost nothing."""
    assert heard(body) == UsageReading(None, None, {}, unread=frozenset({unread}))


def test_half_a_character_in_a_text_hides_no_usage() -> None:
    """Models that stop in the middle of one leave it."""
    body = b'{"model":"gpt-5","choices":[{"text":"\\ud83d"}],"usage":' + json.dumps(USED).encode() + b"}"
    assert heard(body) == UsageReading("gpt-5", None, COUNTS)


@pytest.mark.parametrize("coding", [b"br", b"gzip"])
def test_a_coding_that_cannot_be_undone_is_said(coding: bytes) -> None:
    """Unknown, or broken."""
    reading = heard(b"\x00\x01\x02", coding=coding)
    assert reading is not None
    assert reading.unread == {"an answer that cannot be read"}


def test_an_answer_of_bytes_tells_what_its_head_does() -> None:
    """Nothing of it is kept."""
    reader = UsageReader(Usage("declared", quantities={"characters": UsageSpot(header="character-cost")}))
    listener = UsageListener(reader, [(b"Character-Cost", b"12")], b"audio/mpeg", 0)
    listener.feed(b"\x00" * 1000)
    assert listener.reading(ended=True) == UsageReading(None, None, {"characters": 12})


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n"])
def test_the_chunk_of_usage_alone_is_taken_out(end: bytes) -> None:
    """Every other byte stays."""
    chunk = b'data: {"choices":[],"usage":{"prompt_tokens":1}}' + end
    content = b'data: {"choices":[{"delta":{"content":"\\"usage\\""}}],"usage":{}}'
    others = [each + end for each in (b": ping", content, b"data: [DONE]")]
    assert without_usage_chunk(b"".join([others[0], others[1], chunk, others[2]])) == b"".join(others)
    assert without_usage_chunk(b"data: half") == b"data: half"
