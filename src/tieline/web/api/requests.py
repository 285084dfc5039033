"""Routes of request records: a list with filters, one record, and those that come, as a stream of events."""

import math
import time
from base64 import b64encode
from codecs import getincrementaldecoder
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime, Field, PlainSerializer, WithJsonSchema

from tieline.access.budgets import usd
from tieline.controlplane import replay, requests
from tieline.controlplane.requests import AskedRecords, Batch
from tieline.core.quantities import shown as shown_quantities
from tieline.ports.requests import RequestRecord
from tieline.web.api.shared import Asked, CallerHere, Listing, PageAsked, ServicesHere, Shown, Strict, Time

router = APIRouter(prefix="/requests", tags=["Requests"])

_NAMES = ("app", "key", "api", "call", "status", "code", "model", "path", "text")
_EVENTS = "text/event-stream"
RAW_MOST = 256 * 1024
_SILENT = 60  # batches without any record between two signs of life: a quarter of a minute

Values = Annotated[list[Annotated[str, Field(min_length=1, max_length=500)]], Field(max_length=20)]


def _filter(what: str) -> Any:
    return Field(default_factory=list, description=what)


class RecordsAsked(Asked):
    """Which records. What is given several times is any of these; ``not_…`` leaves them out."""

    app: Values = _filter("Of this app, by name or id.")
    key: Values = _filter("With this app key, by id.")
    api: Values = _filter("To this API.")
    call: Values = _filter("Runs of this call.")
    status: Values = _filter("With this status: 404, or a class such as 4xx.")
    code: Values = _filter("With this error code of Tieline's.")
    model: Values = _filter("Of this model; * stands for any characters.")
    path: Values = _filter("With this path below the base URL; * stands for any characters.")
    text: Values = _filter("With this text in path, reason, id, end user or tag, in capitals or not.")
    not_app: Values = _filter("Of other apps.")
    not_key: Values = _filter("With other keys.")
    not_api: Values = _filter("To other APIs.")
    not_call: Values = _filter("Other than runs of this call.")
    not_status: Values = _filter("With another status.")
    not_code: Values = _filter("Without this error code.")
    not_model: Values = _filter("Of other models.")
    not_path: Values = _filter("With other paths.")
    not_text: Values = _filter("Without this text.")
    since: AwareDatetime | None = Field(None, description="Ended at this time or later.")
    until: AwareDatetime | None = Field(None, description="Ended before this time.")

    def asked(self) -> AskedRecords:
        """As the control plane is asked for them."""
        wanted = {name: values for name in _NAMES if (values := getattr(self, name))}
        unwanted = {name: values for name in _NAMES if (values := getattr(self, f"not_{name}"))}
        return AskedRecords(wanted, unwanted, self.since, self.until)


class RecordsFollowed(RecordsAsked):
    """Which records, and for how long."""

    seconds: float | None = Field(None, ge=0, le=86_400, description="End after so long; else with the connection.")


class RecordsPage(PageAsked, RecordsAsked):
    """Which records, and which page of them."""


Seconds = Annotated[
    Decimal, PlainSerializer(float, return_type=float), WithJsonSchema({"type": "number"}, mode="serialization")
]


class Timings(Shown):
    """Milliseconds: until it was on its way, waiting, connecting, TLS, until the answer began, and in all."""

    admission_ms: float | None
    queue_ms: float | None
    connect_ms: float | None
    tls_ms: float | None
    first_byte_ms: float | None
    total_ms: float


class Usd(Shown):
    """An amount in US dollars, exact."""

    usd: str


class RequestShown(Shown):
    """A request and how it ended. ``decision`` says in words what it was allowed as, or why it was not.

    ``at`` is when it ended. ``cost`` is null where nothing that was used has a price; ``unpriced`` says what has none,
    ``unread`` which figures of the provider's made no sense. ``bodies_until`` says until when its recorded bodies can
    be opened, null where there are none.
    """

    id: str
    at: Time
    app: str | None
    app_id: str | None
    key_id: str | None
    api: str | None
    call: str | None
    environment: str | None
    method: str
    path: str
    status: int
    code: str | None
    outcome: str
    decision: str
    reason: str | None
    area: str | None
    level: str | None
    timings: Timings
    bytes_in: int
    bytes_out: int
    retries: int
    cache: str | None
    model: str | None
    service_tier: str | None
    quantities: dict[str, int | Seconds] | None
    cost: Usd | None
    unpriced: list[str]
    unread: list[str]
    estimated: bool
    end_user: str | None
    tag: str | None
    worker: int | None
    has_query: bool | None
    bodies_until: Time | None


