"""The app listener from the command line: a call run with an app key, its answer read as it comes.

Owns one request and how a refusal becomes one line. Knows no command and prints nothing.
"""

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from tieline.cli.arguments import MultipartForm
from tieline.cli.client import connection_to
from tieline.cli.failures import CommandFailed, refused, unreachable
from tieline.core.secret import Secret

TIMEOUT = 600.0  # seconds between two pieces of an answer: a model may think
_PIECE = 64 * 1024
_STRANGE = "the answer is no stream of Tieline's: check TIELINE_APP_URL."
_CUT = "the answer was cut: the connection to Tieline ended in the middle of it."


@dataclass(frozen=True, slots=True)
class CallResponse:
    """An answer whose head is here. ``media`` is its media type, in lower case without parameters."""

    response: http.client.HTTPResponse
    media: str

    @property
    def is_stream(self) -> bool:
        """Whether events follow."""
        return self.media == "text/event-stream"

    def pieces(self) -> Iterator[bytes]:
        """The body as it comes. Raises CommandFailed where it is cut."""
        try:
            while data := self.response.read1(_PIECE):
                yield data
        except (OSError, http.client.HTTPException):
            raise CommandFailed(_CUT) from None
        self._check_end()

    def events(self) -> Iterator[tuple[str, Any]]:
        """The events, by name, their data read. Raises CommandFailed for an ``error``, and where no end came."""
        name, ended = "message", False
        try:
            for line in self._lines():
                field, _, text = line.partition(b": ")
                if field == b"event":
                    name = text.decode()
                elif field == b"data":
                    value = json.loads(text)
                    if name == "error":
                        raise refused(value, named=True) or CommandFailed(_STRANGE)
                    ended = ended or name == "done"
                    yield name, value
        except ValueError:
            raise CommandFailed(_STRANGE) from None
        if not ended:
            raise CommandFailed("the answer was cut: the stream ended without its end.")

    def _lines(self) -> Iterator[bytes]:
        try:
            while line := self.response.readline():
                if not line.endswith(b"\n"):
                    raise CommandFailed(_CUT)
                yield line.rstrip(b"\r\n")
        except (OSError, http.client.HTTPException):
            raise CommandFailed(_CUT) from None
        self._check_end()

    def _check_end(self) -> None:
        """Raise CommandFailed where bytes are missing: of a body with a length the library does not say so itself."""
        if self.response.length:
            raise CommandFailed(_CUT)


class AppClient:
    """Calls through the app listener at ``url`` with the app key ``key``."""

    def __init__(self, url: str, key: Secret, ca_bundle: Path | None = None) -> None:
        self._url = url
        self._key = key
        self._ca_bundle = ca_bundle

    @contextmanager
    def run(self, api: str, call: str, form: MultipartForm | None, fields: Mapping[str, str]) -> Iterator[CallResponse]:
        """The answer to one run of a call; leaving the block cancels what is still under way.

        Raises CommandFailed when it is refused or cannot be sent.
        """
        connection = connection_to(self._url, TIMEOUT, self._ca_bundle)
        headers = {"Authorization": f"Bearer {self._key.reveal_bytes().decode()}", "Connection": "close", **fields}
        body: bytes | MultipartForm = b"{}"
        if form is None:
            headers["Content-Type"] = "application/json"
        else:
            body = form
            headers |= {"Content-Type": form.content_type, "Content-Length": str(form.length)}
        target = f"{urlsplit(self._url).path}/call/{quote(api, safe='')}/{quote(call, safe='')}"
        try:
            try:
                connection.request("POST", target, body, headers)
                response = connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                raise unreachable(error, self._url, "TIELINE_APP_URL", TIMEOUT) from error
            media = (response.getheader("Content-Type") or "").partition(";")[0].strip().lower()
            if response.status >= 400:
                raise _refusal(response, self._url)
            yield CallResponse(response, media)
        finally:
            connection.close()


def _refusal(response: http.client.HTTPResponse, url: str) -> CommandFailed:
    try:
        found = refused(json.loads(response.read(1024 * 1024)), named=True)
    except (ValueError, OSError, http.client.HTTPException):
        found = None
    if found is not None and found.facts.get("type") == "admin_error":
        return CommandFailed(f"{url} is the console listener: set TIELINE_APP_URL to the app listener.", found.facts)
    return found or CommandFailed(f"{url} answered {response.status}, and not as Tieline does: check TIELINE_APP_URL.")
