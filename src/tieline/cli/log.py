"""``tieline log``: what was asked of APIs, how it ended, and why."""

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from tieline.cli import output
from tieline.cli.failures import CommandFailed
from tieline.cli.options import Json, connect, noun, with_options
from tieline.core.clock import rfc3339
from tieline.core.errors import SettingsError

log = noun("log", "Requests of apps: how each ended, and why.")

SECONDS = 30.0  # for so long a list is looked for
_PAGE = 200
_AGO = re.compile(r"([1-9][0-9]{0,5})([smhdw])")
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_REPLAY_SECONDS = 120.0
_FOLLOW_SECONDS = 90.0  # a sign of life comes every fifteen

_FILTERS = {
    "app": "Of this app, by name or id. Any filter may be given several times, as any of these.",
    "key": "With this app key, by id.",
    "api": "To this API.",
    "call": "Runs of this call.",
    "status": "With this status: 404, or a class such as 4xx.",
    "code": "With this error code, such as rate_limited.",
    "model": "Of this model; * stands for any characters.",
    "path": "With this path; * stands for any characters.",
    "text": "With this text in path, reason, id, end user or tag.",
}


_LEFT_OUT = typer.Option("--not", metavar="NAME=VALUE", help="Leave out, such as status=2xx; names as above.")
filtered = with_options(
    {name: Annotated[list[str] | None, typer.Option(f"--{name}", help=told)] for name, told in _FILTERS.items()}
    | {"left_out": Annotated[list[str] | None, _LEFT_OUT]}
)


