"""What is kept about requests: records and last uses, gathered in memory and saved four times a second.

A lost process loses at most what it gathered since. Owns the batches; the store owns the tables. While the store hangs
or is away, at most 50,000 records wait and the oldest are given up, beside the one batch on its way (``saving``).
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Collection

from tieline.access.appkey import hidden
from tieline.core.errors import ANSWERS, TielineError
from tieline.core.names import is_api_name, is_plain_name
from tieline.dataplane import saving
from tieline.dataplane.doors.call_exchange import CallExchange
from tieline.dataplane.relaying.exchange import Exchange
from tieline.dataplane.saving import Saving
from tieline.dataplane.snapshot.view import KEYS_MOST, AppKey
from tieline.ports.requests import Outcome, RequestRecord
from tieline.ports.snapshot import SnapshotSource
from tieline.wire.request import Request

log = logging.getLogger("tieline.dataplane.records.recorder")

FLUSH_SECONDS = 0.25
WAITING_MOST = 50_000
TOUCHED_MOST = 500
_PATH_MOST = 512
_MINUTE = 60
_CALL_DOOR = "/call/"
_DOORS = ("/relay/", _CALL_DOOR)


class Records:
    """The records of a worker. ``given_up`` counts those that were lost because the store did not take them in time."""

    def __init__(self, source: SnapshotSource) -> None:
        self.given_up = 0
        self._source = source
        self._waiting: deque[RequestRecord] = deque(maxlen=WAITING_MOST)
        self._saving = Saving(self._save, self._warn_of_hanging)
        self._used: dict[str, float] = {}
        self._saved: set[str] = set()
        self._minute = 0.0

    def ended(self, exchange: Exchange, outcome: Outcome, error: TielineError | None) -> None:
        """Note how an admitted request ended."""
        route, request = exchange.route, exchange.request
        now = time.time()
        key = route.key
        self._used[key.key_id] = now
        ended = time.perf_counter()
        upstream = (exchange.answered_at or ended) - exchange.sent_at if exchange.sent_at else None
        self._gather(
            RequestRecord(
                exchange.id,
                now,
                key.app_id,
                key.key_id,
                route.plan.name,
                key.environment,
                request.method.decode("ascii"),
                route.path[:_PATH_MOST],
                route.area,
                route.level,
                exchange.status or (ANSWERS[error.code].status if error is not None else 0),
                error.code if error is not None else None,
                (ended - request.began) * 1000,
                upstream * 1000 if upstream is not None else None,
                exchange.bytes_in,
                exchange.bytes_out,
                outcome,
            )
        )

    def ran(self, exchange: CallExchange, outcome: Outcome, error: TielineError | None) -> None:
        """Note how a run of a call ended."""
        run, request = exchange.run, exchange.request
        target = run.target
        now = time.time()
        key = target.key
        self._used[key.key_id] = now
        upstream = run.answered_at - run.sent_at if run.answered_at else None
        self._gather(
            RequestRecord(
                exchange.id,
                now,
                key.app_id,
                key.key_id,
                target.plan.name,
                key.environment,
                target.call.call.method,
                run.path[:_PATH_MOST] or _shown(request.target.partition(b"?")[0].decode("ascii", "replace")),
                run.area,
                run.level,
                run.status or (ANSWERS[error.code].status if error is not None else 0),
                error.code if error is not None else None,
                (time.perf_counter() - request.began) * 1000,
                upstream * 1000 if upstream is not None else None,
                exchange.received,
                exchange.reply.written,
                outcome,
                target.call.name,
            )
        )

    def refused(self, request: Request, request_id: str, key: AppKey | None, error: TielineError) -> None:
        """Note a request that was not admitted. Without a good key it leaves no record: strangers fill no tables."""
        if key is None:
            return
        path = _shown(request.target.partition(b"?")[0].decode("ascii", "replace"), error.code)
        self._gather(
            RequestRecord(
                request_id,
                time.time(),
                key.app_id,
                key.key_id,
                None,
                key.environment,
                request.method.decode("ascii"),
                path,
                None,
                None,
                ANSWERS[error.code].status,
                error.code,
                (time.perf_counter() - request.began) * 1000,
                None,
                0,
                0,
                "refused",
            )
        )

    async def run(self) -> None:
        """Save until cancelled."""
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            await self.flush()

    async def flush(self) -> None:
        """Save what waits now, and the last uses of 500 keys at most; what cannot be saved waits on."""
        await self._saving.flush()

    async def close(self) -> None:
        """Save everything, if the store takes it within ten seconds."""
        try:
            async with asyncio.timeout(saving.CLOSE_SECONDS):
                await self.flush()
                while self._used and not self._waiting:
                    before = len(self._used)
                    await self.flush()
                    if len(self._used) >= before:
                        return
        except TimeoutError:
            log.warning(
                "the store did not take the last request records within %d s: they are lost", saving.CLOSE_SECONDS
            )

    async def _save(self) -> None:
        waiting: Collection[RequestRecord] = self._waiting
        self._waiting = deque(maxlen=WAITING_MOST)
        used: dict[str, float] = {}
        try:
            if waiting:
                await self._source.add_records(list(waiting))
                waiting = ()
            used = self._due()
            if used:
                await self._source.touch_keys(used)
                used = {}
        except TielineError as error:
            log.warning("%d request records wait in memory, they could not be saved: %s", len(waiting), error.explained)
        finally:
            if waiting or used:
                self._keep(waiting, used)

    def _gather(self, record: RequestRecord) -> None:
        if len(self._waiting) == WAITING_MOST:
            self.given_up += 1  # the deque drops its oldest
        self._waiting.append(record)

    def _warn_of_hanging(self) -> None:
        log.warning(
            "the store has not answered for %d s: %d request records wait in memory, %d are lost; look at the database",
            saving.HANGING_SECONDS,
            len(self._waiting),
            self.given_up,
        )

    def _due(self) -> dict[str, float]:
        """Last uses to be saved now: once a minute for each key, and of many keys some after others.

        With a hundred thousand keys in use, all of them would be due in the first seconds of each minute.
        """
        minute = time.time() // _MINUTE
        if minute != self._minute or len(self._saved) > KEYS_MOST:
            self._minute = minute
            self._saved.clear()
        due: dict[str, float] = {}
        looked_at = []
        for key, at in self._used.items():
            if key not in self._saved:
                if len(due) == TOUCHED_MOST:
                    break
                due[key] = at
                if at // _MINUTE == minute:
                    self._saved.add(key)
            looked_at.append(key)
        for key in looked_at:
            del self._used[key]
        return due

    def _keep(self, waiting: Collection[RequestRecord], used: dict[str, float]) -> None:
        """Put back what was not saved, before what came since."""
        since, self._waiting = self._waiting, deque(maxlen=WAITING_MOST)
        self._waiting.extend(waiting)
        self._waiting.extend(since)
        self.given_up += len(waiting) + len(since) - len(self._waiting)
        self._saved.difference_update(used)
        self._used = used | self._used


def _shown(path: str, code: str | None = None) -> str:
    """A path that was not admitted, without app keys and without what stands for an API or call and cannot be one.

    What is refused with the ``code`` unknown_api or unknown_call may be a provider's key, and is kept only where it
    looks like a name.
    """
    door = next((each for each in _DOORS if path.startswith(each)), "")
    name, slash, rest = path[len(door) :].partition("/")
    if door and not (is_plain_name if code == "unknown_api" else is_api_name)(name):
        name = "…"
    if door == _CALL_DOOR and not (is_api_name if code is None else is_plain_name)(rest):
        rest = "…" if rest else ""
    return hidden(door + name + slash + rest)[:_PATH_MOST]
