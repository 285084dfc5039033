"""``tieline credential``: the secrets of APIs, written once and never read back."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from tieline.cli import output
from tieline.cli.confirmation import Yes, confirm
from tieline.cli.options import Environment, Json, connect, noun
from tieline.cli.values import field_names, fields, say_what_was_cut, secret_given
from tieline.core.errors import SettingsError

credential = noun("credential", "Credentials of APIs: written once, never shown again.")

Api = Annotated[str, typer.Argument(metavar="API", help="The API's name.")]
Version = Annotated[int, typer.Argument(min=1, help="The credential's version.")]


@credential.command("set")
def set_(  # noqa: PLR0913  an option is a parameter
    api: Api,
    environment: Environment = "live",
    stdin: Annotated[bool, typer.Option("--stdin", help="Read the secret from standard input.")] = False,
    env: Annotated[str | None, typer.Option(metavar="VAR", help="Read it from this variable.")] = None,
    file: Annotated[Path | None, typer.Option(metavar="FILE", help="Read it from this file.")] = None,
    activate: Annotated[bool, typer.Option("--activate", help="Use it at once in place of the active one.")] = False,
    json: Json = False,
) -> None:
    """Store a new version of an API's credential: one value, or a JSON object for several fields.

    The first one of an environment is used at once; later ones wait for `tieline credential activate`.
    """
    secret = secret_given(stdin=stdin, variable=env, file=file, options="--stdin, --env and --file")
    if secret is None:
        raise SettingsError("Say where the secret is: --stdin, --env VAR or --file FILE.")
    client = connect()
    given = fields(secret, field_names(client.get("apis", api)["definition"], environment))
    query = {"activate": "true"} if activate else None
    stored = client.send("PUT", ("apis", api, "credentials", environment), body={"fields": given}, query=query).body
    if json:
        output.emit(stored)
        return
    output.say(f"Version {stored['version']} of {api} ({environment}) is stored: {_shown(stored)}.")
    say_what_was_cut(stored)
    if stored["state"] == "pending":
        output.say(f"It waits: tieline credential activate {api} {stored['version']}")


@credential.command("list")
def list_(api: Api, json: Json = False) -> None:
    """List the versions of an API's credentials, never their values."""
    items = list(connect().items("apis", api, "credentials"))
    if json:
        output.emit({"items": items, "next": None})
        return
    output.table(
        ("VERSION", "ENVIRONMENT", "STATE", "ENDS IN", "GOES TO", output.Column("CREATED", whole=True, spare=True)),
        [
            (
                each["version"],
                each["environment"],
                each["state"],
                _shown(each),
                each["hosts"],
                output.moment(each["created_at"]),
            )
            for each in items
        ],
        f"{api} has no credential yet: tieline credential set {api} --stdin",
    )


@credential.command()
def activate(api: Api, version: Version, json: Json = False) -> None:
    """Use this version; the one used so far is retired."""
    done = connect().post("apis", api, "credentials", str(version), "activate")
    if json:
        output.emit(done)
    output.say(f"Version {version} of {api} is active.")


@credential.command()
def retire(api: Api, version: Version, yes: Yes = False, json: Json = False) -> None:
    """Stop using this version and delete its secret. Asks first where it is the active one."""
    client = connect()
    items = list(client.items("apis", api, "credentials"))
    found = next((each for each in items if each["version"] == version), None)
    is_active = found is not None and found["state"] == "active"
    environment = found["environment"] if found is not None else "live"
    if is_active:
        lost = f"It is the active one: every request to {api} ({environment}) will fail with 424 credential_missing."
        confirm(f"Retire version {version} of {api}?", [lost, _way_on(api, environment, items)], yes=yes)
    client.send("DELETE", ("apis", api, "credentials", str(version)))
    if json:
        output.emit({"retired": version})
    output.say(f"Version {version} of {api} is retired.")


def _way_on(api: str, environment: str, items: Sequence[Mapping[str, Any]]) -> str:
    """The command that gives an environment another credential: one that waits already, else a new one."""
    waiting = [each for each in items if each["environment"] == environment and each["state"] == "pending"]
    if waiting:
        return f"To use another: tieline credential activate {api} {waiting[-1]['version']}"
    return f"To use another: tieline credential set {api} --environment {environment} --stdin --activate"


def _shown(stored: dict[str, Any]) -> str:
    """The masked fields, such as ``key sk-…AbCd``."""
    return ", ".join(f"{name} {value}" for name, value in stored["fields"].items())
