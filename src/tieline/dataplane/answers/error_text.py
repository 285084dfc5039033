"""What an upstream's error answer says, in one line: the message and code that people look for. Knows no call."""

from typing import Any, Final

import orjson

MESSAGE_MOST: Final = 500
_CODE_MOST = 100
_MESSAGES = ("message", "error_description", "detail", "error_message", "msg", "title", "error", "reason")
_CODES = ("code", "type", "error_code", "status")
_NO_CODE = (True, False, "", "about:blank")  # RFC 9457 section 4.2.1: no more than the status says
_DEPTH = 4


def complaint(content_type: bytes, body: bytes) -> tuple[str | None, str | None]:
    """The message and the code in an error's ``body``, each None where there is none; white space is made single.

    Reads JSON of the customary shapes (``{"error": {"message", "code"}}``, RFC 9457, OAuth, lists of errors) and plain
    text; of HTML nothing.
    """
    kind = content_type.partition(b";")[0].strip().lower()
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        is_text = kind == b"text/plain" or (not kind and not body.lstrip().startswith(b"<"))
        return (_line(body[: 4 * MESSAGE_MOST].decode(errors="replace"), MESSAGE_MOST) if is_text else None), None
    message, code = _told(found, _DEPTH)
    return _line(message, MESSAGE_MOST), _line(code, _CODE_MOST)


def _told(found: Any, depth: int) -> tuple[str | None, str | None]:
    if isinstance(found, str):
        return found, None
    if isinstance(found, list) and found and depth:
        return _told(found[0], depth - 1)
    if not isinstance(found, dict):
        return None, None
    codes = [str(found[key]) for key in _CODES if isinstance(found.get(key), str | int) and found[key] not in _NO_CODE]
    code = codes[0] if codes else None
    inner = next((found[key] for key in ("error", "errors", "fault") if isinstance(found.get(key), dict | list)), None)
    if inner and depth:
        message, inner_code = _told(inner, depth - 1)
        if message is not None:
            return message, inner_code or code
    message = next((found[key] for key in _MESSAGES if isinstance(found.get(key), str) and found[key].strip()), None)
    return message, code


def _line(text: str | None, most: int) -> str | None:
    line = " ".join((text or "").split())
    return (line if len(line) <= most else line[: most - 1] + "…") or None
