"""What in an API's answer says that a token is no longer good: the option ``renew_on`` of every scheme with a lifetime.

``renew_on: {status: [200], header: {name: X-Error, contains: expired}, body: {path: code, equals: [40014, 42001]}}``.
All that is given must fit. Without ``status`` any status fits where ``header`` or ``body`` is given, else 401 alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from tieline.definitions.infer.paths import is_path

OPTION = "renew_on"
BODY_MOST = 64 * 1024
_UNAUTHORIZED = frozenset({401})
# Whole answers of text may be held back until they are judged; streams, and files of whatever kind, may not.
_JUDGED_TYPES = (b"text/plain", b"text/html", b"text/javascript", b"application/javascript")
_STREAMS = (b"json-seq", b"ndjson", b"jsonl", b"json-stream")


@dataclass(frozen=True, slots=True)
class Signal:
    """A test of answers. ``statuses`` None: any. ``header`` is a lower-case name and the text its value holds.

    ``body`` is a path, and the values of which one must stand there.
    """

    statuses: frozenset[int] | None = _UNAUTHORIZED
    header: tuple[bytes, bytes] | None = None
    body: tuple[str, tuple[Any, ...]] | None = None

    def fits_head(self, status: int, headers: Sequence[tuple[bytes, bytes]]) -> bool:
        """Whether status and header fit; ``body`` has still to be looked at where there is one.

        Where there is one, an answer whose body cannot be JSON as a whole (a stream, a picture, more than
        ``BODY_MOST`` bytes) does not fit, so that nothing has to be held back for it.
        """
        if self.statuses is not None and status not in self.statuses:
            return False
        if self.header is not None:
            name, text = self.header
            if not any(each.lower() == name and text in value.lower() for each, value in headers):
                return False
        return self.body is None or _may_be_json(headers)

    def fits_body(self, body: bytes, read: Callable[[str, Any], Any]) -> bool:
        """Whether the whole ``body`` (JSON, decoded) fits; ``read`` finds the value at a path.

        Where that is a list, as of a path with ``[]``, one item is enough. A number fits its digits as text.
        """
        if self.body is None:
            return True
        path, expected = self.body
        try:
            found = read(path, orjson.loads(body))
        except orjson.JSONDecodeError:
            return False
        several = found if isinstance(found, list) else [found]
        return any(_is_same(each, wanted) for each in (found, *several) for wanted in expected)


def _may_be_json(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    for name, value in headers:
        lower = name.lower()
        if lower == b"content-length" and value.strip().isdigit() and int(value[:20]) > BODY_MOST:
            return False
        if lower == b"content-type":
            kind = value.partition(b";")[0].strip().lower()
            is_json = b"json" in kind and not any(each in kind for each in _STREAMS)
            if kind and not is_json and kind not in _JUDGED_TYPES:
                return False
    return True


def _is_same(found: Any, expected: Any) -> bool:
    """Whether two values are the same; 42001 and "42001" are, true and 1 are not."""
    if isinstance(found, bool) or isinstance(expected, bool):
        return found is expected
    if isinstance(found, int | str) and isinstance(expected, int | str):
        return str(found) == str(expected)
    return bool(found == expected)


def signal_of(options: Mapping[str, Any]) -> Signal:
    """The signal of options that ``check_signal`` found nothing wrong with."""
    given = options.get(OPTION, {})
    header, body = given.get("header"), given.get("body")
    status = given.get("status")
    statuses = frozenset(status) if status is not None else None if header or body else _UNAUTHORIZED
    equals = body["equals"] if body else ()
    return Signal(
        statuses,
        (header["name"].lower().encode(), header["contains"].lower().encode()) if header else None,
        (body["path"], tuple(equals) if isinstance(equals, list | tuple) else (equals,)) if body else None,
    )


def check_signal(options: Mapping[str, Any]) -> list[str]:
    """What is wrong with ``renew_on``, a sentence each."""
    given = options.get(OPTION, {})
    if not isinstance(given, Mapping) or not given.keys() <= {"status", "header", "body"}:
        return [f"{OPTION}: takes status, header and body, such as {{status: [401]}}"]
    problems = []
    statuses = given.get("status", [401])
    if not isinstance(statuses, list | tuple) or not statuses or not all(_is_status(each) for each in statuses):
        problems.append(f"{OPTION}.status: must be a list of statuses from 200 to 599, such as [401]")
    header, body = given.get("header"), given.get("body")
    if header is not None and not _is_pair(header, "name", "contains"):
        problems.append(f"{OPTION}.header: takes name and contains, both text")
    if body is not None and not (
        _has(body, "path", "equals")
        and isinstance(body["path"], str)
        and is_path(body["path"])
        and body["equals"] not in ([], ())
    ):
        problems.append(f"{OPTION}.body: takes path, such as error.code, and equals, a value or a list of values")
    return problems


def _is_status(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 200 <= value <= 599


def _has(value: Any, *names: str) -> bool:
    return isinstance(value, Mapping) and value.keys() == set(names)


def _is_pair(value: Any, *names: str) -> bool:
    return _has(value, *names) and all(isinstance(each, str) and each.isascii() and each for each in value.values())
