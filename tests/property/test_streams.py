"""Streams for arbitrary bytes and arbitrary cuts: a reader never raises, ends once, and does not see the cuts."""

from itertools import pairwise

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dataplane.streams.reading import RECORDINGS, comparable, read, read_all
from tieline.dataplane.answers.streams import Delta, Done, Event, Failed, StreamReader, detect, encode
from tieline.dataplane.answers.streams.sse import SseDecoder
from tieline.definitions.model import Spot, Stream
from tieline.definitions.responses import STREAM_FORMATS, STREAM_PRESETS

STREAMS = [
    *(Stream(framing) for framing in STREAM_FORMATS),
    *(Stream(framing, text=Spot("$")) for framing in STREAM_FORMATS),
    *(Stream(framing, text=Spot("[].a"), done=Spot("z"), error=Spot("e")) for framing in STREAM_FORMATS),
    *(Stream(preset=preset) for preset in STREAM_PRESETS),
]
TOKENS = [
    b"data:", b"data: ", b"event: ", b"id: ", b"retry: 1", b": ", b"\n", b"\r", b"\r\n", b"\n\n", b"\xef\xbb\xbf",
    b"[DONE]",
    b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b"\\u00e9", b"\\ud83c", b"\xc3", b"\xa9", b"\0", b"\x1e",
    b" ", b"1", b"null",
    b'{"a":1}', b'"a"', b'"type":"x"', b'"error"', b'{"z":true}', b'{"choices":[{"delta":{"content":"a"}}]}',
    b'{"message":{"content":"a"},"done":true}', b'{"candidates":[{"content":{"parts":[{"text":"a"}]}}]}',
    b"error", b"message_stop",
]  # fmt: skip
BYTES = st.one_of(st.binary(max_size=60), st.lists(st.sampled_from(TOKENS), max_size=25).map(b"".join))
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
CUTS = st.lists(st.integers(0, 400), max_size=12)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """``data`` cut at the places ``cuts``."""
    places = [0, *sorted(min(place, len(data)) for place in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(places)]


def joined(items: list[object]) -> list[object]:
    """Neighbouring deltas as one: plain text has no borders but those of the bytes."""
    found: list[object] = []
    for item in items:
        last = found[-1] if found else None
        if isinstance(item, Delta) and isinstance(last, Delta):
            found[-1] = Delta(last.text + item.text)
        else:
            found.append(item)
    return found


@given(st.sampled_from(STREAMS), BYTES, CUTS)
def test_arbitrary_bytes_give_one_end_and_the_same_items_for_any_cut(
    stream: Stream, data: bytes, cuts: list[int]
) -> None:
    """Nothing raises; the last item, and no other, is the end; each item can be sent."""
    reader = StreamReader(stream)
    found = reader.feed(data) + reader.finish()
    assert [isinstance(item, Done | Failed) for item in found] == [False] * (len(found) - 1) + [True]
    assert reader.feed(data) + reader.finish() == []
    for item in found:
        (frame,) = SseDecoder().feed(encode(item))
        orjson.loads(frame.data)
    whole = joined([comparable(item) for item in found])
    assert joined(read_all(stream, pieces(data, cuts))) == whole


@given(st.sampled_from(sorted(RECORDINGS.iterdir())), CUTS, st.integers(0, 3000), BYTES)
def test_a_damaged_recording_reads_the_same_for_any_cut(
    path: object, cuts: list[int], place: int, damage: bytes
) -> None:
    """Real shapes with something odd in the middle."""
    data = path.read_bytes()  # type: ignore[attr-defined]
    stream = detect(data)
    data = data[:place] + damage + data[place + len(damage) :]
    assert read_all(stream, pieces(data, cuts)) == read(stream, data)


@given(BYTES, st.sampled_from(["", "text/event-stream", "application/json", "text/plain", "application/x-ndjson"]))
def test_detection_never_raises_and_its_proposal_can_read(data: bytes, media: str) -> None:
    """Whatever the sample is."""
    assert read(detect(data, media), data)


@pytest.mark.parametrize("framing", ["sse", "ndjson", "json_array", "json_concatenated"])
@given(values=st.lists(JSON.filter(lambda value: value != ""), max_size=5), cuts=CUTS)
def test_values_come_out_as_they_went_in(framing: str, values: list[object], cuts: list[int]) -> None:
    """Objects as they are, other values as ``data``, in every framing of JSON."""
    values = [
        value if isinstance(value, dict) and not value.keys() & {"error", "type"} else [value] for value in values
    ]
    texts = [orjson.dumps(value) for value in values]
    framed = {
        "sse": b"".join(b"data: " + text + b"\n\n" for text in texts),
        "ndjson": b"".join(text + b"\n" for text in texts),
        "json_array": b"[" + b",".join(texts) + b"]",
        "json_concatenated": b"".join(texts),
    }
    expected = [Event(None, value if isinstance(value, dict) else {"data": value}) for value in values]
    assert read_all(Stream(framing), pieces(framed[framing], cuts)) == [*expected, Done("")]


@given(st.lists(st.text(min_size=1), max_size=5), CUTS)
def test_text_comes_out_as_it_went_in(words: list[str], cuts: list[int]) -> None:
    """Any Unicode, through the encoder and back."""
    sent = b"".join(encode(Delta(word)) for word in words) + encode(Done("".join(words)))
    ours = Stream(text=Spot("text", "delta"), done=Spot("$", "done"))
    found = read_all(ours, pieces(sent, cuts))
    assert [item for item in found if isinstance(item, Delta)] == [Delta(word) for word in words]
    assert found[-1] == Done("".join(words))
