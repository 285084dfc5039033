"""``tieline api``: the APIs that apps reach through Tieline."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tieline.cli import output
from tieline.cli.options import Environment, EnvironmentName, Json, connect, noun
from tieline.cli.values import definition_text, field_names, fields, secret_given
from tieline.core.errors import SettingsError
from tieline.core.secret import Secret

if TYPE_CHECKING:
    from tieline.cli.client import AdminClient

api = noun("api", "APIs: what apps reach through Tieline.")

Name = Annotated[str, typer.Argument(help="The API's name.")]


@api.command()
def add(  # noqa: PLR0913  an option is a parameter
    name: Annotated[str, typer.Argument(help="What it shall be called: lower-case letters, digits, _ and -.")],
    from_catalogue: Annotated[str | None, typer.Option(metavar="ENTRY", help="Start from a ready-made entry.")] = None,
    file: Annotated[Path | None, typer.Option(metavar="DEFINITION.YAML", help="The definition (tieline/v1).")] = None,
    base_url: Annotated[str | None, typer.Option(metavar="URL", help="Where the API is.")] = None,
    environment: Environment = "live",
    credential_stdin: Annotated[
        bool, typer.Option("--credential-stdin", help="Read its secret from standard input.")
    ] = False,
    credential_env: Annotated[str | None, typer.Option(metavar="VAR", help="Read it from this variable.")] = None,
    credential_file: Annotated[Path | None, typer.Option(metavar="FILE", help="Read it from this file.")] = None,
    json: Json = False,
) -> None:
    """Add an API, and with it its credential (one value, or a JSON object for several fields)."""
    if from_catalogue is not None and file is not None:
        raise SettingsError("Give --from-catalogue or --file, not both.")
    secret = secret_given(
        stdin=credential_stdin,
        variable=credential_env,
        file=credential_file,
        options="--credential-stdin, --credential-env and --credential-file",
    )
    body: dict[str, Any] = {"name": name}
    if from_catalogue is not None:
        body["from_catalogue"] = from_catalogue
    if file is not None:
        body["definition"] = definition_text(file)
    if base_url is not None:
        body["base_url"] = base_url
    client = connect()
    added = client.post("apis", body=body)
    if secret is not None:
        _put_first_credential(client, added, environment, secret)
    if json:
        output.emit(client.get("apis", name))
        return
    output.say(f"{name} is added: {added['base_url']}, which apps reach at {added['relay']} of the app listener.")
    if secret is None and field_names(added["definition"], environment):
        output.say(f"It has no credential yet: tieline credential set {name} --stdin")
    else:
        output.say(f"Try it: tieline api verify {name}")


def _put_first_credential(
    client: "AdminClient", added: dict[str, Any], environment: EnvironmentName, secret: Secret
) -> None:
    """Store the credential of an API just added. Where that is refused the API goes too: nothing is half done."""
    from tieline.cli.failures import CommandFailed

    name = added["name"]
    try:
        given = fields(secret, field_names(added["definition"], environment))
        client.send("PUT", ("apis", name, "credentials", environment), body={"fields": given})
    except (CommandFailed, SettingsError):
        client.send("DELETE", ("apis", name))
        raise


@api.command("list")
def list_(json: Json = False) -> None:
    """List the APIs."""
    items = list(connect().items("apis"))
    if json:
        output.emit({"items": items, "next": None})
        return
    output.table(
        ("NAME", "TITLE", "BASE URL", "CREDENTIALS"),
        [(item["name"], item["title"], item["base_url"], _environments(item)) for item in items],
        "No APIs yet. Add one: tieline api add openai --from-catalogue openai --credential-stdin",
    )


@api.command()
def show(name: Name, json: Json = False) -> None:
    """Show one API."""
    found = connect().get("apis", name)
    if json:
        output.emit(found)
        return
    output.details(
        {
            "name": found["name"],
            "title": found["title"],
            "base URL": found["base_url"],
            "documentation": found["definition"].get("documentation"),
            "relay": found["relay"],
            "credentials": _environments(found),
            "catalogue": found["source_entry"],
            "revision": found["revision"],
            "added": output.moment(found["created_at"]),
            "changed": output.moment(found["updated_at"]),
            "id": found["id"],
        }
    )


@api.command()
def remove(name: Name, json: Json = False) -> None:
    """Remove an API with its credentials. Keys lose what they may do on it."""
    connect().send("DELETE", ("apis", name))
    if json:
        output.emit({"removed": name})
    output.say(f"{name} is removed.")


@api.command()
def export(name: Name, json: Json = False) -> None:
    """Print the definition, without secrets: YAML, or JSON with --json."""
    if json:
        output.emit(connect().get("apis", name, "definition"))
        return
    text = connect().get("apis", name, "definition", accept="application/yaml")
    print(text, end="" if text.endswith("\n") else "\n")


@api.command()
def verify(name: Name, environment: Environment = "live", json: Json = False) -> None:
    """Send the API's verify request with its credential and say whether it worked."""
    verdict = connect().post("apis", name, "verify", body={"environment": environment})
    if json:
        output.emit(verdict)
    elif verdict["ok"]:
        output.say(f"{name} ({environment}) works: it answered {verdict['status']}.")
    if not verdict["ok"]:
        if not json:
            output.say(f"tieline: {name} ({environment}) does not work: {verdict.get('problem') or verdict['status']}")
        raise typer.Exit(1)


def _environments(found: dict[str, Any]) -> str:
    """Which environments have an active credential, such as ``live v1``."""
    active = found["credentials"].items()
    return ", ".join(f"{environment} v{each['version']}" for environment, each in active if each) or "none"
