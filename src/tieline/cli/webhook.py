"""``tieline webhook``: URLs that events are sent to, such as a budget that has passed a threshold."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from tieline.cli import output
from tieline.cli.confirmation import Yes, confirm
from tieline.cli.failures import CommandFailed
from tieline.cli.options import Json, connect, noun, with_options
from tieline.cli.values import seconds, secret_given
from tieline.core.errors import SettingsError

webhook = noun("webhook", "Webhooks: URLs that events are sent to, such as a budget that has passed a threshold.")

Named = Annotated[str, typer.Argument(metavar="WEBHOOK", help="The webhook's name or id.")]
with_url = with_options(
    {
        "url": Annotated[str | None, typer.Option("--url", metavar="URL", help="Where messages are posted to.")],
        "url_stdin": Annotated[
            bool | None,
            typer.Option(
                "--url-stdin", help="Read the URL from standard input, as it holds a token.", show_default=False
            ),
        ],
        "url_env": Annotated[str | None, typer.Option("--url-env", metavar="VAR", help="Read it from this variable.")],
        "url_file": Annotated[Path | None, typer.Option("--url-file", metavar="FILE", help="Read it from this file.")],
    }
)
"""Gives a command the options that say where messages are posted to."""
Events = Annotated[
    list[str] | None, typer.Option("--event", metavar="EVENT", help="What it is sent, budget.threshold; repeatable.")
]


@webhook.command()
@with_url
def create(
    name: Annotated[str, typer.Argument(help="What it shall be called.")],
    event: Events = None,
    json: Json = False,
    **where: Any,
) -> None:
    """Make a webhook. Its secret is printed this once, alone on standard output."""
    address = _url(where)
    if address is None:
        raise SettingsError("Say where messages go: --url URL, or --url-stdin, --url-env or --url-file.")
    body: dict[str, Any] = {"name": name, "url": address} | ({} if event is None else {"events": event})
    made = connect().post("webhooks", body=body)
    if json:
        output.emit(made)
        return
    output.say(f"{output.shown(made['name'])} is made; messages go to {made['origin']}. Its secret:")
    print(made["secret"], flush=True)
    output.say(f"It is shown this once: the receiver checks signatures with it. Try it: tieline webhook test {name}")


@webhook.command("list")
def list_(json: Json = False) -> None:
    """List webhooks, never their secrets."""
    items = list(connect().items("webhooks"))
    if json:
        output.emit({"items": items, "next": None})
        return
    output.table(
        (
            "NAME",
            output.Column("GOES TO", spare=True),
            "EVENTS",
            output.Column("STATE", whole=True),
            output.Column("WAITING", whole=True),
            output.Column("DROPPED", whole=True, spare=True),
            output.Column("ID", whole=True, spare=True),
        ),
        [
            (each["name"], each["origin"], each["events"], each["state"], each["pending"], each["dropped"], each["id"])
            for each in items
        ],
        "No webhooks yet. Make one: tieline webhook create ops --url https://hooks.example.com/tieline",
    )


@webhook.command()
def show(webhook: Named, json: Json = False) -> None:
    """Show one webhook, never its secret."""
    _print(connect().get("webhooks", webhook), json=json)


@webhook.command()
@with_url
def update(
    webhook: Named,
    name: Annotated[str | None, typer.Option("--name", help="What it shall be called.")] = None,
    event: Events = None,
    pause: Annotated[
        bool | None, typer.Option("--pause/--resume", help="Send nothing, or go on.", show_default=False)
    ] = None,
    json: Json = False,
    **where: Any,
) -> None:
    """Change a webhook. Another URL makes one that was gone active again."""
    given = {"name": name, "url": _url(where), "events": event, "paused": pause}
    body = {member: value for member, value in given.items() if value is not None}
    if not body:
        raise SettingsError("Say what to change: --name, --url, --event, --pause or --resume.")
    _print(connect().send("PATCH", ("webhooks", webhook), body=body).body, json=json)


@webhook.command()
def rotate(
    webhook: Named,
    overlap: Annotated[str, typer.Option(metavar="24h", help="How long the old secret signs too.")] = "24h",
    json: Json = False,
) -> None:
    """Give a webhook another secret. It is printed this once, alone on standard output."""
    made = connect().post("webhooks", webhook, "rotate", body={"overlap": seconds(overlap, "--overlap")})
    if json:
        output.emit(made)
        return
    output.say(f"The new secret of {output.shown(made['name'])}, which is shown this once:")
    print(made["secret"], flush=True)
    output.say(f"For {overlap} messages are signed with the old one too.")


@webhook.command("test")
def send_test(webhook: Named, json: Json = False) -> None:
    """Send a test message at once, and tell how it was taken."""
    found = connect(60.0).post("webhooks", webhook, "test")
    if json:
        output.emit(found)
    if not found["ok"]:
        raise CommandFailed(found["problem"], {"code": "not_delivered", "status": found["status"]})
    output.say(f"The receiver answered {found['status']}: it works.")


@webhook.command()
def deliveries(
    webhook: Named,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 20,
    json: Json = False,
) -> None:
    """What was sent to a webhook and what waits to be, newest first."""
    found = connect().items("webhooks", webhook, "deliveries")
    items = [each for each, _ in zip(found, range(limit), strict=False)]
    if json:
        output.emit({"items": items, "next": None})
        return
    output.table(
        (
            output.Column("HAPPENED", whole=True),
            "EVENT",
            output.Column("STATE", whole=True),
            output.Column("TRIES", whole=True),
            output.Column("NEXT", whole=True, spare=True),
            output.Column("PROBLEM", spare=True),
            output.Column("MESSAGE", whole=True, spare=True),
        ),
        [
            (
                output.moment(each["happened_at"]),
                each["type"],
                each["state"],
                each["attempts"],
                output.moment(each["next_at"]) or "",
                each["problem"] or "",
                each["message_id"],
            )
            for each in items
        ],
        "Nothing was sent to it yet.",
    )


@webhook.command()
def remove(webhook: Named, yes: Yes = False, json: Json = False) -> None:
    """Delete a webhook with its secret and its deliveries."""
    client = connect()
    found = client.get("webhooks", webhook)
    waiting = [f"{found['pending']} messages wait for it and will not be sent."] if found["pending"] else []
    confirm(f"Remove {output.shown(found['name'])}?", waiting, yes=yes)
    client.send("DELETE", ("webhooks", found["id"]))
    if json:
        output.emit({"removed": found["id"]})
    output.say(f"{output.shown(found['name'])} is removed.")


def _url(where: Mapping[str, Any]) -> str | None:
    """The URL from the one place that was named, None where none was. Raises SettingsError."""
    options = "--url, --url-stdin, --url-env and --url-file"
    url, stdin, variable, file = where["url"], bool(where["url_stdin"]), where["url_env"], where["url_file"]
    if url is not None and (stdin or variable is not None or file is not None):
        raise SettingsError(f"Give one of {options}, not several.")
    given = secret_given(stdin=stdin, variable=variable, file=file, options=options)
    found: str | None = url if given is None else given.reveal_bytes().decode()
    return found


def _print(found: dict[str, Any], *, json: bool) -> None:
    if json:
        output.emit(found)
        return
    output.details(
        {
            "name": found["name"],
            "goes to": found["origin"],
            "events": found["events"],
            "state": found["state"],
            "waiting": found["pending"],
            "dropped": found["dropped"],
            "created": output.moment(found["created_at"]),
            "id": found["id"],
        }
    )