def _shown(record: RequestRecord, names: dict[str, str]) -> RequestShown:
    used, sendings = record.used, record.sending
    return RequestShown(
        id=record.id,
        at=datetime.fromtimestamp(record.at, UTC),
        app=names.get(record.app_id or ""),
        app_id=record.app_id,
        key_id=record.key_id,
        api=record.api,
        call=record.call,
        environment=record.environment,
        method=record.method,
        path=record.path,
        status=record.status,
        code=record.code,
        outcome=record.outcome,
        decision=record.decision,
        reason=record.reason,
        area=record.area,
        level=record.level,
        timings=Timings(
            admission_ms=_rounded(record.admission_ms),
            queue_ms=_rounded(sendings.queue_ms),
            connect_ms=_rounded(sendings.connect_ms),
            tls_ms=_rounded(sendings.tls_ms),
            first_byte_ms=_rounded(record.upstream_ms),
            total_ms=round(record.duration_ms, 3),
        ),
        bytes_in=record.bytes_in,
        bytes_out=record.bytes_out,
        retries=sendings.retries,
        cache=record.cache,
        model=used.model,
        service_tier=used.service_tier,
        quantities=None if used.quantities is None else shown_quantities(used.quantities),
        cost=None if used.cost_nano is None else Usd(usd=usd(used.cost_nano)),
        unpriced=sorted(used.unpriced),
        unread=sorted(used.unread),
        estimated=used.estimated,
        end_user=record.named.end_user,
        tag=record.named.tag,
        worker=record.worker,
        has_query=record.has_query,
        bodies_until=_open_until(record),
    )


def _open_until(record: RequestRecord) -> datetime | None:
    until = record.bodies_until
    return datetime.fromtimestamp(until, UTC) if until is not None and until > time.time() else None


def _rounded(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds, 3)


@router.get("")
async def list_requests(
    asked: Annotated[RecordsPage, Query()], services: ServicesHere, caller: CallerHere
) -> Listing[RequestShown]:
    """List request records, newest first.

    Reading for one page is bounded: where what is asked for is rare, a page has fewer items than ``limit`` or none, and
    ``next`` goes on. Only a ``next`` of null is the end. Needs the role viewer.
    """
    page = await requests.list_requests(services, caller, asked.request(), asked.asked())
    names = await requests.app_names(services, caller, page.items)
    return Listing[RequestShown].of(page, lambda record: _shown(record, names))


@router.get("/stream", response_class=StreamingResponse)
async def stream_requests(
    request: Request, asked: Annotated[RecordsFollowed, Query()], services: ServicesHere, caller: CallerHere
) -> StreamingResponse:
    """Request records of all workers from now on, as server-sent events ``request``, one for each.

    Where more end than can be shown, some are passed over and an event ``skipped`` says so; a reader that does not read
    is cut. The stream ends with the server. Needs the role viewer.
    """
    end = time.monotonic() + asked.seconds if asked.seconds is not None else math.inf
    batches = await requests.follow(services, caller, asked.asked())

    async def events() -> AsyncIterator[bytes]:
        yield b": requests from now on\n\n"
        silent = 0
        async for batch in batches:
            if request.app.state.leaving or time.monotonic() > end:
                return
            silent = 0 if batch.records else silent + 1
            if silent % _SILENT == 0:
                yield _written(batch, await requests.app_names(services, caller, batch.records))

    return StreamingResponse(events(), media_type=_EVENTS, headers={"Cache-Control": "no-store"})


def _written(batch: Batch, names: dict[str, str]) -> bytes:
    """The events of a batch; a comment for none, so that a connection that is gone is noticed."""
    parts = [f"event: request\ndata: {_shown(record, names).model_dump_json()}\n\n" for record in batch.records]
    if batch.skipped:
        parts.append("event: skipped\ndata: {}\n\n")
    return "".join(parts or [": nothing new\n\n"]).encode()


