"""Every page of a call, as a stream of items: a ``PageItem`` for each, ``PagesDone`` or ``Failed`` at the end.

Bounded by the definition's ``most``, at the receiver's pace. Owns the walk; what asks for the next page is ``pager``'s.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from hashlib import blake2b
from typing import Any, Final, Protocol

from tieline.core.errors import InvalidRequest, TielineError, UpstreamProtocolError, UpstreamTimeout
from tieline.dataplane.answers.json_parts import IN_PARTS
from tieline.dataplane.answers.mask import Mask
from tieline.dataplane.answers.streams import Failed
from tieline.dataplane.attempt.send import CallSender, Order, UpstreamAnswer
from tieline.dataplane.attempt.target import Target, told_target
from tieline.dataplane.calls.answering import failure
from tieline.dataplane.calls.arguments import Arguments
from tieline.dataplane.calls.pager import COMPARED_MOST, NextPage, PageAnswer, Pager
from tieline.dataplane.calls.reading import LARGE, document_of, encoded, gather
from tieline.dataplane.calls.results import PageItem, PagesDone, Receiver
from tieline.dataplane.snapshot.calls import ReadyCall
from tieline.definitions.json_parts import release

_AT_ONCE: Final = 500
_BYTES_AT_ONCE: Final = 128 * 1024
"""Items, and about how many bytes of them, that are shaped and written before others get their turn."""
Draw = Callable[[Mapping[str, Any], ReadyCall], Awaitable[Order]]
"""Makes the order for a page of a call: the caller's values, with those given in their place."""


class PageReader(Protocol):
    """The way out, and a thread for what is large; ``run.CallRunner``."""

    sender: CallSender

    async def in_thread(self, work: Callable[[], Any]) -> Any: ...


