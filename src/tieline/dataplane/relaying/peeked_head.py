"""The head of an answer that is not passed on yet: the attempt loop looks at it, and at its body where it has to."""

from collections.abc import Sequence
from typing import Protocol

from tieline.wire.egress import Answer, EgressConnection


class Peeking(Protocol):
    """The exchange that owns the connection of the answer."""

    async def peek(self, connection: EgressConnection, most: int) -> bytes | None: ...

    def give_back(self, connection: EgressConnection) -> None: ...


class PeekedHead:
    """The head of an answer that the attempt loop decides on before it is passed on (``attempt.judge.AnswerHead``)."""

    __slots__ = ("_exchange", "connection", "headers", "status")

    def __init__(self, exchange: Peeking, connection: EgressConnection, answer: Answer) -> None:
        self.status = answer.status
        self.headers: Sequence[tuple[bytes, bytes]] = answer.headers
        self.connection = connection
        self._exchange = exchange

    async def peek(self, most: int) -> bytes | None:
        return await self._exchange.peek(self.connection, most)

    def close(self) -> None:
        self._exchange.give_back(self.connection)
