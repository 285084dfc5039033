"""Commands that ask no server: serve, sandbox, demo, check, doctor, version."""

from dataclasses import asdict
from importlib.metadata import version as installed
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tieline.cli import output
from tieline.cli.documents import Document, document
from tieline.cli.options import Json, with_settings
from tieline.core.errors import SettingsError, StartError
from tieline.settings.reading import serve_settings
from tieline.settings.table import SERVE_SETTINGS
from tieline.settings.values import listen_address

if TYPE_CHECKING:
    from tieline.definitions.problems import Problem

EVERY = tuple(setting.name for setting in SERVE_SETTINGS)
STORE = ("data_dir", "app_listen", "console_listen", "database_url", "root_key", "ca_bundle")


def register(root: typer.Typer) -> None:
    """Add these commands to ``root``."""
    for command in (serve, sandbox, demo, check, doctor, version):
        root.command()(command)


@with_settings(EVERY)
def serve(**given: str | list[str] | None) -> None:
    """Start Tieline: the app listener that apps call and the console listener that operators call.

    Each option can also be set by the environment name in brackets, or by a file that NAME_FILE names.
    """
    from tieline.app.supervisor import serve as supervise

    raise typer.Exit(supervise(serve_settings(given)))


def sandbox(
    listen: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where it listens.")] = "127.0.0.1:8700",
) -> None:
    """Start the simulated OpenAI, to try Tieline without an account. Its keys begin with sk-sandbox."""
    from tieline.sandbox.serve import run

    address = listen_address(listen, "--listen")
    try:
        run(address.host, address.port, ready=lambda url: output.say(f"ready sandbox={url} (base URL {url}/v1)"))
    except OSError as error:
        raise StartError(f"{address} cannot be listened on: {error.strerror}. Choose another with --listen.") from error


def demo(
    once: Annotated[bool, typer.Option("--once", help="End after the call instead of serving until Ctrl-C.")] = False,
) -> None:
    """Show it all: start Tieline and the sandbox, add OpenAI, make a restricted key, stream one chat completion."""
    from tieline.cli.demo import run

    raise typer.Exit(run(once=once))


def check(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Definitions and calls; - is stdin.")],
    json: Json = False,
) -> None:
    """Check definitions and calls without a server: every mistake with its line. Exits 1 where there is one."""
    found = [_checked(each) for each in files]
    if json:
        items = [{"file": each.name, "problems": [asdict(one) for one in problems]} for each, problems in found]
        output.emit({"items": items, "next": None})
    else:
        for each, problems in found:
            print(each.shown(problems) if problems else f"{each.name}: nothing is wrong")
    if any(problems for _, problems in found):
        raise typer.Exit(1)


def _checked(file: Path) -> "tuple[Document, tuple[Problem, ...]]":
    """A file and what is wrong with it, be it that it cannot be read, so that the others are checked all the same."""
    try:
        each = document(file)
    except SettingsError as error:
        from tieline.definitions.problems import Problem

        why = error.public.removeprefix(f"{file} ").removesuffix(".")
        return Document(str(file), ""), (Problem(0, 0, "", why),)
    return each, each.problems()


@with_settings(STORE)
def doctor(json: Json = False, **given: str | list[str] | None) -> None:
    """Look for what is wrong with this installation and say what to do. Exits 1 where something is."""
    from tieline.app.doctor import examine

    findings = examine(serve_settings(given))
    if json:
        output.emit({"items": [finding.to_json() for finding in findings], "next": None})
    else:
        for finding in findings:
            output.finding(finding.state, finding.subject, finding.told)
    if any(finding.state == "wrong" for finding in findings):
        raise typer.Exit(1)


def version(json: Json = False) -> None:
    """Print the version."""
    if json:
        output.emit({"version": installed("tieline")})
    else:
        print(f"tieline {installed('tieline')}")
