"""Realtime through the relay: the SDK's WebSocket, a browser's with the key among its subprotocols, and refusals."""

import hashlib
import json
import time
from base64 import b64encode
from typing import Any

import openai
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin, Subprotocol

from tests.e2e.conftest import PROVIDER_KEY
from tests.e2e.sdk.conftest import Both, Stage, eventually, settled

MODEL = "gpt-realtime"
HELLO: Any = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello you"}]}
TEXT: Any = {"type": "realtime", "output_modalities": ["text"]}


def events(connection: Any, last: str) -> list[Any]:
    """What a synchronous connection brings up to the event ``last``."""
    came: list[Any] = []
    while not came or came[-1].type != last:
        came.append(connection.recv())
    return came


def said(came: list[Any]) -> str:
    """The text that the events bring."""
    return "".join(event.delta for event in came if event.type == "response.output_text.delta")


@pytest.mark.filterwarnings(
    "ignore:connect\\(\\) must be used as a context manager:DeprecationWarning"
)  # the SDK's own
def test_a_conversation_with_the_synchronous_sdk(stage: Stage) -> None:
    """Session, item, response: what the SDK's documentation does, with base URL and key changed."""
    with (
        openai.OpenAI(base_url=stage.base(), api_key=stage.key) as client,
        client.realtime.connect(model=MODEL) as connection,
    ):
        assert connection.recv().type == "session.created"
        connection.session.update(session=TEXT)
        connection.conversation.item.create(item=HELLO)
        connection.response.create()
        assert said(events(connection, "response.done")) == "You said: Hello you"


async def test_a_conversation_with_the_asynchronous_sdk(stage: Stage) -> None:
    """The same without threads."""
    async with (
        openai.AsyncOpenAI(base_url=stage.base(), api_key=stage.key) as client,
        client.realtime.connect(model=MODEL) as connection,
    ):
        await connection.session.update(session=TEXT)
        await connection.conversation.item.create(item=HELLO)
        await connection.response.create()
        came: list[Any] = []
        async for event in connection:
            came.append(event)
            if event.type == "response.done":
                break
    assert came[0].type == "session.created"
    assert said(came) == "You said: Hello you"


async def test_sound_goes_both_ways(stage: Stage) -> None:
    """A second of sound up in pieces, a spoken answer with its transcript down."""
    async with (
        openai.AsyncOpenAI(base_url=stage.base(), api_key=stage.key) as client,
        client.realtime.connect(model=MODEL) as connection,
    ):
        for _ in range(10):
            await connection.input_audio_buffer.append(audio=b64encode(bytes(4_800)).decode())
        await connection.input_audio_buffer.commit()
        await connection.response.create()
        names: list[str] = []
        while not names or names[-1] != "response.done":
            names.append((await connection.recv()).type)
    assert "input_audio_buffer.committed" in names
    assert "response.output_audio.delta" in names


def recorded(stage: Stage, tag: str) -> Any:
    """The record of the session with this tag, None before there is one."""
    found = stage.admin("GET", "requests?limit=50")["items"]
    return next((each for each in found if each["tag"] == tag), None)


async def test_what_a_session_used_is_in_its_record(stage: Stage) -> None:
    """To the token what the SDK was told, in two answers, with the model that the session told."""
    told: list[Any] = []
    async with (
        openai.AsyncOpenAI(base_url=stage.base(), api_key=stage.key) as client,
        client.realtime.connect(model=MODEL, extra_headers={"Tieline-Tag": "counted"}) as connection,
    ):
        await connection.session.update(session=TEXT)
        for _ in range(2):
            await connection.conversation.item.create(item=HELLO)
            await connection.response.create()
            while (event := await connection.recv()).type != "response.done":
                pass
            told.append(event.response.usage)
    assert await eventually(lambda: recorded(stage, "counted") is not None)
    used = recorded(stage, "counted")
    assert used["model"] == MODEL
    assert used["quantities"]["input_tokens"] == sum(each.input_tokens for each in told)
    assert used["quantities"]["output_tokens"] == sum(each.output_tokens for each in told)
    assert not used["estimated"]


async def test_a_session_that_asks_for_another_model_than_its_key_may_use_is_closed(stage: Stage) -> None:
    """After it conversed with the one that it may; the SDK is told why."""
    key = stage.mint(models=[MODEL])["secret"]
    async with (
        openai.AsyncOpenAI(base_url=stage.base(), api_key=key, max_retries=0) as client,
        client.realtime.connect(model=MODEL, max_retries=0) as connection,
    ):
        await connection.session.update(session=TEXT)
        await connection.conversation.item.create(item=HELLO)
        await connection.response.create()
        while (await connection.recv()).type != "response.done":
            pass
        await connection.send({"type": "session.update", "session": {"type": "realtime", "model": "gpt-realtime-9"}})
        with pytest.raises(ConnectionClosed) as caught:
            while True:
                await connection.recv()
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1008
    assert caught.value.rcvd.reason.startswith(
        "This app key may not use the model gpt-realtime-9. It may use gpt-realtime."
    )


async def test_a_client_secret_is_made(both: Both, stage: Stage) -> None:
    """The HTTP call that belongs to it."""
    client = await both.open(stage.base(), stage.key)
    assert (await settled(client.realtime.client_secrets.create())).value.startswith("ek_")


def browser(stage: Stage, key: str, model: str = MODEL) -> connect:
    """A connection as a browser opens it: no headers of its own, the key as a subprotocol."""
    address = stage.base().replace("http://", "ws://") + f"/realtime?model={model}"
    offered = [Subprotocol("realtime"), Subprotocol(f"openai-insecure-api-key.{key}")]
    return connect(address, subprotocols=offered, origin=Origin("http://127.0.0.1"), proxy=None)


