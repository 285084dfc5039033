"""``tieline key``: app keys, what they may do, and their end."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tieline.cli import limits, output
from tieline.cli.confirmation import Yes, confirm, id_of
from tieline.cli.documents import File, as_yaml, changeable, edit, members_of, text_of
from tieline.cli.options import Environment, Json, connect, noun
from tieline.cli.values import budget as wanted_budget
from tieline.cli.values import permissions as wanted_permissions
from tieline.cli.values import seconds
from tieline.core.errors import SettingsError

if TYPE_CHECKING:
    from tieline.cli.client import AdminClient

MEMBERS = ("name", "permissions", "from_ip", "limits", "models", "expires_at")
"""Of those that `show` prints, what can be changed."""

key = noun("key", "App keys: what an app holds, and what it may do.")

Id = Annotated[str, typer.Argument(metavar="KEY", help="The key's id, or its name.")]
Label = Annotated[str | None, typer.Option("--name", metavar="LABEL", help="What people call it.")]
Mode = Annotated[
    Literal["all", "restricted", "read-only"] | None,
    typer.Option(
        "--permissions",
        help="What it may do. Default: all, or restricted with --grant.",
    ),
]
Grants = Annotated[
    list[str] | None,
    typer.Option(
        "--grant",
        metavar="API:AREA=LEVEL",
        help="A level on an area; repeatable.",
    ),
]
Expiry = Annotated[str | None, typer.Option("--expires-in", metavar="90d", help="When it stops working.")]
Networks = Annotated[
    list[str] | None, typer.Option("--from-ip", metavar="CIDR", help="Where it may be used from; repeatable.")
]


@key.command(epilog="`tieline api show NAME` lists the areas and levels that --grant takes.")
def create(  # noqa: PLR0913  an option is a parameter
    app: Annotated[str, typer.Option("--app", metavar="NAME", help="The app it belongs to.")],
    name: Label = None,
    permissions: Mode = None,
    grant: Grants = None,
    environment: Environment = "live",
    expires_in: Expiry = None,
    from_ip: Networks = None,
    rate: limits.Rates = None,
    tokens_per_minute: limits.Tokens = None,
    concurrent: limits.Concurrent = None,
    streams: limits.Streams = None,
    models: limits.Models = None,
    budget: Annotated[
        str | None,
        typer.Option("--budget", metavar="10usd/month", help="What it may spend, in usd or tokens."),
    ] = None,
    json: Json = False,
) -> None:
    """Mint a key. Its secret is printed this once, alone on standard output."""
    body = _body(name, wanted_permissions(permissions, grant or []), expires_in, from_ip)
    body |= _given(limits=limits.wanted(rate, tokens_per_minute, concurrent, streams), models=models)
    body |= _given(budget=None if budget is None else wanted_budget(budget, "--budget"))
    made = connect().post("apps", app, "keys", body={**body, "environment": environment})
    _print_secret(made, json=json, what=f"{made['id']} of {app}")


@key.command("list")
def list_(
    app: Annotated[str | None, typer.Option("--app", metavar="NAME", help="Of this app only.")] = None,
    json: Json = False,
) -> None:
    """List keys, never their secrets."""
    items = list(_keys(connect(), app))
    if json:
        output.emit({"items": items, "next": None})
        return
    output.table(
        (
            output.Column("ID", whole=True),
            "APP",
            "NAME",
            output.Column("SECRET", whole=True, spare=True),
            output.Column("ENVIRONMENT", spare=True),
            "MAY",
            "STATE",
            output.Column("LAST USED", whole=True, spare=True),
        ),
        [
            (
                each["id"],
                each["app"],
                each["name"],
                each["redacted"],
                each["environment"],
                each["permissions"]["mode"].replace("_", " "),
                each["state"],
                output.moment(each["last_used_at"]) or "never",
            )
            for each in items
        ],
        f"No keys yet. Make one: tieline key create --app {output.quoted(app or 'NAME')}",
    )


@key.command()
def show(id: Id, json: Json = False) -> None:
    """Show one key and what it may do."""
    client = connect()
    _print_key(client.get("keys", _id(client, id)), json=json)


@key.command()
def update(  # noqa: PLR0913  an option is a parameter
    id: Id,
    name: Label = None,
    permissions: Mode = None,
    grant: Grants = None,
    expires_in: Expiry = None,
    no_expiry: Annotated[bool, typer.Option("--no-expiry", help="It works until it is revoked.")] = False,
    from_ip: Networks = None,
    from_anywhere: Annotated[bool, typer.Option("--from-anywhere", help="It may be used from any network.")] = False,
    rate: limits.Rates = None,
    tokens_per_minute: limits.Tokens = None,
    concurrent: limits.Concurrent = None,
    streams: limits.Streams = None,
    no_limits: limits.NoLimits = False,
    models: limits.Models = None,
    any_model: Annotated[bool, typer.Option("--any-model", help="It may name any model.")] = False,
    file: File = None,
    json: Json = False,
) -> None:
    """Change what a key may do; its secret stays. What is given replaces what was."""
    body: dict[str, Any] = _body(name, wanted_permissions(permissions, grant or []), expires_in, from_ip)
    if (no_expiry and expires_in) or (from_anywhere and from_ip) or (any_model and models):
        raise SettingsError(
            "--no-expiry goes without --expires-in, --from-anywhere without --from-ip, --any-model without --models."
        )
    body |= _given(
        limits=limits.wanted(rate, tokens_per_minute, concurrent, streams, none=no_limits),
        models=[] if any_model else models,
    )
    body |= {"expires_in": None} if no_expiry else {}
    body |= {"from_ip": []} if from_anywhere else {}
    if not body and file is None:
        raise SettingsError(
            "Say what to change: --name, --permissions, --grant, --expires-in, --from-ip, --rate, --models or --file."
        )
    client = connect()
    known = _id(client, id)
    if file is not None:
        body = _changed(client.get("keys", known), members_of(text_of(file))) | body
    _print_key(client.send("PATCH", ("keys", known), body=body).body, json=json)


@key.command("edit")
def edit_(id: Id, json: Json = False) -> None:
    """Open what a key may do in $VISUAL or $EDITOR, check what is saved there, and store it; its secret stays."""
    client = connect()
    before = client.get("keys", _id(client, id))

    def store(typed: str) -> dict[str, Any]:
        body = _changed(before, members_of(typed))
        stored: dict[str, Any] = client.send("PATCH", ("keys", before["id"]), body=body).body
        return stored

    found = {each: before[each] for each in MEMBERS if before[each] not in (None, [], {})}
    after = edit("key", as_yaml(found), store)
    if after is not None:
        _print_key(after, json=json)


@key.command()
def rotate(
    id: Id,
    overlap: Annotated[str, typer.Option(metavar="24h", help="How long the old secret still works.")] = "24h",
    json: Json = False,
) -> None:
    """Mint a new secret for a key; the old one works for the overlap. The new one is printed this once."""
    overlap_seconds = seconds(overlap, "--overlap")
    client = connect()
    made = client.post("keys", _id(client, id), "rotate", body={"overlap": overlap_seconds})
    _print_secret(made, json=json, what=f"{made['id']}; the one before works for {overlap} more")


@key.command()
def revoke(id: Id, yes: Yes = False, json: Json = False) -> None:
    """End a key for good, everywhere within a second."""
    client = connect()
    found = client.get("keys", _id(client, id))
    used = output.moment(found["last_used_at"])
    lost = f"{output.shown(found['app'])} used it last at {used}; what holds it will get 401."
    confirm(f"Revoke {output.shown(found['name'])} ({found['id']})?", [lost] if used else [], yes=yes)
    client.send("DELETE", ("keys", found["id"]))
    if json:
        output.emit({"revoked": found["id"]})
    output.say(f"{found['id']} is revoked.")


@key.command()
def allows(
    id: Id,
    method: Annotated[str, typer.Argument(help="Such as POST.")],
    path: Annotated[str, typer.Argument(help="Below the API's base URL, such as /chat/completions.")],
    api: Annotated[str | None, typer.Option(metavar="API", help="Needed where the app uses several.")] = None,
    json: Json = False,
) -> None:
    """Say whether a key may send an operation, and why not. Exits 1 where it may not."""
    client = connect()
    answer = client.get("keys", _id(client, id), "allows", method=method, path=path, api=api)
    if json:
        output.emit(answer)
    else:
        as_what = f" ({answer['area']}: {answer['level']})" if answer.get("area") else ""
        output.say(f"Yes: {method} {path}{as_what}." if answer["allowed"] else f"No: {answer['reason']}")
    if not answer["allowed"]:
        raise typer.Exit(1)


def _keys(client: "AdminClient", app: str | None) -> Iterator[dict[str, Any]]:
    """The keys of an app, of all apps where none is named."""
    for owner in [app] if app is not None else [each["id"] for each in client.items("apps")]:
        yield from client.items("apps", owner, "keys")


def _id(client: "AdminClient", text: str) -> str:
    """The id of the key that ``text`` names. A revoked one is found by its id only."""
    return id_of(text, "key", (each for each in _keys(client, None) if each["state"] != "revoked"), "key")


def _changed(before: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The request that makes a key what ``wanted`` shows; an expiry is sent only where it differs, as seconds."""
    given = changeable(before, wanted, MEMBERS)
    ends = given.pop("expires_at", None)
    if ends != before["expires_at"]:
        given["expires_in"] = None if ends is None else output.seconds_until(ends)
    return {"from_ip": [], "limits": {}, "models": [], **given}


