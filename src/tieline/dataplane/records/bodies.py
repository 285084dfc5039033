"""Bodies that an operator has recorded: masked and sealed in a thread, then stored, apart from the records.

Owns what is kept of them and how much may wait: 32 MiB in each worker. What does not fit is not recorded, and its
record says so by not naming any. Headers that carry a secret by their name are left out.
"""

import asyncio
import logging
import re
import time
from collections import deque
from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

import orjson

from tieline.access.appkey import hidden
from tieline.core.errors import TielineError, UpstreamError
from tieline.core.names import Environment
from tieline.core.secret import Secret
from tieline.dataplane.answers.content_coding import coding
from tieline.dataplane.answers.mask import Mask
from tieline.dataplane.answers.shown import shown_body
from tieline.dataplane.copies import BodyCopies
from tieline.dataplane.saving import CLOSE_SECONDS, HANGING_SECONDS, Saving
from tieline.definitions.model import RecordedBodies
from tieline.ports.bodies import SealedBodies
from tieline.ports.snapshot import SnapshotSource
from tieline.schemes.base import Headers, field_value
from tieline.vault.intake import SECRET_MOST, Intake

log = logging.getLogger("tieline.dataplane.records.bodies")

FLUSH_SECONDS: Final = 0.25
WAITING_BYTES_MOST: Final = 32 * 1024 * 1024
GROUP_MOST: Final = 64
"""Requests whose bodies are masked, sealed and stored at once."""
DECODED_MOST: Final = 1024 * 1024
_ROW_BYTES: Final = 2_048  # what waits beside the bodies, about
_HEADERS_MOST: Final = 6 * 1024
_CARRIES_SECRET: Final = re.compile(
    rb"(?i).*(?:authorization|cookie|secret|token|passw|signature|credential|api[-_]?key|[-_]key\Z)"
)
_GIVES_ONCE: Final = re.compile(rb"(?i)idempotency-key\Z")


class RecordedRequest(NamedTuple):
    """What a request asked for, beside its body: ``target`` is below the base URL, ``query`` without the app key."""

    method: str
    target: str
    query: str
    headers: Headers


class _Kept(NamedTuple):
    request_id: str
    expires: int
    environment: Environment
    asked: RecordedRequest
    copies: BodyCopies
    status: int
    size: int


class RecordedBodiesSaver(Saving):
    """What waits to be sealed by ``intake`` and stored. ``given_up`` counts the requests whose bodies did not fit."""

    def __init__(self, source: SnapshotSource, intake: Intake) -> None:
        super().__init__(FLUSH_SECONDS)
        self.given_up = 0
        self._source = source
        self._intake = intake
        self._waiting: deque[_Kept] = deque()
        self._size = 0
        self._some = asyncio.Event()

    def keep(
        self, whose: tuple[str, Environment, RecordedBodies], asked: RecordedRequest, copies: BodyCopies, status: int
    ) -> int | None:
        """Keep the bodies of the request with this id; until when, None where no more may wait."""
        request_id, environment, recorded = whose
        size = len(copies.request) + len(copies.answer) + _ROW_BYTES
        if self._size + size > WAITING_BYTES_MOST:
            self.given_up += 1
            return None
        expires = int(time.time() + recorded.keep)
        self._waiting.append(_Kept(request_id, expires, environment, asked, copies, status, size))
        self._size += size
        self._some.set()
        return expires

    async def _wanted(self) -> None:
        await self._some.wait()

    def _left(self) -> int:
        return len(self._waiting)

    async def _save(self) -> None:
        """Seal and store a group of what waits; what cannot be stored now waits on, as long as there is room."""
        group = [self._waiting.popleft() for _ in range(min(GROUP_MOST, len(self._waiting)))]
        if not self._waiting:
            self._some.clear()
        if not group:
            return
        left: Collection[_Kept] = group
        try:
            await self._source.add_bodies(await asyncio.to_thread(self._sealed, group))
            left = ()
        except TielineError as error:
            words = "the bodies of %d requests wait in memory, they could not be saved: %s"
            log.warning(words, len(group), error.explained)
        finally:
            self._waiting.extendleft(reversed([*left]))
            self._size -= sum([each.size for each in group]) - sum([each.size for each in left])
            if left:
                self._some.set()

    def _sealed(self, group: Sequence[_Kept]) -> list[SealedBodies]:
        rows = []
        for each in group:
            row = SealedBodies(each.request_id, each.expires, each.environment, None, None)
            request = self._intake.seal(row.place("request"), Secret(_request(each)))
            answer = self._intake.seal(row.place("answer"), Secret(_answer(each)))
            rows.append(row._replace(request=request, answer=answer))
        return rows

    def _warn_of_hanging(self) -> None:
        log.warning(
            "the store has not answered for %d s: the bodies of %d requests wait", HANGING_SECONDS, len(self._waiting)
        )

    def _warn_of_loss(self) -> None:
        log.warning("the store did not take the last recorded bodies within %d s: they are lost", CLOSE_SECONDS)


