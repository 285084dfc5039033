"""What a request costs in instructions of the processor, feature by feature: ``python -m bench.instructions``.

Seconds depend on who else uses the machine, instructions do not. A worker stands in this process, between transports
that keep what is written: bytes of a client go in, what goes to the upstream comes out, and back, without a socket and,
for what is relayed, without a turn of the loop. Under callgrind (of valgrind) all of that is counted; what uvloop and
the kernel do to read and write is not, and is the same whatever is counted here.

``--seconds`` does without callgrind and tells microseconds: of many times each the one that a tenth were quicker than.
"""

import argparse
import asyncio
import math
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import uvloop

from bench.load.request import BODY
from bench.measures.call import DEFINITION, PARAMETERS
from bench.systems import floor
from bench.upstreams.answers import ANSWER
from tieline.ports.budgets import BudgetRow
from tieline.storage.recordfiles import DayFiles
from tieline.storage.records import fit
from tieline.testing.dataplane import MemorySource, Worker, serving
from tieline.testing.vault import memory_keyring
from tieline.wire.egress import EgressConnection
from tieline.wire.ingress import IngressConnection

LIMITS: Final = {"rates": [{"requests": 10**9, "per": "second"}], "concurrent": 10**6}
PRICES: Final = {
    "gpt-4.1": {
        "date": "2026-11-30",
        "source": "https://example.com/prices",
        "window": 1_000_000,
        "most_output": 1_000,
        "rates": {"input_tokens": {"usd": "2", "per": "1M"}, "output_tokens": {"usd": "8", "per": "1M"}},
    }
}
APIS: Final[dict[str, dict[str, Any]]] = {
    "plain": {},
    "metered": {"usage": {"kind": "openai"}},
    "priced": {"usage": {"kind": "openai"}, "prices": PRICES},
}
ROWS: Final[Sequence[tuple[str, str | None]]] = (
    ("bare prototype", None),
    ("relay, no record", "bare prototype"),
    ("relay", "relay, no record"),
    ("relay + limits", "relay"),
    ("relay + usage", "relay"),
    ("relay + usage + budget", "relay + usage"),
    ("relay, everything", "relay, no record"),
    ("a record written", None),
    ("stream event", None),
    ("stream event + usage", "stream event"),
    ("call", "relay"),
    ("call, everything", "call"),
)
"""What is counted, and the row that it is compared with."""

_TIMES: Final = 100
_TIMED: Final = 2000
_WARM: Final = 20
_TURNS_MOST: Final = 20
_MARK: Final = "getpgid"  # a C function that nothing else here calls: callgrind notes its sums at each call of it
_SUMS = re.compile(r"^(?:summary|totals): (\d+)", re.MULTILINE)
_HEAD = (
    "POST %s HTTP/1.1\r\nHost: 127.0.0.1:8600\r\nContent-Type: application/json\r\nAuthorization: Bearer %s\r\n"
    "Content-Length: %d\r\n\r\n"
)
_ANSWERED = (
    "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Mon, 30 Nov 2026 12:00:00 GMT\r\n"
    f"Content-Type: application/json\r\nContent-Length: {len(ANSWER)}\r\nConnection: keep-alive\r\n\r\n{ANSWER}"
).encode()
_STREAMED = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_EVENT = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"gpt-4.1","choices":'
    b'[{"index":0,"delta":{"content":" word"}}]}\n\n'
)
_CHUNK = b"%x\r\n%b\r\n" % (len(_EVENT), _EVENT)


class Kept(asyncio.Transport):
    """A transport that keeps what is written to it. ``sock`` stands for the other end, of which nothing comes."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__({"socket": sock, "peername": ("127.0.0.1", 40_000)})
        self.written = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keep ``data``, and nothing that came before."""
        self.written = bytes(data)

    def abort(self) -> None:
        """Nothing is open."""

    def close(self) -> None:
        """Nothing is open."""

    def pause_reading(self) -> None:
        """Nothing comes by itself."""

    def resume_reading(self) -> None:
        """Nothing comes by itself."""


