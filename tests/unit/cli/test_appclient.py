"""What the app listener answers, as ``tieline call run`` prints it; answers of a small server on a real socket."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tieline.cli.appclient import AppClient
from tieline.cli.failures import CommandFailed
from tieline.cli.printing import Printing
from tieline.core.secret import Secret

Serve = Callable[..., str]
ERROR = (
    '{"error": {"message": "No\\nsuch call. ", "type": "tieline_error", "code": "unknown_call", "request_id": "req_1"}}'
)
DONE = 'event: done\ndata: {"text": "Hi!", "fields": {"id": "c"}, "usage": null}\n\n'
DELTAS = 'event: delta\ndata: {"text": "Hi"}\n\nevent: delta\ndata: {"text": "!"}\n\n'


@pytest.fixture
def serve() -> Iterator[Serve]:
    """``serve(status, media, body)`` starts a server that answers so; with ``cut`` it promises more than it sends."""
    servers: list[ThreadingHTTPServer] = []

    def start(status: int, media: str, body: str | bytes, *, cut: int = 0) -> str:
        content = body.encode() if isinstance(body, str) else body

        class Answer(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(status)
                self.send_header("Content-Type", media)
                self.send_header("Content-Length", str(len(content) + cut))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def run(url: str, printing: Printing) -> None:
    """Run a call there and print the answer."""
    with AppClient(url, Secret.from_text("tl_live_" + "not-a-real-key")).run("api", "call", None, {}) as running:
        printing.print(running)


def test_json_is_printed_to_be_read(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    """Indented, in its own characters."""
    run(serve(200, "application/json", '{"a": ["é"]}'), Printing())
    assert capsys.readouterr().out == '{\n  "a": [\n    "é"\n  ]\n}\n'


def test_a_file_goes_into_the_file_that_is_named(
    serve: Serve, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Byte for byte; standard error says what it is."""
    run(serve(200, "image/png", b"\x89PNG\x00"), Printing(file=tmp_path / "p.png"))
    assert (tmp_path / "p.png").read_bytes() == b"\x89PNG\x00"
    assert "image/png, 5 bytes" in capsys.readouterr().err


def test_a_live_stream_is_its_text(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    """With a line end; for a machine an event a line."""
    url = serve(200, "text/event-stream", DELTAS + DONE)
    run(url, Printing(live=True))
    assert capsys.readouterr().out == "Hi!\n"
    run(url, Printing(live=True, machine=True))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == '{"event": "delta", "text": "Hi"}'
    assert len(lines) == 3


def test_a_stream_that_is_not_live_is_its_end(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    """Which holds the whole text."""
    run(serve(200, "text/event-stream", DELTAS + DONE), Printing())
    assert '"text": "Hi!"' in capsys.readouterr().out


def test_pages_are_an_item_a_line(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    """Standard error says how many, and whether there are more."""
    events = 'event: item\ndata: {"id": 1}\n\nevent: done\ndata: {"items": 1, "pages": 1, "more": true}\n\n'
    run(serve(200, "text/event-stream", events), Printing())
    captured = capsys.readouterr()
    assert captured.out == '{"id": 1}\n'
    assert captured.err == "1 items from 1 pages; there are more.\n"


@pytest.mark.parametrize(
    ("status", "media", "body", "cut", "told"),
    [
        (404, "application/json", ERROR, 0, r"^No\nsuch call\. \(request req_1\)$"),
        (502, "text/html", "<h1>Bad gateway</h1>", 0, "not as Tieline does"),
        (500, "application/json", "[]", 0, "not as Tieline does"),
        (200, "text/event-stream", DELTAS + f"event: error\ndata: {ERROR}\n\n", 0, "^No\nsuch call"),
        (200, "text/event-stream", DELTAS, 0, "ended without its end"),
        (200, "text/event-stream", DELTAS + DONE[:30], 500, "was cut"),
        (200, "text/event-stream", "data: hello\n\n", 0, "no stream of Tieline's"),
        (200, "application/json", '{"a": ', 50, "was cut"),
    ],
)
def test_what_fails_is_told(serve: Serve, status: int, media: str, body: str, cut: int, told: str) -> None:
    """A refusal, an error in the middle of a stream, a cut, an answer of somebody else."""
    with pytest.raises(CommandFailed, match=told):
        run(serve(status, media, body, cut=cut), Printing())


def test_without_a_listener_it_says_what_to_do(free_port: Callable[[], int]) -> None:
    """One line."""
    with pytest.raises(CommandFailed, match="start one with `tieline serve`"):
        run(f"http://127.0.0.1:{free_port()}", Printing())
