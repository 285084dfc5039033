"""Streamed answers: bytes of an upstream in, deltas, events and one end out, and these as the events of ``/call``.

Sans-IO: who feeds the bytes and sends the events decides about sockets, cancelling and back-pressure. What it means to
callers and definitions is in docs/streams.md.
"""

from tieline.dataplane.answers.streams.detection import detect
from tieline.dataplane.answers.streams.items import Delta, Done, Event, Failed, StreamItem
from tieline.dataplane.answers.streams.protocol import CONTENT_TYPE, encode
from tieline.dataplane.answers.streams.reader import StreamReader
from tieline.dataplane.answers.streams.shape import Shape, shape_of

__all__ = [
    "CONTENT_TYPE",
    "Delta",
    "Done",
    "Event",
    "Failed",
    "Shape",
    "StreamItem",
    "StreamReader",
    "detect",
    "encode",
    "shape_of",
]
