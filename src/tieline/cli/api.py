"""``tieline api``: the APIs that apps reach through Tieline."""

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tieline.cli import output
from tieline.cli.confirmation import Yes, confirm, may_reach
from tieline.cli.documents import document, edit
from tieline.cli.options import Environment, EnvironmentName, Json, User, UserApp, connect, noun
from tieline.cli.values import field_names, fields, say_what_was_cut, secret_given
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
    if from_catalogue is None and file is None and base_url is None:
        raise SettingsError("Say what it is: --from-catalogue ENTRY, --file DEFINITION.YAML or --base-url URL.")
    secret = secret_given(
        stdin=credential_stdin,
        variable=credential_env,
        file=credential_file,
        options="--credential-stdin, --credential-env and --credential-file",
    )
    body: dict[str, Any] = {"name": name}
    if from_catalogue is not None:
        body["from_catalogue"] = from_catalogue
    given = document(file) if file is not None else None
    if given is not None:
        body["definition"] = given.content()
    if base_url is not None:
        body["base_url"] = base_url
    client = connect()
    with given.explained() if given is not None else nullcontext():
        added = client.post("apis", body=body)
    if secret is not None:
        _put_first_credential(client, added, environment, secret)
    if json:
        output.emit(client.get("apis", name))
        return
    output.say(f"{name} is added: {added['base_url']}, which apps reach at {added['relay']} of the app listener.")
    if secret is None and field_names(added["definition"], environment):
        output.say(f"It has no credential yet: tieline credential set {name} --stdin")
    elif "verify" in added["definition"]:
        output.say(f"Try it: tieline api verify {name}")
    else:
        output.say(f"Let an app use it: tieline app create my-app --api {name}")


def _put_first_credential(
    client: "AdminClient", added: dict[str, Any], environment: EnvironmentName, secret: Secret
) -> None:
    """Store the credential of an API just added. Where that is refused the API goes too: nothing is half done."""
    from tieline.cli.failures import CommandFailed

    name = added["name"]
    try:
        given = fields(secret, field_names(added["definition"], environment))
        stored = client.send("PUT", ("apis", name, "credentials", environment), body={"fields": given}).body
    except (CommandFailed, SettingsError):
        client.send("DELETE", ("apis", name))
        raise
    say_what_was_cut(stored)


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
    if found["areas"]:
        print()
        output.table(
            ("AREA", "TITLE", "LEVELS"),
            [(f"{name}:{each['name']}", each["title"], each["levels"]) for each in found["areas"]],
            "",
        )


@api.command()
def update(
    name: Name,
    file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The whole definition; also what `show --json` prints."),
    ] = None,
    base_url: Annotated[str | None, typer.Option(metavar="URL", help="Where the API is.")] = None,
    json: Json = False,
) -> None:
    """Replace an API's definition, or its base URL. Its credentials, calls of apps and keys stay."""
    if file is None and base_url is None:
        raise SettingsError("Say what to change: --file DEFINITION.YAML or --base-url URL.")
    client = connect()
    if file is not None and base_url is not None:
        raise SettingsError("Give --file or --base-url, not both: the file says where the API is.")
    if base_url is None:
        assert file is not None
        given = document(file)
        with given.explained():
            changed = client.send("PUT", ("apis", name), body={"definition": given.content()}).body
    else:
        found = client.get("apis", name)
        definition = {each: value for each, value in found["definition"].items() if each != "hosts"}
        changed = _put(client, found, {**definition, "base_url": base_url})
    _tell_changed(changed, json=json)


@api.command("edit")
def edit_(name: Name, json: Json = False) -> None:
    """Open an API's definition in $VISUAL or $EDITOR, check what is saved there, and store it."""
    client = connect()
    found = client.get("apis", name)
    text = client.get("apis", name, "definition", accept="application/yaml")
    changed = edit(name, text, lambda typed: _put(client, found, typed))
    if changed is not None:
        _tell_changed(changed, json=json)


def _put(client: "AdminClient", found: dict[str, Any], definition: object) -> dict[str, Any]:
    """Store a definition in place of the one that was ``found``, unless somebody changed that meanwhile."""
    fields = {"If-Match": f'"{found["revision"]}"'}
    changed: dict[str, Any] = client.send(
        "PUT", ("apis", found["name"]), body={"definition": definition}, fields=fields
    ).body
    return changed


