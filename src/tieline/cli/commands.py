"""Every command, gathered under ``tieline``, and how a usage error is told."""

from collections.abc import Sequence

import typer

from tieline.cli import api, app, audit, call, connection, credential, key, machine, output, token, vault

root = typer.Typer(
    name="tieline",
    help="Tieline: your apps reach APIs over lines of their own, and never see the provider's key.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for group in (
    api.api,
    credential.credential,
    call.call,
    app.app,
    key.key,
    connection.connection,
    token.token,
    audit.audit,
    vault.vault,
):
    root.add_typer(group)
machine.register(root)

_EXTRA = "unexpected extra argument"


def invoke(words: Sequence[str]) -> int:
    """Run the command that ``words`` name; returns its exit code. A usage error is one line on standard error."""
    try:
        status = root(list(words), prog_name="tieline", standalone_mode=False)
    except typer.Abort:
        return 1
    except typer.TyperException as error:
        text = error.format_message()
        if _EXTRA in text:  # it would repeat what was given, which may be a secret
            text = "Too many arguments. A secret is never one: it is read from standard input, a variable or a file."
        if text:
            output.say(f"tieline: {text}")
        return error.exit_code
    return status if isinstance(status, int) else 0