@dataclass(frozen=True, slots=True)
class Ends:
    """The two connections of a relay and what is written to them."""

    client: asyncio.Protocol
    upstream: asyncio.Protocol
    to_client: Kept
    to_upstream: Kept

    def exchange(self, request: bytes) -> None:
        """A request and its answer, at once."""
        self.client.data_received(request)
        self.upstream.data_received(_ANSWERED)

    async def run(self, request: bytes) -> None:
        """The same for what takes turns of the loop."""
        self.to_upstream.written = b""
        self.client.data_received(request)
        await self.turns(self.to_upstream)
        self.to_client.written = b""
        self.upstream.data_received(_ANSWERED)
        await self.turns(self.to_client)

    async def turns(self, awaited: Kept) -> None:
        """Let the loop have its turns until something is written to ``awaited``."""
        for _ in range(_TURNS_MOST):
            if awaited.written:
                return
            await asyncio.sleep(0)
        raise SystemExit(f"nothing was written: {self.to_client.written[:500]!r}")

    def close(self) -> None:
        """Both other ends are gone."""
        self.client.connection_lost(None)
        self.upstream.connection_lost(None)

    def check(self) -> None:
        """Raises SystemExit where the last answer was none of the upstream's."""
        if not self.to_client.written.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"unexpected answer: {self.to_client.written[:500]!r}")


Step = Callable[[], Awaitable[None] | None]


class Stage:
    """A worker with an API for each feature, and what it is compared with. ``files`` are where records would go."""

    def __init__(self, worker: Worker, files: DayFiles, stack: ExitStack) -> None:
        self._worker = worker
        self._source = worker.source
        self._files = files
        self._stack = stack

    @asynccontextmanager
    async def ready(self, name: str) -> AsyncIterator[Step]:
        """What is done over and over for the row ``name``, a unit each time."""
        if name == "bare prototype":
            yield self._prototype()
        elif name == "a record written":
            yield await self._writing()
        else:
            async with self._served(name) as step:
                yield step

    def _prototype(self) -> Step:
        relay = floor.Relay(0, "tl_live_of_the_prototype")
        ends = Ends(floor.Client(relay), upstream := floor.Upstream(relay), self._kept(), self._kept())
        self._connect(ends)
        relay.idle.append(upstream)
        request = _request("/v1/chat/completions", "tl_live_of_the_prototype")
        ends.exchange(request)
        ends.check()
        return lambda: ends.exchange(request)

    async def _writing(self) -> Step:
        batch = 100
        async with self._served("relay") as step:
            for _ in range(batch):
                step()
        await self._worker.service.records.flush()
        records = self._source.records[-batch:]

        async def write() -> None:
            await self._files.add(records)

        return write

    @asynccontextmanager
    async def _served(self, name: str) -> AsyncIterator[Step]:
        everything, is_call = "everything" in name, name.startswith("call")
        budget = everything or "budget" in name
        api = "priced" if budget else "metered" if "usage" in name else "plain"
        key = self._source.put_key(api, limits=LIMITS if everything or "limits" in name else {})
        if budget:  # nobody knows beforehand what a call's template asks for: such a one is only warned of
            terms = {"applies_to": {"each": "key"}, "period": "total", "mode": "warn" if is_call else "hard"}
            self._source.put_budget(BudgetRow("bud_1", "all", 10**15, "usd", terms, datetime.now(UTC), "bench"))
        await self._worker.caught_up()
        ends = self._ends(api)
        path = f"/call/{api}/ask" if is_call else f"/relay/{api}/chat/completions"
        request = _request(path, key, PARAMETERS if is_call else BODY)
        await self._first(ends, request, with_call=is_call)
        self._worker.service.snapshot.fresh_until = math.inf  # nobody looks into the store while the loop stands still
        records = self._worker.service.records
        if "no record" in name:
            records.ended = lambda *_: None  # type: ignore[method-assign]
        try:
            if is_call:
                yield lambda: ends.run(request)
            elif name.startswith("stream"):
                ends.client.data_received(request)
                ends.upstream.data_received(_STREAMED + _CHUNK)
                yield lambda: ends.upstream.data_received(_CHUNK)
            else:
                yield lambda: ends.exchange(request)
                ends.check()
        finally:
            ends.close()
        if "no record" in name:
            del records.ended
        if budget:
            self._source.drop_budget("bud_1")
            await self._worker.caught_up()

    async def _first(self, ends: Ends, request: bytes, *, with_call: bool) -> None:
        """The first request of a key, which waits for the store and perhaps for its call."""
        ends.client.data_received(request)
        async with asyncio.timeout(60):
            while not ends.to_upstream.written:  # nobody tells when
                await asyncio.sleep(0.01)
                if ends.to_client.written:
                    ends.check()
        ends.to_client.written = b""
        ends.upstream.data_received(_ANSWERED)
        if with_call:
            await ends.turns(ends.to_client)
        ends.check()

    def _ends(self, api: str) -> Ends:
        lane = self._worker.service.snapshot.apis[api.encode()].plans["live"].lane
        assert lane is not None  # nothing is wrong with the API
        upstream = EgressConnection(lane)
        ends = Ends(IngressConnection(self._worker.service.listener), upstream, self._kept(), self._kept())
        self._connect(ends)
        lane.give(upstream)
        return ends

    def _connect(self, ends: Ends) -> None:
        ends.client.connection_made(ends.to_client)
        ends.upstream.connection_made(ends.to_upstream)

    def _kept(self) -> Kept:
        ours, theirs = socket.socketpair()
        self._stack.enter_context(theirs)
        return Kept(self._stack.enter_context(ours))