def _tell_changed(changed: dict[str, Any], *, json: bool) -> None:
    if json:
        output.emit(changed)
        return
    output.say(f"{changed['name']} is stored as revision {changed['revision']}: {changed['base_url']}.")


@api.command()
def remove(name: Name, yes: Yes = False, json: Json = False) -> None:
    """Remove an API with its credentials, calls and connections. Keys lose what they may do on it."""
    client = connect()
    confirm(f"Remove {name}?", _lost_with(client, name), yes=yes)
    client.send("DELETE", ("apis", name))
    if json:
        output.emit({"removed": name})
    output.say(f"{name} is removed.")


def _lost_with(client: "AdminClient", name: str) -> list[str]:
    """What will stop working without the API, and what goes with it."""
    parts = {
        "call": sum(1 for _ in client.items("apis", name, "calls")),
        "credential": sum(1 for each in client.items("apis", name, "credentials") if each["state"] != "retired"),
        "connection": sum(1 for _ in client.items("connections", api=name)),
    }
    told = []
    apps = [each for each in client.items("apps") if name in each["apis"]]
    if apps:
        keys = sum(may_reach(key, name) for each in apps for key in client.items("apps", each["id"], "keys"))
        names = ", ".join(output.shown(each["name"]) for each in apps)
        told.append(f"In use by {names} ({output.counted(keys, 'key')}): requests to {name} will be refused with 404.")
    gone = [output.counted(number, noun) for noun, number in parts.items() if number]
    if gone:
        told.append(f"With it goes what belongs to it: {', '.join(gone)}.")
    return told


@api.command()
def export(name: Name, json: Json = False) -> None:
    """Print the definition, without secrets: YAML, or JSON with --json."""
    if json:
        output.emit(connect().get("apis", name, "definition"))
        return
    text = connect().get("apis", name, "definition", accept="application/yaml")
    print(text, end="" if text.endswith("\n") else "\n")


@api.command()
def verify(
    name: Name, environment: Environment = "live", connection: User = None, app: UserApp = None, json: Json = False
) -> None:
    """Send the API's verify request with its credential and say whether it worked."""
    wanted = {"environment": environment, "connection": connection, "app": app}
    body = {member: value for member, value in wanted.items() if value is not None}
    verdict = connect().post("apis", name, "verify", body=body)
    if json:
        output.emit(verdict)
    elif verdict["ok"]:
        output.say(f"{name} ({environment}) works: it answered {verdict['status']}.")
    if not verdict["ok"]:
        if not json:
            found = "does not work" if verdict["tried"] else "could not be tried"
            output.say(f"tieline: {name} ({environment}) {found}: {verdict['problem'] or verdict['status']}")
        raise typer.Exit(1)


def _environments(found: dict[str, Any]) -> str:
    """Which environments have an active credential, such as ``live v1``."""
    active = found["credentials"].items()
    return ", ".join(f"{environment} v{each['version']}" for environment, each in active if each) or "none"


@api.command()
def prices(
    name: Name,
    model: Annotated[str | None, typer.Option("--model", metavar="MODEL", help="What this model costs now.")] = None,
    environment: Environment = "live",
    json: Json = False,
) -> None:
    """Show where an API's prices come from, and what a model costs."""
    asked = {"environment": environment} | ({"model": model} if model is not None else {})
    found = connect().get("apis", name, "prices", **asked)
    if json:
        output.emit(found)
        return
    listed = f"{found['provider']} ({found['version'] or 'not stored yet'})" if found["provider"] else "none"
    shown = found["model"]
    output.details(
        {
            "price list": listed,
            "own prices": "yes" if found["own"] else "no",
            "model": shown and shown["id"],
            "priced by": shown and shown["source"],
            "window": shown and shown["window"],
            "most output": shown and shown["most_output"],
        }
    )
    if shown:
        print()
        output.table(("TIER", "QUANTITY", "INPUT TOKENS", "USD FOR ONE"), _price_rows(shown["rates"]), "")


def _price_rows(rates: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    return [
        (tier, quantity, f"above {step['above']:,}" if step["above"] else "any", step["usd"])
        for tier, by_quantity in rates.items()
        for quantity, steps in by_quantity.items()
        for step in steps
    ]
