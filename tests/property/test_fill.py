"""No parameter's value changes the structure of what is sent; each comes out of an independent parser as it was.

A value is either refused, for the one reason that the place has, or read back exactly.
"""

import email.parser
import email.policy
import http.client
import io
import json
import re
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from python_multipart.multipart import Field, File, create_form_parser

from tieline.access import paths
from tieline.core.errors import InvalidParameter
from tieline.definitions.fill.call import CompiledCall, compile_call
from tieline.definitions.fill.json_text import read_json, write_json
from tieline.definitions.fill.pattern import Pattern
from tieline.definitions.fill.request import FilePart, FilledBody
from tieline.definitions.fill.values import coerce_text
from tieline.definitions.parse import parse

NASTY = [
    '"', "'", "\\", '\\"', "\r\n", "\n", "\r", "\t", "\x00", "\x0b", "\x1b", "\x7f", "\x85", "\u2028", "\ufeff",
    "\ud800", "\udfff", "\U0001f600", "é", "€", "&", "<", ">", "</a>", "]]>", "<!--", "-->", "<![CDATA[", "&lt;",
    "%", "%00", "%2e", "%2F", "+", " ", "=", ";", "?", "#", "/", "//", "..", ".", ":", "@", ",", "{", "}", "[", "]",
    '","admin":true,"', "\r\nX-Evil: 1", "\r\n--", "--", 'Content-Disposition: form-data; name="evil"', "$",
    "\ufffe", "&#0;", "<x>",
]  # fmt: skip
TEXT = st.one_of(
    st.lists(st.sampled_from(NASTY), max_size=8).map("".join),
    st.text(st.characters(exclude_categories=()), max_size=30),
    st.text(max_size=30),
)
NUMBERS = st.one_of(
    st.integers(),
    st.integers(-(10**60), 10**60),
    st.floats(allow_nan=False, allow_infinity=False),
    st.decimals(allow_nan=False, allow_infinity=False),
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda below: st.lists(below, max_size=4) | st.dictionaries(TEXT, below, max_size=4),
    max_leaves=10,
)
BASE = "tieline: v1\napi: a\nbase_url: https://a.example/v2\n"
BLANK = "allow_blank: true"


def compiled(text: str) -> CompiledCall:
    """The call of a definition."""
    return compile_call(parse(BASE + f"calls: {{c: {{{text}}}}}\n").calls["c"])


def is_whole(value: Any) -> bool:
    """Whether no text in ``value`` holds half a character."""
    if isinstance(value, str):
        return re.search("[\ud800-\udfff]", value) is None
    if isinstance(value, dict):
        return all(is_whole(key) and is_whole(item) for key, item in value.items())
    return all(map(is_whole, value)) if isinstance(value, list) else True


def content(body: FilledBody | None) -> bytes:
    """The bytes of a body without files."""
    assert body is not None
    assert body.content is not None
    assert body.length == len(body.content)
    return body.content


def exact(value: Any) -> Any:
    """A JSON value in a form that is equal only for the very same value."""
    if isinstance(value, bool | str) or value is None:
        return value
    if isinstance(value, int | float | Decimal):
        return (Decimal, Decimal(repr(value) if isinstance(value, float) else value))
    if isinstance(value, dict):
        return {key: exact(item) for key, item in value.items()}
    return [exact(item) for item in value]


def pairs_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object that names no member twice."""
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def read(text: bytes) -> Any:
    """JSON as Python's own parser reads it, numbers exact."""
    return json.loads(text.decode(), parse_float=Decimal, object_pairs_hook=pairs_of)


JSON_CALL = compiled(
    "path: /a, method: POST, parameters: {x: {allow_blank: true}, v: {type: json}, n: {type: number}, "
    "k: {allow_blank: true}}, body: {type: json, template: "
    '{whole: "<x>", inside: "a\\"<x><n>", list: ["<v>", {v: "<v>"}, "<n>"], "key <k>": "<v> <n>", last: true}}'
)


@given(TEXT, VALUES, NUMBERS, TEXT)
def test_a_json_body_keeps_its_structure(x: str, v: Any, n: Any, k: str) -> None:
    """Text, typed values, text inside text, keys."""
    values = {"x": x, "v": v, "n": n, "k": k}
    if not is_whole([x, v, k]):
        with pytest.raises(InvalidParameter):
            JSON_CALL.fill(values)
        return
    found = read(content(JSON_CALL.fill(values).body))
    number = write_json(n).decode()
    inside = found.pop(f"key {k}")
    assert exact(found) == exact(
        {"whole": x, "inside": f'a"{x}{number}', "list": [v, {"v": v}, n], "last": True},
    )
    assert inside.endswith(f" {number}")
    before = inside.removesuffix(f" {number}")
    assert before == v if isinstance(v, str) else exact(read(before.encode())) == exact(v)


