"""Answers that are sent piece by piece: at a pace, with a breakage midway, and stopped when the client leaves."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tieline.sandbox.refusal import transport_of
from tieline.sandbox.stats import Stats

DONE = b"data: [DONE]\n\n"
Noted = Mapping[str, Any]
_BROKEN_EVENT = b'data: {"id":"sandbox","object":\n\n'


class Pace(Protocol):
    """What a stream has to know of its course."""

    @property
    def pause(self) -> float:
        """Seconds before each piece."""
        ...

    @property
    def breakage(self) -> str | None:
        """``stall``, ``cut`` or ``malformed`` after half of the pieces, or None."""
        ...


def event(data: Mapping[str, Any], *, named: bool = False) -> bytes:
    """One server-sent event; ``named`` gives it its data's ``type`` as event name."""
    name = b"event: " + str(data["type"]).encode() + b"\n" if named else b""
    return name + b"data: " + orjson.dumps(data) + b"\n\n"


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _drop(scope: Scope) -> None:
    """Close the connection as it is; under another server than the sandbox's own, fail so that it closes it."""
    transport = transport_of(scope)
    if transport is None:
        raise ConnectionAbortedError
    transport.close()
    await asyncio.Event().wait()


class Stream(Response):
    """Sends ``pieces`` one by one at ``pace``; when the client leaves, no further piece is made and that is counted.

    A piece may come with what is ``noted`` once it was sent, by name.
    """

    def __init__(
        self,
        pieces: Iterable[bytes] | Iterable[tuple[bytes, Noted]],
        pace: Pace,
        stats: Stats,
        *,
        media_type: str = "text/event-stream; charset=utf-8",
        noted: Callable[..., None] | None = None,
    ) -> None:
        super().__init__(media_type=media_type)
        del self.headers["content-length"]
        self.headers["cache-control"] = "no-cache"
        self._pieces = pieces
        self._noted = noted
        self._pace = pace
        self._stats = stats
        self._dropped = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._stats.streams += 1
        self._stats.open_streams += 1
        producer = asyncio.create_task(self._produce(scope, send))
        watcher = asyncio.create_task(_gone(receive))
        try:
            await asyncio.wait((producer, watcher), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._stats.open_streams -= 1
            if not producer.done() and not self._dropped:
                self._stats.cancelled_streams += 1
            producer.cancel()
            watcher.cancel()
            ended, _ = await asyncio.gather(producer, watcher, return_exceptions=True)
        if isinstance(ended, Exception):
            raise ended

    async def _produce(self, scope: Scope, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        pause = self._pace.pause
        for piece in await self._until_broken(scope, send):
            await asyncio.sleep(pause)
            await self._send(send, piece)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send(self, send: Send, piece: Any) -> None:
        body, note = piece if isinstance(piece, tuple) else (piece, None)
        await send({"type": "http.response.body", "body": body, "more_body": True})
        if note is not None and self._noted is not None:
            self._noted(**note)

    async def _until_broken(self, scope: Scope, send: Send) -> Iterable[Any]:
        """Send the first half up to the breakage; what is left to send where the stream goes on."""
        breakage = self._pace.breakage
        if breakage is None:
            return self._pieces
        pieces = list(self._pieces)
        half = max(1, len(pieces) // 2)
        for piece in pieces[:half]:
            await self._send(send, piece)
        if breakage == "malformed":
            return [_BROKEN_EVENT, *pieces[half:]]
        if breakage == "cut":
            self._dropped = True
            await _drop(scope)
        await asyncio.Event().wait()
        return ()


class BrokenBody(Response):
    """Says it has 1,000 bytes more than it sends, and then stalls or closes the connection."""

    def __init__(self, content: bytes, breakage: str, stats: Stats) -> None:
        super().__init__(content, media_type="application/json")
        self.headers["content-length"] = str(len(content) + 1_000)
        self._breakage = breakage
        self._stats = stats

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        if self._breakage == "cut":
            watcher = asyncio.create_task(_gone(receive))
            dropper = asyncio.create_task(_drop(scope))
            await asyncio.wait((watcher, dropper), return_when=asyncio.FIRST_COMPLETED)
            for task in (watcher, dropper):
                task.cancel()
            await asyncio.gather(watcher, dropper, return_exceptions=True)
        else:
            await _gone(receive)
            self._stats.cancelled_requests += 1
