"""``tieline token``: admin tokens, a machine's access to the admin API."""

from typing import Annotated, Literal

import typer

from tieline.cli import output
from tieline.cli.options import Json, connect, noun
from tieline.cli.values import seconds

token = noun("token", "Admin tokens: a machine's access to the admin API.")


@token.command()
def create(
    name: Annotated[str, typer.Argument(help="What uses it, such as ci.")],
    role: Annotated[Literal["owner", "editor", "viewer"], typer.Option(help="What it may do.")] = "editor",
    expires_in: Annotated[str | None, typer.Option(metavar="90d", help="When it stops working.")] = None,
    json: Json = False,
) -> None:
    """Mint an admin token. It is printed this once, alone on standard output."""
    body: dict[str, object] = {"name": name, "role": role}
    if expires_in is not None:
        body["expires_in"] = seconds(expires_in, "--expires-in")
    made = connect().post("tokens", body=body)
    if json:
        output.emit(made)
        return
    output.say(f"The admin token {made['id']} ({role}):")
    print(made["secret"], flush=True)
    output.say("It is shown this once. Use it as TIELINE_TOKEN.")


@token.command("list")
def list_(json: Json = False) -> None:
    """List admin tokens, never their secrets."""
    items = list(connect().items("tokens"))
    if json:
        output.emit({"items": items, "next": None})
        return
    output.table(
        (
            output.Column("ID", whole=True),
            "NAME",
            "ROLE",
            "STATE",
            output.Column("LAST USED", whole=True, spare=True),
            output.Column("EXPIRES", whole=True, spare=True),
        ),
        [
            (
                each["id"],
                each["name"],
                each["role"],
                "revoked" if each["revoked_at"] else "active",
                output.moment(each["last_used_at"]) or "never",
                output.moment(each["expires_at"]) or "never",
            )
            for each in items
        ],
        "No admin tokens.",
    )


@token.command()
def revoke(id: Annotated[str, typer.Argument(help="The token's id (tok_…).")], json: Json = False) -> None:
    """End an admin token for good."""
    connect().send("DELETE", ("tokens", id))
    if json:
        output.emit({"revoked": id})
    output.say(f"{id} is revoked.")
