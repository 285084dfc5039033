"""What an operator has just changed works for the next request, even before the worker was told of the change."""

import asyncio

from tests.wire.conftest import StartUpstream
from tests.wire.raw import Peer
from tests.wire.stage import PROVIDER_KEY, definition
from tieline.testing.dataplane import MemorySource, serving
from tieline.testing.vault import memory_keyring


class SilentSource(MemorySource):
    """A source that counts how often it is asked for changes and tells of none."""

    asked = 0

    async def wait_for_change(self, seconds: float) -> None:
        await asyncio.sleep(3600)

    async def changes_since(self, version: int) -> list:  # type: ignore[type-arg]
        self.asked += 1
        return await super().changes_since(version)


async def status(port: int, key: str) -> int:
    """The status of one GET."""
    peer = await Peer.connect(port)
    await peer.send(b"GET /relay/api/x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + key.encode() + b"\r\n\r\n")
    message = await peer.message()
    peer.close()
    return message.status


async def test_each_step_of_a_set_up_counts_at_once(start_upstream: StartUpstream) -> None:
    """API, credential, the app's API and the key's permissions, one after the other, with the key known all along."""
    upstream = await start_upstream()
    source = SilentSource(await memory_keyring())
    async with serving(source) as worker:
        nothing = {"mode": "restricted", "grants": {}}
        key = source.put_key(permissions=nothing)
        assert await status(worker.port, key) == 404
        source.put_api(definition(upstream.port))
        assert await status(worker.port, key) == 403
        source.change_key(key, api_ids=frozenset({"api_api"}), permissions={"mode": "all"})
        assert await status(worker.port, key) == 424
        source.put_credential("api", {"key": PROVIDER_KEY})
        assert await status(worker.port, key) == 200


async def test_each_step_of_a_set_up_counts_at_once_for_a_call(start_upstream: StartUpstream) -> None:
    """Though permission and credential are looked at once its parameters were read."""
    upstream = await start_upstream()
    source = SilentSource(await memory_keyring())
    areas = [{"area": "it", "title": "It", "levels": ["read"], "match": ["GET /it"]}]
    call = {"path": "/it", "response": {"type": "empty"}}
    raw = b"POST /call/api/it HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nAuthorization: Bearer %b\r\n\r\n{}"
    async with serving(source) as worker:
        source.put_api(definition(upstream.port, areas=areas))
        key = source.put_key("api", permissions={"mode": "restricted", "grants": {}})
        client = await Peer.connect(worker.port)

        async def status_of_call() -> int:
            await client.send(raw % key.encode())
            return (await client.message()).status

        assert await status_of_call() == 404
        source.put_api(definition(upstream.port, areas=areas, calls={"it": call}))
        assert await status_of_call() == 403
        source.change_key(key, permissions={"mode": "restricted", "grants": {"api": {"it": "read"}}})
        assert await status_of_call() == 424
        source.put_credential("api", {"key": PROVIDER_KEY})
        assert await status_of_call() == 204
        client.close()


async def test_a_flood_of_refusals_asks_the_store_seldom(start_upstream: StartUpstream) -> None:
    """However many requests are refused, the store is asked at most fifty times a second."""
    source = SilentSource(await memory_keyring())
    async with serving(source) as worker:
        key = source.put_key()
        start = asyncio.get_running_loop().time()
        for _ in range(10):
            assert set(await asyncio.gather(*(status(worker.port, key) for _ in range(20)))) == {404}
        took = asyncio.get_running_loop().time() - start
        assert source.asked <= took / 0.02 + 3
