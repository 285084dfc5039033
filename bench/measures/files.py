"""Large bodies: how far a worker's memory rises while one goes up or down, with a second's stall on the slow side."""

from bench.figures import Figure, Goal, Table
from bench.lineup import event_server
from bench.load.files import STALL_SECONDS, download, upload
from bench.meter import Meter, sampled
from bench.run import Run
from bench.systems.product import serving
from bench.systems.system import bearer

_MIB = 1024 * 1024


def measure(run: Run) -> Table:
    """Tieline freshly started: a small file each way to warm up, then the large ones."""
    size = run.scale.file_bytes
    folder = run.folder / "files"
    folder.mkdir()
    figures = []
    with event_server(folder, 1.0) as (_, port), serving(folder) as server:
        server.add_api("openai", f"http://127.0.0.1:{port}/v1")
        headers = bearer(server.add_app(("openai",)))
        up = server.url("openai", "/files")
        down = server.url("openai", f"/files/{size}/content")
        (worker,) = server.workers
        upload(up, headers, _MIB)
        download(server.url("openai", f"/files/{_MIB}/content"), headers, _MIB)
        for name, transfer, url in (("Tieline, upload", upload, up), ("Tieline, download", download, down)):
            with Meter({"worker": (worker,)}) as meter, sampled(worker) as growth:
                seconds = transfer(url, headers, size)
            facts: dict[str, str | float] = {
                "MiB/s": round(size / _MIB / max(0.001, seconds - STALL_SECONDS)),
                "CPU, ms/MiB": round(meter.used["worker"] * 1e3 / (size / _MIB), 3),
            }
            figures.append(Figure(name, [growth.most / _MIB], facts))
    table = Table("files", f"Growth of memory during {size // _MIB} MiB", "MiB", figures)
    table.goals += [Goal(f"{table.title}: {figure.system}", figure.median, 16, "MiB") for figure in figures]
    return table
