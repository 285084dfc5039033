"""``tieline token``: admin tokens, a machine's access to the admin API."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tieline.cli import output
from tieline.cli.confirmation import Yes, confirm, id_of
from tieline.cli.failures import CommandFailed
from tieline.cli.options import Json, connect, noun
from tieline.cli.values import seconds

if TYPE_CHECKING:
    from tieline.cli.client import AdminClient

Named = Annotated[str, typer.Argument(metavar="TOKEN", help="The token's id, or its name.")]

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
def show(token: Named, json: Json = False) -> None:
    """Show one admin token, never its secret."""
    found = _find(connect(), token)
    if json:
        output.emit(found)
        return
    output.details(
        {
            "id": found["id"],
            "name": found["name"],
            "role": found["role"],
            "state": "revoked" if found["revoked_at"] else "active",
            "last used": output.moment(found["last_used_at"]) or "never",
            "expires": output.moment(found["expires_at"]) or "never",
            "created": output.moment(found["created_at"]),
        }
    )


@token.command()
def revoke(token: Named, yes: Yes = False, json: Json = False) -> None:
    """End an admin token for good."""
    client = connect()
    found = _find(client, token)
    used = output.moment(found["last_used_at"])
    lost = f"It was last used at {used}; what holds it will get 401."
    confirm(f"Revoke {output.shown(found['name'])} ({found['id']})?", [lost] if used else [], yes=yes)
    client.send("DELETE", ("tokens", found["id"]))
    if json:
        output.emit({"revoked": found["id"]})
    output.say(f"{found['id']} is revoked.")


def _find(client: "AdminClient", text: str) -> dict[str, Any]:
    """The token that ``text`` names, by its id or, while it works, by its name. Raises CommandFailed."""
    items = list(client.items("tokens"))
    known = id_of(text, "tok", (each for each in items if not each["revoked_at"]), "token")
    found = next((each for each in items if each["id"] == known), None)
    if found is None:
        raise CommandFailed("There is no such token: tieline token list", {"code": "not_found"})
    return found