@given(VALUES)
def test_json_is_written_and_read_exactly(value: Any) -> None:
    """By our own reader and by Python's."""
    if is_whole(value):
        assert exact(read_json(write_json(value).decode())) == exact(read(write_json(value))) == exact(value)


GRAPHQL_CALL = compiled(
    "path: /a, method: POST, parameters: {x: {allow_blank: true}, v: {type: json, in: body}}, "
    "body: {type: graphql, query: 'query($x: String) { f(x: $x) }', variables: {x: '<x>', y: 'y<x>'}}"
)


@given(TEXT, VALUES)
def test_a_graphql_body_keeps_its_document(x: str, v: Any) -> None:
    """Values are in the variables and nowhere else."""
    if not is_whole([x, v]):
        with pytest.raises(InvalidParameter):
            GRAPHQL_CALL.fill({"x": x, "v": v})
        return
    found = read(content(GRAPHQL_CALL.fill({"x": x, "v": v}).body))
    assert found["query"] == "query($x: String) { f(x: $x) }"
    assert exact(found["variables"]) == exact({"x": x, "y": "y" + x, "v": v})
    assert len(found) == 2


FORM_CALL = compiled(
    "path: '/a?p=<x>&q=1', method: POST, query: [{name: 'r s', value: 'é<x>&'}], "
    "parameters: {x: {allow_blank: true}, y: {allow_blank: true, in: query}, l: {type: list}}, "
    "body: {type: form, fields: [{name: 'a&b', value: '<x>'}, {name: c, value: '=<x>'}, {name: l, value: '<l>'}]}"
)


@given(TEXT, TEXT, st.lists(TEXT, max_size=4))
def test_forms_and_queries_keep_their_pairs(x: str, y: str, items: list[str]) -> None:
    """Every pair comes back, in order."""
    values = {"x": x, "y": y, "l": items}
    if not is_whole([x, y, items]):
        with pytest.raises(InvalidParameter):
            FORM_CALL.fill(values)
        return
    found = FORM_CALL.fill(values)
    pairs = parse_qsl(content(found.body).decode("ascii"), keep_blank_values=True, errors="strict")
    assert pairs == [("a&b", x), ("c", "=" + x), *(("l", item) for item in items)]
    query = urlsplit("https://a.example/?" + found.query.decode("ascii")).query
    assert parse_qsl(query, keep_blank_values=True, errors="strict") == [
        ("p", x),
        ("q", "1"),
        ("r s", f"é{x}&"),
        ("y", y),
    ]


PATH_CALL = compiled("path: '/a/<x>/b-<x>', parameters: {x: {allow_blank: true}}")
URL_CALL = compiled("url: 'https://a.example/v/<x>/b', parameters: {x: {allow_blank: true}}")
REFUSED_IN_PATH = re.compile(r"[\x00-\x1f\x7f\\\ud800-\udfff]|^$|^\.\.?$")


@given(TEXT)
def test_a_path_keeps_its_segments(x: str) -> None:
    """A value is one segment and comes back from it; permissions are decided on the very path that is sent."""
    try:
        found = PATH_CALL.fill({"x": x})
    except InvalidParameter:
        segments = re.split(r"[/\\]", unquote(unquote(unquote(x))))
        climbs = {".", ".."} & {segment.split(";")[0] for segment in segments}
        assert REFUSED_IN_PATH.search(x) or climbs or "%" in x
        return
    assert REFUSED_IN_PATH.search(x) is None
    assert found.path is not None
    paths.check(found.path.encode("ascii"))
    url = urlsplit("https://a.example" + found.path)
    assert (url.netloc, url.query, url.fragment) == ("a.example", "", "")
    assert [unquote(segment, errors="strict") for segment in url.path.split("/")] == ["", "a", x, "b-" + x]
    assert URL_CALL.fill({"x": x}).url == f"https://a.example/v{found.path.removeprefix('/a').rpartition('/')[0]}/b"


HOST_CALL = compiled("url: 'https://<x>.a.example:8443/v?q=1', parameters: {x: {allow_blank: true}}")