@router.get("/{request}")
async def show_request(
    request: Annotated[str, Path(max_length=100)], services: ServicesHere, caller: CallerHere
) -> RequestShown:
    """Show one request record. Needs the role viewer."""
    record = await requests.show(services, caller, request)
    return _shown(record, await requests.app_names(services, caller, [record]))


class BodyShown(Shown):
    """A recorded body: ``text``, or ``base64`` where it is no text. ``size`` is that of all of it, in bytes.

    ``cut`` says that there was more than was recorded, or that something in it is hidden.
    """

    text: str | None
    base64: str | None
    size: int
    cut: bool


class RequestRecorded(Shown):
    """What a client asked for. ``target`` is a path below the base URL or, of a run, the name of the call."""

    method: str
    target: str
    query: str
    headers: list[list[str]]
    body: BodyShown


class AnswerRecorded(Shown):
    """What it got. ``status`` is the upstream's."""

    status: int
    headers: list[list[str]]
    body: BodyShown


class BodiesShown(Shown):
    """What was recorded of a request beside its record, and until when it can be opened."""

    id: str
    bodies_until: Time
    request: RequestRecorded | None
    answer: AnswerRecorded | None


class ReplayAsked(Strict):
    """How to send it again."""

    again: bool = Field(False, description="Also where it may change something and was sent again before.")


class ReplayShown(Shown):
    """What the upstream answered this time, secrets masked. ``raw`` is null where it is no text.

    ``cut``: there was more than is shown.
    """

    id: str
    status: int
    headers: dict[str, str]
    raw: str | None
    cut: bool


def _body(body: bytes, size: int, *, cut: bool) -> BodyShown:
    text = _text(body, cut=cut)
    return BodyShown(text=text, base64=None if text is not None else b64encode(body).decode(), size=size, cut=cut)


def _text(body: bytes, *, cut: bool) -> str | None:
    """``body`` as text, None where it is none; of one that is ``cut`` half a character at its end is left out."""
    try:
        found = getincrementaldecoder("utf-8")().decode(body, final=not cut)
    except UnicodeDecodeError:
        return None
    return found if "\0" not in found else None


@router.get("/{request}/bodies")
async def show_bodies(
    request: Annotated[str, Path(max_length=100)], services: ServicesHere, caller: CallerHere, response: Response
) -> BodiesShown:
    """Open the recorded bodies of a request and its answer, secrets masked.

    The audit log tells of it. There are some where the API's definition says ``record_bodies``, until they expire.
    Needs the role editor.
    """
    record, found = await replay.open_bodies(services, caller, request)
    response.headers["Cache-Control"] = "no-store"
    asked, answered = found.request, found.answer
    return BodiesShown(
        id=record.id,
        bodies_until=datetime.fromtimestamp(record.bodies_until or 0, UTC),
        request=None
        if asked is None
        else RequestRecorded(
            **{name: asked.facts[name] for name in ("method", "target", "query", "headers")},
            body=_body(asked.body, asked.facts["size"], cut=not asked.facts["exact"]),
        ),
        answer=None
        if answered is None
        else AnswerRecorded(
            **{name: answered.facts[name] for name in ("status", "headers")},
            body=_body(answered.body, answered.facts["size"], cut=not answered.facts["whole"]),
        ),
    )


@router.post("/{request}/replay")
async def replay_request(
    request: Annotated[str, Path(max_length=100)],
    services: ServicesHere,
    caller: CallerHere,
    asked: ReplayAsked | None = None,
) -> ReplayShown:
    """Send a recorded request once more, with the API's credential and no app key; show what the upstream answers.

    It needs recorded bodies, or a request that had neither body nor query. It is sent once, and what may change
    something only once unless ``again`` says so. The client's ``Idempotency-Key`` goes on. Needs the role editor.
    """
    found = await replay.replay(services, caller, request, again=asked is not None and asked.again)
    text = _text(found.body, cut=not found.whole)
    raw = None if text is None else text[:RAW_MOST]
    cut = not found.whole or (text is not None and len(text) > RAW_MOST)
    return ReplayShown(id=request, status=found.status, headers=dict(found.headers), raw=raw, cut=cut)
