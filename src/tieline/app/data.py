"""A data-plane worker's process: opens the store once it is prepared, then serves the app listener.

Wires ``dataplane`` to its snapshot source, the keyring and the egress guard. Decides nothing.
"""

from typing import TYPE_CHECKING

from tieline.app.assignment import DRAIN_SECONDS, Assignment
from tieline.app.control_socket import ControlSocket
from tieline.app.listeners import open_listener, own_listeners
from tieline.app.opening import open_existing, opening_log
from tieline.dataplane.limits.table import NodeTables
from tieline.dataplane.service import Resources, Service
from tieline.dataplane.tracing.tracer import Tracer
from tieline.storage.leases import SqlConnections
from tieline.storage.ledger import SqlLedger
from tieline.storage.snapshots import SqlSnapshots
from tieline.telemetry.logs import Log, capture_logging
from tieline.telemetry.metrics.counting import Counts
from tieline.telemetry.metrics.slots import ProcessSlot
from tieline.wire.guard import Guard
from tieline.wire.proxies import TrustedProxies
from tieline.wire.tls import Trust, client_context

if TYPE_CHECKING:
    from tieline.app.otlp import OtlpExporter


async def run(assignment: Assignment, supervisor: ControlSocket) -> None:
    """Wait for the store, serve until told to drain, then let what is under way finish.

    Raises StorageError, RootKeyError, SettingsError or StartError when the start fails.
    """
    settings = assignment.settings
    log = Log(settings.log_format, settings.log_level)
    capture_logging(log)
    if not await supervisor.prepared():
        return
    opened = await open_existing(settings)
    source = SqlSnapshots(opened.database, settings.database_url, lambda version: supervisor.report(served=version))
    supervisor.on_changed(source.push)
    try:
        trust = Trust(settings.ca_bundle)
        if settings.ca_bundle is not None:
            client_context(trust)  # a bundle that cannot be used stops the start, not the first request
        guard = Guard(settings.allow_destinations, lambda: own_listeners(settings))
        connections = SqlConnections(opened.database)
        proxies = TrustedProxies(settings.trusted_proxies) if settings.trusted_proxies else None
        tables = NodeTables.of(assignment.tables, assignment.index, settings.workers)
        counts = Counts(ProcessSlot(assignment.metrics, assignment.slot))
        exporter = _exporter(assignment, counts)
        tracer = None
        if exporter is not None and settings.otlp is not None and exporter.takes_traces:
            tracer = Tracer(exporter.keep, settings.otlp.sample)
        resources = Resources(
            source,
            connections,
            opened.keyring,
            guard,
            tables,
            SqlLedger(opened.database),
            trust,
            proxies,
            worker=assignment.index,
            log=log,
            openings=opening_log(opened, assignment.name),
            counts=counts,
            tracer=tracer,
        )
        service = Service(resources)
        sending = exporter.tasks() if exporter is not None else ()
        await service.start(open_listener(settings.app_listen))
        for task in sending:
            task.start()
        supervisor.report(listening=True)
        await supervisor.unready()
        service.retire()
        await supervisor.drain()
        await service.stop(DRAIN_SECONDS)
        for task in sending:
            await task.stop()
        if exporter is not None:
            await exporter.close()
    finally:
        await source.close()
        await opened.database.close()


def _exporter(assignment: Assignment, counts: Counts) -> "OtlpExporter | None":
    """What sends telemetry, where a collector is named; else nothing of it is loaded."""
    otlp = assignment.settings.otlp
    if otlp is None:
        return None
    from tieline.app.otlp import OtlpExporter  # noqa: PLC0415  see above

    return OtlpExporter(otlp, assignment.settings, assignment.name, counts)