@given(TEXT | st.from_regex(r"[A-Za-z0-9.-]{1,70}", fullmatch=True))
def test_a_host_keeps_its_labels(x: str) -> None:
    """A value is one label."""
    fits = re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?", x) is not None
    if not fits:
        with pytest.raises(InvalidParameter):
            HOST_CALL.fill({"x": x})
        return
    url = urlsplit(HOST_CALL.fill({"x": x}).url or "")
    assert (url.hostname, url.port, url.path, url.username) == (f"{x.lower()}.a.example", 8443, "/v", None)


HEADER_CALL = compiled(
    "path: /a, headers: [{name: X-A, value: 'v=<x>;'}, {name: X-B, value: after}], "
    "parameters: {x: {allow_blank: true}, y: {in: header, allow_blank: true}}"
)


@given(TEXT | st.text(st.characters(codec="latin-1")), TEXT | st.text(st.characters(codec="latin-1")))
def test_headers_keep_their_lines(x: str, y: str) -> None:
    """A value is one line of Latin-1 and comes back from it."""
    fits = re.fullmatch("[\t\x20-\x7e\xa0-\xff]*", x + y) is not None and y == y.strip(" \t")
    if not fits:
        with pytest.raises(InvalidParameter):
            HEADER_CALL.fill({"x": x, "y": y})
        return
    lines = b"".join(b"%b: %b\r\n" % pair for pair in HEADER_CALL.fill({"x": x, "y": y}).headers)
    found = http.client.parse_headers(io.BytesIO(lines + b"\r\n"))
    assert found.items() == [("X-A", f"v={x};"), ("X-B", "after"), ("y", y)]


XML_CALL = compiled(
    "path: /a, method: POST, parameters: {x: {allow_blank: true}, v: {type: json}}, body: {type: xml, template: "
    + json.dumps("""<?xml version="1.0"?>\\<a>\\<b><x></b><c k="1 <x>" l='<x>'>t <x> <v></c></a>""")
    + "}"
)
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@given(TEXT, VALUES)
def test_xml_keeps_its_elements(x: str, v: Any) -> None:
    """Text and attributes come back exactly, white space too."""
    shown = v if isinstance(v, str) else write_json(v).decode() if is_whole(v) else "\ud800"
    if NOT_XML.search(x + shown) is not None:
        with pytest.raises(InvalidParameter):
            XML_CALL.fill({"x": x, "v": v})
        return
    root = ET.fromstring(content(XML_CALL.fill({"x": x, "v": v}).body))  # noqa: S314 - made here
    assert [element.tag for element in root.iter()] == ["a", "b", "c"]
    assert (root[0].text or "", root[1].text) == (x, f"t {x} {shown}")
    assert root[1].attrib == {"k": f"1 {x}", "l": x}
    assert root[0].attrib == {}


MULTIPART_CALL = compiled(
    "path: /a, method: POST, parameters: {x: {allow_blank: true}, l: {type: list}, u: {type: file}}, "
    "body: {type: multipart, fields: [{name: a, value: '<x>'}, {name: 'b \"c', value: 'v<x>'}, "
    "{name: f, value: '<u>'}, {name: l, value: '<l>'}]}"
)


def names_by_email(content_type: bytes, body: bytes) -> list[str]:
    """The name of each part as Python's e-mail parser reads it."""
    head = b"Content-Type: " + content_type + b"\r\n\r\n"
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
    assert message.is_multipart()
    assert message.defects == []
    return [str(part.get_param("name", header="content-disposition")) for part in message.iter_parts()]


def parts_by_multipart(content_type: bytes, body: bytes) -> list[tuple[bytes, bytes | None, bytes]]:
    """The same as the parser of most Python web servers reads them, in order of fields and files."""
    found: list[tuple[bytes, bytes | None, bytes]] = []

    def on_field(field: Field) -> None:
        found.append((field.field_name or b"", None, field.value or b""))

    def on_file(file: File) -> None:
        file.file_object.seek(0)
        found.append((file.field_name or b"", file.file_name, file.file_object.read()))

    parser = create_form_parser({"Content-Type": content_type}, on_field, on_file)
    parser.write(body)
    parser.finalize()
    parser.close()
    return found


