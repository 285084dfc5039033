"""Log lines made of an event's name and allow-listed fields, as text or JSON, one line each.

Owns which fields a line may have and how values are written. Knows nothing of what happened. There is no message to
format: an exception is logged as its class and the places it passed, never as its text, which may quote a body or a
header; a library's record as its logger's name and place, for the same reason. Control characters are escaped, so a
value can neither start a line of its own nor steer a terminal.
"""

import json
import logging
import sys
from collections.abc import Callable, Mapping
from enum import IntEnum
from math import isfinite
from pathlib import PurePath
from traceback import extract_tb
from typing import IO, Final, Literal

from tieline.core.clock import Clock, SystemClock, rfc3339

Value = str | int | float | bool | BaseException | None
Format = Literal["text", "json"]
LevelName = Literal["debug", "info", "warning", "error"]

TEXT_MOST: Final = 2_000
PLACES_MOST: Final = 12

FIELDS: Final = frozenset(
    {
        "address",
        "api",
        "app",
        "app_id",
        "area",
        "attempt",
        "bytes_in",
        "bytes_out",
        "code",
        "console",
        "count",
        "database",
        "detail",
        "duration_ms",
        "environment",
        "error",
        "host",
        "key_id",
        "kind",
        "level_needed",
        "method",
        "outcome",
        "path",
        "pid",
        "port",
        "problem",
        "request_id",
        "revision",
        "seconds",
        "signal",
        "source",
        "status",
        "upstream_ms",
        "version",
        "worker",
        "workers",
    }
)


class Severity(IntEnum):
    """How much a line matters; a log writes those at or above its own."""

    DEBUG = logging.DEBUG
    INFO = logging.INFO
    WARNING = logging.WARNING
    ERROR = logging.ERROR


class Log:
    """Writes lines to ``stream`` (standard error by default).

    An event is a fixed name such as ``request`` or ``worker.started``. A field that is not in ``FIELDS`` raises
    ValueError, so that a new one is chosen on purpose.
    """

    def __init__(
        self,
        form: Format = "text",
        level: LevelName = "info",
        *,
        stream: IO[str] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._severity = Severity[level.upper()]
        self._stream = stream
        self._clock = clock or SystemClock()
        self._line: Callable[[str, Severity, str, Mapping[str, Value]], str] = _json if form == "json" else _text

    def writes(self, severity: Severity) -> bool:
        """Whether a line of ``severity`` is written; a hot path asks before it gathers fields."""
        return severity >= self._severity

    def debug(self, event: str, **fields: Value) -> None:
        """What a developer wants to see."""
        self.write(Severity.DEBUG, event, fields)

    def info(self, event: str, **fields: Value) -> None:
        """What an operator wants to know."""
        self.write(Severity.INFO, event, fields)

    def warning(self, event: str, **fields: Value) -> None:
        """What may need somebody soon."""
        self.write(Severity.WARNING, event, fields)

    def error(self, event: str, **fields: Value) -> None:
        """What needs somebody now."""
        self.write(Severity.ERROR, event, fields)

    def write(self, severity: Severity, event: str, fields: Mapping[str, Value]) -> None:
        """Write one line. A stream that is gone or full loses the line, not the caller."""
        if not self.writes(severity):
            return
        unknown = fields.keys() - FIELDS
        if unknown:
            raise ValueError(
                f"not a log field: {', '.join(sorted(unknown))}; add it to telemetry.logs.FIELDS on purpose"
            )
        line = self._line(rfc3339(self._clock.now()), severity, event, fields)
        try:
            (self._stream or sys.stderr).write(line + "\n")
        except (OSError, ValueError):
            return


class LibraryRecords(logging.Handler):
    """Hands the records of libraries, which use ``logging``, to a :class:`Log`: who and where, never the message."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        severity = max((one for one in Severity if one <= record.levelno), default=Severity.DEBUG)
        place = f"{record.module}:{record.lineno}"
        self._log.write(severity, "library", {"source": record.name, "detail": place, "error": error})


def capture_libraries(log: Log, least: Severity = Severity.WARNING) -> None:
    """From now on, what libraries log from ``least`` upwards goes to ``log`` and nowhere else."""
    root = logging.getLogger()
    root.handlers[:] = [LibraryRecords(log)]
    root.setLevel(least)


def _text(at: str, severity: Severity, event: str, fields: Mapping[str, Value]) -> str:
    """``2026-11-23T07:00:00.000Z info  request status=200 path=/v1/models``; odd values stand in quotes."""
    parts = [f"{name}={_quoted(_plain(value))}" for name, value in fields.items() if value is not None]
    return " ".join((at, f"{severity.name.lower():<7}", _bare(event), *parts))


def _json(at: str, severity: Severity, event: str, fields: Mapping[str, Value]) -> str:
    """One JSON object in ASCII, so that whatever reads it sees the same characters."""
    known = {name: _plain(value) for name, value in fields.items() if value is not None}
    return _ascii_json({"at": at, "level": severity.name.lower(), "event": event, **known})


def _plain(value: Value) -> str | int | float | bool | None:
    if isinstance(value, BaseException):
        return _places(value)
    if isinstance(value, str) and len(value) > TEXT_MOST:
        return value[:TEXT_MOST] + "…"
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    return value


def _places(error: BaseException) -> str:
    """An exception's class and the last places it passed, innermost last: ``KeyError at relay:120 > pool:88``."""
    name = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
    steps = extract_tb(error.__traceback__)[-PLACES_MOST:]
    places = " > ".join(f"{PurePath(step.filename).stem}:{step.lineno}" for step in steps)
    return f"{name} at {places}" if places else name


def _quoted(value: str | float | None) -> str:
    """A value as it is where nobody could misread it, and otherwise as an ASCII JSON string."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, int):
        return str(value)
    assert value is not None
    plain = value.isascii() and value.isprintable() and value and not set(value) & set(' "=\\')
    return value if plain else _ascii_json(value)


def _bare(event: str) -> str:
    return event if event.isascii() and event.isprintable() else _ascii_json(event)


def _ascii_json(value: object) -> str:
    """JSON without a control character; the one that ASCII has and JSON lets through is DEL."""
    return json.dumps(value, allow_nan=False).replace("\x7f", r"\u007f")
