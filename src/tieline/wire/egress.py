"""The dialling side of the engine: one connection to an upstream and the answers that come over it.

It owns the upstream's socket, the parser and what makes an answer acceptable; it does not know which request it carries
or who asked. What an upstream may do wrong ends in an ``UpstreamError`` at the owner and a closed connection.

States of a connection, and whose it is:

    idle       its lane's. Bytes or an end in this state belong to nobody: it is cut, and never taken again
    asked      its owner's, from ``begin``. Interim answers come and go. A head makes it *answering*
    answering  its owner's. ``complete`` once the answer is whole; ``release`` makes it *idle* or, where anything is
               left over, held up or unclear, *closed*
    tunnelled  its owner's, after a 101 that was asked for: bytes pass, no message is looked at
    closed     nobody's; the lane was told. An owner that still waited was told why (``upstream_failed``), once

The deadline is the owner's to set while it has the connection, and the lane's while it is idle.
"""

import asyncio
import select
from typing import NamedTuple, Protocol, cast

import httptools

from tieline.core.errors import UpstreamError, UpstreamProtocolError, UpstreamTimeout, UpstreamUnreachable
from tieline.wire import framing
from tieline.wire.deadlines import NEVER, Deadlines
from tieline.wire.turns import FRAMES, LARGE, TurnShare, at_once


class Dialled(NamedTuple):
    """How long it took to open a connection, in milliseconds: to look up and reach an address, and to agree on TLS."""

    connect_ms: float
    tls_ms: float | None