def _request(kept: _Kept) -> bytes:
    """The request as it is kept. ``exact`` says that it can be sent again as it was."""
    asked, copies = kept.asked, kept.copies
    hides = Mask(copies.secrets)
    body = bytes(copies.request)
    exact = whole = copies.request_size == len(body)
    if _tells_secret(body, asked.headers, hides):
        clean = shown_body(_hidden(body), field_value(asked.headers, b"content-type") or b"", hides, whole=whole)
        body, exact = (clean if not field_value(asked.headers, b"content-encoding") else b""), False
    elif not whole:
        body = hides.beginning(body)
    headers: list[tuple[str, str]] = []
    size = 0
    for name, value in asked.headers:
        if _CARRIES_SECRET.match(name) and not _GIVES_ONCE.match(name):
            continue
        size += len(name) + len(value)
        if size > _HEADERS_MOST:
            exact = False
            break
        shown = hidden(hides.text(value.decode("latin-1")))
        exact = exact and shown == value.decode("latin-1")
        headers.append((name.decode("latin-1"), shown))
    query = hidden(hides.text(asked.query))
    facts = {
        "method": asked.method,
        "target": hidden(asked.target),
        "query": query,
        "headers": headers,
        "size": copies.request_size,
        "exact": exact and query == asked.query and hidden(asked.target) == asked.target,
    }
    return written(facts, body)


def _answer(kept: _Kept) -> bytes:
    copies = kept.copies
    content_type = field_value(copies.answer_fields, b"content-type") or b""
    body, whole = bytes(copies.answer), copies.answer_size == len(copies.answer)
    try:
        undo = coding(copies.answer_fields, DECODED_MOST)
        if undo is not None:
            body = undo.feed(body)
    except UpstreamError:
        body, whole = b"", False
    hides = Mask(copies.secrets)
    body = shown_body(body, content_type, hides, whole=whole and len(body) <= copies.most)[: copies.most]
    whole = whole and len(body) < copies.most
    headers = [
        (name.decode("latin-1").lower(), hidden(hides.text(value.decode("latin-1"))))
        for name, value in copies.answer_fields
        if not _CARRIES_SECRET.match(name)
    ]
    while sum([len(name) + len(value) for name, value in headers]) > _HEADERS_MOST:
        headers.pop()
    facts = {"status": kept.status, "headers": headers, "size": copies.answer_size, "whole": whole}
    return written(facts, _hidden(body))


def written(facts: dict[str, Any], body: bytes) -> bytes:
    """One side as it is sealed: a line of JSON, then the body; within what the vault takes."""
    head = orjson.dumps(facts) + b"\n"
    if len(head) + len(body) > SECRET_MOST:
        head = orjson.dumps({**facts, "headers": [], "query": "", "exact": False, "whole": False}) + b"\n"
    return head + body[: SECRET_MOST - len(head)]


def _hidden(body: bytes) -> bytes:
    """``body`` with every app key in it redacted."""
    return hidden(body.decode("latin-1")).encode("latin-1", "replace") if b"tl_" in body else body


def _tells_secret(body: bytes, headers: Headers, hides: Mask) -> bool:
    """Whether a secret of the API's or an app key stands in a request's body, once that is decoded; or nobody knows."""
    if field_value(headers, b"content-encoding"):
        try:
            undo = coding(headers, DECODED_MOST)
            body = body if undo is None else undo.feed(body)
        except UpstreamError:
            return True
    return _hidden(body) != body or hides.holds(body)
