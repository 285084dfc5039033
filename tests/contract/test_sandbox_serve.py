"""The sandbox runs as a program of its own: it says when it is ready, takes large files, stops on a signal."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import openai
import pytest

from tests.contract.conftest import KEY
from tieline.sandbox.serve import run, running

PROGRAM = """
import sys
from tieline.sandbox.serve import run
run("127.0.0.1", 0, ready=lambda address: print(address, flush=True))
print("ended", flush=True)
"""


@pytest.fixture
def program() -> Iterator[subprocess.Popen[str]]:
    """The sandbox in a process of its own."""
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
            process.terminate()
            process.wait(10)  # so that it removes its files
        finally:
            process.kill()


def line(process: subprocess.Popen[str]) -> str:
    """The next line that the program prints."""
    assert process.stdout
    return process.stdout.readline().strip()


def memory(process: subprocess.Popen[str]) -> int:
    """The most memory that the program ever used, in bytes."""
    with open(f"/proc/{process.pid}/status", encoding="ascii") as status:  # noqa: PTH123 (a file of the kernel)
        return next(int(row.split()[1]) * 1024 for row in status if row.startswith("VmHWM"))


def test_ready_is_said_with_the_address(program: subprocess.Popen[str]) -> None:
    """The address that ``ready`` is given answers at once."""
    with openai.OpenAI(base_url=f"{line(program)}/v1", api_key=KEY, max_retries=0) as client:
        assert client.models.list().data


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_even_while_a_stream_stalls(number: signal.Signals, program: subprocess.Popen[str]) -> None:
    """It does not wait for a stream that never ends, and returns to its caller."""
    with openai.OpenAI(base_url=f"{line(program)}/v1", api_key=KEY, max_retries=0) as client:
        stream = client.responses.create(model="sandbox-stall", input="Hello", stream=True)
        next(iter(stream))
        program.send_signal(number)
        assert program.wait(10) == 0
        assert line(program) == "ended"
        stream.close()


def test_an_address_in_use_is_an_error() -> None:
    """Nothing is served where somebody else listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        run("127.0.0.1", taken.getsockname()[1])


def test_each_sandbox_begins_empty() -> None:
    """What one keeps, another does not know."""
    with running() as first, running() as second:
        with openai.OpenAI(base_url=f"{first}/v1", api_key=KEY) as client:
            kept = client.files.create(file=b"x", purpose="user_data").id
        with openai.OpenAI(base_url=f"{second}/v1", api_key=KEY) as client:
            assert kept not in [file.id for file in client.files.list()]


def test_a_large_file_goes_to_disk_and_back_without_filling_memory(program: subprocess.Popen[str], soak: bool) -> None:
    """Hundreds of megabytes pass through with a few of memory."""
    size = (512 if soak else 48) * 1024 * 1024
    address = line(program)
    host, port = address.removeprefix("http://").split(":")
    head = b'--x\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nuser_data\r\n--x\r\n'
    head += b'Content-Disposition: form-data; name="file"; filename="big"\r\n\r\n'
    piece = bytes(range(256)) * 4096
    with (
        openai.OpenAI(base_url=f"{address}/v1", api_key=KEY) as client,
        socket.create_connection((host, int(port))) as raw,
    ):
        client.models.list()
        before = memory(program)
        length = len(head) + size + len(b"\r\n--x--\r\n")
        fields = f"Host: x\r\nAuthorization: Bearer {KEY}\r\nConnection: close\r\nContent-Length: {length}\r\n"
        kind = "Content-Type: multipart/form-data; boundary=x\r\n"
        raw.sendall(f"POST /v1/files HTTP/1.1\r\n{fields}{kind}\r\n".encode() + head)
        for _ in range(size // len(piece)):
            raw.sendall(piece)
        raw.sendall(b"\r\n--x--\r\n")
        assert raw.recv(65_536).startswith(b"HTTP/1.1 200")
        kept = client.files.list().data[0]
        with client.files.with_streaming_response.content(kept.id) as content:
            read = sum(len(part) for part in content.iter_bytes(1 << 20))
        assert (kept.bytes, read) == (size, size)
        assert memory(program) - before < 16 * 1024 * 1024