@given(TEXT, st.lists(TEXT, max_size=3), TEXT, st.binary(max_size=60))
def test_multipart_keeps_its_parts(x: str, items: list[str], filename: str, data: bytes) -> None:
    """Fields, list items and files come back; a file's name loses its folders, and its quotes as browsers do it."""
    file = FilePart("u", filename, "", len(data))
    base = re.split(r"[/\\]", filename)[-1] or "file"
    if not is_whole([x, items, base]) or re.search(r"[\x00-\x1f\x7f]", base) or len(base) > 255:
        with pytest.raises(InvalidParameter):
            MULTIPART_CALL.fill({"x": x, "l": items}, {}, {"u": file})
        return
    body = MULTIPART_CALL.fill({"x": x, "l": items}, {}, {"u": file}).body
    assert body is not None
    sent = b"".join(piece if isinstance(piece, bytes) else data for piece in body.pieces)
    assert body.length == len(sent)
    name = base.replace('"', "%22")
    expected = [
        (b"a", None, x.encode()),
        (b"b %22c", None, b"v" + x.encode()),
        (b"f", name.encode(), data),
        *((b"l", None, item.encode()) for item in items),
    ]
    assert parts_by_multipart(body.content_type, sent) == expected
    assert names_by_email(body.content_type, sent) == [part[0].decode() for part in expected]


@pytest.mark.parametrize("text", [shape.format(each) for each in NASTY for shape in ("{}", "a{}b")] + ["{}", "a{}b"])
def test_every_nasty_text_in_every_place(text: str) -> None:
    """What is worth an attack is tried each time, not by chance."""
    checks: list[tuple[Any, tuple[Any, ...]]] = [
        (test_a_json_body_keeps_its_structure, (text, {text: [text]}, 1.5, text)),
        (test_a_graphql_body_keeps_its_document, (text, text)),
        (test_forms_and_queries_keep_their_pairs, (text, text, [text, ""])),
        (test_a_path_keeps_its_segments, (text,)),
        (test_a_host_keeps_its_labels, (text,)),
        (test_headers_keep_their_lines, (text, "")),
        (test_headers_keep_their_lines, ("", text)),
        (test_xml_keeps_its_elements, (text, [text])),
        (test_multipart_keeps_its_parts, (text, [text], text, text.encode(errors="replace"))),
    ]
    for check, values in checks:
        check.hypothesis.inner_test(*values)


TYPED = parse(
    BASE
    + "calls: {c: {path: /a, parameters: {t: {in: query, allow_blank: true}, n: {in: query, type: number}, "
    + "v: {in: query, type: json}, l: {in: query, type: list}}}}"
).calls["c"]


@given(TEXT.filter(is_whole), NUMBERS, VALUES.filter(is_whole), st.lists(VALUES.filter(is_whole), max_size=3))
def test_values_written_as_text_are_read_back(t: str, n: Any, v: Any, items: list[Any]) -> None:
    """What a GET call's query string says is what a JSON object of parameters would have said."""
    texts = {"t": t, **{name: write_json(value).decode() for name, value in (("n", n), ("v", v), ("l", items))}}
    assert exact(coerce_text(TYPED, texts.items())) == exact({"t": t, "n": n, "v": v, "l": items})


@given(VALUES)
def test_any_value_for_any_type_is_taken_or_refused(value: Any) -> None:
    """Nothing else escapes."""
    for kind in ("text", "number", "integer", "boolean", "date", "datetime", "json", "list", "object"):
        parameter = f"{{type: {kind}, optional: true, in: body}}"
        found = compiled(f"path: /a, method: POST, parameters: {{x: {parameter}}}, body: {{type: json}}")
        try:
            sent = read(content(found.fill({"x": value}).body))
        except InvalidParameter:
            continue
        if value not in (None, "") or kind == "json":
            assert exact(sent["x"]) == exact(value)


PATTERNS = st.recursive(
    st.sampled_from(["a", "b", ".", "[ab]", "[^a]", r"\d", r"\w", "", "^", "$", "(?i:B)"]),
    lambda below: st.one_of(
        st.tuples(below, below).map("".join),
        st.tuples(below, below).map(lambda pair: f"(?:{pair[0]}|{pair[1]})"),
        st.tuples(below, st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "*?", "{0,2}?"])).map(
            lambda pair: f"(?:{pair[0]}){pair[1]}"
        ),
    ),
    max_leaves=6,
)


@given(PATTERNS, st.text("abB1\n", max_size=8))
def test_patterns_mean_what_re_means(pattern: str, text: str) -> None:
    """For texts on which ``re`` comes to an end; ``$`` before a last line break is the one difference."""
    if "$" not in pattern or not text.endswith("\n"):
        assert Pattern(pattern).matches(text) == (re.fullmatch(pattern, text) is not None)
