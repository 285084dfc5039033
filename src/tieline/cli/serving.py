"""``tieline serve`` read without Typer.

Typer and Rich would cost the supervisor, which lives as long as the server, 0.1 s at its start and 25 MiB for good. The
options are those of the table in ``settings``; ``tieline serve --help`` is Typer's, made from the same table.
"""

from collections.abc import Sequence

from tieline.app.supervisor import serve as supervise
from tieline.core.errors import SettingsError
from tieline.settings.reading import serve_settings
from tieline.settings.table import SERVE_SETTINGS

_BY_OPTION = {setting.option: setting for setting in SERVE_SETTINGS}


def serve(words: Sequence[str]) -> int:
    """Serve with the options in ``words``; returns the exit status. Raises SettingsError for wrong usage."""
    return supervise(serve_settings(read(words)))


def read(words: Sequence[str]) -> dict[str, str | list[str]]:
    """Options by setting name, from ``--option value`` and ``--option=value``; of a repeated one the last counts.

    Raises SettingsError for an unknown option, one without its value, or a word that is no option.
    """
    found: dict[str, str | list[str]] = {}
    rest = iter(words)
    for word in rest:
        option, equals, value = word.partition("=")
        setting = _BY_OPTION.get(option)
        if setting is None:
            what = "is no option" if word.startswith("-") else "is too much: it takes options only"
            raise SettingsError(f"{option} {what} of tieline serve{_guess(option)}. See tieline serve --help.")
        given = value if equals else next(rest, None)
        if given is None or (not equals and given in _BY_OPTION):
            raise SettingsError(f"{option} needs a value ({setting.metavar}). See tieline serve --help.")
        if setting.repeats:
            found[setting.name] = [*found.get(setting.name, []), given]
        else:
            found[setting.name] = given
    return found


def _guess(option: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(option, _BY_OPTION, n=1)
    return f" (did you mean {close[0]}?)" if close else ""
