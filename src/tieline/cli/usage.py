"""``tieline usage``: what was used and what it cost, by app, key, API, call, model, end user, tag and time."""

import sys
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from tieline.cli import output
from tieline.cli.log import moment_of
from tieline.cli.options import Json, connect, with_options
from tieline.core.errors import SettingsError

_DIMENSIONS = ("app", "key", "api", "call", "model", "end-user", "tag", "environment")
_TIMES = ("minute", "hour", "day")
_PAGE = 200
_SECONDS = 600.0  # for so long a whole dataset may come
_TABLE = ("input_tokens", "output_tokens")

_FILTERS = {
    "app": "Of this app, by name or id. Any filter may be given several times.",
    "key": "With this app key, by id.",
    "api": "To this API.",
    "call": "Runs of this call.",
    "model": "Of this model; * stands for any characters.",
    "end_user": "For this end user.",
    "tag": "Under this tag.",
}
_OPTIONS = {
    name: Annotated[list[str] | None, typer.Option(f"--{name.replace('_', '-')}", metavar=name.upper(), help=told)]
    for name, told in _FILTERS.items()
}

usage = typer.Typer()


@usage.command("usage")
@with_options(_OPTIONS)
def show(  # noqa: PLR0913  an option is a parameter
    by: Annotated[
        str,
        typer.Option(
            metavar="NAMES", help=f"Rows for each of these, with commas: {', '.join((*_DIMENSIONS, *_TIMES))}."
        ),
    ] = "app,api,model",
    since: Annotated[
        str | None,
        typer.Option(
            metavar="AGO|TIME",
            help="From then on: 12h, 30d, or 2026-11-30T14:03:00Z. Default: 30d; 1d by hour, 1h by minute.",
        ),
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="AGO|TIME", help="Before then.")] = None,
    time_zone: Annotated[
        str | None, typer.Option("--time-zone", metavar="ZONE", help="Whose days and hours, such as Europe/Berlin.")
    ] = None,
    csv: Annotated[bool, typer.Option("--csv", help="CSV on standard output.")] = False,
    focus: Annotated[bool, typer.Option("--focus", help="FOCUS 1.2 CSV on standard output, a charge a day.")] = False,
    json: Json = False,
    **filters: list[str] | None,
) -> None:
    """Show what was used and what it cost: tieline usage --by app,model,day --since 30d."""
    if csv + focus + json > 1:
        raise SettingsError("--json, --csv and --focus are three forms: choose one.")
    names, bucket = _chosen(by, time_zone, focus=focus)
    query: dict[str, Any] = {
        "by": ",".join(name.replace("-", "_") for name in names),
        "bucket": bucket,
        "since": moment_of(since, "--since"),
        "until": moment_of(until, "--until"),
        "time_zone": time_zone,
    } | filters
    client = connect(_SECONDS)
    if csv or focus:
        form = "focus" if focus else "csv"
        sys.stdout.write(client.get("usage", accept="text/csv", **query, format=form))
        return
    page = client.send("GET", ("usage",), query={**query, "limit": _PAGE}).body
    items = page["items"]
    while page["next"] is not None:
        page = client.send("GET", ("usage",), query={**query, "limit": _PAGE, "after": page["next"]}).body
        items += page["items"]
    if json:
        output.emit({**page, "items": items})
        return
    _table(items, names, bucket, time_zone)
    _remarks(items, page)


def _chosen(by: str, time_zone: str | None, *, focus: bool) -> tuple[list[str], str]:
    """What rows are of, and of which time. Raises SettingsError."""
    names = [each for each in by.replace("_", "-").split(",") if each]
    times = [each for each in names if each in _TIMES]
    unknown = [each for each in names if each not in (*_DIMENSIONS, *_TIMES)]
    if unknown or len(times) > 1 or len(set(names)) != len(names):
        raise SettingsError(
            f"--by takes some of {', '.join(_DIMENSIONS)} and one of {', '.join(_TIMES)}, with commas between them."
        )
    if focus and time_zone is not None:
        raise SettingsError("--focus has the days of UTC: leave out --time-zone.")
    fallback = "day" if focus else "all"
    return [each for each in names if each not in _TIMES], times[0] if times else fallback


def _table(items: list[dict[str, Any]], names: list[str], bucket: str, time_zone: str | None) -> None:
    timed = [output.Column(bucket.upper(), whole=True)] if bucket != "all" else []
    rows = [
        (
            *([_time(each["bucket"], bucket, time_zone)] if timed else []),
            *(_word(each, name) for name in names),
            each["requests"],
            each["errors"] or None,
            *(each["quantities"].get(name) for name in _TABLE),
            _cost(each),
        )
        for each in items
    ]
    output.table(
        (
            *timed,
            *(name.upper().replace("-", " ") for name in names),
            output.Column("REQUESTS", whole=True),
            output.Column("ERRORS", whole=True, spare=True),
            output.Column("TOKENS IN", whole=True, spare=True),
            output.Column("OUT", whole=True, spare=True),
            output.Column("USD", whole=True),
        ),
        rows,
        "No requests that fit.",
    )


def _word(item: dict[str, Any], name: str) -> str | None:
    found: str | None = item[name.replace("-", "_")]
    return "(others)" if found is None and item["other"] else found


def _cost(item: dict[str, Any]) -> str:
    """What it cost; about that much where some of it is a guess; and more where something has no price."""
    cost, unpriced = item["cost"], item["unpriced"]["requests"]
    if cost is None:
        return "no price" if unpriced else "–"
    return f"{'about ' if item['estimated']['requests'] else ''}{cost['usd']}{' + ?' if unpriced else ''}"


def _remarks(items: list[dict[str, Any]], page: dict[str, Any]) -> None:
    unpriced = sum(each["unpriced"]["requests"] for each in items)
    estimated = sum(each["estimated"]["requests"] for each in items)
    if unpriced:
        output.say(f"{output.counted(unpriced, 'request')} used what has no known price: it is not in the sums.")
    if estimated:
        output.say(f"{output.counted(estimated, 'request')} are estimated: the provider's figures never came.")
    if page["collapsed"]:
        output.say(
            f"{output.counted(page['collapsed'], 'request')} are counted without model, end user or tag, as there were "
            "too many of these."
        )


def _time(text: str, bucket: str, time_zone: str | None) -> str:
    moment = datetime.fromisoformat(text)
    if time_zone is not None:
        moment = moment.astimezone(ZoneInfo(time_zone))
    return moment.strftime("%Y-%m-%d" if bucket == "day" else "%Y-%m-%d %H:%M")
