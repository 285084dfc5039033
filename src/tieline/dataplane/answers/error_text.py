"""What an upstream's error answer says, in one line: the message and code that people look for. Knows no call.

Known members of JSON come first, in whatever shape they lie; a page's visible text, a plain text, or any other body's
beginning is the message where there are none.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from html import unescape
from typing import Any, Final

from tieline.dataplane.answers.charset import charset_of, text_of
from tieline.dataplane.answers.exact_json import read_json, read_json_text, write_json

MESSAGE_MOST: Final = 500
_CODE_MOST = 100
_LOOKED_AT = 64 * 1024
_FIRST = 3
"""How many errors of a list are told."""
_MESSAGES = (
    "message", "error_description", "detail", "error_message", "errorMessage", "Message", "msg", "errmsg", "error_msg",
    "description", "title", "error", "reason", "summary",
)  # fmt: skip
_INNER = ("error", "errors", "fault", "detail", "Error", "Fault", "Errors", "errorMessages")
_CODES = ("code", "type", "error_code", "errorCode", "errcode", "Code", "status")
_NO_CODE = (True, False, "", "about:blank")  # RFC 9457 section 4.2.1: no more than the status says
_DEPTH = 4
_TAG = re.compile(r"<(/?)([A-Za-z!?][^\s<>/]*+)[^<>]*+>")
_UNSEEN = frozenset({"script", "style", "title"})
_TITLE = re.compile(r"<title[^<>]*+>([^<]*+)<", re.IGNORECASE)
_XML_PART = re.compile(r"<(?:\w+:)?(message|code|faultstring|faultcode)\b[^<>]*+>([^<]*+)<", re.IGNORECASE)


def extract_error(
    content_type: bytes, body: bytes, hide: Callable[[str], str] = lambda text: text
) -> tuple[str | None, str | None]:
    """The message and the code in an error's ``body``, each None where there is none; white space is made single.

    ``hide`` masks each before it is cut short: half a secret would not be found any more. Reads JSON of the customary
    shapes (``{"error": {"message", "code"}}``, RFC 9457, OAuth, GraphQL, FastAPI's and other lists of errors), XML with
    elements of these names, pages and plain text, whatever the media type says.
    """
    body = body[:_LOOKED_AT]
    text = text_of(body, charset_of(content_type)).strip()
    found = _json(body, text)
    if found is not _NO_JSON:
        message, code = message_and_code(found)
        if message is None and found not in (None, {}, [], ""):
            message = write_json(found).decode()
    elif text.startswith("<"):
        message, code = _markup(text)
    else:
        message, code = text, None
    return _line(message, MESSAGE_MOST, hide), _line(code, _CODE_MOST, hide)


def error_of(document: Any, hide: Callable[[str], str]) -> tuple[str | None, str | None]:
    """The message and the code in an error's JSON value as ``extract_error`` tells them."""
    message, code = message_and_code(document)
    return _line(message, MESSAGE_MOST, hide), _line(code, _CODE_MOST, hide)


def message_and_code(found: Any, depth: int = _DEPTH) -> tuple[str | None, str | None]:
    """The message and code in an error's JSON value, None where none of the known members holds one."""
    if isinstance(found, str):
        return found if found.strip() else None, None
    if isinstance(found, list) and found and depth:
        several = [message_and_code(each, depth - 1) for each in found[:_FIRST]]
        messages = [message for message, _ in several if message is not None]
        return "; ".join(messages) or None, several[0][1]
    if not isinstance(found, dict):
        return None, None
    codes = [str(found[key]) for key in _CODES if isinstance(found.get(key), str | int) and found[key] not in _NO_CODE]
    code = codes[0] if codes else None
    inner = next((found[key] for key in _INNER if isinstance(found.get(key), dict | list) and found[key]), None)
    if inner is not None and depth:
        message, inner_code = message_and_code(inner, depth - 1)
        if message is not None:
            return message, inner_code or code
    message = next((found[key] for key in _MESSAGES if isinstance(found.get(key), str) and found[key].strip()), None)
    place = found.get("loc")
    if message is not None and isinstance(place, list) and all(isinstance(step, str | int) for step in place):
        message = f"{'.'.join(map(str, place))}: {message}"  # FastAPI says where, and only what is wrong there
    return message, code


_NO_JSON: Final = object()


def _json(body: bytes, text: str) -> Any:
    with suppress(ValueError):
        return read_json(body)
    with suppress(ValueError):
        return read_json_text(text)
    return _NO_JSON


def _markup(text: str) -> tuple[str | None, str | None]:
    """The message and code of XML that has such elements; else the text that a page shows, or its title."""
    parts = {found[1].lower(): unescape(found[2]) for found in _XML_PART.finditer(text)}
    message = parts.get("message") or parts.get("faultstring")
    if message:
        return message, parts.get("code") or parts.get("faultcode")
    shown: list[str] = []
    hidden, at = "", 0
    for tag in _TAG.finditer(text):
        if not hidden:
            shown.append(text[at : tag.start()])
        name = tag[2].lower()
        if not hidden and not tag[1] and name in _UNSEEN:
            hidden = name
        elif tag[1] and name == hidden:
            hidden = ""
        at = tag.end()
    if not hidden:
        shown.append(text[at:])
    title = _TITLE.search(text)
    return unescape(" ".join(shown)).strip() or (unescape(title[1]) if title is not None else None), None


def _line(text: str | None, most: int, hide: Callable[[str], str]) -> str | None:
    line = hide(" ".join((text or "").split()))
    return (line if len(line) <= most else line[: most - 1] + "…") or None
