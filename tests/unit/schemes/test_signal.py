"""What in an API's answer says that a token is no longer good."""

from typing import Any

import orjson
import pytest

from tieline.definitions.getters import getter
from tieline.schemes.signal import BODY_MOST, check_signal, signal_of

JSON = [(b"Content-Type", b"application/json; charset=utf-8")]


def fits(
    renew_on: dict[str, Any], status: int, body: Any = None, headers: list[tuple[bytes, bytes]] | None = None
) -> bool:
    """Whether an answer calls for a new token."""
    options = {"renew_on": renew_on}
    assert check_signal(options) == []
    signal = signal_of(options)
    written = body if isinstance(body, bytes) else orjson.dumps(body)
    if not signal.fits_head(status, JSON if headers is None else headers):
        return False
    return signal.fits_body(written, lambda path, value: getter(path)(value))


@pytest.mark.parametrize("status", [200, 400, 401, 500])
def test_a_body_alone_is_enough_with_any_status(status: int) -> None:
    """Many APIs answer an expired token with 200, or 400."""
    expired = {"body": {"path": "errcode", "equals": 42001}}
    assert fits(expired, status, {"errcode": 42001})
    assert not fits(expired, status, {"errcode": 0})


def test_a_header_alone_is_enough_with_any_status() -> None:
    """As ``WWW-Authenticate: Bearer error="invalid_token"`` beside a 403."""
    expired = {"header": {"name": "WWW-Authenticate", "contains": "invalid_token"}}
    assert fits(expired, 403, headers=[(b"www-authenticate", b'Bearer error="Invalid_Token"')])
    assert not fits(expired, 403, headers=[])


def test_unless_anything_is_said_it_is_a_401() -> None:
    """And nothing else."""
    assert fits({}, 401)
    assert not fits({}, 200)


def test_what_is_given_must_fit_together() -> None:
    """Status and body."""
    expired = {"status": [200], "body": {"path": "errcode", "equals": 42001}}
    assert fits(expired, 200, {"errcode": 42001})
    assert not fits(expired, 401, {"errcode": 42001})


@pytest.mark.parametrize(
    ("equals", "found", "same"),
    [
        ([40014, 42001], 42001, True),
        ([40014, 42001], 40001, False),
        (42001, "42001", True),
        ("42001", 42001, True),
        (1, True, False),
        (True, True, True),
        (None, None, True),
        (1.5, 1.5, True),
        ("EXPIRED", {"EXPIRED": 1}, False),
        ([["a"]], ["a"], True),
        ("a", ["b", "a"], True),
    ],
)
def test_one_of_several_values_is_enough(equals: Any, found: Any, same: bool) -> None:
    """Whatever kinds of values stand where; a number is the same as its digits."""
    assert fits({"body": {"path": "code", "equals": equals}}, 200, {"code": found}) is same


def test_one_of_several_errors_is_enough() -> None:
    """A path with ``[]`` looks at each."""
    expired = {"body": {"path": "errors[].code", "equals": ["EXPIRED"]}}
    assert fits(expired, 200, {"errors": [{"code": "OTHER"}, {"code": "EXPIRED"}]})
    assert not fits(expired, 200, {"errors": [{"code": ["EXPIRED"], "x": None}, None]})


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1", b"\xff", b'{"code":"\\ud83d"}'])
def test_what_is_no_json_does_not_fit(body: bytes) -> None:
    """And breaks nothing."""
    assert not fits({"body": {"path": "code", "equals": "x"}}, 200, body)


@pytest.mark.parametrize(
    ("headers", "judged"),
    [
        (JSON, True),
        ([], True),
        ([(b"content-type", b"application/problem+json")], True),
        ([(b"content-type", b"text/html")], True),
        ([(b"content-type", b"text/event-stream")], False),
        ([(b"content-type", b"application/x-ndjson")], False),
        ([(b"content-type", b"application/json-seq")], False),
        ([(b"content-type", b"audio/mpeg")], False),
        ([*JSON, (b"content-length", b"%d" % (BODY_MOST + 1))], False),
        ([*JSON, (b"content-length", b"9" * 5000)], False),
    ],
)
def test_nothing_is_held_back_that_cannot_fit(headers: list[tuple[bytes, bytes]], judged: bool) -> None:
    """Streams, files and large answers go on as they come."""
    signal = signal_of({"renew_on": {"body": {"path": "code", "equals": "x"}}})
    assert signal.fits_head(200, headers) is judged
