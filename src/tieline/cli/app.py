"""``tieline app``: what uses APIs through Tieline."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tieline.cli import limits, output
from tieline.cli.confirmation import Yes, confirm
from tieline.cli.documents import File, as_yaml, changeable, edit, members_of, text_of
from tieline.cli.options import Json, connect, noun
from tieline.core.errors import SettingsError

if TYPE_CHECKING:
    from tieline.cli.client import AdminClient

MEMBERS = ("name", "apis", "limits")
"""Of those that `show` prints, what can be changed."""

app = noun("app", "Apps: what uses APIs through Tieline.")

Name = Annotated[str, typer.Argument(help="The app's name or id.")]


@app.command()
def create(  # noqa: PLR0913  an option is a parameter
    name: Annotated[str, typer.Argument(help="What it shall be called.")],
    api: Annotated[list[str] | None, typer.Option(metavar="API", help="An API it may use; repeat for several.")] = None,
    rate: limits.Rates = None,
    tokens_per_minute: limits.Tokens = None,
    concurrent: limits.Concurrent = None,
    streams: limits.Streams = None,
    json: Json = False,
) -> None:
    """Create an app. Its limits hold for all its keys together."""
    limited = limits.wanted(rate, tokens_per_minute, concurrent, streams)
    made = connect().post("apps", body={"name": name, "apis": api or [], "limits": limited or {}})
    if json:
        output.emit(made)
        return
    output.say(f"{name} is created and may use {', '.join(made['apis']) or 'no API yet'}.")
    if not made["apis"]:
        output.say(f"Let it use one: tieline app update {output.quoted(name)} --api API")
    output.say(f"Make it a key: tieline key create --app {output.quoted(name)}")


@app.command("list")
def list_(json: Json = False) -> None:
    """List the apps."""
    items = list(connect().items("apps"))
    if json:
        output.emit({"items": items, "next": None})
        return
    output.table(
        ("NAME", "APIS", output.Column("CREATED", whole=True, spare=True), output.Column("ID", whole=True)),
        [(each["name"], each["apis"], output.moment(each["created_at"]), each["id"]) for each in items],
        "No apps yet. Create one: tieline app create my-app",
    )


@app.command()
def show(name: Name, json: Json = False) -> None:
    """Show one app."""
    found = connect().get("apps", name)
    if json:
        output.emit(found)
        return
    output.details(
        {
            "name": found["name"],
            "APIs": found["apis"],
            "limits": limits.shown(found["limits"]),
            "created": output.moment(found["created_at"]),
            "id": found["id"],
        }
    )


@app.command()
def update(  # noqa: PLR0913  an option is a parameter
    name: Name,
    rename: Annotated[str | None, typer.Option("--name", metavar="NAME", help="What it shall be called.")] = None,
    api: Annotated[list[str] | None, typer.Option(metavar="API", help="An API it may use too; repeatable.")] = None,
    no_api: Annotated[
        list[str] | None, typer.Option("--no-api", metavar="API", help="An API it may use no more; repeatable.")
    ] = None,
    rate: limits.Rates = None,
    tokens_per_minute: limits.Tokens = None,
    concurrent: limits.Concurrent = None,
    streams: limits.Streams = None,
    no_limits: limits.NoLimits = False,
    file: File = None,
    json: Json = False,
) -> None:
    """Rename an app, limit it, or say which more APIs it may use, and which no more. Its keys stay."""
    limited = limits.wanted(rate, tokens_per_minute, concurrent, streams, none=no_limits)
    if not (rename or api or no_api or file) and limited is None:
        raise SettingsError("Say what to change: --api, --no-api, --name, --rate, --no-limits or --file.")
    client = connect()
    before = client.get("apps", name)
    wanted = dict(members_of(text_of(file))) if file else {each: before[each] for each in MEMBERS}
    unknown = set(no_api or ()) - set(before["apis"])
    if unknown:
        raise SettingsError(f"--no-api names what it may not use. It may use {output.shown(before['apis'])}.")
    wanted["apis"] = [
        each for each in {**dict.fromkeys(wanted["apis"]), **dict.fromkeys(api or ())} if each not in (no_api or ())
    ]
    wanted["name"] = rename or wanted["name"]
    wanted |= {"limits": limited} if limited is not None else {}
    _tell_changed(before, _patch(client, before, wanted), json=json)


@app.command("edit")
def edit_(name: Name, json: Json = False) -> None:
    """Open an app's name, APIs and limits in $VISUAL or $EDITOR, check what is saved there, and store it."""
    client = connect()
    before = client.get("apps", name)
    text = as_yaml({each: before[each] for each in MEMBERS if before[each] or each != "limits"})
    after = edit("app", text, lambda typed: _patch(client, before, {"limits": {}, **members_of(typed)}))
    if after is not None:
        _tell_changed(before, after, json=json)


def _patch(client: "AdminClient", before: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Store what can be changed of an app; what is only shown, such as its id, stays."""
    after: dict[str, Any] = client.send("PATCH", ("apps", before["id"]), body=changeable(before, wanted, MEMBERS)).body
    return after


def _tell_changed(before: Mapping[str, Any], after: Mapping[str, Any], *, json: bool) -> None:
    if json:
        output.emit(after)
        return
    output.say(f"{after['name']} may use {', '.join(after['apis']) or 'no API'}.")
    lost = [each for each in before["apis"] if each not in after["apis"]]
    if lost:
        output.say(f"Its keys lose what they were granted on {', '.join(lost)}.")


@app.command()
def remove(name: Name, yes: Yes = False, json: Json = False) -> None:
    """Remove an app with all its keys, which stop working at once."""
    client = connect()
    confirm(f"Remove {name}?", _lost_with(client, name), yes=yes)
    client.send("DELETE", ("apps", name))
    if json:
        output.emit({"removed": name})
    output.say(f"{name} is removed and its keys no longer work.")


def _lost_with(client: "AdminClient", name: str) -> list[str]:
    """What will stop working without the app."""
    keys = sum(each["state"] == "active" for each in client.items("apps", name, "keys"))
    users = sum(1 for _ in client.items("connections", app=name))
    told = [f"{output.counted(keys, 'key')} will stop working at once."] if keys else []
    return told + (
        [f"With it goes what its users signed in to: {output.counted(users, 'connection')}."] if users else []
    )
