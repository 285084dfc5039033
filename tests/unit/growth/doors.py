"""Rows: what clients and upstreams send, from the first byte of a head to the last of a body."""

import zlib
from functools import partial
from typing import Any

from tests.unit.growth.row import Rows, repeated, tolerant
from tests.unit.wire.test_request_parser import parsed
from tieline.access import paths
from tieline.access.keyplaces import KeyPlaces, find
from tieline.access.overrides import check_override
from tieline.controlplane.returning import with_outcome
from tieline.core.dates import date_of
from tieline.core.errors import TielineError
from tieline.core.json_size import size_of
from tieline.dataplane.answers.charset import charset_of, text_of
from tieline.dataplane.answers.closing_event import ClosingEvent
from tieline.dataplane.answers.content_coding import Inflate, codings
from tieline.dataplane.answers.error_text import extract_error
from tieline.dataplane.answers.error_word import error_word
from tieline.dataplane.answers.exact_json import is_json, read_json, write_json
from tieline.dataplane.answers.json_parts import write_in_parts
from tieline.dataplane.answers.large_json import check_large_json, read_large_json
from tieline.dataplane.answers.mask import Mask, StreamMask, plain
from tieline.dataplane.answers.pieces_mask import mask_pieces
from tieline.dataplane.attempt.model_list import check_body, check_target, only_allowed
from tieline.dataplane.attempt.retry import retry_after
from tieline.definitions.json_parts import release
from tieline.metering.asked_forms import asked_in_body_of_form
from tieline.metering.named_models import in_message
from tieline.web.api.etags import revisions
from tieline.web.api.payload import wants_json
from tieline.web.gate import host_name
from tieline.web.json_bounds import has_too_many_members
from tieline.web.metrics import wants_openmetrics
from tieline.wire import framing
from tieline.wire.frames import FrameReader
from tieline.wire.multipart import FormReader, boundary_of
from tieline.wire.proxies import TrustedProxies

SECRET = b"sk-" + b"not-a-real-key"
MASK = Mask([SECRET])
PROXIES = TrustedProxies(["127.0.0.1", "10.0.0.0/8"])
REFUSED = Exception  # each reader has refusals of its own


def form(body: bytes, step: int = 1 << 20) -> None:
    """A form that comes in pieces."""
    reader = FormReader(b"edge")
    for at in range(0, len(body), step):
        reader.feed(body[at : at + step])


def keyed(headers: Any = (), query: bytes = b"") -> Any:
    """The app key of a request."""
    return find(headers, query, KeyPlaces(cookies=frozenset({b"a"})))


def masked(pieces: list[bytes]) -> None:
    """A body that is masked piece by piece."""
    stream = StreamMask([SECRET])
    for piece in pieces:
        stream.feed(piece, last=False)


def texts_masked(body: bytes) -> Any:
    """The texts of a stream's events, masked as one."""
    return mask_pieces(body, [SECRET], whole=False)


def models_of(kind: bytes) -> Any:
    """The models that a body names, held to a list."""
    fields = [(b"content-type", kind)]
    return tolerant(lambda body: check_body(["a"], (b"POST", b"/completions", b"", fields), body), TielineError)


def counted(many: int) -> bytes:
    """Bytes that no compressor makes much smaller."""
    return b"".join(each.to_bytes(4, "big") for each in range(many))


def inflated(body: bytes) -> bytes:
    """A coded body undone."""
    return Inflate(1 << 30).feed(body)


def trusted(value: bytes) -> Any:
    """Who is behind proxies."""
    return PROXIES.client("127.0.0.1", [(b"forwarded", value), (b"x-forwarded-for", value)]), PROXIES.address(
        "127.0.0.1", [(b"forwarded", value)]
    )


def in_charset(name: str) -> Any:
    """Reads text of this charset."""
    return lambda body: text_of(body, name)


def error(content_type: bytes) -> Any:
    """Reads an error of this type."""
    return lambda body: extract_error(content_type, body)


def frames(data: bytes, step: int = 1 << 20, *, masked: bool = True) -> None:
    """One direction of a WebSocket, in pieces."""
    reader = FrameReader(masked=masked, most=1 << 20)
    for at in range(0, len(data), step):
        for _ in reader.feed(data[at : at + step]):
            pass


def message(data: bytes) -> Any:
    """The models that a message names."""
    return in_message(data, is_text=True)


