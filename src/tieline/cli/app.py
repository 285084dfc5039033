"""``tieline app``: what uses APIs through Tieline."""

from typing import Annotated

import typer

from tieline.cli import output
from tieline.cli.options import Json, connect, noun

app = noun("app", "Apps: what uses APIs through Tieline.")

Name = Annotated[str, typer.Argument(help="The app's name or id.")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What it shall be called.")],
    api: Annotated[list[str] | None, typer.Option(metavar="API", help="An API it may use; repeat for several.")] = None,
    json: Json = False,
) -> None:
    """Create an app."""
    made = connect().post("apps", body={"name": name, "apis": api or []})
    if json:
        output.emit(made)
        return
    output.say(f"{name} is created and may use {', '.join(made['apis']) or 'no API yet'}.")
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
        "No apps yet. Create one: tieline app create my-app --api openai",
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
            "created": output.moment(found["created_at"]),
            "id": found["id"],
        }
    )


@app.command()
def remove(name: Name, json: Json = False) -> None:
    """Remove an app with all its keys, which stop working at once."""
    connect().send("DELETE", ("apps", name))
    if json:
        output.emit({"removed": name})
    output.say(f"{name} is removed and its keys no longer work.")
