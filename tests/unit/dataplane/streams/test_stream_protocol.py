"""The events of /call: what callers are sent, and that it is a stream that we ourselves can read."""

import orjson
import pytest

from tests.unit.dataplane.streams.reading import failure, read
from tieline.dataplane.answers.streams import Delta, Done, Event, Failed, StreamItem, encode
from tieline.dataplane.answers.streams.frames import Frame
from tieline.dataplane.answers.streams.items import reported
from tieline.dataplane.answers.streams.sse import SseDecoder
from tieline.definitions.model import Spot, Stream

OURS = Stream(text=Spot("text", "delta"), usage=Spot("usage", "done"), done=Spot("$", "done"))


@pytest.mark.parametrize(
    ("item", "name", "data"),
    [
        (Delta('é"\n\0'), "delta", {"text": 'é"\n\0'}),
        (Event("step", {"no": 1}), "event", {"name": "step", "fields": {"no": 1}}),
        (Event(None, {}), "event", {"name": None, "fields": {}}),
        (
            Done("all", {"id": "i"}, {"input": 1, "output": 2}),
            "done",
            {"text": "all", "fields": {"id": "i"}, "usage": {"input": 1, "output": 2}},
        ),
        (Done("", cut=True), "done", {"text": "", "fields": {}, "usage": None, "cut": True}),
    ],
)
def test_each_item_is_one_event(item: StreamItem, name: str, data: object) -> None:
    """Its name says what it is, its data is one line of JSON."""
    (frame,) = SseDecoder().feed(encode(item))
    assert frame.name == name
    assert orjson.loads(frame.data) == data


def test_an_error_has_the_shape_of_every_error() -> None:
    """Contract, section 4."""
    (frame,) = SseDecoder().feed(encode(Failed(reported("Overloaded")), "req_7"))
    assert frame == Frame("error", frame.data)
    error = orjson.loads(frame.data)["error"]
    assert error.pop("message").startswith("The upstream stopped its stream with an error: Overloaded.")
    assert error == {"type": "tieline_error", "code": "upstream_error", "param": None, "request_id": "req_7"}


def test_what_we_send_can_be_read_as_a_stream() -> None:
    """Tieline behind Tieline."""
    sent = encode(Delta("a\n\nb")) + encode(Event("x", {"y": 1})) + encode(Done("a\n\nb", usage={"units": 1}))
    found = read(OURS, sent)
    assert (found[0], found[-1]) == (Delta("a\n\nb"), Done("a\n\nb", usage={"units": 1}))
    assert "Overloaded" in failure(read(OURS, encode(Failed(reported("Overloaded")))))[1]
