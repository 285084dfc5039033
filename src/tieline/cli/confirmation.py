"""Questions before something is ended for good, and names in place of ids.

A question is put on a terminal only: a script that says ``tieline api remove weather`` means it. What will stop working
is said in both cases, on standard error.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

import typer

from tieline.cli import output
from tieline.cli.failures import CommandFailed

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def confirm(question: str, consequences: Sequence[str], *, yes: bool) -> None:
    """Say the consequences and, on a terminal, ask. Raises typer.Abort for any answer but yes."""
    for line in consequences:
        output.say(line)
    if not yes and sys.stdin.isatty():
        typer.confirm(question, abort=True, err=True)


def id_of(text: str, prefix: str, items: Iterable[Mapping[str, Any]], noun: str) -> str:
    """The id of what ``text`` names, which is the id itself or a name that one of ``items`` has.

    ``items`` are read only for a name. Raises CommandFailed where none has it, or several do.
    """
    if text.startswith(f"{prefix}_"):
        return text
    found = [str(each["id"]) for each in items if each["name"] == text]
    if not found:
        raise CommandFailed(f"There is no {noun} of this name: tieline {noun} list", {"code": "not_found"})
    if len(found) > 1:
        raise CommandFailed(
            f"Several have this name: say which by its id, {' or '.join(found)}.", {"code": "ambiguous"}
        )
    return found[0]


def may_reach(key: Mapping[str, Any], api: str) -> bool:
    """Whether a key works and may do anything on an API that its app uses."""
    permissions = key["permissions"]
    granted = permissions["mode"] != "restricted" or api in permissions.get("grants", {})
    return bool(key["state"] == "active" and granted)
