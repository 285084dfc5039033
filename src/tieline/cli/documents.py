"""Definitions and calls as files: read from disk or standard input, or opened in the person's editor.

Owns the loop of ``edit``: open, check, store, and open again with what was typed. Knows no server: what checks and
stores is handed over.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from tieline.cli import output
from tieline.cli.failures import CommandFailed, as_text
from tieline.core.errors import SettingsError, TielineError
from tieline.settings.source import editor_words

if TYPE_CHECKING:
    from tieline.definitions.problems import Problem

DOCUMENT_MOST = 4 * 1024 * 1024  # bytes: what definitions.parse takes

Stored = TypeVar("Stored")
File = Annotated[Path | None, typer.Option(metavar="FILE", help="What `show --json` printed, changed; - is stdin.")]


def text_of(file: Path) -> str:
    """The text of a file, ``-`` for standard input, as much of it as may be a definition. Raises SettingsError."""
    try:
        if str(file) == "-":
            content = sys.stdin.buffer.read(DOCUMENT_MOST + 1)
        else:
            with file.open("rb") as stream:
                content = stream.read(DOCUMENT_MOST + 1)
        return content.decode("utf-8-sig")
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{file} is not UTF-8 text.") from error


@dataclass(frozen=True, slots=True)
class Document:
    """The text of a definition or call, and what to call it in errors."""

    name: str
    text: str

    def content(self) -> str | Mapping[str, Any]:
        """The text or, where it is what ``show --json`` prints, the definition in that."""
        try:
            shown = json.loads(self.text)
        except (ValueError, RecursionError):
            return self.text
        inner = shown.get("definition") if isinstance(shown, dict) else None
        return inner if isinstance(inner, dict) else self.text

    def problems(self) -> "tuple[Problem, ...]":
        """What is wrong with it, as far as that can be told without a server."""
        from tieline.definitions.check import check
        from tieline.schemes.registry import SCHEMES

        content = self.content()
        return check(content, schemes=SCHEMES) if isinstance(content, str) else ()

    def shown(self, problems: "Sequence[Problem]") -> str:
        """Problems with their lines."""
        from tieline.definitions.check import show

        return show(self.name, self.text, problems)

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Where the server refuses it in the block, show its mistakes in their lines, as far as they are found here.

        Raises CommandFailed.
        """
        try:
            yield
        except CommandFailed as error:
            found = self.problems() if error.facts.get("code") == "invalid_input" else ()
            if not found:
                raise
            raise CommandFailed(self.shown(found), error.facts) from error


def document(file: Path) -> Document:
    """The definition or call in a file, ``-`` for standard input. Raises SettingsError."""
    return Document("standard input" if str(file) == "-" else str(file), text_of(file))


def members_of(text: str) -> Mapping[str, Any]:
    """The members of one thing that is no definition, such as a key, in YAML or JSON. Raises DefinitionError."""
    from tieline.definitions import tree

    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = tree.plain(tree.compose(text))
    if not isinstance(content, Mapping):
        raise SettingsError("That is no mapping of members to values, such as {name: website}.")
    return content


def changeable(before: Mapping[str, Any], wanted: Mapping[str, Any], members: Sequence[str]) -> dict[str, Any]:
    """What ``wanted`` says of ``members``, the ones that can be changed.

    Raises SettingsError where it has a member that ``before`` has not.
    """
    strange = [each for each in wanted if each not in before]
    if strange:
        from tieline.definitions.problems import shown

        raise SettingsError(f"{shown(strange[0])} is no member of this; it has {', '.join(members)}.")
    return {each: wanted[each] for each in members if each in wanted}


def as_yaml(content: Mapping[str, Any]) -> str:
    """Members as YAML that people edit."""
    from tieline.definitions.canonical import dump

    return dump(content)


def edit(name: str, text: str, store: Callable[[str], Stored]) -> Stored | None:
    """Open ``text`` in the editor and store what is saved there; None where nothing was changed, or all was deleted.

    Where that is refused, a person at a terminal may edit what they typed again. Otherwise it is kept in a file that
    the error names. Raises CommandFailed.
    """
    number, path = tempfile.mkstemp(prefix=f"tieline-{name}-", suffix=".yaml")
    file = Path(path)
    with os.fdopen(number, "w", encoding="utf-8") as stream:
        stream.write(text)
    while True:
        _open(file)
        typed = text_of(file)
        if typed == text or not typed.strip():
            file.unlink()
            output.say("Nothing was changed.")
            return None
        try:
            with Document(str(file), typed).explained():
                stored = store(typed)
        except TielineError as error:
            if sys.stdin.isatty():
                output.say(as_text(error.public))
                if typer.confirm("Edit it again?", default=True, err=True):
                    continue
            facts = error.facts if isinstance(error, CommandFailed) else {"code": error.code}
            raise CommandFailed(f"{error.public}\nWhat you typed is kept in {file}.", facts) from error
        file.unlink()
        return stored


def _open(file: Path) -> None:
    try:
        words = editor_words()
    except ValueError:
        raise SettingsError("VISUAL or EDITOR is no command: close its quotes.") from None
    try:
        ended = subprocess.run([*words, str(file)], check=False).returncode  # noqa: S603  the person's own editor
    except OSError as error:
        file.unlink()
        raise CommandFailed(
            f"The editor {words[0]} cannot be started: {error.strerror}. Set VISUAL or EDITOR."
        ) from error
    if ended:
        raise CommandFailed(f"The editor {words[0]} ended with {ended}, so nothing was stored. The text is in {file}.")
