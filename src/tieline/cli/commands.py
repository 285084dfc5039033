"""Every command, gathered under ``tieline``, and how a usage error is told."""

import re
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated, Any

import typer

from tieline.cli import (
    api,
    app,
    audit,
    budget,
    call,
    connection,
    credential,
    key,
    log,
    machine,
    token,
    usage,
    vault,
    webhook,
)
from tieline.cli.failures import CommandFailed
from tieline.cli.options import HELP_NAMES
from tieline.core.errors import SettingsError

_EXTRA = "unexpected extra argument"
_UNKNOWN = re.compile(r"No such command '([^']*)'$")
# What other programs call a verb: a group has the first of ours that is among its commands.
_VERBS = {
    "delete": ("remove", "revoke", "retire"),
    "rm": ("remove", "revoke", "retire"),
    "remove": ("revoke", "retire"),
    "revoke": ("remove", "retire"),
    "get": ("show", "list"),
    "describe": ("show", "list"),
    "ls": ("list",),
    "new": ("create", "add"),
    "add": ("create", "set"),
    "create": ("add", "set"),
    "set": ("update",),
    "apply": ("update",),
    "rename": ("update",),
    "test": ("verify", "run"),
    "start": ("serve",),
    "validate": ("check",),
    "lint": ("check",),
}

root = typer.Typer(
    name="tieline",
    help="Tieline: your apps reach APIs over lines of their own, and never see the provider's key.",
    no_args_is_help=True,
    context_settings=HELP_NAMES,
    pretty_exceptions_enable=False,
)
for group in (
    api.api,
    credential.credential,
    call.call,
    app.app,
    key.key,
    budget.budget,
    webhook.webhook,
    connection.connection,
    log.log,
    usage.usage,
    token.token,
    audit.audit,
    vault.vault,
):
    root.add_typer(group)
machine.register(root)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"tieline {version('tieline')}")
        raise typer.Exit


@root.callback()
def begin(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Tieline: your apps reach APIs over lines of their own, and never see the provider's key."""


def _meant(text: str, context: Any) -> str:
    """How an error ends: with the command that was meant, where another program calls it so."""
    found = _UNKNOWN.search(text)
    names = getattr(getattr(context, "command", None), "commands", {})
    meant = next((verb for verb in _VERBS.get(found[1], ()) if verb in names), None) if found else None
    if meant:
        return f". Did you mean '{meant}'?"
    return "" if text.endswith(("?", "!")) else "."


def invoke(words: Sequence[str]) -> int:
    """Run the command that ``words`` name; returns its exit code.

    Raises SettingsError for wrong usage, CommandFailed where a question was answered with no, BrokenPipeError where who
    read the output has gone.
    """
    try:
        status = root(list(words), prog_name="tieline", standalone_mode=False)
    except typer.Abort:  # a question was answered with no, Ctrl-D or Ctrl-C
        raise CommandFailed("Nothing was done.", {"code": "cancelled"}) from None
    except SystemExit as ended:  # Typer ends a program whose reader has gone by itself, and with another status
        raise ended.__context__ if isinstance(ended.__context__, BrokenPipeError) else ended from None
    except typer.TyperException as error:
        text = error.format_message()
        if _EXTRA in text:  # it would repeat what was given, which may be a secret
            text = "Too many arguments. A secret is never one: it is read from standard input, a variable or a file."
        if not text:
            return error.exit_code
        text = text.replace("Value error, ", "").removesuffix(".")
        context = getattr(error, "ctx", None)
        text += _meant(text, context)
        raise SettingsError(f"{text} See `{context.command_path} -h`." if context is not None else text) from None
    return status if isinstance(status, int) else 0