PAIRS = b"application/x-www-form-urlencoded"
FORM_ASKED = partial(asked_in_body_of_form, b"multipart/form-data; boundary=edge")
PART = b"--edge\r\nContent-Disposition: form-data; name="
GET = b"GET / HTTP/1.1\r\nHost: h\r\n"
ROWS: Rows = {
    "request: fields": (tolerant(parsed, REFUSED), lambda n: GET + b"a: b\r\n" * (n // 4) + b"\r\n"),
    "request: requests": (tolerant(parsed, REFUSED), lambda n: (GET + b"\r\n") * n),
    "request: chunks": (tolerant(parsed, REFUSED), lambda n: b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked"
        b"\r\n\r\n" + b"1\r\nx\r\n" * n),
    "request: pieces": (
        lambda data: parsed(*[data[at : at + 1] for at in range(len(data))]), lambda n: (GET + b"\r\n") * (n // 10)
    ),
    "framing: a target": (framing.is_target, lambda n: b"/a%20" * n),
    "framing: an authority": (framing.is_authority, lambda n: b"a." * n),
    "framing: fields": (framing.are_fields, lambda n: [(b"a", b"b")] * n),
    "framing: names of connections": (framing.named_by_connection, lambda n: b"a, " * n),
    "path: dots": (tolerant(paths.check, REFUSED), lambda n: b"/.." * n),
    "path: escapes": (tolerant(paths.readings, REFUSED), lambda n: b"/%252e" * n),
    "path: normal": (paths.normal, lambda n: b"/a%41" * n),
    "key: pairs of a query": (tolerant(lambda query: keyed((), query), REFUSED), lambda n: b"key=tl_%25&" * n),
    "key: cookies": (tolerant(lambda value: keyed([(b"Cookie", value)]), REFUSED), lambda n: b"a=tl_; " * n),
    "key: protocols": (
        tolerant(lambda value: keyed([(b"Sec-WebSocket-Protocol", value)]), REFUSED), lambda n: b"tl_, " * n
    ),
    "key: fields": (tolerant(keyed, REFUSED), lambda n: [(b"X-A", b"tl_")] * n),
    "overrides: pairs": (tolerant(lambda query: check_override((), query), REFUSED), lambda n: b"_method%=GET&" * n),
    "proxies: a chain": (trusted, lambda n: b"for=10.0.0.1;proto=http, " * n),
    "proxies: quotes": (trusted, lambda n: b'for="\\' * n),
    "Accept": (wants_json, lambda n: "a/b;q=0.1, " * n),
    "If-Match": (tolerant(revisions, REFUSED), lambda n: '"r1", ' * n),
    "Host": (tolerant(host_name), lambda n: "a." * n),
    "a way back": (lambda url: with_outcome(url, connected=True), lambda n: "https://a/?" + "a=b&" * n),
    "admin: members": (has_too_many_members, lambda n: b"{" + b'"a":1,' * n),
    "form: fields": (tolerant(form, REFUSED), lambda n: (PART + b'"a"\r\n\r\nx\r\n') * n),
    "form: a field in pieces": (lambda body: form(body, 1), lambda n: PART + b'"a"\r\n\r\n' + b"x" * n),
    "form: edges": (tolerant(form, REFUSED), lambda n: PART + b'"a"\r\n\r\n' + b"\r\n--edg" * n),
    "form: a header in pieces": (tolerant(lambda body: form(body, 1), REFUSED), lambda n: PART + b'"' + b"x" * n),
    "form: its boundary": (tolerant(boundary_of, REFUSED), lambda n: b"multipart/form-data" + b';a="' * n),
    "Retry-After": (lambda value: retry_after([(b"retry-after", value)]), lambda n: b"9" * n),
    "a date": (date_of, lambda n: "Sun, 06 Nov 1994 " * n),
    "charset: parameters": (charset_of, lambda n: b"a/b" + b";charset" * n),
    **{
        f"charset: {name}": (in_charset(name), lambda n: b"a0-" * n)
        for name in ("utf-8", "utf-16", "utf-7", "punycode", "idna", "unicode_escape", "shift_jis", "hex")
    },
    "coding: names": (lambda value: codings([(b"content-encoding", value)]), lambda n: b"gzip, " * n),
    "coding: members": (inflated, lambda n: zlib.compress(bytes(range(256)) * 32, 0, 31) * (n // 4)),
    "coding: text": (inflated, lambda n: zlib.compress(counted(n * 500), wbits=31)),
    "JSON: its size": (size_of, lambda n: '{"a":"\\\\\\"",' * n),
    "JSON: numbers": (tolerant(read_json), lambda n: b"[" + b"1e400," * n + b"1]"),
    "JSON: whether it is": (is_json, lambda n: b"[" * n),
    "JSON: exact": (write_json, lambda n: read_json(b"[" + b"1.50," * n + b"1]")),
    "large JSON: lists": (tolerant(read_large_json), lambda n: b"[" + b"[]," * n * 500 + b"1]"),
    "large JSON: rows": (check_large_json, lambda n: b"[" + b'{"a":"},","b":[1]},' * n * 80 + b"1]"),
    "large JSON: strange rows": (check_large_json, lambda n: b"[" + b'["[", {"a": "{"}] , ' * n * 10 + b"1]"),
    "large JSON: a text": (read_large_json, lambda n: b'["' + b"\\ud83d\\ude00" * n * 1600 + b'"]'),
    "large JSON: blanks": (read_large_json, lambda n: b"[" + b" " * n * 20_000 + b"1]"),
    "large JSON: backslashes without end": (tolerant(read_large_json), lambda n: b'["' + b"\\\\" * n * 10_000),
    "large JSON: depth": (tolerant(read_large_json), lambda n: b'{"a":' * n * 4000),
    "large JSON: written": (write_in_parts, lambda n: [[{"a": ["x" * 1000]}] * 9, "y" * 300_000] * (n // 40)),
    "large JSON: written deep": (write_in_parts, lambda n: [[[["x" * 3000] * 30]]] * (n // 4)),
    "large JSON: freed": (lambda n: release([[[{}], {"a": [1]}] for _ in range(n)]), lambda n: n),
    "models: members": (models_of(b"a/json"), lambda n: b'{"a":[%b1]}' % (b'{"model":"a"},' * n)),
    "models: lists": (models_of(b"a/json"), lambda n: b'{"a":' + b"[" * n),
    "models: fields": (
        models_of(b"multipart/form-data; boundary=edge"), lambda n: (PART + b'"model"\r\n\r\na\r\n') * n
    ),
    "models: pairs": (models_of(b"application/x-www-form-urlencoded"), lambda n: b"model=a&" * n),
    "models: a large message": (
        tolerant(message), lambda n: b'{"a":[%b1]}' % (b'{"b":"a","":["\\""]},' * n * 100)
    ),
    "models: a large message's names": (tolerant(message), lambda n: b'"' + b'\\"model\\":' * n * 200 + b'"'),
    "frames: fragments": (frames, lambda n: b"\x01\x80keys" + b"\x00\x81keysx" * n),
    "frames: pings in a message": (frames, lambda n: b"\x01\x80keys" + b"\x89\x81keysx" * n),
    "frames: messages": (frames, lambda n: b"\x81\x81keysx" * n),
    "frames: a payload in pieces": (
        lambda data: frames(data, 1), lambda n: b"\x81\xff" + (1 << 40).to_bytes(8) + b"keys" + b"x" * n
    ),
    "frames: of a server": (lambda data: frames(data, 1, masked=False), lambda n: b"\x82\x01x" * n),
    "budget: fields": (FORM_ASKED, lambda n: (PART + b'"n[]"\r\n\r\na\r\n') * n + b"--edge--\r\n"),
    "budget: names in a file": (FORM_ASKED, lambda n: PART + b'"a"\r\n\r\n' + b'name="n";' * n + b"\r\n--edge--\r\n"),
    "budget: pairs": (lambda body: asked_in_body_of_form(PAIRS, body), lambda n: b"n=1&" * n),
    "models: of a path": (
        tolerant(lambda path: check_target(["a"], path, path), TielineError), lambda n: b"/models/a" * n
    ),
    "models: a list": (lambda body: only_allowed(["a"], (), body), lambda n: b'{"data":[%b1]}' % (b'{"id":"a"},' * n)),
    "an error's word": (error_word, lambda n: b'"code": "error", <Code>' * n),
    "a closing event": (lambda data: ClosingEvent().feed(data, last=False), lambda n: b"event: message\ndata: [" * n),
    "Accept: of metrics": (wants_openmetrics, lambda n: "text/plain;q=0.1;," * n),
    "mask: escapes": (plain, lambda n: b"\\u0041%2541&amp;#65;" * n),
    "mask: backslashes": (plain, lambda n: b"\\" * n * 3000),
    "mask: percents": (plain, lambda n: b"%" + b"25" * n * 3000),
    "mask: JSON": (MASK.json, lambda n: b'["%b"%b]' % (SECRET.replace(b"-", b"\\u002d"), b',"\\n"' * n)),
    "mask: pieces": (masked, lambda n: [SECRET[:-1]] * n),
    "mask: bytes": (masked, lambda n: [b"s"] * n),
    "mask: texts of events": (texts_masked, lambda n: b'data: {"t":"a\\n"}\n\n' * n),
    "mask: lines of events": (texts_masked, lambda n: b"data: s\n" * n),
    "mask: a text without end": (texts_masked, lambda n: b'"' + b'\\"' * n),
    **{
        f"error: {name}": (error(content_type), repeated(piece))
        for name, content_type, piece in (
            ("tags", b"text/html", b"<a<b"),
            ("scripts", b"text/html", b"<script>"),
            ("titles", b"text/html", b"<title>x"),
            ("cdata", b"text/xml", b"<![CDATA[x"),
            ("messages", b"text/xml", b"<message>"),
            ("attributes", b"text/xml", b'<e code="'),
            ("entities", b"text/html", b"&amp"),
            ("pairs", b"text/plain", b"error=1&"),
            ("events", b"text/plain", b"data: {\n"),
            ("objects", b"application/json", b'{"error":'),
            ("blanks", b"text/plain", b" \t"),
        )
    },
}  # fmt: skip
