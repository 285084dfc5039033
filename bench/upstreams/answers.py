"""The upstream of plain calls: an nginx that gives one short chat completion to everybody, in plain and over TLS."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.process import free_ports, running
from bench.systems.nginx import command, configuration, worker
from bench.upstreams.certificates import Certificates

ANSWER = (
    '{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"gpt-4.1","choices":[{"index":0,'
    '"message":{"role":"assistant","content":"Hello! How can I help you today? This is a normal answer of a normal '
    "size that goes on for a while so that the body has about five hundred bytes in all, which is what a short chat "
    'completion looks like on the wire. Here it ends, as other short answers do."},"finish_reason":"stop"}],'
    '"usage":{"prompt_tokens":9,"completion_tokens":12,"total_tokens":21}}'
)


@dataclass(frozen=True, slots=True)
class Answers:
    """Where it listens and the process that does the work."""

    port: int
    tls_port: int
    pid: int


@contextmanager
def answering(folder: Path, certificates: Certificates) -> Iterator[Answers]:
    """Run it while the block lasts."""
    port, tls_port = free_ports(2)
    location = f"location / {{ default_type application/json; return 200 '{ANSWER}'; }}"
    # One cipher for everybody, or the proxies would each choose another one and the measure would compare ciphers.
    tls = (
        f"ssl_certificate {certificates.server}; ssl_certificate_key {certificates.key}; ssl_protocols TLSv1.3; "
        "ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256; "
    )
    text = configuration(
        folder,
        f"server {{ listen 127.0.0.1:{port} backlog=4096; {location} }}\n"
        f"server {{ listen 127.0.0.1:{tls_port} ssl backlog=4096; {tls} {location} }}\n",
    )
    with running("upstream", command(folder, "upstream", text), folder, ports=(port, tls_port)) as process:
        yield Answers(port, tls_port, worker(process))
