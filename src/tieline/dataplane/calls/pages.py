"""Every page of a call, as a stream of items: ``event: item`` for each, ``event: done`` or ``event: error`` at the end.

Bounded by the definition's ``most``, at the caller's pace. Owns the walk; where the next page is, ``paging`` says.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import orjson

from tieline.core.errors import InvalidRequest, TielineError, UpstreamProtocolError, UpstreamTimeout
from tieline.dataplane.attempt.send import Order, Reached, Running
from tieline.dataplane.attempt.target import Target, told_target
from tieline.dataplane.calls.answering import failure
from tieline.dataplane.calls.reading import document_of, encoded, gather
from tieline.dataplane.calls.reply import Reply
from tieline.dataplane.calls.streaming import EVENT_STREAM
from tieline.dataplane.snapshot.calls import ReadyCall
from tieline.dataplane.snapshot.paging import Page, Pager, Step
from tieline.wire import answers

Draw = Callable[[Mapping[str, Any]], Order]
"""Makes the order for a page: the caller's values, with those given in their place."""


class Walk:
    """One walk. ``items`` and ``pages`` are how many were handed out and read.

    ``more`` says that there is more than was handed out; ``error`` is what ended it badly.
    """

    def __init__(self, running: Running, call: ReadyCall, values: Mapping[str, Any], draw: Draw) -> None:
        assert call.call.pagination is not None  # asked by who walks
        self.items = 0
        self.pages = 0
        self.more = False
        self.error: TielineError | None = None
        self._running = running
        self._call = call
        self._most = call.call.pagination
        self._pager = Pager(call.call, values)
        self._draw = draw
        self._asked = Target(b"", b"")
        self._end = asyncio.get_running_loop().time() + self._most.most_time

    async def run(self, reply: Reply, request_id: str, first: Callable[[Reached], None]) -> None:
        """Walk to the end. ``first`` hears of the first page's answer.

        Raises what fetching the first page does, before anything was written.
        """
        items, step = await self._get(self._pager.first(), first)
        reply.begin_events(EVENT_STREAM)
        await self._hand_out(reply, items, step)
        while step is not None and not self.more and self.error is None:
            try:
                items, step = await self._get(step)
            except TielineError as error:
                self._stop(error)
            else:
                await self._hand_out(reply, items, step)
        if self.error is not None:
            end = b"event: error\ndata: " + answers.error_body(self.error, request_id)
        else:
            told = {"items": self.items, "pages": self.pages, "more": self.more}
            end = b"event: done\ndata: " + orjson.dumps(told)
        await reply.write(end + b"\n\n")
        reply.end()

    async def _get(self, step: Step, hear: Callable[[Reached], None] | None = None) -> tuple[list[Any], Step | None]:
        """The items of one page as the upstream sent them, and what asks for the next one."""
        call = self._call
        order = self._draw(step.values)
        timeout = call.call.timeout if call.call.timeout is not None else order.plan.limits.total
        target = told_target(order.plan, self._asked, step.url) if step.url is not None else order.target
        end = min(self._end, asyncio.get_running_loop().time() + timeout)
        reached = await self._running.send(replace(order, target=target, end=end))
        self._asked = reached.target
        try:
            if hear is not None:
                hear(reached)
            if self._pager.is_beyond(reached.status, self.pages):
                return [], None
            if reached.status >= 300:
                raise await failure(reached)
            document = document_of(call, reached, await gather(reached))
        finally:
            reached.close()
        assert call.items is not None  # it has pages
        items = call.items.find(document)
        if items is None:
            raise UpstreamProtocolError(
                f"The upstream's answer to {call.name} has no list of items. Say where they are: pagination.items."
            )
        self.pages += 1
        return items, self._pager.after(Page(document, reached.headers, len(items)))

    async def _hand_out(self, reply: Reply, items: list[Any], step: Step | None) -> None:
        call = self._call
        assert call.items is not None  # it has pages
        given = items[: self._most.most_items - self.items]
        self.items += len(given)
        shape = call.items.shape
        events = [b"event: item\ndata: " + encoded(call, shape(item)) + b"\n\n" for item in given]
        await reply.write(b"".join(events))
        is_full = self.items >= self._most.most_items or self._is_late()
        self.more = len(given) < len(items) or (step is not None and is_full)

    def _stop(self, error: TielineError) -> None:
        """A page could not be fetched: for want of time, which ends the walk as agreed, or in earnest."""
        if isinstance(error, UpstreamTimeout) and self._is_late():
            self.more = True
        else:
            self.error = error

    def _is_late(self) -> bool:
        """Whether the walk has had its time."""
        return asyncio.get_running_loop().time() >= self._end


def check_walkable(call: ReadyCall) -> None:
    """Raise InvalidRequest where a call has no pages to walk."""
    if call.items is None:
        raise InvalidRequest(
            f"The call {call.name} has no pagination, so there are no further pages. Leave Tieline-Pages out.",
            param="Tieline-Pages",
        )
