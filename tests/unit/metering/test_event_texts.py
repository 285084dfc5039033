"""Texts of a stream's events, which are counted for an estimate."""

from tieline.definitions.model import Usage
from tieline.metering.usage.reader import UsageReader

OPENAI = UsageReader(Usage("openai"))


def test_events_that_begin_alike_are_counted_as_each_alone_would_be() -> None:
    """Where the text begins is remembered; escapes, an earlier text and what was cut are looked for anew."""
    begin, word = b'data: {"model":"m","choices":[{"delta":{"content":"', b"x" * 40
    events = [
        begin + word + b'"}}]}\n\n',
        begin + word + b'","name":"y"}}]}\n\n',
        begin + b'\\"' + word + b'\\\\"}}]}\n\n',  # 44 bytes of text
        begin + b'"}}]}\n\n',
        b'data: {"model":"m","choices":[{"delta":{"reasoning_content":"' + word + b'","content":"no more"}}]}\n\n',
        begin + word + b"\n\n",  # has no end, so nothing is counted
    ]
    gathered = OPENAI.gather()
    gathered.value(None, {"model": "m"})
    assert all(gathered.passed(event) for event in events)
    reading = gathered.reading(ended=False)
    assert reading is not None
    assert reading.quantities == {"output_tokens": (40 + 40 + 44 + 0 + 40) // 4}


def test_sound_that_breaks_off_is_not_taken_for_text() -> None:
    """A second of it would count as thousands of tokens: what is said in it comes beside it as text."""
    sound = b'{"type":"response.output_audio.delta","event_id":"e","delta":"%b"}' % (b"QUJD" * 10_000)
    gathered = OPENAI.gather()
    gathered.event(None, sound)
    assert gathered.reading(ended=True) is None
    gathered.event(None, b'{"type":"response.output_audio_transcript.delta","delta":"a"}')
    gathered.event(None, sound)
    reading = gathered.reading(ended=True)
    assert reading is not None
    assert (reading.quantities, reading.estimated) == ({"output_tokens": 1}, True)


def test_an_event_full_of_values_is_not_read() -> None:
    """It is decoded on the loop, where others would wait for it; one with a large text is read."""
    gathered = OPENAI.gather()
    gathered.event(None, b'{"usage":{"total_tokens":1},"a":[' + b"[]," * 300_000 + b"1]}")
    reading = gathered.reading(ended=True)
    assert reading is not None
    assert reading.unread == {"an event that is too large"}
    gathered = OPENAI.gather()
    gathered.event(None, b'{"b64_json":"%b","usage":{"prompt_tokens":1,"completion_tokens":2}}' % (b"QUJD" * 200_000))
    reading = gathered.reading(ended=True)
    assert reading is not None
    assert reading.quantities == {"input_tokens": 1, "output_tokens": 2}
