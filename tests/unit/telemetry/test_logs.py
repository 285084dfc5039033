"""Log lines: which fields, how they are written, and what can never get into one."""

import asyncio
import io
import json
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from tieline.telemetry.logs import KINDS_MOST, Log, LoggingRecords, Repeats, Severity, capture_logging


class Noon:
    def now(self) -> datetime:
        return datetime(2026, 11, 23, 12, 0, 0, 5_000, tzinfo=UTC)

    def monotonic(self) -> float:
        return 0.0


@pytest.fixture
def stream() -> io.StringIO:
    """Where the lines go."""
    return io.StringIO()


@pytest.fixture
def text(stream: io.StringIO) -> Log:
    """A text log that writes everything."""
    return Log("text", "debug", stream=stream, clock=Noon())


@pytest.fixture
def as_json(stream: io.StringIO) -> Log:
    """A JSON log that writes everything."""
    return Log("json", "debug", stream=stream, clock=Noon())


def test_a_text_line_reads_well(text: Log, stream: io.StringIO) -> None:
    """Time, severity, event, fields; what is None is left out."""
    text.info("request", status=200, path="/v1/models", duration_ms=1.23456, code=None)
    assert (
        stream.getvalue() == "2026-11-23T12:00:00.005Z info    request status=200 path=/v1/models duration_ms=1.235\n"
    )


def test_a_json_line_is_one_object(as_json: Log, stream: io.StringIO) -> None:
    """The same as JSON."""
    as_json.warning("request", status=502, code="upstream_unreachable")
    assert json.loads(stream.getvalue()) == {
        "at": "2026-11-23T12:00:00.005Z",
        "level": "warning",
        "event": "request",
        "status": 502,
        "code": "upstream_unreachable",
    }


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize(
    "value",
    [
        "a\nlevel=error event=forged",
        "a\r\nb",
        "\x1b[31mred\x1b[0m",
        "\x9b31m",
        "a\u2028b\u2029c\x85d",
        "nul\0del\x7f",
        "\u202eright to left",
        '"quotes" and \\ and =',
        "lone \udcff surrogate",
    ],
)
def test_no_value_starts_a_line_or_steers_a_terminal(form: str, value: str, stream: io.StringIO) -> None:
    """Whatever a client sends, the line stays one line of printable ASCII."""
    Log(form, "debug", stream=stream).info("request", path=value)  # type: ignore[arg-type]
    line = stream.getvalue()
    assert line.endswith("\n")
    assert line[:-1].isascii()
    assert line[:-1].isprintable()


def test_a_json_value_comes_back_as_it_was(as_json: Log, stream: io.StringIO) -> None:
    """Escaping loses nothing."""
    as_json.info("request", path="a\n\x7fü\u2028")
    assert json.loads(stream.getvalue())["path"] == "a\n\x7fü\u2028"


def test_an_unknown_field_is_refused(text: Log, stream: io.StringIO) -> None:
    """A field has to be chosen on purpose before it can be logged."""
    with pytest.raises(ValueError, match="authorization"):
        text.info("request", authorization="Bearer sk-fake")
    assert stream.getvalue() == ""


def test_a_line_below_the_level_is_not_written(stream: io.StringIO) -> None:
    """The log's level is the least that is written."""
    log = Log("text", "warning", stream=stream)
    log.info("request")
    log.write(Severity.DEBUG, "request", {})
    assert stream.getvalue() == ""
    assert not log.writes(Severity.INFO)
    log.error("request")
    assert " error " in stream.getvalue()


def test_an_exception_shows_its_class_and_places_only(text: Log, stream: io.StringIO) -> None:
    """The text of an exception may quote a secret, so it is not there."""

    def fail() -> None:
        raise KeyError("sk-fake-secret")

    try:
        fail()
    except KeyError as error:
        text.error("unexpected", error=error)
    line = stream.getvalue()
    assert "KeyError at test_logs:" in line
    assert "sk-fake" not in line


def test_an_exception_that_was_never_raised_shows_its_class(text: Log, stream: io.StringIO) -> None:
    """Without a traceback there are no places."""
    text.error("unexpected", error=ValueError("sk-fake"))
    assert stream.getvalue().endswith("error=ValueError\n")


def test_long_values_are_cut(text: Log, stream: io.StringIO) -> None:
    """A line has an end."""
    text.info("request", path="/" * 100_000)
    assert len(stream.getvalue()) < 2_200


@pytest.mark.parametrize("form", ["text", "json"])
def test_odd_numbers_are_still_readable(form: str, stream: io.StringIO) -> None:
    """Infinity is a word; a JSON line stays JSON."""
    Log(form, "debug", stream=stream).info("request", duration_ms=float("inf"), attempt=True)  # type: ignore[arg-type]
    assert "inf" in stream.getvalue()
    if form == "json":
        assert json.loads(stream.getvalue())["attempt"] is True


def test_a_stream_that_is_gone_loses_the_line_only(text: Log, stream: io.StringIO) -> None:
    """A closed terminal does not stop a server."""
    stream.close()
    text.info("request")


def test_standard_error_is_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing goes to standard output, which belongs to the command's answer."""
    Log().info("request")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert " info    request" in captured.err


