"""Real sockets on uvloop, as in production: raw clients, a worker, hostile upstreams."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any

import pytest
import uvloop

from tests.wire.raw import Script, Upstream, drop, greet
from tests.wire.stage import PROVIDER_KEY, Stage, definition
from tieline.testing.dataplane import serving

StartUpstream = Callable[..., Awaitable[Upstream]]
StartStage = Callable[..., Awaitable[Stage]]


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> Mapping[str, Any]:
    """Every test of this folder runs on uvloop."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    """Whatever a test starts is stopped in reverse order."""
    async with AsyncExitStack() as everything:
        yield everything


@pytest.fixture
def start_upstream(stack: AsyncExitStack) -> StartUpstream:
    """Starts an upstream that follows a script; without one it greets every request."""

    async def start(script: Script | None = None, **options: Any) -> Upstream:
        upstream = Upstream(script or greet)
        await upstream.start(**options)
        stack.push_async_callback(upstream.stop)
        return upstream

    return start


@pytest.fixture
def start_stage(stack: AsyncExitStack, start_upstream: StartUpstream) -> StartStage:
    """Starts a worker before an upstream that follows a script; ``changes`` are to the definition."""

    async def start(script: Script | None = None, **changes: Any) -> Stage:
        upstream = await start_upstream(script)
        worker = await stack.enter_async_context(serving())
        worker.source.put_api(definition(upstream.port, **changes))
        worker.source.put_credential("api", {"key": PROVIDER_KEY})
        key = worker.source.put_key("api")
        await worker.caught_up()
        stage = Stage(worker, upstream, key)
        stack.push_async_callback(drop, stage.clients)
        return stage

    return start


@pytest.fixture
async def stage(start_stage: StartStage) -> Stage:
    """A worker before an upstream that greets every request."""
    return await start_stage()
