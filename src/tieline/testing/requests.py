"""Requests without a socket: a client's connection that notes what is written to it, and requests that came over it."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from tieline.wire.proxies import TrustedProxies
from tieline.wire.request import Request


class FakeClient:
    """A ``ClientConnection`` in memory. ``written`` is what the client got; ``held`` the reasons to read no more."""

    def __init__(self, peer: str = "127.0.0.1") -> None:
        self.peer = peer
        self.proxies: TrustedProxies | None = None
        self.memo: object = None
        self.written = b""
        self.held: set[int] = set()
        self.ended = ""
        self.tasks: list[asyncio.Task[None]] = []

    def write(self, data: bytes) -> None:
        self.written += data

    def hold(self, reason: int) -> None:
        self.held.add(reason)

    def release(self, reason: int) -> None:
        self.held.discard(reason)

    def run(self, request: Request, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.append(task)
        return task

    def write_last(self, request: Request, data: bytes) -> None:
        self.written += data
        self.finished(request)

    def finished(self, request: Request) -> None:
        self.ended = "finished"

    def abort(self) -> None:
        self.ended = "aborted"

    def become_tunnel(self, request: Request, *, reads_frames: bool) -> bytes:
        return b""

    def close(self) -> None:
        self.ended = "closed"

    def request(
        self, method: bytes, target: bytes, *headers: tuple[bytes, bytes], noted: tuple[bytes, ...] = (), **fields: Any
    ) -> Request:
        """A request of this client, whole unless ``fields`` say otherwise; ``noted`` names what is looked out for."""
        request = Request(self, method, target, 1)
        request.headers = list(headers)
        request.noted = {name.lower(): value for name, value in headers if name.lower() in noted}
        request.complete = True
        for name, value in fields.items():
            setattr(request, name, value)
        return request