@pytest.fixture
def plain_logging() -> Iterator[None]:
    """The root logger as it was, after the test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("plain_logging")
def test_a_librarys_message_is_not_repeated(text: Log, stream: io.StringIO) -> None:
    """Who spoke and where, and the words of its code; never what they were filled with, which may be a secret."""
    capture_logging(text)
    logging.getLogger("somelib.http").error("request failed with key %s", "sk-fake-secret")
    logging.getLogger("somelib.http").info("chatter")
    line = stream.getvalue()
    assert 'problem="request failed with key %s" source=somelib.http detail=test_logs:' in line
    assert " error " in line
    assert "sk-fake" not in line
    assert line.count("\n") == 1


@pytest.mark.usefixtures("plain_logging")
@pytest.mark.parametrize(
    ("say", "told"),
    [
        (lambda logger, _: logger.warning("Invalid HTTP request received."), '"Invalid HTTP request received."'),
        (lambda logger, secret: logger.warning(f"Cannot parse {secret} here"), r'"Cannot parse \u2026"'),  # noqa: G004
        (lambda logger, secret: logger.warning("Bad value: " + secret), r'"Bad value: \u2026"'),  # noqa: G003
        (lambda logger, secret: logger.warning(f"{secret} is bad"), None),  # noqa: G004
        (lambda logger, secret: logger.warning("%s", secret), None),
        (lambda logger, secret: logger.warning(secret), None),
    ],
)
def test_of_a_librarys_message_the_words_of_its_code_are_kept(
    text: Log, stream: io.StringIO, say: Callable[[logging.Logger, str], None], told: str | None
) -> None:
    """Up to where something else was put in; a message that begins with that has none."""
    capture_logging(text)
    say(logging.getLogger("somelib"), "emasesnepo"[::-1])
    line = stream.getvalue()
    assert (f"problem={told} " in line) is (told is not None)
    assert ("problem=" in line) is (told is not None)
    assert "sesame" not in line


@pytest.mark.usefixtures("plain_logging")
async def test_what_asyncio_says_of_a_task_has_its_first_words(text: Log, stream: io.StringIO) -> None:
    """It speaks from C, and then shows the task, whose exception may quote a body."""
    capture_logging(text)
    context = {"message": "Task exception was never retrieved", "exception": ValueError("sesame"), "future": "sesame"}
    asyncio.get_running_loop().default_exception_handler(context)
    assert r'problem="Task exception was never retrieved' in stream.getvalue()
    assert "sesame" not in stream.getvalue()


def test_a_librarys_exception_shows_its_class(text: Log, stream: io.StringIO) -> None:
    """Its class and places, as for our own."""
    logger = logging.getLogger("tests.somelib")
    logger.propagate = False
    logger.addHandler(LoggingRecords(text))
    try:
        raise OSError("sk-fake")
    except OSError:
        logger.exception("what happened: " + str(OSError("sk-fake")))  # noqa: G003  as a library may
    assert "OSError at test_logs:" in stream.getvalue()
    assert "sk-fake" not in stream.getvalue()


class Hand:
    """A clock that is moved by hand."""

    at = 0.0

    def now(self) -> datetime:
        return datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)

    def monotonic(self) -> float:
        return self.at


@pytest.fixture
def hand() -> Hand:
    """The clock of ``ours``."""
    return Hand()


@pytest.fixture
def ours(as_json: Log, hand: Hand) -> Iterator[logging.Logger]:
    """A logger of one of our own modules."""
    logger = logging.getLogger("tieline.dataplane.records")
    handler = LoggingRecords(as_json, hand)
    logger.propagate = False
    logger.addHandler(handler)
    yield logger
    logger.removeHandler(handler)
    logger.propagate = True


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    """What was written, without the time."""
    return [
        {name: value for name, value in json.loads(line).items() if name != "at"}
        for line in stream.getvalue().splitlines()
    ]


def test_our_own_warnings_keep_their_words(ours: logging.Logger, stream: io.StringIO) -> None:
    """What happened, to what, and what to do; fields that were given beside the words stand beside them."""
    ours.warning(
        "the API %s is not served: %s", "crm", "its host has no form", extra={"api": "crm", "secret": "sk-fake"}
    )
    assert lines(stream) == [
        {
            "level": "warning",
            "event": "dataplane.records",
            "problem": "the API crm is not served: its host has no form",
            "api": "crm",
        }
    ]


def test_what_comes_again_is_one_line_a_minute(ours: logging.Logger, stream: io.StringIO, hand: Hand) -> None:
    """Four a second make one line, whatever numbers they hold, and the next one says how many there were."""
    for number in range(241):
        hand.at = number / 4
        ours.warning("%d records wait: %s", number, "no room")
    assert [(line["problem"], line.get("count")) for line in lines(stream)] == [
        ("0 records wait: no room", None),
        ("240 records wait: no room", 240),
    ]


def test_what_differs_in_words_or_request_is_not_held_back(ours: logging.Logger, stream: io.StringIO) -> None:
    """Another API, or another request that failed, is other news."""
    for api in ("a", "b"):
        ours.warning("the API %s is not served", api)
    for request in ("req_1", "req_2"):
        ours.error("a request failed", extra={"request_id": request})
    assert len(lines(stream)) == 4


def test_kinds_of_lines_are_remembered_within_bounds(hand: Hand) -> None:
    """Whoever makes up names fills no memory."""
    repeats = Repeats(hand)
    for number in range(3 * KINDS_MOST):
        assert repeats.admit(number) == 1
    assert len(repeats._heard) == KINDS_MOST
