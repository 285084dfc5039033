"""The control plane's process: prepares the store, then serves the admin API on the console listener.

Wires ``controlplane`` to its store, the vault's intake and the data plane's probe, and ``web`` to it. Decides nothing.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from typing import Any

import uvicorn

from tieline.app.anchoring import note_anchors
from tieline.app.assignment import Assignment, process_name
from tieline.app.control_socket import ControlSocket
from tieline.app.listeners import BACKLOG, open_listener, own_listeners
from tieline.app.notifying import deliver_events
from tieline.app.opening import OpenedStore, create
from tieline.app.operator import OperatorExit
from tieline.app.prepare import THIS_MACHINE, TOKEN_FILE, admin_token
from tieline.app.pricing import keep_prices
from tieline.app.retention import forget_old_records
from tieline.controlplane.deliveries import Deliveries
from tieline.controlplane.services import Services
from tieline.core.clock import SystemClock
from tieline.core.urls import parse_url
from tieline.dataplane.supervised import SupervisedTask
from tieline.settings.model import ServeSettings
from tieline.storage.outbox import SqlOutbox
from tieline.storage.records import open_search
from tieline.storage.store import SqlStore
from tieline.telemetry.logs import Log, capture_logging
from tieline.telemetry.metrics.counting import Counts
from tieline.telemetry.metrics.node import NodeMetrics
from tieline.telemetry.metrics.process import ProcessMetrics
from tieline.telemetry.metrics.slots import ProcessSlot
from tieline.vault.intake import Intake
from tieline.wire.guard import Guard

DRAIN_SECONDS = 10  # what requests of operators get; they are short
KEEP_ALIVE = 75


async def run(assignment: Assignment, supervisor: ControlSocket) -> None:
    """Prepare, tell the supervisor, serve until told to drain. Raises StartError when the start fails."""
    settings = assignment.settings
    log = Log(settings.log_format, settings.log_level)
    capture_logging(log)
    opened = await create(settings)
    try:
        guard = Guard(settings.allow_destinations, lambda: own_listeners(settings))
        metrics = _metrics(assignment)
        services = _services(settings, opened, guard, supervisor, metrics)
        made = await admin_token(services, settings)
        supervisor.report(prepared=_notes(settings, opened, token_made=made))
        background = [
            asyncio.create_task(forget_old_records(opened.database, services.records)),
            asyncio.create_task(keep_prices(services, THIS_MACHINE)),
            asyncio.create_task(note_anchors(opened.database, log)),
            asyncio.create_task(_count(metrics.counts, assignment)),
            asyncio.create_task(_send_metrics(metrics.counts, assignment)),
        ]
        notifying = SupervisedTask(
            "notifying", partial(deliver_events, Deliveries(services.outbox, services.poster, services.clock))
        )
        notifying.start()
        try:
            await _serve(services, settings, supervisor)
        finally:
            await notifying.stop()
            for task in background:
                task.cancel()
            await asyncio.wait(background)
        await services.records.close()
    finally:
        await opened.database.close()


class Console(uvicorn.Server):
    """uvicorn without its signal handling; ``on_listening`` is called as soon as it accepts."""

    def __init__(self, config: uvicorn.Config, on_listening: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_listening = on_listening

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_listening()


async def _count(counts: Counts, assignment: Assignment) -> None:
    """Count what this process says of itself, until cancelled."""
    async for _ in ProcessMetrics(counts, assignment.name, "control").turns():
        pass


async def _send_metrics(counts: Counts, assignment: Assignment) -> None:
    """Send this process's metrics to a collector, where one is named, until cancelled."""
    otlp = assignment.settings.otlp
    if otlp is None or "metrics" not in otlp.signals:
        return
    from tieline.app.otlp import OtlpExporter  # noqa: PLC0415  most servers have none

    exporter = OtlpExporter(replace(otlp, signals=frozenset({"metrics"})), assignment.settings, assignment.name, counts)
    (task,) = exporter.tasks()
    task.start()
    try:
        await asyncio.Event().wait()
    finally:
        await task.stop()
        await exporter.close()


def _metrics(assignment: Assignment) -> NodeMetrics:
    """The metrics of all processes of this node that one supervisor runs."""
    workers = 0 if assignment.settings.only == "control" else assignment.settings.workers
    slots = {process_name("data", index): ProcessSlot(assignment.metrics, index) for index in range(workers)}
    own = slots[assignment.name] = ProcessSlot(assignment.metrics, assignment.slot)
    return NodeMetrics(slots, Counts(own), version("tieline"))


def _services(
    settings: ServeSettings, opened: OpenedStore, guard: Guard, supervisor: ControlSocket, metrics: NodeMetrics
) -> Services:
    keyring, clock = opened.keyring, SystemClock()
    upstreams = OperatorExit(settings, opened, guard)
    return Services(
        store=SqlStore(opened.database, audit_key=keyring.derive("audit"), clock=clock, spread=supervisor.spread),
        records=open_search(opened.database),
        intake=Intake(keyring),
        prober=upstreams,
        trier=upstreams,
        replayer=upstreams,
        issuers=upstreams,
        poster=upstreams,
        outbox=SqlOutbox(opened.database),
        clock=clock,
        check_destination=_destination_check(guard),
        app_key_pepper=keyring.derive("app-key"),
        token_pepper=keyring.derive("admin-token"),
        console_url=settings.opened_at,
        return_origins=settings.return_origins,
        metrics=metrics,
    )


def _destination_check(guard: Guard) -> Callable[[str], None]:
    """What refuses a host that is literally an address which the guard would not dial."""

    def check(host: str) -> None:
        try:
            address = ipaddress.ip_address(host.strip("[]"))
        except ValueError:
            return  # a name: what it leads to is checked each time it is dialled
        guard.check_address(str(address), 0, host)

    return check


async def _serve(services: Services, settings: ServeSettings, supervisor: ControlSocket) -> None:
    from tieline.web.app import create_app  # noqa: PLC0415  loaded while the data plane opens the store
    from tieline.web.bounded import BoundedHttp  # noqa: PLC0415  as above

    names = (settings.console_listen.host, parse_url(settings.opened_at).origin.host, *settings.console_hosts)
    log = Log(settings.log_format, settings.log_level)
    counts = services.metrics.counts if services.metrics is not None else None
    app = create_app(services, allowed_hosts=names, version=version("tieline"), log=log, counts=counts)
    config = uvicorn.Config(
        app,
        http=BoundedHttp,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    console = Console(config, lambda: supervisor.report(listening=True))
    serving = asyncio.create_task(console.serve([open_listener(settings.console_listen)]))
    ending = asyncio.create_task(_until_drained(app.state, supervisor))
    await asyncio.wait((serving, ending), return_when=asyncio.FIRST_COMPLETED)
    console.should_exit = True
    ending.cancel()
    await serving


async def _until_drained(state: Any, supervisor: ControlSocket) -> None:
    await supervisor.unready()
    state.leaving = True
    await supervisor.drain()


def _notes(settings: ServeSettings, opened: OpenedStore, *, token_made: bool) -> list[str]:
    """What the operator is told of a first start."""
    notes = []
    if opened.first:
        notes.append(f"Tieline keeps its files in {settings.data_dir}")
        if settings.root_key.path is not None:
            notes.append(
                f"The root key is {settings.root_key.path}: back it up apart from the rest; without it no secret opens"
            )
    if token_made:
        notes.append(f"The tieline command finds its admin token in {settings.data_dir / TOKEN_FILE}")
    return notes
