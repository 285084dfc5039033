"""What in an API's answer says that a token is no longer good: the option ``renew_on`` of every scheme with a lifetime.

``renew_on: {status: [401], header: {name: WWW-Authenticate, contains: invalid_token}, body: {path: error.code, equals:
token_expired}}``. A status of the list is needed; ``header`` and ``body``, where given, must fit too.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from tieline.definitions.infer.paths import is_path

OPTION = "renew_on"
BODY_MOST = 64 * 1024


@dataclass(frozen=True, slots=True)
class Signal:
    """A test of answers. ``header`` is a lower-case name and the text its value holds; ``body`` a path and a value."""

    statuses: frozenset[int] = frozenset({401})
    header: tuple[bytes, bytes] | None = None
    body: tuple[str, Any] | None = None

    def fits_head(self, status: int, headers: Sequence[tuple[bytes, bytes]]) -> bool:
        """Whether status and header fit; ``body`` has still to be looked at where there is one."""
        if status not in self.statuses:
            return False
        if self.header is None:
            return True
        name, text = self.header
        return any(each.lower() == name and text in value.lower() for each, value in headers)

    def fits_body(self, body: bytes, read: Callable[[str, Any], Any]) -> bool:
        """Whether the whole ``body`` (JSON, decoded) fits; ``read`` finds the value at a path."""
        if self.body is None:
            return True
        path, expected = self.body
        try:
            return bool(read(path, orjson.loads(body)) == expected)
        except orjson.JSONDecodeError:
            return False


def signal_of(options: Mapping[str, Any]) -> Signal:
    """The signal of options that ``check_signal`` found nothing wrong with."""
    given = options.get(OPTION, {})
    header, body = given.get("header"), given.get("body")
    return Signal(
        frozenset(given.get("status", (401,))),
        (header["name"].lower().encode(), header["contains"].lower().encode()) if header else None,
        (body["path"], body["equals"]) if body else None,
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
        _has(body, "path", "equals") and isinstance(body["path"], str) and is_path(body["path"])
    ):
        problems.append(f"{OPTION}.body: takes path, such as error.code, and equals")
    return problems


def _is_status(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 200 <= value <= 599


def _has(value: Any, *names: str) -> bool:
    return isinstance(value, Mapping) and value.keys() == set(names)


def _is_pair(value: Any, *names: str) -> bool:
    return _has(value, *names) and all(isinstance(each, str) and each.isascii() and each for each in value.values())
