"""A relayed answer as its client gets it: its head, its body masked and framed anew, and how it is cut.

Writes nothing itself: it turns what came into what goes on. Who reads and who waits is the exchange's business.
"""

from collections.abc import Sequence
from typing import Final, Protocol

from tieline.core.errors import TielineError
from tieline.dataplane.answers.closing_event import ClosingEvent
from tieline.dataplane.answers.error_word import SAID_MOST
from tieline.dataplane.answers.mask import mask
from tieline.dataplane.answers.tee import Tee
from tieline.dataplane.answers.usage_listener import without_usage_chunk
from tieline.dataplane.copies import BodyCopies
from tieline.dataplane.limits.fields import fields_of
from tieline.dataplane.limits.held import Held, Left
from tieline.dataplane.relaying.answer_urls import led_back
from tieline.dataplane.relaying.body import kept_trailers
from tieline.dataplane.relaying.route import Route
from tieline.dataplane.snapshot.header_fate import ADDRESS, CONTENT_ENCODING, CONTENT_TYPE, DROPPED, PASSED, RATE
from tieline.dataplane.snapshot.plan import Plan
from tieline.wire import answers, framing
from tieline.wire.egress import Answer
from tieline.wire.framing import Headers
from tieline.wire.request import Request

_BODYLESS = frozenset({204, 304})
_LIVE = (b"text/event-stream", b"application/x-ndjson", b"application/stream+json", b"application/jsonl")
_KNOWN_MOST: Final = 1000
_ERRORS: Final = 400
_NONE: frozenset[bytes] = frozenset()
_status_lines: dict[tuple[int, bytes], bytes] = {}


class AskedUpstream(Protocol):
    """The exchange whose answer it is; times are on the clock of ``time.perf_counter``."""

    id: str
    request: Request
    route: Route
    sent_at: float
    answered_at: float
    copies: BodyCopies | None


