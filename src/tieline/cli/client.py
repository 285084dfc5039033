"""The admin API from the command line: one connection a command, by the standard library's HTTP client.

Owns how a request is sent and how a refusal becomes one line. Knows no command and prints nothing.
"""

import http.client
import json
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from tieline.core.errors import StartError
from tieline.settings import ClientSettings

TIMEOUT = 60.0  # seconds: a verify request waits for the upstream
PAGE = 200


class CommandFailed(StartError):
    """The server refused, or could not be asked. The text is for the person at the command line."""

    code = "command_failed"


@dataclass(frozen=True, slots=True)
class Answer:
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
        query: Mapping[str, str | int | None] | None = None,
        accept: str = "application/json",
    ) -> Answer:
        """Send one request to ``/api/v1/<path…>``. Raises CommandFailed when it is refused or cannot be sent."""
        given = {name: value for name, value in (query or {}).items() if value is not None}
        target = self._parts.path + "/api/v1/" + "/".join(quote(piece, safe="") for piece in path)
        if given:
            target += f"?{urlencode(given)}"
        headers = {"Accept": accept, "Connection": "close"}
        if self._settings.token is not None:
            headers["Authorization"] = f"Bearer {self._settings.token.reveal_bytes().decode()}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        data = None if body is None else json.dumps(body).encode()
        connection = self._connection()
        try:
            connection.request(method, target, data, headers)
            response = connection.getresponse()
            raw = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise CommandFailed(self._unreachable(error)) from error
        finally:
            connection.close()
        answer = Answer(response.status, dict(response.getheaders()), _parsed(raw, response.getheader("Content-Type")))
        if response.status >= 400:
            raise CommandFailed(self._refusal(answer))
        return answer

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        if self._parts.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=self._seconds, context=ssl.create_default_context())
        return http.client.HTTPConnection(host, port, timeout=self._seconds)

    def _unreachable(self, error: Exception) -> str:
        if isinstance(error, ConnectionRefusedError):
            return (
                f"no Tieline server answers at {self._settings.url}: start one with `tieline serve`, "
                "or set TIELINE_URL to where it runs."
            )
        if isinstance(error, TimeoutError):
            return f"{self._settings.url} did not answer within {self._seconds:.0f} s: see `tieline doctor`."
        return f"{self._settings.url} cannot be reached ({error}): set TIELINE_URL to where the console listens."

    def _refusal(self, answer: Answer) -> str:
        if answer.status == 401 and self._settings.token is None:
            return (
                f"this needs an admin token and there is none at {self._settings.token_file}: set TIELINE_TOKEN, or "
                "TIELINE_DATA_DIR to the server's data directory."
            )
        error = answer.body.get("error") if isinstance(answer.body, dict) else None
        if not isinstance(error, dict) or "message" not in error:
            return f"{self._settings.url} answered {answer.status}, and not as Tieline does: check TIELINE_URL."
        message = " ".join(str(error["message"]).split())
        if answer.status >= 500 and error.get("request_id"):
            message += f" (request {error['request_id']})"
        return message


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
