"""Log lines made of an event's name and allow-listed fields, as text or JSON, one line each.

Owns which fields a line may have and how values are written. Knows nothing of what happened. An exception is logged as
its class and the places it passed, never as its text, which may quote a body or a header; of a library's record, for
the same reason, only words that stand in its code. What our own modules say by ``logging`` keeps all its words. Control
characters are escaped, so a value can neither start a line of its own nor steer a terminal.
"""

import json
import logging
import sys
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping
from enum import IntEnum
from math import isfinite
from pathlib import PurePath
from traceback import extract_tb, walk_stack
from typing import IO, Final, Literal

from tieline.core.clock import Clock, SystemClock, rfc3339

Value = str | int | float | bool | BaseException | None
Format = Literal["text", "json"]
LevelName = Literal["debug", "info", "warning", "error"]

TEXT_MOST: Final = 2_000
PLACES_MOST: Final = 12
REPEAT_SECONDS: Final = 60.0
KINDS_MOST: Final = 1_000
WORDS_LEAST: Final = 4  # characters of a text that says something
_OURS: Final = "tieline."
# What asyncio says from C, where no caller is to be looked into: the words before a task or future that is shown.
_WORDS_OF_C: Final = (
    "Task exception was never retrieved",
    "Future exception was never retrieved",
    "Task was destroyed but it is pending!",
)

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
        "decision",
        "detail",
        "duration_ms",
        "environment",
        "error",
        "host",
        "key_id",
        "kind",
        "left_out",
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


class LoggingRecords(logging.Handler):
    """Hands what is said by ``logging`` to a :class:`Log`.

    Our own modules (``tieline.…``) keep their words: the event is the module's name, ``problem`` what it said, and the
    members of ``extra`` that are log fields stand beside it. Of a library's record who said it and where is written,
    and of its message what ``_library_words`` finds. What comes again within a minute is held back; the next line after
    that minute says how often it came.
    """

    def __init__(self, log: Log, clock: Clock | None = None) -> None:
        super().__init__()
        self._log = log
        self._repeats = Repeats(clock or SystemClock())

    def emit(self, record: logging.LogRecord) -> None:
        count = self._repeats.admit(_kind_of(record))
        if count == 0:
            return
        severity = max((one for one in Severity if one <= record.levelno), default=Severity.DEBUG)
        event, fields = _own(record) if record.name.startswith(_OURS) else _library(record)
        error = record.exc_info[1] if record.exc_info else None
        self._log.write(severity, event, fields | {"count": count if count > 1 else None, "error": error})


class Repeats:
    """Lets one of a kind through in a minute, and counts those that it holds back; forgets the longest unheard kind."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heard: OrderedDict[Hashable, tuple[float, int]] = OrderedDict()

    def admit(self, kind: Hashable) -> int:
        """How many of ``kind`` a line written now stands for: this one and those held back; 0 for none to write."""
        now = self._clock.monotonic()
        since, held = self._heard.pop(kind, (now - REPEAT_SECONDS, 0))
        through = now - since >= REPEAT_SECONDS
        self._heard[kind] = (now, 0) if through else (since, held + 1)
        if len(self._heard) > KINDS_MOST:
            self._heard.popitem(last=False)
        return held + 1 if through else 0


def capture_logging(log: Log, least: Severity = Severity.WARNING) -> None:
    """From now on, what is said by ``logging`` from ``least`` upwards goes to ``log`` and nowhere else."""
    root = logging.getLogger()
    root.handlers[:] = [LoggingRecords(log)]
    root.setLevel(least)


def _own(record: logging.LogRecord) -> tuple[str, dict[str, Value]]:
    told = {name: value for name, value in vars(record).items() if name in FIELDS}
    return record.name.removeprefix(_OURS), {"problem": record.getMessage(), **told}


def _library(record: logging.LogRecord) -> tuple[str, dict[str, Value]]:
    place = f"{record.module}:{record.lineno}"
    return "library", {"problem": _library_words(record), "source": record.name, "detail": place}


def _library_words(record: logging.LogRecord) -> str | None:
    """What a library's message says in texts of its code, before they are filled: a template, or how a text begins.

    The code that is saying it now is looked through, in the file that the record names. None where it has no such text.
    """
    said = str(record.msg)
    texts = (*_WORDS_OF_C, *_texts_of_callers(record.pathname))
    begins = [each for each in texts if len(each) >= WORDS_LEAST and said.startswith(each)]
    words = max(begins, key=len, default="").strip()
    return f"{words}{'' if words == said.strip() else ' …'}" if words else None


def _texts_of_callers(file: str) -> Iterator[str]:
    """The texts in those functions of a file that are being run and have called this one."""
    for frame, _ in walk_stack(None):
        if frame.f_code.co_filename == file:
            yield from (each for each in frame.f_code.co_consts if isinstance(each, str))


def _kind_of(record: logging.LogRecord) -> Hashable:
    """What makes two records the same: where they were said and about what, whatever numbers they hold."""
    about = record.args.values() if isinstance(record.args, Mapping) else record.args or ()
    words = tuple(str(each) for each in about if not isinstance(each, int | float))
    return record.name, record.lineno, words, vars(record).get("request_id")


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
