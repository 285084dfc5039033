"""The options that limit a key or an app, and how limits are printed; the same for both."""

from typing import Annotated, Any

import typer

from tieline.access.limits import RequestLimits
from tieline.cli.values import rate
from tieline.core.errors import SettingsError

Rates = Annotated[
    list[str] | None,
    typer.Option("--rate", metavar="60/min", help="Requests per second, min, hour or day; repeatable."),
]
Tokens = Annotated[
    int | None, typer.Option("--tokens-per-minute", metavar="N", help="Input and output tokens together.")
]
Concurrent = Annotated[int | None, typer.Option("--concurrent", metavar="N", help="Requests at once.")]
Streams = Annotated[int | None, typer.Option("--streams", metavar="N", help="Streamed answers at once.")]
NoLimits = Annotated[bool, typer.Option("--no-limits", help="Take all of its limits away.")]
Models = Annotated[
    list[str] | None,
    typer.Option("--models", metavar="GLOB", help="Models it may name, such as gpt-4.1*; repeatable."),
]


def wanted(
    rates: list[str] | None, tokens: int | None, concurrent: int | None, streams: int | None, *, none: bool = False
) -> dict[str, Any] | None:
    """The limits that the options ask for, None where none was given. Raises SettingsError where they contradict."""
    given = {"tokens_per_minute": tokens, "concurrent": concurrent, "streams": streams}
    found: dict[str, Any] = {name: number for name, number in given.items() if number is not None}
    if rates:
        found["rates"] = [rate(text, "--rate") for text in rates]
    if none and found:
        raise SettingsError("--no-limits goes without --rate, --tokens-per-minute, --concurrent and --streams.")
    return found if found or none else None


def shown(limits: dict[str, Any]) -> list[str] | str:
    """Limits as the admin API gives them, in words."""
    return list(RequestLimits.from_json(limits).sentences()) or "none"