@log.command("list")
@filtered
def list_(
    since: Annotated[
        str | None, typer.Option(metavar="AGO|TIME", help="From then on: 30m, 12h, 1d, or 2026-11-30T14:03:00Z.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="AGO|TIME", help="Before then.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many, newest first.")] = 50,
    json: Json = False,
    **filters: list[str] | None,
) -> None:
    """List requests, newest first: tieline log list --status 4xx --since 1d."""
    query = _query(filters) | {"since": moment_of(since, "--since"), "until": moment_of(until, "--until")}
    items, more = _found(query, limit)
    if json:
        output.emit({"items": items, "next": more})
    else:
        _table(items)
    if more is not None and len(items) < limit:
        output.say(
            f"Looked for {SECONDS:.0f} s and not at everything yet: narrow it with --since, or go on with "
            f"--until {items[-1]['at'] if items else 'an earlier time'}."
        )


@log.command()
@filtered
def follow(
    seconds: Annotated[float | None, typer.Option(min=0, max=86_400, help="End after so long.")] = None,
    json: Json = False,
    **filters: list[str] | None,
) -> None:
    """Show requests as they end, until Ctrl-C. With --json an object on each line."""
    query = _query(filters) | {"seconds": seconds}
    for event, item in connect(_FOLLOW_SECONDS).events("requests", "stream", query=query):
        if event == "skipped":
            output.say("… more than can be shown: some are left out. Narrow it with a filter.")
        elif json:
            output.emit_line(item)
        else:
            output.line(_sentence(item))
    if seconds is None:
        raise CommandFailed("The server ended the stream: it stops or starts again. Run the command anew.")


@log.command()
def show(
    request_id: Annotated[str, typer.Argument(metavar="ID")],
    bodies: Annotated[bool, typer.Option("--bodies", help="Open what was recorded of its bodies, too.")] = False,
    json: Json = False,
) -> None:
    """Show one request: how long each part took, what it used, and why it failed."""
    client = connect()
    found = client.get("requests", request_id)
    opened = client.get("requests", request_id, "bodies") if bodies else None
    if json and opened is not None:
        output.emit({**found, "bodies": opened})
        return
    if json:
        output.emit(found)
        return
    timings = found["timings"]
    cost = found["cost"]
    output.details(
        {
            "id": found["id"],
            "ended": output.moment(found["at"]),
            "request": f"{found['method']} {found['path']}",
            "app": found["app"] or found["app_id"],
            "key": found["key_id"],
            "API": found["api"],
            "call": found["call"],
            "environment": found["environment"],
            "status": found["status"] or None,
            "code": found["code"],
            "outcome": found["outcome"].replace("_", " "),
            "decision": found["decision"],
            "reason": found["reason"],
            "took": ", ".join(
                f"{name} {_ms(timings[key])}" for key, name in _PARTS.items() if timings[key] is not None
            ),
            "bytes": f"{found['bytes_in']} in, {found['bytes_out']} out",
            "sent again": output.counted(found["retries"], "time") if found["retries"] else None,
            "cache": found["cache"],
            "model": " ".join(filter(None, (found["model"], found["service_tier"]))) or None,
            "used": _quantities(found),
            "cost": f"{cost['usd']} USD" if cost else ("no price" if found["quantities"] else None),
            "no price for": found["unpriced"] or None,
            "unreadable": found["unread"] or None,
            "end user": found["end_user"],
            "tag": found["tag"],
            "worker": found["worker"],
            "bodies until": output.moment(found["bodies_until"]),
        }
    )
    if opened is not None:
        _show_bodies(opened)


@log.command()
def replay(
    request_id: Annotated[str, typer.Argument(metavar="ID")],
    again: Annotated[bool, typer.Option("--again", help="Also if it changes something and was sent before.")] = False,
    json: Json = False,
) -> None:
    """Send a request once more, with the API's credential, and show the upstream's answer."""
    found = connect(_REPLAY_SECONDS).post("requests", request_id, "replay", body={"again": again})
    if json:
        output.emit(found)
        return
    output.say(f"The upstream answered {found['status']}.")
    output.line(found["raw"] if found["raw"] is not None else "(no text)")
    if found["cut"]:
        output.say("There was more than is shown.")


def _show_bodies(opened: dict[str, Any]) -> None:
    asked, answered = opened["request"], opened["answer"]
    if asked is not None:
        query = f"?{asked['query']}" if asked["query"] else ""
        _show_body(f"asked: {asked['method']} {asked['target']}{query}", asked)
    if answered is not None:
        _show_body(f"answered: {answered['status']}", answered)


def _show_body(title: str, side: dict[str, Any]) -> None:
    body = side["body"]
    output.line(f"\n{title}")
    for name, value in side["headers"]:
        output.line(f"{name}: {value}")
    told = body["text"] if body["text"] is not None else f"({body['size']} bytes that are no text; --json has them)"
    output.line(f"\n{told}" if told else "")
    if body["cut"]:
        output.say(f"It had {body['size']} bytes: not all of it is recorded, or something is hidden.")


_PARTS = {
    "admission_ms": "admission",
    "queue_ms": "queue",
    "connect_ms": "connect",
    "tls_ms": "TLS",
    "first_byte_ms": "first byte",
    "total_ms": "total",
}


def _query(filters: Mapping[str, list[str] | None]) -> dict[str, Any]:
    """The filters of a command as the admin API takes them. Raises SettingsError."""
    query: dict[str, Any] = {name: filters[name] for name in _FILTERS if filters[name]}
    for each in filters["left_out"] or ():
        name, is_one, value = each.partition("=")
        if not is_one or name not in _FILTERS or not value:
            raise SettingsError(f"--not takes NAME=VALUE, with one of the names {', '.join(_FILTERS)}.")
        query.setdefault(f"not_{name}", []).append(value)
    return query


def _found(query: dict[str, Any], limit: int) -> tuple[list[dict[str, Any]], str | None]:
    """Up to ``limit`` items, and the cursor where more may follow; a rare thing is looked for on several pages."""
    client = connect()
    items: list[dict[str, Any]] = []
    after: str | None = None
    end = time.monotonic() + SECONDS
    while True:
        asked = {**query, "limit": min(_PAGE, limit - len(items)), "after": after}
        page = client.send("GET", ("requests",), query=asked).body
        items += page["items"]
        after = page["next"]
        if after is None or len(items) >= limit or time.monotonic() > end:
            return items, after


def _table(items: list[dict[str, Any]]) -> None:
    output.table(
        (
            output.Column("ENDED", whole=True),
            output.Column("STATUS", whole=True),
            output.Column("ID", whole=True),
            "APP",
            output.Column("API", spare=True),
            output.Column("MS", spare=True),
            output.Column("REQUEST", spare=True),
            "WHY",
        ),
        [
            (
                (output.moment(each["at"]) or "")[5:19],
                each["status"] or None,
                each["id"],
                each["app"] or each["app_id"],
                each["api"],
                round(each["timings"]["total_ms"]),
                f"{each['method']} {each['path']}",
                _why(each),
            )
            for each in items
        ],
        "No requests that fit.",
    )


def _why(item: dict[str, Any]) -> str | None:
    """Why it failed, shortly; None where it did not."""
    if item["code"]:
        return str(item["code"])
    if item["outcome"] != "complete":
        return str(item["outcome"]).replace("_", " ")
    return "upstream" if item["status"] >= 400 else None


def _sentence(item: dict[str, Any]) -> str:
    """A request on one line, as it is followed."""
    told = f"{item['at'][11:19]} {item['status'] or '–'} {item['method']} {item['api'] or '–'} {item['path']}"
    why = _why(item)
    return f"{told} {item['timings']['total_ms']:.0f} ms {item['app'] or ''} {item['id']}{f' {why}' if why else ''}"


def _quantities(item: dict[str, Any]) -> str | None:
    if not item["quantities"]:
        return None
    told = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in item["quantities"].items())
    return f"about {told}" if item["estimated"] else told


def _ms(milliseconds: float) -> str:
    return f"{milliseconds:.3f}".rstrip("0").rstrip(".") + " ms"


def moment_of(text: str | None, option: str) -> str | None:
    """A time as the admin API takes it: itself, or so long ago. Raises SettingsError."""
    if text is None:
        return None
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return rfc3339(datetime.now(UTC) - timedelta(seconds=int(ago[1]) * _UNITS[ago[2]]))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise SettingsError(f"{option} is so long ago (30m, 12h, 1d, 2w) or a time: 2026-11-30T14:03:00Z.") from None
    return rfc3339(moment if moment.tzinfo else moment.astimezone())