def _request(path: str, key: str, body: bytes = BODY) -> bytes:
    return (_HEAD % (path, key, len(body))).encode() + body


@asynccontextmanager
async def _stage() -> AsyncIterator[Stage]:
    source = MemorySource(await memory_keyring())
    for name, more in APIS.items():
        source.put_api({**DEFINITION, "api": name, "base_url": "http://127.0.0.1:9/v1", **more})
        source.put_credential(name, {"key": "a-key-of-the-provider"})
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        files = DayFiles(Path(folder), fit)
        async with serving(source) as worker:
            worker.service.shedding.stop()  # the loop has no turn while something is counted
            yield Stage(worker, files, stack)
        await files.close()


async def _repeat(step: Step, times: int) -> None:
    for _ in range(times):
        waits = step()
        if waits is not None:
            await waits


async def _counted(wanted: str) -> None:
    """Inside callgrind: do every row between two marks."""
    async with _stage() as stage:
        for name, _ in _rows(wanted):
            async with stage.ready(name) as step:
                await _repeat(step, _WARM)
                os.getpgid(0)
                await _repeat(step, _TIMES)
                os.getpgid(0)


async def _timed(wanted: str) -> dict[str, float]:
    found: dict[str, float] = {}
    async with _stage() as stage:
        for name, _ in _rows(wanted):
            times = []
            async with stage.ready(name) as step:
                await _repeat(step, _WARM)
                for _ in range(_TIMED if name != "a record written" else _WARM):
                    begun = time.perf_counter()
                    await _repeat(step, 1)
                    times.append(time.perf_counter() - begun)
            found[name] = statistics.quantiles(times, n=10)[0] * 1e6 / _units(name)
    return found


def _rows(wanted: str) -> list[tuple[str, str | None]]:
    return [(name, beside) for name, beside in ROWS if wanted in name]


def _units(name: str) -> int:
    return 100 if name == "a record written" else 1


def _counts(folder: Path, wanted: str) -> dict[str, float]:
    """Instructions of a unit of each row: the second sum of each pair of marks is that of its rounds."""
    dumps = sorted(folder.glob("callgrind.out.*.*"), key=lambda path: int(path.suffix[1:]))
    sums = [int(match[1]) for path in dumps if (match := _SUMS.search(path.read_text("utf-8", "replace")))]
    return {name: sums[2 * at + 1] / _TIMES / _units(name) for at, (name, _) in enumerate(_rows(wanted))}


def _print(found: dict[str, float], unit: str) -> None:
    print(f"{'':26} {unit:>14} {'more than':>12}")
    for name, beside in ROWS:
        if name in found:
            more = f"{found[name] - found[beside]:+12,.1f}  {beside}" if beside in found else ""
            print(f"{name:26} {found[name]:14,.1f} {more}")


def main() -> None:
    """Run under callgrind, or without it, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.instructions", description="Count what a request costs.")
    parser.add_argument("--seconds", action="store_true", help="microseconds instead of instructions, without valgrind")
    parser.add_argument("--only", default="", help="rows with this in their name")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside:
        uvloop.run(_counted(given.only))
        return
    if given.seconds:
        _print(uvloop.run(_timed(given.only)), "µs")
        return
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        sys.exit("bench.instructions: valgrind is not in the PATH; --seconds does without it")
    with tempfile.TemporaryDirectory(prefix="tieline-instructions-") as folder:
        options = ("--tool=callgrind", f"--dump-before={_MARK}", f"--callgrind-out-file={folder}/callgrind.out.%p")
        inside = (sys.executable, "-m", "bench.instructions", "--inside", "--only", given.only)
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        done = subprocess.run(
            (valgrind, *options, *inside), env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            sys.exit(done.stderr[-2000:])
        _print(_counts(Path(folder), given.only), "instructions")


if __name__ == "__main__":
    main()
