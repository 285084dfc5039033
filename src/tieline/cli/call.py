"""``tieline call``: the calls of APIs, what they answer, and running them."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tieline.cli import output
from tieline.cli.confirmation import Yes, confirm
from tieline.cli.documents import as_yaml, document, edit
from tieline.cli.failures import CommandFailed
from tieline.cli.initialized import drift_text, print_learned, print_raw
from tieline.cli.options import EnvironmentName, Json, User, UserApp, connect, noun
from tieline.cli.values import bare, call_of, secret_given
from tieline.core.errors import SettingsError
from tieline.settings.reading import client_settings

if TYPE_CHECKING:
    from tieline.cli.client import AdminClient
    from tieline.definitions.model import Call

call = noun("call", "Calls of APIs: described once, run from anywhere.")

Place = Annotated[str, typer.Argument(metavar="API.CALL", help="The call, as the API's name, a dot and its own.")]
Parameters = Annotated[
    list[str] | None,
    typer.Option("-p", metavar="NAME=VALUE", help="A parameter: NAME=VALUE, NAME=@FILE or NAME:=JSON; repeat it."),
]
File = Annotated[
    Path, typer.Option(metavar="CALL.YAML", help="The call, as it stands under calls in a definition; - is stdin.")
]

TRIAL_SECONDS = 120.0  # longer than the server waits for an upstream
_EXAMPLES = {"integer": "1", "number": "1", "boolean": "true", "json": "{}", "file": "@FILE"}
SAMPLE_MOST = 4 * 1024 * 1024


@call.command("list")
def list_(api: Annotated[str, typer.Argument(metavar="API", help="The API's name.")], json: Json = False) -> None:
    """List the calls of an API."""
    items = list(connect().items("apis", api, "calls"))
    if json:
        output.emit({"items": items, "next": None})
        return
    output.table(
        ("NAME", "TITLE", "USE AS", "REQUEST", "ANSWER"),
        [
            (each["name"], each["title"], each["use_as"], f"{each['method']} {each['target']}", each["type"])
            for each in items
        ],
        f"{api} has no calls yet: tieline call add {api}.NAME --file CALL.YAML",
    )


@call.command()
def show(place: Place, json: Json = False) -> None:
    """Show a call as its definition has it."""
    found = connect().get(*_path(place))
    if json:
        output.emit(found)
        return
    output.details(
        {
            "call": f"{found['api']}.{found['name']}",
            "title": found["title"],
            "folder": found["folder"],
            "use as": found["use_as"],
            "request": f"{found['method']} {found['target']}",
            "answer": found["type"],
            "door": found["door"],
            "revision": found["revision"],
        }
    )
    print(f"\n{as_yaml(found['definition'])}", end="")


@call.command()
def drift(place: Place, json: Json = False) -> None:
    """Show where answers differ from what is known of them, most frequent first."""
    found = connect().get(*_path(place), "drift")
    if json:
        output.emit(found)
        return
    output.table(
        (
            "FIELD",
            "WHAT",
            output.Column("ENVIRONMENT", spare=True),
            "TIMES",
            output.Column("FIRST", whole=True, spare=True),
            output.Column("LAST", whole=True, spare=True),
        ),
        [
            (
                each["path"],
                drift_text(each),
                each["environment"],
                each["count"],
                output.moment(each["first_at"]),
                output.moment(each["last_at"]),
            )
            for each in found["items"]
        ],
        f"The answers of {place} are as they are known to be.",
    )


@call.command()
def add(place: Place, file: File, json: Json = False) -> None:
    """Add a call to an API."""
    api, name = _split(place)
    given = document(file)
    with given.explained():
        made = connect().post("apis", api, "calls", body={"name": name, "definition": given.content()})
    if json:
        output.emit(made)
        return
    output.say(f"{place} is added, which apps reach at {made['door']} of the app listener.")
    needed = "".join(f"-p {each} " for each in _examples(made["definition"]))
    output.say(f"Learn what it answers: tieline call initialize {place} {needed}--save")


@call.command()
def update(place: Place, file: File, json: Json = False) -> None:
    """Replace a call."""
    given = document(file)
    with given.explained():
        made = connect().send("PUT", _path(place), body={"definition": given.content()}).body
    if json:
        output.emit(made)
        return
    output.say(f"{place} is as the file has it (revision {made['revision']} of {made['api']}).")


@call.command()
def export(place: Place, json: Json = False) -> None:
    """Print a call as `add` and `update` take it: YAML, or JSON with --json."""
    found = connect().get(*_path(place))["definition"]
    if json:
        output.emit(found)
    else:
        print(as_yaml(found), end="")


@call.command("edit")
def edit_(place: Place, json: Json = False) -> None:
    """Open a call in $VISUAL or $EDITOR, check what is saved there, and store it."""
    client = connect()
    found = client.get(*_path(place))
    fields = {"If-Match": f'"{found["revision"]}"'}

    def store(typed: str) -> dict[str, Any]:
        stored: dict[str, Any] = client.send("PUT", _path(place), body={"definition": typed}, fields=fields).body
        return stored

    made = edit(place, as_yaml(found["definition"]), store)
    if made is None:
        return
    if json:
        output.emit(made)
    else:
        output.say(f"{place} is stored (revision {made['revision']} of {made['api']}).")


@call.command()
def remove(place: Place, yes: Yes = False, json: Json = False) -> None:
    """Remove a call from its API."""
    client = connect()
    found = client.get(*_path(place))
    apps = [output.shown(each["name"]) for each in client.items("apps") if found["api"] in each["apis"]]
    lost = f"Apps that may run it, {', '.join(apps)}, will get 404 at {found['door']}."
    confirm(f"Remove {place}?", [lost] if apps else [], yes=yes)
    client.send("DELETE", _path(place))
    if json:
        output.emit({"removed": place})
    output.say(f"{place} is removed.")


@call.command()
def schema(place: Place) -> None:
    """Print JSON Schema of what a call takes and of what it gives."""
    output.emit(connect().get(*_path(place), "schema"))


@call.command()
def initialize(  # noqa: PLR0913  an option is a parameter
    place: Place,
    parameter: Parameters = None,
    environment: Annotated[EnvironmentName | None, typer.Option(help="Which environment to ask.")] = None,
    connection: User = None,
    app: UserApp = None,
    sample: Annotated[list[Path] | None, typer.Option(metavar="FILE", help="An answer; repeat it; - is stdin.")] = None,
    content_type: Annotated[str, typer.Option(metavar="TYPE", help="The samples' media type.")] = "",
    save: Annotated[bool, typer.Option("--save", help="Put what was learned into the call.")] = False,
    anew: Annotated[bool, typer.Option("--anew", help="Forget what earlier answers showed.")] = False,
    keep_samples: Annotated[
        Literal["masked", "whole"] | None, typer.Option(help="Keep samples in the definition.")
    ] = None,
    pagination: Annotated[bool, typer.Option("--pagination", help="Save the proposed pagination too.")] = False,
    json: Json = False,
) -> None:
    """Send one real request and learn what the call answers; with --sample from samples, and nothing is sent."""
    if sample and (parameter or environment or connection or app):
        raise SettingsError("--sample sends nothing: leave -p, --environment, --connection and --app out.")
    client = connect(TRIAL_SECONDS)
    body: dict[str, Any] = {
        "save": save,
        "anew": anew,
        "keep_samples": keep_samples or False,
        "pagination": pagination,
        "content_type": content_type,
    }
    if sample:
        body["samples"] = [_sample(file) for file in sample]
    else:
        body |= _sending(
            client, place, parameter or [], {"environment": environment, "connection": connection, "app": app}
        )
    learned = client.post(*_path(place), "initialize", body=body)
    if json:
        output.emit(learned)
    else:
        print_learned(learned)
    if learned["problem"] is not None:
        if not json:
            print_raw(learned["raw"])  # why it failed, in the upstream's words
            output.say(f"tieline: {learned['problem']}")
        raise typer.Exit(1)


@call.command()
def run(  # noqa: PLR0913  an option is a parameter
    place: Place,
    parameter: Parameters = None,
    stream: Annotated[bool, typer.Option("--stream", help="Print a stream's text as it comes.")] = False,
    all_: Annotated[bool, typer.Option("--all", help="Every page, an item a line.")] = False,
    file: Annotated[Path | None, typer.Option("-o", metavar="FILE", help="Write the answer to this file.")] = None,
    environment: Annotated[EnvironmentName | None, typer.Option(help="Which environment of the API.")] = None,
    connection: User = None,
    app: UserApp = None,
    key_env: Annotated[str | None, typer.Option(metavar="VAR", help="Read the app key from this variable.")] = None,
    key_file: Annotated[Path | None, typer.Option(metavar="FILE", help="Read the app key from this file.")] = None,
    json: Json = False,
) -> None:
    """Run a call with an app key, which TIELINE_APP_KEY or an option holds, and print what it answers.

    Without a key the admin token runs it once as a trial: the upstream's own answer is printed, and nothing is saved.
    """
    from tieline.cli.appclient import AppClient
    from tieline.cli.arguments import MultipartForm, read_arguments
    from tieline.cli.printing import Printing

    api, name = _split(place)
    given = read_arguments(parameter or ())
    settings = client_settings({})
    key = secret_given(stdin=False, variable=key_env, file=key_file, options="--key-env and --key-file")
    key = key or settings.app_key
    key = bare(key) if key is not None else None
    if key is None:
        if stream or all_ or file:
            raise SettingsError("That takes an app key: set TIELINE_APP_KEY, or give --key-env VAR or --key-file FILE.")
        _try(place, parameter or [], {"environment": environment, "connection": connection, "app": app}, json=json)
        return
    if app is not None:
        raise SettingsError("--app goes without an app key: the key says which app it is.")
    form = MultipartForm(_known(place) if any(each.file for each in given) else None, given) if given else None
    asked = {"Tieline-Environment": environment, "Tieline-Connection": connection}
    asked["Tieline-Pages"] = "all" if all_ else None
    fields = {field: value for field, value in asked.items() if value is not None}
    with AppClient(settings.app_url, key, settings.ca_bundle).run(api, name, form, fields) as running:
        Printing(live=stream, machine=json, file=file).print(running)


def _try(place: str, parameters: list[str], how: Mapping[str, str | None], *, json: bool) -> None:
    """Run a call without an app key, by the admin API's trial, and print what the upstream answered."""
    client = connect(TRIAL_SECONDS)
    found = client.post(*_path(place), "initialize", body=_sending(client, place, parameters, how))
    if json:
        output.emit(found)
    else:
        output.say(f"A trial without an app key: the upstream answered {found['status']} ({found['type']}).")
        print_raw(found["raw"])
    if not 200 <= found["status"] < 300:
        raise typer.Exit(1)


