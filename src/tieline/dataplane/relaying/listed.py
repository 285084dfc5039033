"""A relayed request of a key with a list of models: it waits until its body is known to name none but these.

The API's own list of models is held until it is whole too, and passed on with those that the key may use. All else is
``exchange``'s.
"""

import asyncio
from typing import Final

from tieline.core.errors import TielineError, UpstreamError, UpstreamProtocolError, UpstreamResponseTooLarge
from tieline.dataplane.attempt.model_list import LIST_MOST, check_body, lists_models, only_allowed, too_large
from tieline.dataplane.limits.held import Held
from tieline.dataplane.relaying.exchange import Exchange
from tieline.dataplane.relaying.route import Route
from tieline.dataplane.relaying.shared import Relaying
from tieline.metering.named_models import BODY_MOST
from tieline.wire.egress import Answer, EgressConnection
from tieline.wire.request import Request

_LARGE: Final = 64 * 1024
"""A body of more bytes is read in a thread."""
_OK: Final = 200
_REFUSED: Final = 300
_OF_BYTES: Final = frozenset(
    {b"content-encoding", b"content-md5", b"digest", b"content-digest", b"repr-digest", b"etag", b"accept-ranges"}
)
"""Fields that are true of the very bytes that came."""


class ListedExchange(Exchange):
    """One request of such a key. What its path and query name was looked at before."""

    __slots__ = ("_checked", "_lists")

    def __init__(
        self, request: Request, request_id: str, route: Route, relaying: Relaying, held: Held | None = None
    ) -> None:
        super().__init__(request, request_id, route, relaying, held)
        self._checked = request.length == 0  # None where it is chunked
        self._lists = lists_models(request.method, route.message.target.path)

    def open(self) -> None:
        length = self.request.length
        if self._checked or (length is not None and length > self.route.body.most):
            super().open()
        elif length is not None and length > BODY_MOST:
            self._refuse(too_large(self.route.key.models))
        else:
            self._task = self.request.run(self._check())

    async def _check(self) -> None:
        message, models, request = self.route.message, self.route.key.models, self.request
        asked = (message.method, message.target.path, message.target.query, message.headers)
        try:
            body = await self.gather(BODY_MOST)
            if body is None:
                raise too_large(models)
            if len(body) <= _LARGE:
                check_body(models, asked, body)
            else:
                await asyncio.to_thread(check_body, models, asked, body)
        except TielineError as error:
            self._task = None
            self._refuse(error)
            return
        self._task = None
        self._checked = True
        request.pieces = [body]
        request.length = len(body)
        request.chunked = False
        self.open()

    def answer_arrived(self, connection: EgressConnection) -> None:
        head = connection.answer
        if not self._lists or self._attempting or self._answer is not None or head is None or head.status >= _REFUSED:
            super().answer_arrived(connection)
        elif head.status != _OK:
            self._refuse(UpstreamProtocolError("The upstream sent a part of its list of models. Ask for all of it."))
        elif sum([len(piece) for piece in connection.pieces]) > LIST_MOST:
            self._refuse(UpstreamResponseTooLarge("The upstream's list of models is larger than 4 MiB."))
        elif connection.complete:
            try:
                self._cut_down(connection, head)
            except UpstreamError as error:
                self._refuse(error)
            else:
                super().answer_arrived(connection)
        else:
            connection.deadline = min(connection.clock.now + self._plan.limits.idle, self._until)

    def _cut_down(self, connection: EgressConnection, head: Answer) -> None:
        """Put what the key may use of the list in place of the list. Raises UpstreamError."""
        body = only_allowed(self.route.key.models, head.headers, b"".join(connection.pieces))
        connection.pieces = [body]
        head.headers = [pair for pair in head.headers if pair[0].lower() not in _OF_BYTES]
        head.length = len(body)
