"""Where settings come from: the command line, the environment, and files that the environment names.

Owns the environment: no other module reads it. An option wins over the environment; ``NAME_FILE`` names a file that
holds what ``NAME`` would. Knows no setting's meaning.
"""

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tieline.core.errors import SettingsError
from tieline.core.secret import Secret
from tieline.settings.table import BY_NAME, FOR_TESTS, PREFIX, variable_names
from tieline.vault.rootkeys.choice import RootKeySource

Given = Mapping[str, str | Sequence[str] | None]
FILE_LIMIT = 64 * 1024
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Source:
    """What was given: command-line options by name, and the environment."""

    options: Given
    environ: Mapping[str, str]
    known: set[str] = field(default_factory=set)

    def text(self, name: str) -> tuple[str, str] | None:
        """The value of a setting and where it was given, or None. Raises SettingsError for an unusable source."""
        setting = BY_NAME[name]
        given = self.options.get(name)
        if given is not None:
            return _utf8(str(given), setting.option), setting.option
        return self.variable(setting.variable)

    def or_default(self, name: str) -> tuple[str, str]:
        """As :meth:`text`, with the setting's default where nothing was given."""
        return self.text(name) or (BY_NAME[name].default or "", BY_NAME[name].option)

    def variable(self, variable: str) -> tuple[str, str] | None:
        """The value of an environment name or of the file its ``_FILE`` twin names."""
        value, path = self.environ.get(variable), self.environ.get(f"{variable}_FILE")
        if value is not None and path is not None:
            raise SettingsError(f"{variable} and {variable}_FILE are both set: keep one of them.", param=variable)
        if path is not None:
            return _file_text(Path(path), f"{variable}_FILE"), f"{variable}_FILE"
        if value is None:
            return None
        if not value.strip():
            raise SettingsError(f"{variable} is set but empty: give it a value or unset it.", param=variable)
        return _utf8(value.strip(), variable), variable


def _utf8(text: str, where: str) -> str:
    """``text`` as it is; bytes that are no UTF-8 came as lone surrogates (PEP 383). Raises SettingsError for those."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise SettingsError(f"{where} is not UTF-8 text: give it in UTF-8.", param=where) from None
    return text


def source_of(options: Given, environ: Mapping[str, str] | None) -> Source:
    """What was given: ``options`` by setting name, and ``environ`` (None: this process's)."""
    return Source(options, os.environ if environ is None else environ)


def _file_text(path: Path, where: str) -> str:
    try:
        with path.expanduser().open(encoding="utf-8") as stream:
            text = stream.read(FILE_LIMIT + 1).strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SettingsError(f'{where} is "{path}", which cannot be read: {reason}.', param=where) from error
    if not text or len(text) > FILE_LIMIT:
        problem = "is empty" if not text else "is too long to be a setting"
        raise SettingsError(f'{where} is "{path}", which {problem}.', param=where)
    return text


def refuse_unknown(source: Source) -> None:
    """Raise SettingsError for a name in the environment that begins with ``TIELINE_`` and is no setting."""
    known = variable_names() | source.known
    unknown = sorted(name for name in source.environ if name.startswith(PREFIX) and name not in known)
    if unknown:
        from difflib import get_close_matches  # noqa: PLC0415  only a mistake needs it

        words = [name.removeprefix(PREFIX) for name in known - FOR_TESTS if name.startswith(PREFIX)]
        close = get_close_matches(unknown[0].removeprefix(PREFIX), words, n=1, cutoff=0.7)
        guess = f" (did you mean {PREFIX}{close[0]}?)" if close else ""
        raise SettingsError(
            f"{unknown[0]} is not a setting of Tieline{guess}: unset it, or see `tieline serve --help`.",
            param=unknown[0],
        )


def variable_secret(variable: str, environ: Mapping[str, str] | None = None) -> Secret:
    """The secret in an environment variable named on the command line. Raises SettingsError if there is none."""
    if not _VARIABLE.fullmatch(variable):
        raise SettingsError("That is no name of an environment variable: name the one that holds the secret.")
    value = (os.environ if environ is None else environ).get(variable)
    if not value:
        raise SettingsError(f"The environment variable {variable} is not set or is empty.", param=variable)
    return Secret.from_text(_utf8(value, f"The environment variable {variable}"))


def child_environment(
    root_key: RootKeySource | None = None, environ: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The environment for child processes: this one's without Tieline's settings and without the root key's variable.

    Children are told their settings over a pipe, so that no secret shows in their environment.
    """
    given = os.environ if environ is None else environ
    hidden = root_key.variable if root_key is not None else ""
    return {name: value for name, value in given.items() if not name.startswith(PREFIX) and name != hidden}


def listed(source: Source, name: str) -> list[tuple[str, str]]:
    """Each value of a setting that repeats, and where it was given; in the environment commas or blanks part them."""
    setting = BY_NAME[name]
    given = source.options.get(name)
    if given:
        return [(item.strip(), setting.option) for item in ([given] if isinstance(given, str) else given)]
    text, where = source.variable(setting.variable) or ("", "")
    return [(item, where) for item in text.replace(",", " ").split()]


def editor_words() -> list[str]:
    """The command that opens a file for a person. Raises ValueError where a quote is not closed."""
    return shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
