"""The admin API from the command line: one connection a command, by the standard library's HTTP client.

Owns how a request is sent. Knows no command and prints nothing.
"""

import http.client
import json
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from tieline.cli.failures import CommandFailed, refused, unreachable
from tieline.core.errors import SettingsError
from tieline.settings.model import ClientSettings

TIMEOUT = 60.0  # seconds: a verify request waits for the upstream
PAGE = 200

Query = Mapping[str, str | int | Sequence[str] | None]


@dataclass(frozen=True, slots=True)
class Received:
    """What the server answered: ``body`` is parsed JSON, or text where the answer was no JSON, or None."""

    status: int
    headers: Mapping[str, str]
    body: Any


class AdminClient:
    """Requests to the admin API at ``settings.url``, whose answers may take ``seconds``."""

    def __init__(self, settings: ClientSettings, seconds: float = TIMEOUT) -> None:
        self._settings = settings
        self._seconds = seconds
        self._parts = urlsplit(settings.url)

    def get(self, *path: str, accept: str = "application/json", **query: str | int | None) -> Any:
        """The body of the answer to GET ``/api/v1/<path…>``; each piece of ``path`` is one segment."""
        return self.send("GET", path, query=query, accept=accept).body

    def post(self, *path: str, body: Mapping[str, Any] | None = None, **query: str | None) -> Any:
        """The body of the answer to POST."""
        return self.send("POST", path, body=body, query=query).body

    def items(self, *path: str, **query: str | None) -> Iterator[dict[str, Any]]:
        """Every item of a list, page by page; ``query`` narrows it."""
        after: str | None = None
        while True:
            page = self.send("GET", path, query={**query, "limit": PAGE, "after": after}).body
            yield from page["items"]
            after = page["next"]
            if after is None:
                return

    def send(
        self,
        method: str,
        path: tuple[str, ...],
        *,
        body: Mapping[str, Any] | None = None,
        query: Query | None = None,
        accept: str = "application/json",
        fields: Mapping[str, str] | None = None,
    ) -> Received:
        """Send one request to ``/api/v1/<path…>``, with the header ``fields`` too.

        Raises CommandFailed when it is refused or cannot be sent.
        """
        target, headers = self._asked(path, query, accept)
        headers |= fields or {}
        if body is not None:
            headers["Content-Type"] = "application/json"
        data = None if body is None else json.dumps(body).encode()
        connection = connection_to(self._settings.url, self._seconds, self._settings.ca_bundle)
        try:
            connection.request(method, target, data, headers)
            response = connection.getresponse()
            raw = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise unreachable(error, self._settings.url, "TIELINE_URL", self._seconds) from error
        finally:
            connection.close()
        answer = Received(
            response.status, dict(response.getheaders()), _parsed(raw, response.getheader("Content-Type"))
        )
        if response.getheader("Tieline-Request-Id") is None:
            raise CommandFailed(
                f"{self._settings.url} answered {answer.status}, and not as Tieline does: check TIELINE_URL."
            )
        if response.status >= 400:
            raise self._refusal(answer)
        return answer

    def events(self, *path: str, query: Query | None = None) -> Iterator[tuple[str, Any]]:
        """The events of a stream as they come: each one's name and its data, which is JSON.

        Raises CommandFailed when it is refused or cannot be sent, or its connection breaks.
        """
        target, headers = self._asked(path, query, "text/event-stream")
        connection = connection_to(self._settings.url, self._seconds, self._settings.ca_bundle)
        try:
            connection.request("GET", target, headers=headers)
            response = connection.getresponse()
            if response.status >= 400:
                raw = response.read()
                parsed = _parsed(raw, response.getheader("Content-Type"))
                raise self._refusal(Received(response.status, dict(response.getheaders()), parsed))
            name = ""
            for line in response:
                field, _, value = line.decode(errors="replace").rstrip("\n").partition(": ")
                if field == "event":
                    name = value
                elif field == "data":
                    yield name, json.loads(value)
        except (OSError, http.client.HTTPException) as error:
            raise unreachable(error, self._settings.url, "TIELINE_URL", self._seconds) from error
        finally:
            connection.close()

    def _asked(self, path: Sequence[str], query: Query | None, accept: str) -> tuple[str, dict[str, str]]:
        """The target and the fields of a request to ``/api/v1/<path…>``."""
        given = {name: value for name, value in (query or {}).items() if value is not None}
        target = self._parts.path + "/api/v1/" + "/".join(quote(piece, safe="") for piece in path)
        if given:
            target += f"?{urlencode(given, doseq=True)}"
        headers = {"Accept": accept, "Connection": "close"}
        if self._settings.token is not None:
            headers["Authorization"] = f"Bearer {self._settings.token.reveal_bytes().decode()}"
        return target, headers

    def _refusal(self, answer: Received) -> CommandFailed:
        if answer.status == 401 and self._settings.token is None:
            return CommandFailed(_tokenless(self._settings.token_file), {"code": "invalid_token"})
        told = refused(answer.body, named=False)
        if told is None:
            return CommandFailed(f"{self._settings.url} answered {answer.status} without an error: check TIELINE_URL.")
        if told.facts.get("type") == "tieline_error":
            return CommandFailed(
                f"{self._settings.url} is the app listener: set TIELINE_URL to the console listener.", told.facts
            )
        return told


def _tokenless(file: Path) -> str:
    """Why there is no admin token in the file that is looked into unless one is given, and what to do."""
    try:
        file.stat()
    except PermissionError:
        return (
            f"this needs an admin token and {file} may not be read by this user: run this as the user who runs the "
            "server, or set TIELINE_TOKEN."
        )
    except OSError:
        pass
    return (
        f"this needs an admin token and there is none at {file}: set TIELINE_TOKEN, or TIELINE_DATA_DIR to the "
        "server's data directory."
    )


def connection_to(url: str, seconds: float, ca_bundle: Path | None) -> http.client.HTTPConnection:
    """A connection to the server at ``url``, whose answers may take ``seconds``.

    With https it trusts the system's authorities and those in ``ca_bundle``. Raises SettingsError without one there.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    if parts.scheme != "https":
        return http.client.HTTPConnection(host, port, timeout=seconds)
    context = ssl.create_default_context()
    if ca_bundle is not None:
        try:
            context.load_verify_locations(ca_bundle)
        except (OSError, ssl.SSLError):
            raise SettingsError(f"{ca_bundle} holds no certificate in PEM: see TIELINE_CA_BUNDLE.") from None
    return http.client.HTTPSConnection(host, port, timeout=seconds, context=context)


def _parsed(raw: bytes, content_type: str | None) -> Any:
    if not raw:
        return None
    text = raw.decode(errors="replace")
    if content_type is not None and content_type.partition(";")[0].strip().endswith("json"):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text
