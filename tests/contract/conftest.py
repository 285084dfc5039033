"""The sandbox on a real socket, for the tests of it, and clients of the official SDK that talk to it."""

from collections.abc import AsyncIterator, Iterator

import openai
import pytest

from tieline.sandbox.serve import running

KEY = "sk-sandbox-contract-tests"


@pytest.fixture(scope="session")
def sandbox() -> Iterator[str]:
    """The address of a running sandbox, shared by the whole session."""
    with running() as address:
        yield address


@pytest.fixture
def client(sandbox: str) -> Iterator[openai.OpenAI]:
    """The official SDK, synchronous, without retries."""
    with openai.OpenAI(base_url=f"{sandbox}/v1", api_key=KEY, max_retries=0, timeout=20) as client:
        yield client


@pytest.fixture
async def async_client(sandbox: str) -> AsyncIterator[openai.AsyncOpenAI]:
    """The official SDK, asynchronous, without retries."""
    async with openai.AsyncOpenAI(base_url=f"{sandbox}/v1", api_key=KEY, max_retries=0, timeout=20) as client:
        yield client
