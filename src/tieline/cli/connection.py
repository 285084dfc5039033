"""``tieline connection``: who is signed in to which API, and signing in. Tokens never come this far."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tieline.cli import output
from tieline.cli.confirmation import Yes, confirm, id_of
from tieline.cli.failures import CommandFailed
from tieline.cli.options import Environment, Json, connect, noun
from tieline.core.errors import SettingsError, StartError

if TYPE_CHECKING:
    from tieline.cli.client import AdminClient

connection = noun("connection", "Connections: who is signed in to which API.")

WATCH_SECONDS = 2.0

Named = Annotated[
    str, typer.Argument(metavar="CONNECTION", help="Its id; or its user or API, where that has one connection.")
]
Api = Annotated[str, typer.Argument(metavar="API", help="The API's name.")]
App = Annotated[str | None, typer.Option(metavar="APP", help="The app whose user signs in, by name or id.")]
User = Annotated[str | None, typer.Option(metavar="USER", help="The app's name for the user.")]


class SignInFailed(StartError):
    """Nobody signed in. The text is for the person at the command line."""

    code = "sign_in_failed"


@connection.command("sign-in")
def sign_in(  # noqa: PLR0913  an option is a parameter
    api: Api,
    environment: Environment = "live",
    app: App = None,
    user: User = None,
    device: Annotated[bool, typer.Option("--device", help="Show a code to enter on another device.")] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not wait until it is done.")] = False,
    json: Json = False,
) -> None:
    """Sign in to an API: for all who use it, or for one user of an app.

    Without --device, prints a link to open in a browser. It is good for ten minutes.
    """
    if (app is None) != (user is None):
        raise SettingsError("--app and --user go together: a user is known to one app.")
    who = {"environment": environment, "app": app, "user": user}
    given = {name: value for name, value in who.items() if value is not None}
    done = (_by_device if device else _by_browser)(
        connect(), api, given, output.say if json else _show, wait=not no_wait
    )
    if json:
        output.emit(done)


@connection.command("list")
def list_(
    api: Annotated[str | None, typer.Option(metavar="API", help="Only those to this API.")] = None,
    app: Annotated[str | None, typer.Option(metavar="APP", help="Only those of this app's users.")] = None,
    json: Json = False,
) -> None:
    """List connections, never their tokens."""
    items = list(connect().items("connections", api=api, app=app))
    if json:
        output.emit({"items": items, "next": None})
        return
    output.table(
        (
            output.Column("ID", whole=True),
            "API",
            output.Column("ENVIRONMENT", spare=True),
            "APP",
            "USER",
            "STATE",
            output.Column("SIGNED IN AS", spare=True),
            output.Column("EXPIRES", whole=True, spare=True),
            output.Column("RENEWED", whole=True, spare=True),
            output.Column("LAST ERROR", spare=True),
        ),
        [
            (
                each["id"],
                each["api"],
                each["environment"],
                each["app"],
                each["user"],
                each["state"].replace("_", " "),
                each["account"],
                output.moment(each["expires_at"]),
                output.moment(each["refreshed_at"]),
                each["last_error"],
            )
            for each in items
        ],
        "No connections yet. Sign in: tieline connection sign-in API",
    )


@connection.command()
def show(connection: Named, json: Json = False) -> None:
    """Show one connection, never its token."""
    found = _find(connect(), connection)
    if json:
        output.emit(found)
        return
    output.details(
        {
            "id": found["id"],
            "API": found["api"],
            "environment": found["environment"],
            "app": found["app"],
            "user": found["user"],
            "state": found["state"].replace("_", " "),
            "signed in as": found["account"],
            "expires": output.moment(found["expires_at"]),
            "renewed": output.moment(found["refreshed_at"]),
            "last error": found["last_error"],
        }
    )


@connection.command()
def remove(connection: Named, yes: Yes = False, json: Json = False) -> None:
    """Delete a connection with its token, which stops working at once."""
    client = connect()
    found = _find(client, connection)
    whose = f"{found['user']} of {found['app']}" if found["user"] else "all who use it"
    lost = f"Requests to {found['api']} for {output.shown(whose)} will be refused until somebody signs in again."
    confirm(f"Remove the connection {found['id']}?", [lost], yes=yes)
    client.send("DELETE", ("connections", found["id"]))
    if json:
        output.emit({"removed": found["id"]})
    output.say(f"{found['id']} is removed.")


def _find(client: "AdminClient", text: str) -> dict[str, Any]:
    """The connection with this id, or that of a user or API of this name where there is one only."""
    items = list(client.items("connections"))
    named = [{**each, "name": name} for each in items for name in {each["user"], each["api"]} if name]
    known = id_of(text, "conn", named, "connection")
    found = next((each for each in items if each["id"] == known), None)
    if found is None:
        raise CommandFailed("There is no such connection: tieline connection list", {"code": "not_found"})
    return found


def _show(line: str) -> None:
    """What the person needs, alone on standard output, while the command goes on."""
    print(line, flush=True)


def _by_browser(
    client: "AdminClient", api: str, who: dict[str, str], show: Callable[[str], None], *, wait: bool
) -> dict[str, Any]:
    """The link, shown to be opened; with ``wait``, the connection once it is there."""
    before = _found(client, api, who)
    link: dict[str, Any] = client.get("oauth", "authorize", api, **who)
    output.say("Open this link in a browser and sign in there:")
    show(link["url"])
    if not wait:
        return link
    while True:
        time.sleep(WATCH_SECONDS)
        found = _found(client, api, who)
        if found is not None and (before is None or found["refreshed_at"] != before["refreshed_at"]):
            output.say(_connected(api, found))
            return found
        if output.is_past(link["expires_at"]):
            raise _not_done()


def _by_device(
    client: "AdminClient", api: str, who: dict[str, str], show: Callable[[str], None], *, wait: bool
) -> dict[str, Any]:
    """The code, shown to be entered; with ``wait``, the connection once it is there."""
    begun: dict[str, Any] = client.post("oauth", "device", api, body=who)
    output.say(f"Open {begun['verification_uri']} on any device and enter this code:")
    show(begun["user_code"])
    if begun["verification_uri_complete"]:
        output.say(f"Or open {begun['verification_uri_complete']}")
    if not wait:
        return begun
    pause = begun["interval"]
    while True:
        time.sleep(pause)
        if output.is_past(begun["expires_at"]):
            raise _not_done()
        polled = client.post("oauth", "device", api, begun["id"])
        if polled["state"] == "connected":
            output.say(_connected(api, polled["connection"]))
            made: dict[str, Any] = polled["connection"]
            return made
        if polled["state"] == "refused":
            raise SignInFailed(polled["problem"])
        pause = polled["interval"]


def _found(client: "AdminClient", api: str, who: dict[str, str]) -> dict[str, Any] | None:
    """The connection that a sign-in would make or renew, where there is one."""
    wanted = (who["environment"], who.get("user"))
    of_app = client.items("connections", api=api, app=who.get("app"))
    return next((each for each in of_app if (each["environment"], each["user"]) == wanted), None)


def _connected(api: str, made: dict[str, Any]) -> str:
    account = f" as {made['account']}" if made["account"] else ""
    whose = f" for {made['user']} in {made['app']}" if made["user"] else ""
    return f"Signed in to {api}{account}{whose}."


def _not_done() -> "SignInFailed":
    return SignInFailed("nobody finished the sign-in in time: run the command again.")