def _body(
    name: str | None, permissions: dict[str, Any] | None, expires_in: str | None, from_ip: list[str] | None
) -> dict[str, Any]:
    """The request's members, only those that were given."""
    return _given(
        name=name,
        permissions=permissions,
        expires_in=None if expires_in is None else seconds(expires_in, "--expires-in"),
        from_ip=from_ip or None,
    )


def _given(**given: Any) -> dict[str, Any]:
    return {member: value for member, value in given.items() if value is not None}


def _print_secret(made: dict[str, Any], *, json: bool, what: str) -> None:
    if json:
        output.emit(made)
        return
    output.say(f"The secret of {what}:")
    print(made["secret"], flush=True)
    output.say(f"It is shown this once. {made['summary']}".rstrip())


def _print_key(found: dict[str, Any], *, json: bool) -> None:
    if json:
        output.emit(found)
        return
    output.details(
        {
            "id": found["id"],
            "app": found["app"],
            "name": found["name"],
            "secret": found["redacted"],
            "state": found["state"],
            "environment": found["environment"],
            "permissions": found["permissions"]["mode"].replace("_", " "),
            "that is": found["summary"],
            "from": found["from_ip"] or "anywhere",
            "limits": limits.shown(found["limits"]),
            "models": found["models"] or "any",
            "expires": output.moment(found["expires_at"]) or "never",
            "last used": output.moment(found["last_used_at"]) or "never",
            "created": output.moment(found["created_at"]),
        }
    )
    granted = [
        (f"{api}:{area}", level)
        for api, areas in found["permissions"].get("grants", {}).items()
        for area, level in areas.items()
    ]
    if granted:
        print()
        output.table(("AREA", "LEVEL"), granted, "")
