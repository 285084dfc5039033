"""What an upstream sends at once is read in pieces, between which other requests are served."""

import asyncio
import gzip
from typing import Any, cast

from tests.unit.dataplane.calls.runs import Upstream
from tieline.dataplane.answers.content_coding import coding
from tieline.dataplane.attempt.send import UpstreamAnswer
from tieline.dataplane.calls.reading import gather
from tieline.dataplane.calls.streaming import _source

CODED = [(b"content-encoding", b"gzip")]
EVENTS = b"".join(b'data: {"n":%d}\n\n' % number for number in range(20_000))


async def turns_of(work: Any) -> tuple[Any, int]:
    """What ``work`` returns, and how often something else could run meanwhile."""
    task = asyncio.ensure_future(work)
    turns = 0
    while not task.done():
        await asyncio.sleep(0)
        turns += 1
    return task.result(), turns


async def pieces_of(upstream: Upstream) -> list[Any]:
    """The pieces that a stream is read in."""
    reached = cast("UpstreamAnswer", upstream)
    return [piece async for piece in _source(reached, coding(upstream.headers, 10**9), b"")]


async def test_a_stream_that_comes_at_once_is_read_in_pieces() -> None:
    """256 KiB of short events took the loop a fifth of a second."""
    for upstream in (Upstream(EVENTS), Upstream(gzip.compress(EVENTS), headers=CODED)):
        pieces, turns = await turns_of(pieces_of(upstream))
        assert pieces[-1] is None
        assert b"".join(pieces[:-1]) == EVENTS
        assert max(map(len, pieces[:-1])) <= 8 * 1024
        assert turns >= len(pieces) - 1


async def test_what_was_read_to_recognise_a_stream_is_read_in_pieces_too() -> None:
    """Its beginning may be all of it."""
    source = _source(cast("UpstreamAnswer", Upstream(b"")), None, EVENTS)

    async def read() -> list[Any]:
        return [piece async for piece in source]

    pieces, turns = await turns_of(read())
    assert b"".join(pieces[:-1]) == EVENTS
    assert turns >= len(pieces) - 1


async def test_a_short_piece_is_handed_on_at_once() -> None:
    """A stream's usual event waits for nobody."""
    pieces, turns = await turns_of(pieces_of(Upstream(b"data: x\n\n")))
    assert pieces == [b"data: x\n\n", None]
    assert turns <= 2


async def test_a_large_coded_body_is_undone_in_pieces() -> None:
    """As long as it is gathered, others run."""
    coded = gzip.compress(EVENTS, 1)
    body, turns = await turns_of(gather(cast("UpstreamAnswer", Upstream(coded, headers=CODED))))
    assert body == EVENTS
    assert turns >= len(coded) // (16 * 1024)