class Walk:
    """One walk of ``call``, whose pages after the first ``onward`` asks for, where that is another call.

    ``items`` and ``pages`` are how many were handed out and read. ``more`` says that there is more than was handed out;
    ``error`` is what ended it badly.
    """

    def __init__(
        self, runner: PageReader, call: ReadyCall, onward: ReadyCall, arguments: Arguments, draw: Draw
    ) -> None:
        assert call.call.pagination is not None  # asked by who walks
        self.items = 0
        self.pages = 0
        self.more = False
        self.error: TielineError | None = None
        self._runner = runner
        self._call = call
        self._onward = onward
        self._most = call.call.pagination
        self._pager = Pager(call.call, arguments.values, onward.call)
        self._draw = draw
        self._hear: Callable[[UpstreamAnswer], None] = lambda _: None
        self._last: Target | None = None  # where the page before was asked for
        self._asked: set[bytes] = set()  # fingerprints of the URLs that answers named and that were asked for
        self._size = 0  # bytes of the page that was read last
        self._mask = Mask(())  # that of the page that was read last
        self._end = asyncio.get_running_loop().time() + self._most.most_time

    async def run(self, receiver: Receiver, hear: Callable[[UpstreamAnswer], None]) -> None:
        """Walk to the end. ``hear`` is told of each page's answer before it is read.

        Raises what fetching the first page does, before anything was handed out.
        """
        self._hear = hear
        page = await self._get(self._pager.first())
        receiver.begin_events()
        try:
            while page is not None:
                page = await self._pass_on(receiver, page)
        except TielineError as error:
            self._stop(error)
        done = PagesDone(self.items, self.pages, self.more)
        await receiver.items([Failed(self.error) if self.error is not None else done])
        receiver.end()

    async def _pass_on(self, receiver: Receiver, page: PageAnswer) -> PageAnswer | None:
        """Hand out the items of ``page`` and get the next one; None where the walk is over.

        Raises TielineError where it cannot go on; the items were handed out by then, unless they came twice.
        """
        await self._aside(lambda: self._pager.check_new(page))
        given = page.items[: self._most.most_items - self.items]
        await self._hand_out(receiver, given)
        following = await self._aside(lambda: self._pager.after(page))
        if self._size > IN_PARTS:
            await self._runner.in_thread(lambda: _free(page.items))
        is_full = self.items >= self._most.most_items or self._is_late()
        self.more = len(given) < len(page.items) or (following is not None and is_full)
        return await self._get(following) if following is not None and not self.more else None

    async def _get(self, asks: NextPage) -> PageAnswer | None:
        """One page as the upstream sent it; None where it says that there is no such page."""
        call = self._call
        sent = call if not self.pages else self._onward
        order = await self._draw(asks.values, sent)
        timeout = sent.call.timeout if sent.call.timeout is not None else order.plan.limits.total
        target = self._named(order, asks.url) if asks.url is not None else order.target
        end = min(self._end, asyncio.get_running_loop().time() + timeout)
        reached = await self._runner.sender.send(replace(order, target=target, end=end))
        self._last = reached.target
        try:
            self._hear(reached)
            if self._pager.is_past_end(reached.status):
                return None
            if reached.status >= 300:
                raise await failure(reached)
            document = await self._document(reached)
        finally:
            reached.close()
        assert call.items is not None  # it has pages
        find, is_first = call.items.find, not self.pages
        items = await self._aside(lambda: find(document, first=is_first))
        if items is None:
            raise UpstreamProtocolError(
                f"The upstream's answer to {call.name} has no list of items. Say where they are: pagination.items."
            )
        self.pages += 1
        self._mask = reached.mask
        return PageAnswer(document, reached.headers, items)

    async def _document(self, reached: UpstreamAnswer) -> Any:
        body = await gather(reached)
        self._size = len(body)
        return await self._aside(lambda: document_of(self._call, reached, body))

    async def _aside(self, work: Callable[[], Any]) -> Any:
        """What ``work`` on the page that was read last returns; a large one is worked on in a thread."""
        return work() if self._size <= LARGE else await self._runner.in_thread(work)

    def _named(self, order: Order, url: str) -> Target:
        """The page that an answer names. Raises UpstreamProtocolError where it may not or need not be asked for."""
        assert self._last is not None  # an answer named it
        target = told_target(order.plan, self._last, url)
        self._asked.add(_fingerprint(self._last))
        fingerprint = _fingerprint(target)
        if fingerprint in self._asked:
            raise UpstreamProtocolError(
                "The walk cannot go on: the upstream's answer leads to a page that was read before. Check the call's "
                "pagination."
            )
        return target

    async def _hand_out(self, receiver: Receiver, items: list[Any]) -> None:
        """Hand out the items, some at a time, so that a page of very many does not keep others waiting."""
        left = iter(items)
        while some := await self._aside(lambda: self._written(left)):
            await receiver.items(some)
            self.items += len(some)
            await asyncio.sleep(0)

    def _written(self, items: Iterator[Any]) -> list[PageItem]:
        """The next of ``items``, as callers get them."""
        call = self._call
        assert call.items is not None  # it has pages
        shape, hide = call.items.shape, self._mask.json
        some: list[PageItem] = []
        size = 0
        for item in items:
            data = hide(encoded(call, shape(item), self._size))
            some.append(PageItem(data))
            size += len(data)
            if size > _BYTES_AT_ONCE or len(some) == _AT_ONCE:
                break
        return some

    def _stop(self, error: TielineError) -> None:
        """A page could not be fetched: for want of time, which ends the walk as agreed, or in earnest."""
        if isinstance(error, UpstreamTimeout) and self._is_late():
            self.more = True
        else:
            self.error = error

    def _is_late(self) -> bool:
        """Whether the walk has had its time."""
        return asyncio.get_running_loop().time() >= self._end


def _free(items: list[Any]) -> None:
    """Free what nobody compares the next page with."""
    rest = items[COMPARED_MOST:]
    del items[COMPARED_MOST:]
    release(rest)


def _fingerprint(target: Target) -> bytes:
    return blake2b(repr(target).encode(), digest_size=16).digest()


def check_walkable(call: ReadyCall) -> None:
    """Raise InvalidRequest where a call has no pages to walk."""
    if call.items is None:
        raise InvalidRequest(
            f"The call {call.name} has no pagination, so there are no further pages. Leave Tieline-Pages out.",
            param="Tieline-Pages",
        )
