"""How a command fails: what a server refused, or that it could not be asked, and any error as text and as JSON.

Owns the texts on standard error. Knows no command and no connection.
"""

import errno
import http.client
import json
from collections.abc import Mapping
from typing import Any

from tieline.cli.output import shown
from tieline.core.errors import SettingsError, StartError, TielineError

PREFIX = "tieline: "
WRONG_USAGE = "wrong_usage"  # the code of every error that ends with exit 2
OPTIONS = {"Tieline-Pages": "--all", "Tieline-Environment": "--environment"}
"""The options of ``tieline call run`` by the fields of a request, as which the app listener speaks of them."""
UNWRITABLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF})
"""What the system says where standard output takes no more; files that a command was told to write say it themselves.
"""


class CommandFailed(StartError):
    """The server refused, or could not be asked. The text is for the person at the command line.

    ``facts`` are the members of the server's own error: ``code``, ``type``, ``param`` and ``request_id``, empty where
    no server of Tieline's answered.
    """

    code = "command_failed"

    def __init__(self, public: str, facts: Mapping[str, Any] | None = None) -> None:
        super().__init__(public)
        self.facts: Mapping[str, Any] = facts or {}


def refused(body: Any, *, named: bool) -> CommandFailed | None:
    """The failure that an answer's JSON tells; None where it is no error of Tieline's.

    The text has the request's id where it is ``named`` or where only the server's log says more.
    """
    error = body.get("error", body) if isinstance(body, dict) else None  # some shapes have no member around it
    if not isinstance(error, dict) or "message" not in error:
        return None
    lines = [shown(line.rstrip()) if line.strip() else "" for line in str(error["message"]).strip().splitlines()]
    text = "\n".join(lines)
    if error.get("param") in OPTIONS:
        text = text.replace(error["param"], OPTIONS[error["param"]])
    request_id = error.get("request_id")
    if request_id and (named or error.get("code") == "internal_error"):
        text += f" (request {shown(request_id)})"
    return CommandFailed(text, error)


def as_text(public: str) -> str:
    """An error as people read it: several lines, such as the problems of a file, stand below each other."""
    first, *rest = public.splitlines() or [""]
    return "\n".join([PREFIX + first, *(" " * len(PREFIX) + line for line in rest)])


def as_json(error: TielineError) -> str:
    """An error as programs read it, on one line, in the shape of the admin API's errors."""
    facts = error.facts if isinstance(error, CommandFailed) else {}
    told = {
        "message": error.public,
        "type": facts.get("type", "command_error"),
        "code": facts.get("code", WRONG_USAGE if isinstance(error, SettingsError) else error.code),
        "param": facts.get("param", error.param),
        "request_id": facts.get("request_id"),
    }
    return json.dumps({"error": told}, ensure_ascii=False)


def unreachable(error: Exception, url: str, setting: str, seconds: float) -> CommandFailed:
    """The failure of a request to ``url``, which ``setting`` names, that got no answer within ``seconds``."""
    if isinstance(error, ConnectionRefusedError):
        return CommandFailed(
            f"no Tieline server answers at {url}: start one with `tieline serve`, or set {setting} to where it runs."
        )
    if isinstance(error, TimeoutError):
        return CommandFailed(f"{url} did not answer within {seconds:.0f} s: see `tieline doctor`.")
    why = "it is no HTTP server" if isinstance(error, http.client.HTTPException) else str(error)
    if "CERTIFICATE_VERIFY_FAILED" in why:
        why = f"{why}; TIELINE_CA_BUNDLE names a file of authorities to trust"
    return CommandFailed(f"{url} cannot be reached ({why}): set {setting} to where it runs.")
