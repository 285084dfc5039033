"""The route of usage: rows as JSON in pages, or all of them as CSV, plain or FOCUS."""

from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any, Literal, get_args

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime, Field

from tieline.access.budgets import usd
from tieline.controlplane import usage
from tieline.controlplane.usage import AskedUsage, Bucket, UsageAnswer, UsageSpan
from tieline.core.errors import InvalidInput
from tieline.core.quantities import shown as shown_quantities
from tieline.metering.durations import percentile
from tieline.ports import usage as measures
from tieline.ports.usage import Dimension, UsageRow, columns_of
from tieline.web import focus
from tieline.web.api.requests import Seconds, Usd, Values
from tieline.web.api.shared import CallerHere, PageAsked, ServicesHere, Shown, Time
from tieline.web.table import CSV, csv_line

router = APIRouter(prefix="/usage", tags=["Usage"])

_DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)
_PERCENTILES = (50, 95, 99)


def _filter(what: str) -> Any:
    return Field(default_factory=list, description=what)


class UsageAsked(PageAsked):
    """Which usage, added up by what, and how it is shown. A filter that is given several times is any of these."""

    by: str = Field("", max_length=100, description=f"What rows are of, with commas: {', '.join(_DIMENSIONS)}.")
    bucket: Bucket = Field("day", description="Rows for each minute, hour or day, or for all of the time.")
    since: AwareDatetime | None = Field(None, description="From the bucket that this time lies in.")
    until: AwareDatetime | None = Field(None, description="To the bucket that this time lies in.")
    time_zone: str = Field("UTC", max_length=64, description="Whose hours and days, such as Europe/Berlin.")
    app: Values = _filter("Of this app, by id, or by name, now or then.")
    key: Values = _filter("With this app key, by id.")
    api: Values = _filter("To this API, as it was called then.")
    call: Values = _filter("Runs of this call.")
    model: Values = _filter("Of this model; * stands for any characters.")
    end_user: Values = _filter("For this end user.")
    tag: Values = _filter("Under this tag.")
    environment: Values = _filter("In this environment, live or development.")
    format: Literal["json", "csv", "focus"] | None = Field(
        None, description="How it is shown; csv and focus (FOCUS 1.2) are whole, without pages. Default: by Accept."
    )
    after: str | None = Field(None, max_length=6_000, description='The "next" of the page before.')

    def asked(self) -> AskedUsage:
        """As the control plane is asked for it. Raises InvalidInput."""
        by = [each for each in self.by.split(",") if each]
        if len(set(by)) != len(by) or not set(by) <= set(_DIMENSIONS):
            msg = f"by is some of {', '.join(_DIMENSIONS)}, with commas between them, each once."
            raise InvalidInput(msg, param="by")
        filters = {name: values for name in _DIMENSIONS if (values := getattr(self, name))}
        chosen = tuple(name for name in _DIMENSIONS if name in by)
        return AskedUsage(chosen, self.bucket, self.since, self.until, self.time_zone, filters)


class UnpricedShown(Shown):
    """Requests that used something without a price, and what that was."""

    requests: int
    quantities: dict[str, int | Seconds]


class EstimatedShown(Shown):
    """Requests whose use is a guess, since the provider's figure never came, and what that adds to the sums."""

    requests: int
    cost: Usd | None
    quantities: dict[str, int | Seconds]


class LatencyShown(Shown):
    """Milliseconds within which so many of a hundred requests ended, to an eighth."""

    p50: float | None
    p95: float | None
    p99: float | None


class UsageShown(Shown):
    """A row: what ``by`` names, as it was called then, in the bucket from ``bucket`` on and before ``until``.

    ``other`` is true where it counts what was beyond the bound on rows: the words that are missing are many, not none.
    ``errors`` are requests that failed, ``cached`` those answered with what was there, ``unread`` those whose provider
    told figures that made no sense. ``cost`` is what has a price, null where nothing has; what has none is in
    ``unpriced``. ``estimated`` is a part of the sums.
    """

    app: str | None = None
    app_id: str | None = None
    key: str | None = None
    api: str | None = None
    call: str | None = None
    model: str | None = None
    end_user: str | None = None
    tag: str | None = None
    environment: str | None = None
    bucket: Time
    until: Time
    other: bool
    requests: int
    errors: int
    cached: int
    retries: int
    quantities: dict[str, int | Seconds]
    cost: Usd | None
    unpriced: UnpricedShown
    estimated: EstimatedShown
    unread: int
    latency_ms: LatencyShown


class UsageListing(Shown):
    """A page of rows, earliest first. ``next`` is the ``after`` of the page that follows, null at the end.

    ``reaches_back_to`` is how far back such rows are kept. ``collapsed`` are the requests of these times that are
    counted without some of their words, as there were too many: a filter on words does not find them.
    """

    items: list[UsageShown]
    next: str | None
    reaches_back_to: Time
    collapsed: int