def _sending(client: "AdminClient", place: str, parameters: list[str], how: Mapping[str, str | None]) -> dict[str, Any]:
    """The part of a body that sends one real request: parameters by their types, files, what is given of ``how``."""
    from tieline.cli.arguments import as_json, read_arguments

    api, name = _split(place)
    given = read_arguments(parameters)
    call = call_of(client.get("apis", api)["definition"], name)
    if call is None:
        raise CommandFailed(f"{api} has no such call: see `tieline call list {api}`.", {"code": "not_found"})
    values, files = as_json(call, given)
    return {"parameters": values, "files": files} | {name: value for name, value in how.items() if value is not None}


def _examples(definition: dict[str, Any]) -> Iterator[str]:
    """A value of its type for each parameter that a call cannot be run without, as ``-p`` takes it."""
    for name, each in definition.get("parameters", {}).items():
        if not {"default", "optional"} & set(each) and each.get("required", True):
            kind = each.get("type", "text")
            value = each["choices"][0] if "choices" in each else _EXAMPLES.get(kind, name.upper())
            yield f"{name}={output.quoted(str(value))}"


def _split(place: str) -> tuple[str, str]:
    api, dot, name = place.partition(".")
    if not (dot and api and name):
        raise SettingsError("Name the call as API.CALL, such as openai.ask.")
    return api, name


def _path(place: str) -> tuple[str, str, str, str]:
    api, name = _split(place)
    return "apis", api, "calls", name


def _known(place: str) -> "Call | None":
    """The call as the admin API has it; None where that cannot be asked, as on the machine of somebody's app."""
    try:
        return call_of(connect().get("apis", _split(place)[0])["definition"], _split(place)[1])
    except CommandFailed:
        return None


def _sample(file: Path) -> str:
    """An answer that was put into a file. Raises SettingsError."""
    try:
        if str(file) == "-":
            content = sys.stdin.buffer.read(SAMPLE_MOST + 1)
        else:
            with file.open("rb") as stream:
                content = stream.read(SAMPLE_MOST + 1)
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror}.") from error
    if len(content) > SAMPLE_MOST:
        raise SettingsError(f"{file} holds more than {SAMPLE_MOST // 1024**2} MiB: give a smaller answer.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SettingsError(f"{file} is not UTF-8 text: an answer that is no text has no fields.") from error