async def echoed(connection: ClientConnection) -> Any:
    """The sandbox's report of the handshake as it arrived."""
    while True:
        event = json.loads(await connection.recv())
        if event["type"] == "sandbox.echo":
            return event


async def test_a_browser_sends_its_key_as_a_subprotocol(stage: Stage) -> None:
    """It is accepted, answers `realtime`, and converses."""
    async with browser(stage, stage.key) as connection:
        assert connection.subprotocol == "realtime"
        for event in ({"type": "session.update", "session": TEXT}, {"type": "conversation.item.create", "item": HELLO}):
            await connection.send(json.dumps(event))
        await connection.send('{"type": "response.create"}')
        text = ""
        while (event := json.loads(await connection.recv()))["type"] != "response.done":
            text += event.get("delta", "")
    assert text == "You said: Hello you"


async def test_the_app_key_in_a_subprotocol_stays_here(stage: Stage) -> None:
    """The upstream gets the provider's key as a header, and `realtime` as the only subprotocol."""
    async with browser(stage, stage.key, "sandbox-echo-headers") as connection:
        seen = await echoed(connection)
    assert stage.key not in json.dumps(seen)
    assert dict(seen["headers"])["sec-websocket-protocol"] == "realtime"
    assert seen["authorization"]["sha256"] == hashlib.sha256(PROVIDER_KEY.encode()).hexdigest()


async def test_the_sdks_handshake_arrives_with_the_providers_key(stage: Stage) -> None:
    """Its query and its own headers too."""
    async with (
        openai.AsyncOpenAI(base_url=stage.base(), api_key=stage.key) as client,
        client.realtime.connect(model="sandbox-echo-headers", extra_headers={"X-Mine": "kept"}) as connection,
    ):
        await connection.recv_bytes()
        seen = json.loads(await connection.recv_bytes())
    assert seen["query"] == "model=sandbox-echo-headers"
    assert dict(seen["headers"])["x-mine"] == "kept"
    assert seen["authorization"]["sha256"] == hashlib.sha256(PROVIDER_KEY.encode()).hexdigest()


@pytest.mark.parametrize(
    ("settings", "status", "code"),
    [
        ({"permissions": {"mode": "restricted", "grants": {"openai": {"files": "write"}}}}, 403, "missing_permission"),
        ({"permissions": {"mode": "read_only"}}, 403, "missing_permission"),
        ({"environment": "development"}, 424, "credential_missing"),
        (None, 401, "invalid_app_key"),
    ],
)
async def test_a_refused_handshake_says_why(
    settings: dict[str, Any] | None, status: int, code: str, stage: Stage
) -> None:
    """The handshake gets the same JSON as any other request, and is not upgraded."""
    key = "sk-" + "not-an-app-key" if settings is None else stage.mint(**settings)["secret"]
    async with openai.AsyncOpenAI(base_url=stage.base(), api_key=key) as client:
        with pytest.raises(InvalidStatus) as caught:
            async with client.realtime.connect(model=MODEL):
                pytest.fail("it was upgraded")
    answer = caught.value.response
    assert (answer.status_code, answer.headers["tieline-error"]) == (status, code)
    assert json.loads(answer.body or b"")["error"]["code"] == code


async def test_a_browsers_refused_handshake_says_why(stage: Stage) -> None:
    """A wrong key among the subprotocols is a 401, and does not reach the upstream."""
    before = stage.upstream_requests()
    with pytest.raises(InvalidStatus) as caught:
        async with browser(stage, "tl_live_" + "x" * 49):
            pytest.fail("it was upgraded")
    assert caught.value.response.status_code == 401
    assert stage.upstream_requests() == before


async def test_the_upstreams_refusal_passes_through(stage: Stage) -> None:
    """An upstream that does not upgrade is heard in its own words."""
    async with openai.AsyncOpenAI(base_url=stage.base(), api_key=stage.key) as client:
        with pytest.raises(InvalidStatus) as caught:
            async with client.realtime.connect(model="sandbox-404"):
                pytest.fail("it was upgraded")
    answer = caught.value.response
    assert answer.status_code == 404
    assert "tieline-error" not in answer.headers
    assert json.loads(answer.body or b"")["error"]["code"] == "model_not_found"


async def test_a_conversation_that_is_cut_ends_at_once(stage: Stage) -> None:
    """The upstream hangs up without a close frame, and so does Tieline."""
    async with (
        openai.AsyncOpenAI(base_url=stage.base(), api_key=stage.key) as client,
        client.realtime.connect(model="sandbox-cut") as connection,
    ):
        await connection.conversation.item.create(item=HELLO)
        await connection.response.create()
        with pytest.raises(ConnectionClosed) as caught:
            while True:
                await connection.recv()
    assert caught.value.rcvd is None


async def test_a_conversation_ends_when_the_upstream_ends_it(stage: Stage) -> None:
    """After the closing handshake the upstream hangs up; the client is told and need not wait its ten seconds."""
    async with browser(stage, stage.key) as connection:
        await connection.recv()
        begun = time.monotonic()
        await connection.close()
    assert time.monotonic() - begun < 9


async def test_a_client_that_leaves_ends_the_conversation(stage: Stage) -> None:
    """Nothing stays open at the upstream."""
    async with (
        openai.AsyncOpenAI(base_url=stage.base(), api_key=stage.key) as client,
        client.realtime.connect(model=MODEL) as connection,
    ):
        await connection.recv()
        assert stage.stats()["open_streams"] >= 1
    assert await eventually(lambda: stage.stats()["open_streams"] == 0)
