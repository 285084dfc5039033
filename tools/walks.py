"""Counts how a request walks through the modules of one worker: ``python tools/walks.py``.

Four walks are taken in one process, over loopback and a store in memory: a relayed request whose key is unknown, the
same again on its connection (a memo hit), the first run of a call, and a later one. A profile hook notes the module of
every Python function of ``tieline`` that is called while the request is under way. A *crossing* is a call in another
module than the call before; a *return* is a crossing into a module that the walk had left already. A coroutine that
goes on after a wait is not called again.
"""

import asyncio
import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from tieline.testing.dataplane import MemorySource, serving
from tieline.testing.vault import memory_keyring

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n" + b'{"ok":true}'
RELAYED = b"GET /relay/api/thing HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %b\r\n\r\n"
CALLED = (
    b'POST /call/api/it HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %b\r\nContent-Length: 7\r\n\r\n{"n":1}'
)


@dataclass
class Walk:
    """The modules of the calls of one request, in order, and how many calls there were."""

    modules: list[str] = field(default_factory=list)
    calls: int = 0
    _frames: set[FrameType] = field(default_factory=set)

    def note(self, frame: FrameType, event: str, _argument: Any) -> None:
        """The profile hook."""
        module = frame.f_globals.get("__name__", "")
        if event == "call" and module.startswith("tieline.") and not module.startswith("tieline.testing"):
            if frame in self._frames:
                return
            if frame.f_code.co_flags & inspect.CO_COROUTINE:
                self._frames.add(frame)
            self.calls += 1
            if not self.modules or self.modules[-1] != module:
                self.modules.append(module)

    @property
    def row(self) -> tuple[int, int, int, int]:
        """Modules entered, crossings, returns, calls."""
        entered, crossings = len(set(self.modules)), len(self.modules) - 1
        return entered, crossings, crossings - entered + 1, self.calls


@contextmanager
def walking() -> Iterator[Walk]:
    """Note the calls of this block."""
    walk = Walk()
    sys.setprofile(walk.note)
    try:
        yield walk
    finally:
        sys.setprofile(None)


def _length(head: bytes) -> int:
    return next((int(line[15:]) for line in head.lower().split(b"\r\n") if line[:15] == b"content-length:"), 0)


async def _upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                (int(line[15:]) for line in head.lower().split(b"\r\n") if line[:15] == b"content-length:"), 0
            )
            await reader.readexactly(length)
            writer.write(ANSWER)
    except (asyncio.IncompleteReadError, asyncio.CancelledError):
        writer.close()


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, message: bytes) -> Walk:
    with walking() as walk:
        writer.write(message)
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(_length(head))
        await asyncio.sleep(0.01)  # what is done after the answer was written belongs to the walk
    if not head.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"unexpected answer: {head!r}")
    return walk


async def walks() -> dict[str, Walk]:
    """The four walks by name."""
    server = await asyncio.start_server(_upstream, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    source = MemorySource(await memory_keyring())
    source.put_api(
        {
            "tieline": "v1",
            "api": "api",
            "base_url": f"http://127.0.0.1:{port}/v1",
            "auth": {"scheme": "bearer"},
            "calls": {
                "it": {
                    "method": "POST",
                    "path": "/thing",
                    "body": {"type": "json", "template": '{"n": <n>}'},
                    "parameters": {"n": {"in": "body", "type": "number"}},
                    "use_as": "action",
                    "response": {"type": "json"},
                }
            },
        }
    )
    source.put_credential("api", {"key": "a-key-of-the-provider"})
    found: dict[str, Walk] = {}
    async with serving(source) as worker:
        key = source.put_key("api").encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", worker.port)
        await worker.caught_up()
        found["relay, unknown key"] = await _ask(reader, writer, RELAYED % key)
        await _ask(reader, writer, RELAYED % key)
        found["relay, memo hit"] = await _ask(reader, writer, RELAYED % key)
        found["call, first run"] = await _ask(reader, writer, CALLED % key)
        found["call, repeated"] = await _ask(reader, writer, CALLED % key)
        writer.close()
    server.close()
    return found


def main() -> None:
    """Print a line for each walk; with ``-v`` the modules too, in the order they were called."""
    print(f"{'walk':20} {'modules':>8} {'crossings':>10} {'returns':>8} {'calls':>6}")
    for name, walk in asyncio.run(walks()).items():
        print(f"{name:20} {walk.row[0]:8} {walk.row[1]:10} {walk.row[2]:8} {walk.row[3]:6}")
        if "-v" in sys.argv:
            print("   " + " > ".join(module.removeprefix("tieline.") for module in walk.modules))


if __name__ == "__main__":
    main()
