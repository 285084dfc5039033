"""The events that a stream call answers with (docs/streams.md): items as ``text/event-stream``. Knows no provider."""

from typing import Any, Final, assert_never

from tieline.dataplane.answers.json_parts import write_json_by_size
from tieline.dataplane.answers.streams.items import Delta, Done, Event, Failed, StreamItem
from tieline.wire import answers

CONTENT_TYPE: Final = b"text/event-stream; charset=utf-8"


def encode(item: StreamItem, request_id: str = "") -> bytes:
    """One event. ``request_id`` is told in an error, which has the shape of every error of Tieline's (contract §4)."""
    if isinstance(item, Delta):
        return b'event: delta\ndata: {"text":' + write_json_by_size(item.text, len(item.text)) + b"}\n\n"
    if isinstance(item, Event):
        return _event(b"event", {"name": item.name, "fields": item.fields}, item.size)
    if isinstance(item, Done):
        whole = {"text": item.text, "fields": item.fields, "usage": item.usage}
        marks = ({"cut": True} if item.cut else {}) | ({} if item.sure else {"sure": False})
        return _event(b"done", whole | marks, item.size)
    if isinstance(item, Failed):
        return b"event: error\ndata: " + answers.error_body(item.error, request_id) + b"\n\n"
    assert_never(item)


def _event(name: bytes, data: dict[str, Any], size: int) -> bytes:
    return b"event: " + name + b"\ndata: " + write_json_by_size(data, size) + b"\n\n"
