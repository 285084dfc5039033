"""What several commands share: ``--json``, ``--environment``, the connection, and the options of ``tieline serve``.

The options of ``serve`` are made from the table in ``settings``, so that each is written down once.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tieline.settings.reading import client_settings
from tieline.settings.table import SERVE_SETTINGS, Setting

if TYPE_CHECKING:
    from tieline.cli.client import AdminClient

HELP_NAMES = {"help_option_names": ["-h", "--help"]}

Json = Annotated[bool, typer.Option("--json", help="Machine output on standard output.")]
EnvironmentName = Literal["live", "development"]
Environment = Annotated[EnvironmentName, typer.Option(help="Which environment of the API.")]
User = Annotated[
    str | None, typer.Option("--connection", metavar="USER", help="With the connection of this user of the app.")
]
UserApp = Annotated[
    str | None, typer.Option("--app", metavar="APP", help="The app that knows the user, where several use the API.")
]


def noun(name: str, title: str) -> typer.Typer:
    """A group of commands about one noun."""
    return typer.Typer(name=name, help=title, no_args_is_help=True, context_settings=HELP_NAMES)


def connect(seconds: float | None = None) -> "AdminClient":
    """The admin API that ``TIELINE_URL`` and ``TIELINE_TOKEN`` point at; answers may take ``seconds``, if given."""
    from tieline.cli.client import TIMEOUT, AdminClient  # `tieline version` needs no HTTP client

    return AdminClient(client_settings({}), seconds or TIMEOUT)


def with_options(options: Mapping[str, Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option for each of ``options``, annotated types by the names of parameters.

    It receives them as keywords, None where one is not given.
    """
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
        for name, kind in options.items()
    ]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command)
        kept = [each for each in own.parameters.values() if each.kind is not inspect.Parameter.VAR_KEYWORD]
        command.__signature__ = own.replace(parameters=[*kept, *added])  # type: ignore[attr-defined]
        return command

    return decorate


def with_settings(names: Sequence[str]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option for each named setting of ``serve``; it receives them as keywords, None if not given."""
    return with_options({setting.name: _option(setting) for setting in SERVE_SETTINGS if setting.name in names})


def _option(setting: Setting) -> Any:
    kind: Any = list[str] | None if setting.repeats else str | None
    default = f" Default: {setting.default}." if setting.default else ""
    title = f"{setting.title}{default} ({setting.variable})"
    return Annotated[kind, typer.Option(setting.option, metavar=setting.metavar, help=title)]
