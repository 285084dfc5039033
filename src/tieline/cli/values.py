"""What people write on the command line, as values: durations, grants, secrets. Knows no command and no server."""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tieline.access.limits import PERIODS
from tieline.cli import output
from tieline.core import pasted
from tieline.core.clock import rfc3339
from tieline.core.errors import SettingsError
from tieline.core.secret import Secret
from tieline.settings.source import variable_secret

if TYPE_CHECKING:
    from tieline.definitions.model import Call

SECRET_MOST = 256 * 1024  # bytes of one input: the vault's own limit for each value is 64 KiB

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"([0-9]{1,9})([smhdw])")


def seconds(text: str, option: str) -> int:
    """``90d``, ``24h``, ``30m``, ``45s`` or ``2w`` in seconds. Raises SettingsError that names ``option``."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise SettingsError(
            f'{option} is "{text}": give a number and a unit, such as 90d, 24h, 30m or 45s.', param=option
        )
    return int(match[1]) * _UNITS[match[2]]


def grants(given: Sequence[str]) -> dict[str, dict[str, str]]:
    """``openai:files=read`` … as ``{"openai": {"files": "read"}}``. Raises SettingsError for another form."""
    found: dict[str, dict[str, str]] = {}
    for text in given:
        place, equals, level = text.rpartition("=")
        api, colon, area = place.partition(":")
        if not (equals and colon and api and area and level):
            raise SettingsError(f'--grant is "{text}": give API:AREA=LEVEL, such as openai:chat_completions=request.')
        if area in found.setdefault(api, {}):
            raise SettingsError(f"--grant names {api}:{area} twice: give each area one level.")
        found[api][area] = level
    return found


_PER = {"s": "second", "sec": "second", "m": "minute", "min": "minute", "h": "hour", "d": "day"}


def rate(text: str, option: str) -> dict[str, Any]:
    """``60/min`` as ``{"requests": 60, "per": "minute"}``. Raises SettingsError that names ``option``."""
    count, _, unit = text.partition("/")
    per = _PER.get(unit, unit)
    if not (count.isascii() and count.isdecimal() and len(count) <= 10 and per in PERIODS):
        msg = f'{option} is "{text}": give a number and a period, such as 60/min, 5/second, 1000/hour or 10000/day.'
        raise SettingsError(msg, param=option)
    return {"requests": int(count), "per": per}


_BUDGET = re.compile(r"([0-9]+(?:\.[0-9]+)?)(usd|tokens)(?:/(day|week|month|total))?", re.IGNORECASE)


def budget(text: str, option: str) -> dict[str, Any]:
    """``10usd/month`` as ``{"amount": {"usd": "10"}, "period": "month"}``; without a period it is in total.

    Raises SettingsError that names ``option``.
    """
    match = _BUDGET.fullmatch(text)
    if match is None or (match[2].lower() == "tokens" and "." in match[1]):
        msg = f'{option} is "{text}": give a sum and a period, such as 10usd/month, 2.50usd/day or 1000000tokens/total.'
        raise SettingsError(msg, param=option)
    unit = match[2].lower()
    return {
        "amount": {unit: match[1] if unit == "usd" else int(match[1])},
        "period": (match[3] or "total").lower(),
    }


def permissions(mode: str | None, given: Sequence[str]) -> dict[str, Any] | None:
    """The permissions that ``--permissions`` and ``--grant`` ask for, None where neither was given.

    Grants alone mean restricted. Raises SettingsError where they contradict each other.
    """
    if mode is None and not given:
        return None
    wanted = (mode or "restricted").replace("-", "_")
    if given and wanted != "restricted":
        raise SettingsError(f"--grant goes with --permissions restricted, not {mode}: leave one of them out.")
    if wanted == "restricted":
        return {"mode": wanted, "grants": grants(given)}
    return {"mode": wanted}


def secret_given(*, stdin: bool, variable: str | None, file: Path | None, options: str) -> Secret | None:
    """The secret from the one place that was named, None where none was.

    ``options`` names the three options in errors. Raises SettingsError for several places, or one that holds nothing.
    """
    if sum((stdin, variable is not None, file is not None)) > 1:
        raise SettingsError(f"Give one of {options}, not several.")
    if variable is not None:
        return _checked(variable_secret(variable).reveal_bytes(), f"The environment variable {variable}")
    if file is not None:
        try:
            with file.open("rb") as stream:
                return _checked(_line(stream.read(SECRET_MOST + 1)), str(file))
        except OSError as error:
            raise SettingsError(f"{file} cannot be read: {error.strerror}.") from error
    if stdin:
        if sys.stdin.isatty():
            return _typed()
        return _checked(_line(sys.stdin.buffer.read(SECRET_MOST + 1)), "standard input")
    return None


def _typed() -> Secret:
    from getpass import getpass

    return _checked(getpass("Secret (it is not shown): ").encode(), "what was typed")


def _line(value: bytes) -> bytes:
    """What was read without one line end after it, which is an editor's or echo's and not worth a word."""
    return value.removesuffix(b"\n").removesuffix(b"\r")


def _checked(value: bytes, where: str) -> Secret:
    if len(value) > SECRET_MOST:
        raise SettingsError(f"{where} holds more than {SECRET_MOST // 1024} KiB: that is no secret.")
    if not pasted.cut(value.decode(errors="replace"))[0]:
        raise SettingsError(f"{where} holds no secret: it is empty.")
    return Secret(value)


def bare(secret: Secret) -> Secret:
    """``secret`` without what is not to be seen at its ends, for where no server says what it cut off."""
    return Secret.from_text(pasted.cut(secret.reveal_bytes().decode(errors="replace"))[0])


def say_what_was_cut(stored: Mapping[str, Any]) -> None:
    """Say what the server cut off around the values of a credential."""
    for name, what in stored["cut"].items():
        output.say(f"Around the value of {name}, {what} stood, and was cut off.")


def call_of(definition: Mapping[str, Any], name: str) -> "Call | None":
    """The call of a definition, as the admin API gives it; None where there is none of this name."""
    from tieline.definitions.parse import parse_data

    return parse_data(definition).calls.get(name)


def field_names(definition: Mapping[str, Any], environment: Literal["live", "development"]) -> tuple[str, ...]:
    """The names of the fields that a credential of the API with this definition needs in ``environment``.

    Where each by itself may be left out, as user name and password of ``basic`` may, they are all there are.
    """
    from tieline.definitions.environment import in_environment
    from tieline.definitions.parse import parse_data
    from tieline.schemes.registry import credential_fields

    found = credential_fields(in_environment(parse_data(definition), environment))
    needed = tuple(each.name for each in found if each.field.required)
    return needed or tuple(each.name for each in found)


def fields(secret: Secret, names: Sequence[str]) -> dict[str, str]:
    """The credential's fields: a JSON object is taken as several, anything else as the one field in ``names``.

    Raises SettingsError where the text does not fit the fields that the API's scheme has.
    """
    try:
        text = secret.reveal_bytes().decode()
    except UnicodeDecodeError as error:
        raise SettingsError("The secret is not UTF-8 text.") from error
    whole = pasted.cut(text)[0]
    if whole.startswith("{"):
        try:
            parsed = json.loads(whole)
        except ValueError:
            parsed = None  # a value that merely begins like JSON
        if isinstance(parsed, dict) and all(isinstance(value, str) for value in parsed.values()):
            return parsed
    if len(names) != 1:
        wanted = json.dumps(dict.fromkeys(names, "…"), ensure_ascii=False)
        raise SettingsError(
            f"The credential of this API has {len(names)} fields: give a JSON object such as {wanted}."
            if names
            else "This API's scheme takes no credential: there is nothing to give."
        )
    return {names[0]: text}


def moment(text: str, option: str) -> str:
    """``2026-11-23T07:00:00Z``, or ``24h`` for so long ago, as RFC 3339. Raises SettingsError that names ``option``."""
    if _DURATION.fullmatch(text) is not None:
        return rfc3339(datetime.now(UTC) - timedelta(seconds=seconds(text, option)))
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        given = None
    if given is None or given.tzinfo is None:
        msg = f'{option} is "{text}": give a time with its zone, such as 2026-11-23T07:00:00Z, or how long ago: 24h.'
        raise SettingsError(msg, param=option)
    return rfc3339(given.astimezone(UTC))
