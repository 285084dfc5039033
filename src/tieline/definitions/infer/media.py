"""Which response type an answer is: by its media type, by its first bytes, by its look. In doubt text, or a file.

Sure signs come first: what an image or archive begins with, what the media type says and the content bears out. Streams
are recognised elsewhere, as they are not one document. Media types by RFC 9110 section 8.3, suffixes by RFC 6839.
"""

import csv
import io
import itertools
import re
from typing import Final

import orjson

from tieline.definitions.infer.answers import read_answer
from tieline.definitions.infer.markup import read_xml
from tieline.definitions.infer.unreadable import UnreadableAnswer

_IMAGES: Final = (
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"GIF87a",
    b"GIF89a",
    b"II*\x00",
    b"MM\x00*",
    b"\x00\x00\x01\x00",
)
_FILES: Final = (b"%PDF-", b"PK\x03\x04", b"\x1f\x8b", b"ID3", b"OggS", b"fLaC", b"7z\xbc\xaf\x27\x1c", b"Rar!")
_FILE_TOPS: Final = frozenset({"audio", "video", "font", "model"})
_FILE_TYPES: Final = frozenset({
    "application/pdf", "application/zip", "application/gzip", "application/x-tar", "application/msword",
    "application/epub+zip", "application/wasm", "application/vnd.rar", "application/x-7z-compressed",
})  # fmt: skip
_TABLES: Final = frozenset({"text/csv", "text/tab-separated-values", "application/csv"})
_UNSAID: Final = frozenset({"", "application/octet-stream", "binary/octet-stream", "text/plain"})
_XML: Final = re.compile(r"\s*<(?:\?xml\b|!--|[A-Za-z_][\w.:-]*[\s/>])")
_HTML: Final = re.compile(r"\s*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_NUMBER: Final = re.compile(r"\s*[+-]?[0-9]{1,18}(?:\.[0-9]{1,18})?(?:[eE][+-]?[0-9]{1,3})?\s*")
_FLAG: Final = re.compile(r"\s*(?:true|false)\s*", re.IGNORECASE)
_ROWS: Final = 50
_LOOKED_AT: Final = 4096


def kind_of_answer(body: bytes, content_type: str = "", disposition: str = "") -> str:
    """The response type of a whole answer: json, xml, csv, text, number, boolean, image, file or empty.

    ``content_type`` and ``disposition`` are the headers of these names, empty where there was none.
    """
    if not body.strip():
        return "empty"
    media = _media(content_type)
    in_bytes = kind_of_bytes(body, content_type)
    if in_bytes is not None:
        return in_bytes
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        if body.startswith(b"<?xml") and _is("xml", body):
            return "xml"
        return "text" if media.startswith("text/") else "file"
    named = _by_name(media, text)
    if named is not None:
        return named
    if disposition.strip().lower().startswith("attachment"):
        return "file"
    if media in _UNSAID:
        return _by_look(text)
    if media.startswith("text/") and (structured := _structure(text)) is not None:
        return structured
    return "file" if media.startswith("application/vnd.") else "text"


def kind_of_bytes(beginning: bytes, content_type: str = "") -> str | None:
    """``image`` or ``file`` where the beginning of an answer, or its media type, says that it is no text; else None."""
    media = _media(content_type)
    is_webp = beginning.startswith(b"RIFF") and beginning[8:12] == b"WEBP"
    if media.startswith("image/") or beginning.startswith(_IMAGES) or is_webp:
        return "image"
    return "file" if _is_file(media, beginning) or b"\0" in beginning[:_LOOKED_AT] else None


def _media(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _is_file(media: str, body: bytes) -> bool:
    office = media.startswith("application/vnd.") and not media.endswith(("+json", "+xml"))
    return media.partition("/")[0] in _FILE_TOPS or media in _FILE_TYPES or office or body.startswith(_FILES)


def _by_name(media: str, text: str) -> str | None:
    """The type that the media type names, if the text is that; None where it names none."""
    if media.endswith(("/json", "+json")) or media == "text/javascript":
        return _json(text) or "text"
    if media.endswith(("/xml", "+xml")):
        return "xml" if _is("xml", text) else "text"
    if media in _TABLES:
        return "csv" if _is("csv", text) else "text"
    return None


def _by_look(text: str) -> str:
    found = _json(text)
    if found is not None:
        return found
    if _FLAG.fullmatch(text):
        return "boolean"
    if _NUMBER.fullmatch(text):
        return "number"
    if _XML.match(text) and not _HTML.match(text) and _is("xml", text):
        return "xml"
    return "csv" if _is_table(text) else "text"


def _structure(text: str) -> str | None:
    """``json`` or ``xml`` where a text is that, whatever it is called: many a server calls its JSON ``text/html``."""
    if text.lstrip()[:1] in {"{", "["}:
        return "json" if _json(text) == "json" else None
    return "xml" if _XML.match(text) and not _HTML.match(text) and _is("xml", text) else None


def _json(text: str) -> str | None:
    """``json`` for a JSON document, ``number`` or ``boolean`` for a single one, None for no JSON."""
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    if isinstance(found, bool):
        return "boolean"
    return "number" if isinstance(found, int | float) else "json"


def _is(kind: str, text: str | bytes) -> bool:
    try:
        read_answer(kind, text) if isinstance(text, str) else read_xml(text)
    except UnreadableAnswer:
        return False
    return True


def _is_table(text: str) -> bool:
    """Whether text that nobody calls a table is one: rows of one width below a header that is no sentence."""
    lines = list(itertools.islice((line for line in io.StringIO(text) if line.strip()), _ROWS))
    if len(lines) < 2:
        return False
    for delimiter in ",;\t|":
        try:
            rows = list(csv.reader(lines, delimiter=delimiter, strict=True))
        except csv.Error:
            continue
        widths = {len(row) for row in rows}
        heads = rows[0]
        if len(widths) == 1 and len(heads) > 1 and len(set(heads)) == len(heads) and all(map(_is_heading, heads)):
            return True
    return False


def _is_heading(cell: str) -> bool:
    """Whether a cell can head a column: after a comma in a sentence comes a blank, at its end a stop."""
    return cell.strip() == cell and 0 < len(cell) <= 60 and cell[-1] not in ".!?" and not _NUMBER.fullmatch(cell)
