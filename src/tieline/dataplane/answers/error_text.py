"""What an upstream's error answer says, in one line: the message and code that people look for. Knows no call.

Known members of JSON come first, in whatever shape they lie; a page's visible text, a plain text, or any other body's
beginning is the message where there are none.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from html import escape, unescape
from typing import Any, Final
from urllib.parse import parse_qsl

from tieline.dataplane.answers.charset import charset_of, text_of
from tieline.dataplane.answers.exact_json import read_json, read_json_text, write_json

MESSAGE_MOST: Final = 500
_CODE_MOST = 100
_LOOKED_AT = 64 * 1024
_FIRST = 3
"""How many errors of a list are told."""
_MESSAGES = (
    "message", "error_description", "detail", "error_message", "errorMessage", "Message", "msg", "errmsg", "error_msg",
    "description", "errorSummary", "faultstring", "title", "error", "errors", "reason", "summary", "value",
)  # fmt: skip
_INNER = (
    "error", "errors", "fault", "detail", "Error", "Fault", "Errors", "errorMessages", "odata.error", "Response",
    "message", "json", "issues", "_errors", "non_field_errors",
)  # fmt: skip
_CODES = ("code", "type", "error_code", "errorCode", "errcode", "errorcode", "Code", "__type", "error", "status")
# RFC 9457 section 4.2.1: no more than the status says; so are words that every error has.
_NO_CODE = (True, False, "", "about:blank", "error", "fail", "failed", "failure", "Failure")
_CODE = re.compile(r"[!-~]*")
_DEPTH = 5
_GUARDS = (")]}',", ")]}'", "while(1);", "for(;;);")
"""What some servers write before JSON, so that no page can run it as a script."""
_TAG = re.compile(r"<(/?)([A-Za-z!?][^\s<>/]*+)[^<>]*+>")
_UNSEEN = frozenset({"script", "style", "title"})
_TITLE = re.compile(r"<title[^<>]*+>([^<]*+)<", re.IGNORECASE)
_XML_PART = re.compile(
    r"<(?:\w+:)?(message|code|faultstring|faultcode|text|value)\b[^<>]*+>([^<]*+)(?=<)", re.IGNORECASE
)
_XML_SAID = (("message", "code"), ("faultstring", "faultcode"))
_XML_FAULT = ("text", "value")
"""Where SOAP 1.2 has reason and code of a fault (SOAP 1.2 part 1 section 5.4); elsewhere the names mean anything."""
_IS_FAULT = re.compile(r"<(?:\w+:)?Fault\b")
_ATTRIBUTE = re.compile(r"""\s(msg|message|code)=["']([^"'<>]*+)["']""")


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
    """The message and code in an error's JSON value, None where none of the known members holds one.

    What an error says of itself comes before what its inner errors say, unless they say the same.
    """
    if isinstance(found, str):
        return found if found.strip() else None, None
    if isinstance(found, list) and found and depth:
        several = [message_and_code(each, depth - 1) for each in found[:_FIRST]]
        messages = [message for message, _ in several if message is not None]
        return "; ".join(messages) or None, several[0][1]
    if not isinstance(found, dict):
        return None, None
    inner, inner_code = _inner(found, depth)
    own = _own_message(found)
    if own is None and inner is None and depth:
        inner = _of_fields(found, depth)
    return _joined(own, inner), inner_code or _own_code(found, own)


def _inner(found: dict[str, Any], depth: int) -> tuple[str | None, str | None]:
    """The message and code of the errors that an error holds; a code may lie there alone, as GraphQL's does."""
    inner = next((found[key] for key in _INNER if isinstance(found.get(key), dict | list) and found[key]), None)
    message, code = message_and_code(inner, depth - 1) if inner is not None and depth else (None, None)
    extensions = found.get("extensions")
    return message, code or (_own_code(extensions, None) if isinstance(extensions, dict) else None)


