"""503: while Tieline cannot reach its store it checks no keys, says so, and is back by itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import openai

from tests.conftest import run_sql
from tests.e2e.conftest import PROVIDER_KEY, Starter
from tests.e2e.sdk.cases import MODEL
from tests.e2e.sdk.conftest import Admin, Stage, eventually

HELLO: Any = [{"role": "user", "content": "Hello you"}]


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