@router.get(
    "",
    response_model=UsageListing,
    response_model_exclude_unset=True,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
)
async def show_usage(
    request: Request, asked: Annotated[UsageAsked, Query()], services: ServicesHere, caller: CallerHere
) -> Response | UsageListing:
    """What was used and what it cost, added up by app, key, API, call, model, end user or tag.

    Minutes are kept for two days, hours for forty days, days for four hundred. Needs the role viewer.
    """
    wanted, form = asked.asked(), asked.format or _accepted(request)
    if form == "json":
        page = await usage.show(services, caller, wanted, asked.request())
        items = [_shown(row, wanted, page.span) for row in page.rows]
        back = page.span.reaches_back_to
        return UsageListing(items=items, next=page.next, reaches_back_to=back, collapsed=page.collapsed)
    if form == "focus":
        wanted = focus.wanted(wanted)
    pages = usage.every_page(services, caller, wanted)
    first = await anext(pages)  # what cannot be answered is refused before the answer begins
    lines = focus.lines if form == "focus" else _lines
    headers = {"Content-Disposition": f'attachment; filename="usage{"-focus" if form == "focus" else ""}.csv"'}
    return StreamingResponse(_written(lines, wanted, first, pages), media_type=CSV, headers=headers)


def _accepted(request: Request) -> str:
    return "csv" if request.headers.get("accept", "").partition(";")[0].strip() == CSV else "json"


async def _written(
    lines: Any, wanted: AskedUsage, first: UsageAnswer, pages: AsyncIterator[UsageAnswer]
) -> AsyncIterator[bytes]:
    write = lines(wanted)
    yield write(None)
    yield write(first)
    async for page in pages:
        yield write(page)


def _shown(row: UsageRow, wanted: AskedUsage, span: UsageSpan) -> UsageShown:
    found, (begins, ends) = row.measures, span.bounds(row)
    cost, guessed = found.get(measures.COST), found.get(measures.ESTIMATED_COST)
    steps = {int(name): count for name, count in part(found, measures.DURATION).items()}
    latency = {f"p{each}": _rounded(percentile(steps, each)) for each in _PERCENTILES}
    return UsageShown(
        **names(row, wanted),
        bucket=begins,
        until=ends,
        other=row.other,
        requests=found[measures.REQUESTS],
        errors=found.get(measures.ERRORS, 0),
        cached=found.get(measures.CACHED, 0),
        retries=found.get(measures.RETRIES, 0),
        quantities=shown_quantities(part(found, measures.USED)),
        cost=Usd(usd=usd(cost)) if cost is not None else None,
        unpriced=UnpricedShown(
            requests=found.get(measures.UNPRICED, 0),
            quantities=shown_quantities(part(found, measures.WITHOUT_PRICE)),
        ),
        estimated=EstimatedShown(
            requests=found.get(measures.ESTIMATED, 0),
            cost=Usd(usd=usd(guessed)) if guessed is not None else None,
            quantities=shown_quantities(part(found, measures.GUESSED)),
        ),
        unread=found.get(measures.UNREAD, 0),
        latency_ms=LatencyShown(**latency),
    )


def names(row: UsageRow, wanted: AskedUsage) -> dict[str, str | None]:
    """What a row is of, as answers name it; None where there is none, or where it is left out."""
    return dict(zip(_columns(wanted), (value or None for value in row.values), strict=True))


def _columns(wanted: AskedUsage) -> list[str]:
    return ["key" if column == "key_id" else column for column in columns_of(wanted.by)]


def part(found: Mapping[str, int], letter: str) -> dict[str, int]:
    """The measures whose names begin with ``letter``, by the rest of their names, in their order."""
    return {name.removeprefix(letter): found[name] for name in sorted(found) if name.startswith(letter)}


def _rounded(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds, 3)


_COUNTS = ("requests", "errors", "cached", "retries")


def _lines(wanted: AskedUsage) -> Any:
    """What writes pages as CSV. Quantities are one column of JSON each, as any API may have its own."""
    columns = _columns(wanted)
    heads = (
        "cost_usd",
        "unpriced_requests",
        "estimated_requests",
        "estimated_cost_usd",
        "unread",
        "p50_ms",
        "p95_ms",
        "p99_ms",
    )
    tail = ("quantities", "unpriced_quantities", "estimated_quantities")

    def write(page: UsageAnswer | None) -> bytes:
        if page is None:
            return csv_line(("bucket", "until", *columns, "other", *_COUNTS, *heads, *tail))
        return b"".join(_line(_shown(row, wanted, page.span), columns) for row in page.rows)

    return write


def _line(row: UsageShown, columns: list[str]) -> bytes:
    shown = row.model_dump(mode="json")
    return csv_line(
        (
            shown["bucket"],
            shown["until"],
            *(shown[name] for name in columns),
            "yes" if row.other else "",
            *(shown[name] for name in _COUNTS),
            row.cost.usd if row.cost else None,
            row.unpriced.requests,
            row.estimated.requests,
            row.estimated.cost.usd if row.estimated.cost else None,
            row.unread,
            *(shown["latency_ms"].values()),
            *(
                shown[name]["quantities"] if name != "quantities" else shown[name]
                for name in ("quantities", "unpriced", "estimated")
            ),
        )
    )
