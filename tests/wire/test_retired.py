"""What was replaced is gone from memory: plans, and with them the secrets that they hold."""

import gc
import weakref

from tests.wire.conftest import StartStage
from tests.wire.stage import PROVIDER_KEY, Stage
from tieline.schemes.base import Applier

ROTATIONS = 30
CALLS = {"now": {"path": "/now", "response": {"type": "json"}, "cache": {"ttl": "1h"}}}


def applier_of(stage: Stage) -> "weakref.ref[Applier]":
    """What holds the secret that is used now."""
    api = stage.worker.service.snapshot.apis[b"api"]
    applier = api.plans["live"].auth[0]
    assert isinstance(applier, Applier)
    return weakref.ref(applier)


async def test_retired_secrets_are_collectable_while_connections_stay_open(start_stage: StartStage) -> None:
    """Thirty rotations, each used by a relay and a call on connections that stay open, leave the one in use."""
    stage = await start_stage(calls=CALLS)
    appliers = []
    for turn in range(ROTATIONS):
        stage.worker.source.put_credential("api", {"key": f"{PROVIDER_KEY}-{turn}"})
        await stage.worker.caught_up()
        client = await stage.connect()
        await client.send(stage.request(b"GET", b"/thing"))
        assert (await client.message()).status == 200
        await client.send(stage.request(b"POST", b"/now").replace(b"/relay/", b"/call/"))
        await client.message()
        appliers.append(applier_of(stage))
    gc.collect()
    assert [applier() is not None for applier in appliers] == [False] * (ROTATIONS - 1) + [True]
