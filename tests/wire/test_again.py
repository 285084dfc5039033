"""The same request again on a connection is not worked out anew, and never outlives what it was decided on."""

import time

import pytest

from tests.wire.raw import Peer, until
from tests.wire.stage import Stage


async def twice(stage: Stage, client: Peer, *fields: bytes) -> int:
    """Ask the same on one connection; the status of the last answer."""
    await client.send(stage.request(b"POST", b"/thing", *fields, body=b"first"))
    await client.message()
    await client.send(stage.request(b"POST", b"/thing", *fields, body=b"another body"))
    return (await client.message()).status


async def test_another_body_goes_on_with_its_own_length(stage: Stage) -> None:
    """Only what frames the body differs."""
    assert await twice(stage, await stage.connect()) == 200
    assert [message.body for message in stage.upstream.seen] == [b"first", b"another body"]
    first, second = (message.raw.replace(b"12", b"5") for message in stage.upstream.seen)
    assert first == second


@pytest.mark.parametrize("change", ["revoked", "expired", "permission", "app", "api", "credential"])
async def test_what_changed_counts_for_the_next_request(stage: Stage, change: str) -> None:
    """On the same open connection."""
    client = await stage.connect()
    assert await twice(stage, client) == 200
    source, expected = stage.worker.source, 403
    if change == "revoked":
        source.change_key(stage.key, revoked=True)
        expected = 401
    elif change == "expired":
        source.change_key(stage.key, expires_at=time.time() - 1)
        expected = 401
    elif change == "permission":
        source.change_key(stage.key, permissions={"mode": "read_only"})
    elif change == "app":
        source.change_key(stage.key, api_ids=frozenset())
    elif change == "api":
        source.drop_api("api")
        expected = 404
    else:
        source.put_credential("api", {"key": "sk-sandbox-" + "rotated-not-real"})
        expected = 200
    await stage.worker.caught_up()
    await client.send(stage.request(b"POST", b"/thing", body=b"again"))
    assert (await client.message()).status == expected
    if change == "credential":
        assert stage.upstream.seen[-1].one(b"authorization").endswith(b"rotated-not-real")


async def test_a_key_that_expires_in_between_is_refused(stage: Stage) -> None:
    """Nothing has to change for that but the time."""
    end = time.time() + 2
    stage.worker.source.change_key(stage.key, expires_at=end)
    await stage.worker.caught_up()
    client = await stage.connect()
    assert await twice(stage, client) == 200
    await until(lambda: time.time() > end)
    await client.send(stage.request())
    assert (await client.message()).status == 401


@pytest.mark.parametrize(
    "other",
    [
        b"x-seen: 2",
        b"Connection: x-seen\r\nx-seen: 1",
        b"X-HTTP-Method-Override: GET",
        b"Tieline-Environment: development",
    ],
    ids=["value", "connection", "override", "environment"],
)
async def test_other_fields_are_looked_at(stage: Stage, other: bytes) -> None:
    """One word of difference, and nothing is taken for granted."""
    client = await stage.connect()
    assert await twice(stage, client, b"x-seen: 1") == 200
    await client.send(stage.request(b"POST", b"/thing", other, body=b"first"))
    message = await client.message()
    if b"Override" in other or b"Tieline" in other:
        assert message.status in {400, 403}
    else:
        assert message.status == 200
        assert stage.upstream.seen[-1].every(b"x-seen") == ([b"2"] if b"2" in other else [])


async def test_another_key_on_the_same_connection_is_judged_by_itself(stage: Stage) -> None:
    """Connections are shared by a client's keys."""
    client = await stage.connect()
    assert await twice(stage, client) == 200
    stage.key = stage.worker.source.put_key("api", permissions={"mode": "read_only"})
    await stage.worker.caught_up()
    await client.send(stage.request(b"POST", b"/thing", body=b"first"))
    assert (await client.message()).status == 403