class RelayedAnswer:
    """One answer, from its head. ``passed`` counts the bytes of its body that went on.

    ``content_type`` is that of the body in lower case. ``hides_usage`` takes the chunk of usage out of a stream whose
    client did not ask for it.
    ``said`` is the end of an error that came at once and without a coding, as its client got it.
    """

    __slots__ = (
        "_chunking",
        "_closing",
        "_copies",
        "_fails",
        "_has_rates",
        "_head",
        "_is_coded",
        "_is_stream",
        "_plan",
        "_reflections",
        "_request",
        "_request_id",
        "_tee",
        "content_type",
        "hides_usage",
        "passed",
        "said",
    )

    def __init__(
        self, asked: AskedUpstream, answer: Answer, reflections: tuple[bytes, ...], held: Held | None = None
    ) -> None:
        """Make the head for the client, with what is left of limits. ``reflections`` are masked anywhere."""
        request = asked.request
        self.passed = 0
        self.said = b""
        self.hides_usage = False
        self._request = request
        self._request_id = asked.id
        self._plan = asked.route.plan
        self._reflections = reflections
        self._chunking = False
        self._is_stream = False
        self._tee: Tee | None = None
        self._closing = ClosingEvent() if asked.route.plan.strict else None
        self._copies = copies = asked.copies
        if copies is not None:
            copies.answer_fields, copies.secrets = answer.headers, reflections
        self.content_type = b""
        self._is_coded = False
        self._has_rates = False
        out = self._passed_on(answer)
        self._fails = answer.status >= _ERRORS and not self._is_coded
        if answer.length is not None and answer.status != 204:
            out.append(b"content-length: %d\r\n" % answer.length)
        elif request.method != b"HEAD" and answer.status not in _BODYLESS:
            out.append(self._delimit())
        if self.content_type.startswith(_LIVE):
            request.live = True
            is_sse = self.content_type.startswith(b"text/event-stream")
            self._is_stream = is_sse and self._chunking and not self._is_coded
        else:
            ours, upstream = asked.sent_at - request.began, asked.answered_at - asked.sent_at
            out.append(b"server-timing: tieline;dur=%.3f, upstream;dur=%.3f\r\n" % (ours * 1000, upstream * 1000))
        if held is not None:
            out.append(fields_of(held.left, openai=not self._has_rates))
        if not (request.keep_alive and request.complete):  # as ``Request.closes`` says, for one call less
            request.keep_alive = False
            end = b"connection: close\r\n\r\n"
        else:
            end = b"\r\n" if request.minor else b"connection: keep-alive\r\n\r\n"
        out.append(b"tieline-request-id: %b\r\n%b" % (self._request_id.encode(), end))
        self._head = out

    def pieces(self, pieces: list[bytes]) -> bytes:
        """What is written once ``pieces`` of the body came, and more will."""
        head, self._head = self._head, []
        data = mask(b"".join(head), self._reflections) if head else b""
        if self._tee is None:
            self._tee = Tee(self._reflections, has_events=self._is_stream)
        body = self._tee.feed(pieces[0] if len(pieces) == 1 else b"".join(pieces), last=False)
        if self.hides_usage and self._is_stream:
            body = without_usage_chunk(body)
        if self._closing is not None and self._is_stream:
            body = self._closing.feed(body, last=False)
        if self._copies is not None:
            self._copies.answered(body)
        self.passed += len(body)
        return data + self._framed(body)

    def last(self, pieces: list[bytes], trailers: list[tuple[bytes, bytes]]) -> bytes:
        """What is written once the last ``pieces`` of the body came: an answer that is here whole is masked at once."""
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if self._tee is not None:
            body = self._tee.feed(body, last=True)
        if self.hides_usage and self._is_stream:
            body = without_usage_chunk(body)
        if self._closing is not None:
            body = self._closing.feed(body, last=True)
        if self._copies is not None:
            self._copies.answered(body)
        self.passed += len(body)
        out = self._head
        if self._chunking:
            out += (self._framed(body), framing.last_chunk(kept_trailers(trailers, self._plan.answer_fate)))
        else:
            out.append(body)
        data = b"".join(out)
        if self._reflections:
            data = mask(data, self._reflections)
        if self._fails and body:
            self.said = data[-min(len(body), SAID_MOST) :]
        return data

    def error_event(self, error: TielineError) -> bytes:
        """What ends a stream of events that broke off; empty where the body is no such stream and can only be cut.

        An event so large that its beginning was passed on is ended by the empty line; else that means nothing.
        """
        if not self._is_stream:
            return b""
        event = b"\n\nevent: error\ndata: " + answers.error_body(error, self._request_id, self._plan.errors) + b"\n\n"
        return framing.chunk(event) + framing.last_chunk(())

    def _passed_on(self, answer: Answer) -> list[bytes]:
        """The status line and the fields that go on; notes what they say that matters here."""
        out = [status_line(answer.status, answer.reason)]
        fates = self._plan.answer_fate
        headers: Headers = answer.headers
        named = framing.named_by_connection(answer.connection) if answer.connection else _NONE
        if named:
            headers = [pair for pair in headers if pair[0].lower() not in named]
        for name, value in headers:
            fate = fates[name]
            if fate == DROPPED:
                continue
            if fate != PASSED:  # nearly all are
                if fate == CONTENT_TYPE:
                    self.content_type = value.lower()
                elif fate == CONTENT_ENCODING:
                    self._is_coded = True
                elif fate == RATE:
                    self._has_rates = True
                elif fate == ADDRESS:
                    value = led_back(self._plan, self._request, name, value)  # noqa: PLW2901  as the client gets it
            out += (name, b": ", value, b"\r\n")
        return out

    def _framed(self, body: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(body), body) if self._chunking and body else body

    def _delimit(self) -> bytes:
        """How a body of unknown length is delimited for this client."""
        if self._request.minor == 1:
            self._chunking = True
            return b"transfer-encoding: chunked\r\n"
        self._request.keep_alive = False
        return b""


def interim_head(plan: Plan, request: Request, status: int, headers: Headers, reflections: tuple[bytes, ...]) -> bytes:
    """A 1xx answer as the client of ``request`` gets it (RFC 9110 section 15.2)."""
    fates = plan.answer_fate
    kept = [
        (name, led_back(plan, request, name, value) if fates[name] == ADDRESS else value)
        for name, value in headers
        if fates[name]
    ]
    lines = b"".join([b"%b: %b\r\n" % pair for pair in kept])
    return b"HTTP/1.1 %d \r\n%b\r\n" % (status, mask(lines, reflections))


def switch_head(plan: Plan, answer: Answer, ours: tuple[str, Sequence[Left]], reflections: tuple[bytes, ...]) -> bytes:
    """The head by which the client learns that the upstream left HTTP (101); ``ours``: the request's id, its limits."""
    fates = plan.answer_fate
    request_id, left = ours
    told = fields_of(left, openai=all(fates[name] != RATE for name, _ in answer.headers))
    lines = [status_line(answer.status, answer.reason), b"upgrade: websocket\r\nconnection: upgrade\r\n"]
    lines += [b"%b: %b\r\n" % pair for pair in answer.headers if fates[pair[0]]]
    lines.append(b"%btieline-request-id: %b\r\n\r\n" % (told, request_id.encode()))
    return mask(b"".join(lines), reflections)


def status_line(status: int, reason: bytes) -> bytes:
    """The first line of an answer, with the upstream's reason phrase where it can be repeated."""
    known = _status_lines.get((status, reason))
    if known is None:
        known = b"HTTP/1.1 %d %b\r\n" % (status, reason if framing.is_value(reason) else b"")
        if len(_status_lines) < _KNOWN_MOST and len(reason) < _KNOWN_MOST:  # an upstream may make up reasons
            _status_lines[(status, reason)] = known
    return known
