"""Messages to webhooks on real sockets: signed anew each time, guarded, never redirected, and read no further."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from standardwebhooks import Webhook

from tieline.core.secret import Secret
from tieline.dataplane.operator import webhooks
from tieline.dataplane.operator.webhooks import WebhookExit
from tieline.ports.webhooks import SealedField, SealedWebhook, place_of
from tieline.schemes.standard_webhooks import mint
from tieline.testing.vault import memory_keyring
from tieline.vault.intake import Intake, SealedSecret
from tieline.vault.keyring import Keyring
from tieline.wire.fetch import FetchLimits
from tieline.wire.guard import Guard
from tieline.wire.tls import Trust

BODY = b'{"type":"budget.threshold","timestamp":"2026-11-30T12:00:00.000Z","data":{}}'


@dataclass
class Receiver:
    """A server that notes what it is sent, and answers ``says``."""

    says: bytes = b"HTTP/1.1 204 No Content\r\n\r\n"
    port: int = 0
    got: list[tuple[bytes, dict[str, str], bytes]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        head = await reader.readuntil(b"\r\n\r\n")
        line, *lines = head.decode().split("\r\n")[:-2]
        fields = {name.lower(): value for name, _, value in (each.partition(": ") for each in lines)}
        body = await reader.readexactly(int(fields["content-length"]))
        self.got.append((line.encode(), fields, body))
        writer.write(self.says)
        try:
            await writer.drain()
            await reader.read()
        except OSError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def receiving(receiver: Receiver) -> AsyncIterator[Receiver]:
    """It listens on loopback."""
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    yield receiver
    server.close()


Seal = Callable[[str, list[Secret]], SealedWebhook]


@pytest.fixture
async def keyring() -> Keyring:
    """An open vault."""
    return await memory_keyring()


@pytest.fixture
def sealed(keyring: Keyring) -> Seal:
    """Seals a URL and secrets as the control plane does."""
    intake = Intake(keyring)

    def seal(url: str, keys: list[Secret]) -> SealedWebhook:
        def one(name: SealedField, version: int, value: Secret) -> tuple[int, SealedSecret]:
            return version, intake.seal(place_of("wh_1", name, version), value)

        secrets = [one("secret", version, key) for version, key in enumerate(keys, 1)]
        return SealedWebhook("wh_1", one("url", 1, Secret.from_text(url)), secrets)

    return seal


async def test_a_message_is_what_a_receiver_s_library_takes(keyring: Keyring, sealed: Seal) -> None:
    """POST to the whole URL, JSON, the three fields; the same id in the next attempt, signed at its own time."""
    key, old = mint(), mint()
    exit_ = WebhookExit(keyring, Guard(["127.0.0.1"]), Trust())
    async with receiving(Receiver()) as receiver:
        hook = sealed(f"http://127.0.0.1:{receiver.port}/in/token?a=b", [key, old])
        first = await exit_.post(hook, "evt_1", BODY)
        await asyncio.sleep(1.1)
        await exit_.post(hook, "evt_1", BODY)
    assert (first.ok, first.status) == (True, 204)
    (line, fields, body), (_, again, _) = receiver.got
    assert line == b"POST /in/token?a=b HTTP/1.1"
    assert (body, fields["content-type"]) == (BODY, "application/json")
    for each in (key, old):
        Webhook(each.reveal_bytes().decode()).verify(body, fields)
        Webhook(each.reveal_bytes().decode()).verify(body, again)
    assert fields["webhook-id"] == again["webhook-id"] == "evt_1"
    assert fields["webhook-timestamp"] != again["webhook-timestamp"]


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:{port}/", "http://localhost:{port}/", "http://[::ffff:127.0.0.1]:{port}/"]
)
async def test_a_private_address_is_refused_each_time_it_is_dialled(keyring: Keyring, sealed: Seal, url: str) -> None:
    """Also where a name leads to it, which may have led elsewhere when the webhook was made."""
    async with receiving(Receiver()) as receiver:
        posted = await WebhookExit(keyring, Guard(), Trust()).post(
            sealed(url.format(port=receiver.port), [mint()]), "evt_1", BODY
        )
    assert (posted.ok, posted.status, receiver.got) == (False, None, [])
    assert "--allow-destination" in (posted.problem or "")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(keyring: Keyring, sealed: Seal, status: int) -> None:
    """It may lead to where the guard would not let anybody go."""
    async with receiving(Receiver()) as inside:
        says = f"HTTP/1.1 {status} x\r\nLocation: http://127.0.0.1:{inside.port}/\r\nContent-Length: 0\r\n\r\n".encode()
        async with receiving(Receiver(says)) as receiver:
            hook = sealed(f"http://127.0.0.1:{receiver.port}/", [mint()])
            posted = await WebhookExit(keyring, Guard(["127.0.0.1"]), Trust()).post(hook, "evt_1", BODY)
    assert (posted.status, len(receiver.got), inside.got) == (status, 1, [])
    assert "redirect" in (posted.problem or "")


async def test_nothing_of_an_answer_is_told_but_its_status(keyring: Keyring, sealed: Seal) -> None:
    """Nobody reads through a webhook; an endless answer is no way to hold it up either."""
    says = b"HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ninner\r\n" * 1
    async with receiving(Receiver(says)) as receiver:
        hook = sealed(f"http://127.0.0.1:{receiver.port}/path-token", [mint()])
        posted = await WebhookExit(keyring, Guard(["127.0.0.1"]), Trust()).post(hook, "evt_1", BODY)
    assert posted.status == 500
    assert "inner" not in repr(posted)
    assert "path-token" not in repr(posted)


@pytest.mark.parametrize(
    ("says", "wait"),
    [
        (b"Retry-After: 90", 90.0),
        (b"Retry-After: 99999999999999", 86_400.0),
        (b"Retry-After: Fri, 31 Dec 2999 23:59:59 GMT", 86_400.0),
        (b"Retry-After: soon", None),
        (b"X: y", None),
    ],
)
async def test_retry_after_is_read_as_everywhere(
    keyring: Keyring, sealed: Seal, says: bytes, wait: float | None
) -> None:
    """In seconds or as a date, and bounded by a day."""
    async with receiving(Receiver(b"HTTP/1.1 429 x\r\n%b\r\nContent-Length: 0\r\n\r\n" % says)) as receiver:
        hook = sealed(f"http://127.0.0.1:{receiver.port}/", [mint()])
        posted = await WebhookExit(keyring, Guard(["127.0.0.1"]), Trust()).post(hook, "evt_1", BODY)
    assert posted.retry_after == wait


async def test_a_receiver_that_is_down_or_silent_is_said_in_words(
    keyring: Keyring, sealed: Seal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the path of its URL."""
    monkeypatch.setattr(webhooks, "_LIMITS", FetchLimits(connect=1.0, total=0.3))
    exit_ = WebhookExit(keyring, Guard(["127.0.0.1"]), Trust())
    async with receiving(Receiver(b"")) as receiver:
        silent = await exit_.post(sealed(f"http://127.0.0.1:{receiver.port}/tok", [mint()]), "evt_1", BODY)
    down = await exit_.post(sealed(f"http://127.0.0.1:{receiver.port}/tok", [mint()]), "evt_1", BODY)
    assert "did not answer" in (silent.problem or "")
    assert "cannot be reached" in (down.problem or "")
    assert "/tok" not in f"{silent.problem}{down.problem}"


async def test_a_secret_that_was_moved_opens_nothing(keyring: Keyring, sealed: Seal) -> None:
    """It is sealed for its webhook, field and version."""
    hook = sealed("http://127.0.0.1:9/", [mint()])
    swapped = SealedWebhook("wh_2", hook.url, hook.secrets)
    posted = await WebhookExit(keyring, Guard(["127.0.0.1"]), Trust()).post(swapped, "evt_1", BODY)
    assert "cannot be opened" in (posted.problem or "")