class Answer:
    """The head of an upstream's answer. ``length`` is None where the body is chunked or ends with the connection.

    ``connection`` is the lower-case ``Connection`` value.
    """

    __slots__ = ("chunked", "connection", "headers", "length", "reason", "status")

    def __init__(self, status: int, reason: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        self.status = status
        self.reason = reason
        self.headers = headers
        self.length: int | None = None
        self.chunked = False
        self.connection = b""


class Owner(Protocol):
    """Who sent the request and takes the answer."""

    def answer_arrived(self, connection: "EgressConnection") -> None:
        """``connection`` has a head, body pieces or the end of the answer that were not taken yet."""

    def interim_arrived(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """A 1xx answer came (never 101)."""

    def upstream_failed(self, error: UpstreamError) -> None:
        """No (further) answer will come; the connection is gone."""

    def upstream_paused(self) -> None:
        """The upstream reads more slowly than it is written to: write no more for now."""

    def upstream_resumed(self) -> None:
        """The upstream caught up."""

    def tunnel_bytes(self, data: bytes) -> None:
        """Bytes of a connection that is no longer HTTP."""


class Home(Protocol):
    """Where a connection belongs while nobody uses it: a lane of ``wire.pool``."""

    deadlines: Deadlines

    def give(self, connection: "EgressConnection") -> None: ...

    def lost(self, connection: "EgressConnection") -> None: ...


class EgressConnection(asyncio.Protocol):
    """One connection to an upstream, used by one owner at a time.

    While an owner has it: ``answer`` is the head once it came, ``pieces`` the body bytes nobody took yet, ``complete``
    says that the answer is whole, ``trailers`` are then final. ``dialled`` tells how it was opened.
    """

    __slots__ = (
        "_expects_upgrade",
        "_head_bytes",
        "_head_only",
        "_headers",
        "_held",
        "_idle_since",
        "_in_body",
        "_interim",
        "_interims",
        "_keeps",
        "_lane",
        "_owner",
        "_parser",
        "_paused",
        "_poll",
        "_reason",
        "_share",
        "_surplus",
        "_transport",
        "answer",
        "clock",
        "closed",
        "complete",
        "deadline",
        "dialled",
        "pieces",
        "proven",
        "reads_frames",
        "reused",
        "trailers",
        "tunnelled",
        "untouched",
    )

    def __init__(self, lane: Home) -> None:
        self._lane = lane
        self.clock = lane.deadlines
        self._owner: Owner | None = None
        self._parser = httptools.HttpResponseParser(self)
        self.deadline = NEVER
        self.dialled: Dialled | None = None
        self.closed = False
        self.reused = False
        self.proven = False
        self._idle_since = 0.0
        self.tunnelled = False
        self.reads_frames = False
        self._paused = False
        self._held = False
        self._surplus = False
        self._share: TurnShare | None = None
        self._reset()

    def _reset(self) -> None:
        self.answer: Answer | None = None
        self.pieces: list[bytes] = []
        self.trailers: list[tuple[bytes, bytes]] = []
        self.complete = False
        self.untouched = True
        self._headers: list[tuple[bytes, bytes]] = []
        self._reason = b""
        self._head_bytes = 0
        self._head_only = False
        self._expects_upgrade = False
        self._in_body = False
        self._interim = False
        self._interims = 0
        self._keeps = False

    # -- the owner's side

    def begin(self, owner: Owner, *, head_only: bool, expects_upgrade: bool) -> None:
        """Take the connection for one request; ``head_only`` says that the answer has no body (HEAD)."""
        if self.reused:
            self._reset()
        self._owner = owner
        self._head_only = head_only
        self._expects_upgrade = expects_upgrade

    def pass_to(self, owner: Owner) -> None:
        """``owner`` has the connection from here on, in the middle of what it carries."""
        self._owner = owner

    def write(self, data: bytes) -> None:
        if not self.closed:
            self._transport.write(data)

    def end_writing(self) -> None:
        """Send no more on a tunnel, but keep reading. TLS cannot end one way only: there it ends both."""
        if self.closed:
            return
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()

    def pause(self) -> None:
        """Read no more of the answer for now."""
        if not self.closed:
            self._held = True
            self._transport.pause_reading()

    def resume(self) -> None:
        if not self.closed:
            self._held = False
            self._resume_turn()

    def release(self, *, reusable: bool) -> None:
        """The owner is done. The connection goes back to its lane if it can carry another request."""
        self._owner = None
        self.deadline = NEVER
        unfit = (
            self._surplus or self._paused or self._held or self.closed or (self._share is not None and self._share.left)
        )
        if reusable and self._keeps and self.complete and not unfit:
            self.proven = self.reused
            self.reused = True
            self.answer = None
            self._idle_since = self.clock.turn()
            self._lane.give(self)
        else:
            self.abort()

    def abort(self) -> None:
        """Cut the connection."""
        self._owner = None
        self._drop_left()
        if not self.closed:
            self.closed = True
            self._transport.abort()

    # -- the transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._poll = select.poll()
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN | select.POLLRDHUP)

    @property
    def quiet(self) -> bool:
        """Whether nothing waits to be read.

        Bytes or an end that arrived while the connection was idle belong to no request. The loop may not have read them
        yet when the next request comes, and would then take a stray answer for its own; so it is asked of the kernel.

        It is not asked where the connection was given back less than a turn of the loop ago (``Deadlines.turn``). What
        came in that time is as likely as what comes until the turn ends, when the request is written, and until it
        reaches the upstream; no question can tell of that, and no client can close this gap (RFC 9112 section 9.5). A
        server that closes after each answer without saying so would be met in that time again and again, so the
        connection must have been used again before.
        """
        if self.closed:
            return False
        if self.proven and self.clock.turn() == self._idle_since:
            return True
        return not self._poll.poll(0)

    @property
    def peername(self) -> tuple[str, int] | None:
        """The address and port that were reached."""
        name: tuple[str, int] | None = self._transport.get_extra_info("peername")
        return name

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._drop_left()
        self._lane.lost(self)
        owner, self._owner = self._owner, None
        if owner is None or (self.complete and not self.tunnelled):
            return
        answer = self.answer
        if answer is not None and answer.length is None and not answer.chunked and exc is None and not self.tunnelled:
            self.complete = True
            owner.answer_arrived(self)
        elif self.tunnelled:
            owner.upstream_failed(UpstreamUnreachable("The upstream closed the connection."))
        elif answer is None and self.untouched:
            owner.upstream_failed(
                UpstreamUnreachable("The upstream closed the connection without an answer. Try again.")
            )
        else:
            owner.upstream_failed(
                UpstreamProtocolError("The upstream closed the connection in the middle of its answer.")
            )

    def data_received(self, data: bytes) -> None:
        owner = self._owner
        if owner is None:  # an answer that nobody asked for
            self.abort()
            return
        if self.tunnelled:
            self._pass_on(owner, data)
            return
        if len(data) > LARGE and self._takes_turns(data):
            return
        if self.answer is None:
            self.untouched = False
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as stop:
            self._switched(data[stop.args[0] :])
        except httptools.HttpParserError as error:
            if self._fails(error):
                return
        if self.answer is None:
            self._check_head_size()
        elif self._owner is not None:
            owner.answer_arrived(self)

    def _check_head_size(self) -> None:
        if self._head_bytes > framing.ANSWER_HEAD_BYTES:
            self._end_with(framing.answer_head_too_large())

    def _pass_on(self, owner: Owner, data: bytes) -> None:
        """Bytes of a tunnel; where its messages are read, large reads are in slices."""
        if len(data) <= FRAMES or not self.reads_frames or not self._takes_turns(data):
            owner.tunnel_bytes(data)

    def _takes_turns(self, data: bytes) -> bool:
        """Whether ``data`` is parsed in its turn: else it is it that has it now."""
        share = self._share
        if share is None:
            share = self._share = TurnShare(self.clock, self.data_received, self._pause_turn, self._resume_turn)
        elif share.parsing:
            return False
        framed = self.answer is None or self.answer.chunked
        share.take(data, FRAMES if self.tunnelled else at_once(data, framed=framed))
        return True

    def _drop_left(self) -> None:
        if self._share is not None:
            self._share.left = b""

    def _pause_turn(self) -> None:
        if not self.closed:
            self._transport.pause_reading()

    def _resume_turn(self) -> None:
        if not (self.closed or self._held or (self._share is not None and self._share.waits)):
            self._transport.resume_reading()

    def pause_writing(self) -> None:
        self._paused = True
        if self._owner is not None:
            self._owner.upstream_paused()

    def resume_writing(self) -> None:
        self._paused = False
        if self._owner is not None:
            self._owner.upstream_resumed()

    def expired(self) -> None:
        """The upstream took too long, or the connection was idle for long enough."""
        if self._owner is None:
            self.abort()
        else:
            self._end_with(UpstreamTimeout("The upstream took too long. Try again, or raise the API's timeout."))

    # -- the parser's side

    def on_message_begin(self) -> None:
        if self.complete:
            self._surplus = True
            return
        self._headers = []
        self._reason = b""

    def on_status(self, reason: bytes) -> None:
        if not self._surplus:
            self._reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._surplus:
            return
        if not self._in_body:
            self._headers.append((name, value))
            return
        self.trailers.append((name, value))
        if len(self.trailers) > framing.ANSWER_FIELDS:
            raise UpstreamProtocolError("The upstream sent too many trailer fields.")

    def on_headers_complete(self) -> None:
        if self._surplus:
            return
        parser = self._parser
        status = parser.get_status_code()
        if status < 200 and status != 101:
            framing.read_interim(status, self._headers)
            self._interim = True
            self._interims += 1
            if self._interims > framing.INTERIM_MOST:
                raise UpstreamProtocolError("The upstream sent interim answers without end.")
            return
        if status == 101 and not self._asked_for(parser):
            raise UpstreamProtocolError("The upstream switched to a protocol that was not asked for.")
        if self._head_bytes > framing.ANSWER_HEAD_BYTES and framing.size(self._headers) > framing.ANSWER_HEAD_BYTES:
            raise framing.answer_head_too_large()
        answer = Answer(status, self._reason, self._headers)
        framing.read_answer(answer, parser.get_http_version(), self._headers)
        self.answer = answer
        self._in_body = True
        self._keeps = parser.should_keep_alive()
        if self._head_only and status != 101:
            # the parser would wait for the body that Content-Length speaks of
            self.complete = True
            self._parser = httptools.HttpResponseParser(self)

    def _asked_for(self, parser: httptools.HttpResponseParser) -> bool:
        return self._expects_upgrade and parser.should_upgrade() and framing.switches(self._headers)

    def on_body(self, data: bytes) -> None:
        if self.complete:
            self._surplus = True
        else:
            self.pieces.append(data)

    def on_message_complete(self) -> None:
        if self._interim:
            self._interim = False
            if self._owner is not None:
                self._owner.interim_arrived(self._parser.get_status_code(), self._headers)
        elif not self._surplus and self.answer is not None:
            self.complete = True

    def _switched(self, rest: bytes) -> None:
        if self.answer is None or self.answer.status != 101:
            self._surplus = True
            self.complete = self.answer is not None
            return
        self.tunnelled = True
        if rest:
            self.pieces.append(rest)

    def _fails(self, error: httptools.HttpParserError) -> bool:
        """Whether the answer is broken by ``error``: one that is whole has something behind it."""
        if self.complete:
            self._surplus = True
            return False
        cause = error.__context__
        if not isinstance(cause, UpstreamError):
            cause = UpstreamProtocolError("The upstream's answer is not valid HTTP.", detail=str(error))
        self._end_with(cause)
        return True

    def _end_with(self, error: UpstreamError) -> None:
        owner, self._owner = self._owner, None
        self.abort()
        if owner is not None:
            owner.upstream_failed(error)
