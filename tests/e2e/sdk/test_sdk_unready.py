"""503: while Tieline cannot check a key, as its store is away or asked too much, it says so and is back by itself."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest

from tests.conftest import run_sql
from tests.e2e.conftest import PROVIDER_KEY, Starter
from tests.e2e.sdk.cases import MODEL
from tests.e2e.sdk.conftest import Admin, Stage, eventually
from tieline.access import appkey
from tieline.dataplane.snapshot import view as snapshot
from tieline.testing.dataplane import serving

HELLO: Any = [{"role": "user", "content": "Hello you"}]
STRANGERS = 20


@contextmanager
def outage(url: str) -> Iterator[None]:
    """The database takes no connections and has none while the block lasts."""
    name = urlsplit(url).path.removeprefix("/")
    run_sql(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
    try:
        run_sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")  # noqa: S608
        yield
    finally:
        run_sql(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')


async def test_a_lost_store_raises_internal_server_error_until_it_is_back(
    stage: Stage, start_server: Starter, postgres_url: str
) -> None:
    """The SDK's class for 5xx, with the seconds to wait; the client of before is served again afterwards."""
    server = start_server("--allow-destination", "127.0.0.1", "--database-url", postgres_url)
    admin = Admin(server)
    admin("POST", "apis", {"name": "openai", "from_catalogue": "openai", "base_url": stage.sandbox})
    admin("PUT", "apis/openai/credentials/live", {"fields": {"key": PROVIDER_KEY}})
    admin("POST", "apps", {"name": "one", "apis": ["openai"]})
    key = admin("POST", "apps/one/keys", {})["secret"]
    with openai.OpenAI(base_url=f"{server.app}/relay/openai", api_key=key, max_retries=0) as client:

        def answer() -> openai.APIStatusError | None:
            try:
                client.chat.completions.create(model=MODEL, messages=HELLO)
            except openai.APIStatusError as error:
                return error
            return None

        assert await eventually(lambda: answer() is None)
        with outage(postgres_url):
            assert await eventually(lambda: answer() is not None, 20)
            error = answer()
        assert type(error) is openai.InternalServerError
        assert (error.status_code, error.code) == (503, "not_ready")
        assert (error.response.headers["x-should-retry"], error.response.headers["retry-after"]) == ("true", "2")
        assert await eventually(lambda: answer() is None, 20)


async def test_too_many_strangers_at_once_raise_internal_server_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond those that may wait for their key to be looked up, the answer is 503 and when to come again."""
    monkeypatch.setattr(snapshot, "_LOOKUPS_WAITING", STRANGERS // 2)
    worked = asyncio.Event()
    async with serving() as worker:
        source = worker.source
        source.put_api({"tieline": "v1", "api": "openai", "base_url": "http://127.0.0.1:9", "auth": {"scheme": "none"}})
        await worker.caught_up()

        async def never(keyed_hash: bytes) -> None:
            await worked.wait()

        source.key_by_hash = never  # type: ignore[method-assign]
        keys = [appkey.mint("live").reveal_bytes().decode() for _ in range(STRANGERS)]
        base_url = f"{worker.url}/relay/openai"
        async with openai.AsyncOpenAI(base_url=base_url, api_key="tl_", max_retries=0, timeout=30) as client:
            asked = [asyncio.create_task(refusal(client, key)) for key in keys]
            error = await next(asyncio.as_completed(asked))
            worked.set()
            others = await asyncio.gather(*asked)
    assert type(error) is openai.InternalServerError
    assert (error.status_code, error.code) == (503, "overloaded")
    assert (error.response.headers["x-should-retry"], error.response.headers["retry-after"]) == ("true", "1")
    assert {type(each) for each in others} == {openai.InternalServerError, openai.AuthenticationError}


async def refusal(client: openai.AsyncOpenAI, key: str) -> openai.APIStatusError:
    """What a client with this key is refused with."""
    with pytest.raises(openai.APIStatusError) as caught:
        await client.with_options(api_key=key).models.list()
    return caught.value
