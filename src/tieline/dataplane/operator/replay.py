"""Opens the recorded bodies of a request for an operator, and sends a recorded request once more.

Owns what can be sent again: what was recorded to the last byte, or what had neither body nor query. It is sent once,
whatever becomes of it, by the API as it is now and with its present credential.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl

import orjson

from tieline.core.errors import InvalidInput, UnknownCall, UpstreamTimeout
from tieline.core.names import Environment
from tieline.dataplane.attempt.loop import Attempts, Job, Policy
from tieline.dataplane.attempt.prepare import Message
from tieline.dataplane.attempt.send import ConversationSender
from tieline.dataplane.attempt.target import Target
from tieline.dataplane.openings import Why
from tieline.dataplane.operator.opening import OpenedApi, Opening
from tieline.dataplane.operator.trial import TRIAL_SECONDS, read_answer, run_call
from tieline.dataplane.tokens.holder import Holder
from tieline.definitions.fill.json_text import read_parameters
from tieline.definitions.fill.values import coerce_text
from tieline.definitions.model import Call
from tieline.ports.connections import EndUser
from tieline.ports.operator import OpenedBodies, RecordedSide, TrialAnswer, TrialFile, TrialRun
from tieline.ports.requests import RequestRecord
from tieline.vault.intake import SealedSecret
from tieline.vault.reveal import Revealer
from tieline.wire.multipart import FieldPart, FileBegun, FileData, FormReader, boundary_of

PATH_MOST: Final = 512
"""Characters of a path in a record: one of so many may be cut."""
_NOT_SENT: Final = frozenset({"accept-encoding"})  # what is read here are few codings

Before = Callable[[], Awaitable[None]]
"""Is called once, when it is certain that something will be sent; what it raises keeps it from being sent."""


class _Again(NamedTuple):
    """What is sent: ``target`` is a path below the base URL, or a call's name."""

    method: str
    target: str
    query: str
    headers: list[tuple[str, str]]
    body: bytes


class Replays:
    """A ``ports.operator.Replayer``."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening

    async def open_bodies(self, record: RequestRecord) -> OpenedBodies | None:
        """The recorded bodies of a request; None where there are none, or none any more. Raises SealBroken."""
        try:
            return await self._opened(record, "bodies")
        finally:
            await self._opening.openings.close()

    async def replay(self, record: RequestRecord, before: Before) -> TrialAnswer:
        """Send the request once more and read its answer, of whatever status.

        Raises:
            InvalidInput: it cannot be sent as it was.
            CredentialError, DestinationNotAllowed, RequestError, UnknownCall: it cannot go out.
            UpstreamError: no usable answer came.
        """
        assert record.api is not None  # whoever asks has looked
        try:
            bodies = await self._opened(record, "replay")
        finally:
            await self._opening.openings.close()
        again = _again(record, bodies.request if bodies is not None else None)
        try:
            async with self._opening.api(record.api, "replay") as opened, asyncio.timeout(TRIAL_SECONDS):
                if record.call is not None:
                    return await _called(opened, record, again, before)
                return await _relayed(opened, record, again, before)
        except TimeoutError:
            raise UpstreamTimeout(f"It took longer than {TRIAL_SECONDS:.0f} s.") from None

    async def _opened(self, record: RequestRecord, why: Why) -> OpenedBodies | None:
        until = record.bodies_until
        row = await self._opening.source.find_bodies(record.id, until) if until and until > time.time() else None
        if row is None:
            return None
        revealer = Revealer(self._opening.keyring, self._opening.openings.witness(why))

        def side(name: str, sealed: SealedSecret | None) -> RecordedSide | None:
            if sealed is None:
                return None
            head, _, body = revealer.reveal(row.place(name), sealed).reveal_bytes().partition(b"\n")
            return RecordedSide(orjson.loads(head), body)

        return await revealer.opened(lambda: OpenedBodies(side("request", row.request), side("answer", row.answer)))


def _again(record: RequestRecord, recorded: RecordedSide | None) -> _Again:
    """What is to be sent. Raises InvalidInput where that is not all that was sent."""
    if recorded is None:
        if record.bytes_in or record.has_query is not False:
            raise InvalidInput(
                "Only requests without body and query can be sent again unless their bodies are recorded, and those of "
                f"this one are not, or have expired. For later ones add record_bodies: {{}} to the definition of "
                f"{record.api}."
            )
        if len(record.path) >= PATH_MOST or "…" in record.path:
            raise InvalidInput("The record does not have the whole path, so the request cannot be sent again.")
        target = record.call or record.path
        return _Again("POST" if record.call else record.method, target, "", [("accept", "*/*")], b"")
    facts = recorded.facts
    if not facts["exact"]:
        raise InvalidInput(
            "The request was larger than what is recorded of it, or something in it is hidden, so it cannot be sent as "
            f"it was. For larger ones raise record_bodies.most of {record.api}, 48KiB at most."
        )
    headers = [(name, value) for name, value in facts["headers"] if name.lower() not in _NOT_SENT]
    return _Again(facts["method"], facts["target"], facts["query"], headers, recorded.body)


def _holder(record: RequestRecord) -> Holder | None:
    user = record.named.end_user
    return Holder(record.app_id or "", user) if user is not None else None


def _environment(record: RequestRecord) -> Environment:
    return record.environment or "live"


async def _relayed(opened: OpenedApi, record: RequestRecord, again: _Again, before: Before) -> TrialAnswer:
    plan = opened.plan(_environment(record))
    target = Target(again.target.encode(), again.query.encode())
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in again.headers]
    message = Message(again.method.encode(), target, headers, again.body, len(again.body))
    end = asyncio.get_running_loop().time() + TRIAL_SECONDS
    job = Job(plan, message, Policy(1, idempotent=False), _holder(record))
    await before()
    reached = await Attempts(job, ConversationSender(plan, end), opened.preparer).run()
    try:
        return await read_answer(reached)
    finally:
        reached.close()


async def _called(opened: OpenedApi, record: RequestRecord, again: _Again, before: Before) -> TrialAnswer:
    environment = _environment(record)
    found = await asyncio.to_thread(opened.plan(environment).calls.find, again.target)
    if found is None:
        raise UnknownCall("The API has no such call any more.")
    values, files = _arguments(found.call, again)
    user = record.named.end_user
    end_user = EndUser(record.app_id or "", user) if user is not None else None
    await before()
    return await run_call(
        opened, TrialRun(opened.api.row.name, again.target, environment, values, files, end_user), attempts=1
    )


def _arguments(call: Call, again: _Again) -> tuple[Mapping[str, Any], Mapping[str, TrialFile]]:
    """The values and files that the client ran the call with. Raises RequestError."""
    if again.method == "GET":
        return coerce_text(call, parse_qsl(again.query, keep_blank_values=True)), {}
    content_type = next((value for name, value in again.headers if name.lower() == "content-type"), "")
    boundary = boundary_of(content_type.encode("latin-1"))
    if boundary is None:
        return read_parameters(again.body), {}
    fields: list[tuple[str, str]] = []
    files: dict[str, tuple[FileBegun, bytearray]] = {}
    reader = FormReader(boundary)
    current = bytearray()
    for event in reader.feed(again.body):
        if isinstance(event, FieldPart):
            fields.append((event.name, event.value))
        elif isinstance(event, FileBegun):
            current = bytearray()
            files[event.name] = (event, current)
        elif isinstance(event, FileData):
            current += event.data
    reader.finish()
    held = {name: TrialFile(begun.filename, begun.content_type, bytes(data)) for name, (begun, data) in files.items()}
    return coerce_text(call, fields), held