def _own_message(found: dict[str, Any]) -> str | None:
    """The first member that is a message, rather a sentence than a word that looks like a code."""
    said = [found[key] for key in _MESSAGES if isinstance(found.get(key), str) and found[key].strip()]
    message: str | None = next((each for each in said if _CODE.fullmatch(each) is None), said[0] if said else None)
    place = found.get("loc")
    if message is not None and isinstance(place, list) and all(isinstance(step, str | int) for step in place):
        return f"{'.'.join(map(str, place))}: {message}"  # FastAPI says where, and only what is wrong there
    return message


def _own_code(found: dict[str, Any], message: str | None) -> str | None:
    for key in _CODES:
        value = found.get(key)
        if isinstance(value, str | int) and value not in _NO_CODE and value != message:
            code = str(value)
            if key != "error" or _CODE.fullmatch(code) is not None:
                return code.rpartition("#")[2] if key == "__type" else code  # AWS names its namespace first
    return None


def _of_fields(found: dict[str, Any], depth: int) -> str | None:
    """What is wrong with each field, where an error is a mapping of them: ``{"email": ["is taken"]}``.

    The whole answer is one only if all its members are lists: any other object may be anything.
    """
    if depth == _DEPTH and not all(isinstance(value, list) for value in found.values()):
        return None
    several = []
    for name, value in [pair for pair in found.items() if pair[0] not in _CODES][:_FIRST]:
        message, _ = message_and_code(value, depth - 1)
        if message is not None:
            several.append(f"{name}: {message}")
    return "; ".join(several) or None


def _joined(own: str | None, inner: str | None) -> str | None:
    if own is None or inner is None or inner.casefold() in own.casefold():
        return own or inner
    if own.casefold() in inner.casefold() or _CODE.fullmatch(own) is not None:
        return inner
    return f"{own.rstrip().rstrip('.:')}: {inner}"


_NO_JSON: Final = object()


def _json(body: bytes, text: str) -> Any:
    with suppress(ValueError):
        return read_json(body)
    for guard in _GUARDS:
        text = text.removeprefix(guard)
    if text.startswith(("data:", "event:")):  # an error told as an event, be it with a status of its own
        lines = [line[5:] for line in text.splitlines() if line.startswith("data:")]
        text = "\n".join(lines)
    with suppress(ValueError):
        return read_json_text(text)
    if text.isascii() and text.startswith(("error=", "error_code=")):
        with suppress(ValueError):  # of more than a hundred pairs nobody makes an error
            return dict(parse_qsl(text, max_num_fields=100))
    return _NO_JSON


def _markup(text: str) -> tuple[str | None, str | None]:
    """The message and code of XML that has such elements; else the text that a page shows, or its title."""
    text = _without_cdata(text)
    parts: dict[str, str] = {}
    for found in _XML_PART.finditer(text):
        if found[2].strip():  # else it holds further elements
            parts.setdefault(found[1].lower(), unescape(found[2]))
    for message, code in (*_XML_SAID, _XML_FAULT) if _IS_FAULT.search(text) else _XML_SAID:
        if message in parts:
            return parts[message], parts.get(code)
    visible = _visible(text)
    if visible is not None:
        return visible, None
    attributes = {found[1]: unescape(found[2]) for found in _ATTRIBUTE.finditer(text)}
    return attributes.get("msg") or attributes.get("message"), attributes.get("code")


def _without_cdata(text: str) -> str:
    """``text`` with its CDATA sections as ordinary text."""
    begin, *sections = text.split("<![CDATA[")
    parts = [begin]
    for section in sections:
        inside, _, after = section.partition("]]>")
        parts += (escape(inside), after)
    return "".join(parts)


def _visible(text: str) -> str | None:
    """The text that a page shows, else its title."""
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
    return unescape(" ".join(shown)).strip() or (unescape(title[1]) if title is not None else None)


def _line(text: str | None, most: int, hide: Callable[[str], str]) -> str | None:
    line = hide(" ".join((text or "").split()))
    return (line if len(line) <= most else line[: most - 1] + "…") or None
