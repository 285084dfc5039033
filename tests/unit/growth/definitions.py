"""Rows: what operators write, and what is learnt of an upstream's answers."""

from typing import Any

from tests.unit.growth.row import Rows, tolerant
from tieline.core.urls import base_url, canonical_host, full_url
from tieline.definitions import template
from tieline.definitions.check import check
from tieline.definitions.environment import StoredDefinition
from tieline.definitions.fill.json_text import read_parameters, write_json
from tieline.definitions.fill.values import coerce_text
from tieline.definitions.infer.answers import read_answer
from tieline.definitions.infer.detect import detect
from tieline.definitions.infer.drift import Watch
from tieline.definitions.infer.embedded import read as read_embedded
from tieline.definitions.infer.links import next_link
from tieline.definitions.infer.markup import read_xml
from tieline.definitions.infer.media import kind_of_answer
from tieline.definitions.infer.page_fields import list_of_items, page_members, says_more
from tieline.definitions.infer.samples import sample_of
from tieline.definitions.infer.shape import shape
from tieline.definitions.infer.table import read_csv
from tieline.definitions.model import Field
from tieline.definitions.parse import parse, parse_data, to_json
from tieline.definitions.problems import DefinitionError
from tieline.definitions.stored_calls import StoredText, write
from tieline.definitions.values import header_value
from tieline.schemes.registry import SCHEMES

HEAD = "tieline: v1\napi: a\nbase_url: https://a.example\n"
CALL = parse(HEAD + "calls: {c: {path: /x, parameters: {a: {in: query, type: list, optional: true}}}}").calls["c"]
FIELDS = [Field(path="[].a", type="text"), Field(path="[].b", type="number")]


def calls(count: int) -> str:
    """A definition with ``count`` calls."""
    call = "{path: '/x/<a>', method: POST, parameters: {a: {}, b: {in: query}}, body: {type: json, template: {t: <a>}}}"
    return HEAD + "calls:\n" + "".join(f"  c{number}: {call}\n" for number in range(count))


def nested(depth: int) -> Any:
    """Data as deep as it may be."""
    return {"k": nested(depth - 1)} if depth else "<a>"


def stored(count: int) -> str:
    """A definition with ``count`` calls, as it is stored."""
    return write(to_json(parse(calls(count))))


def with_header(value: str) -> dict[str, Any]:
    """A definition that shares a header of this value."""
    return {
        "tieline": "v1",
        "api": "a",
        "base_url": "https://a.example",
        "variables": {"a": {"default": "b"}},
        "headers": [{"name": "X-A", "value": value}],
    }


def objects(count: int) -> list[dict[str, Any]]:
    """As many objects in a list."""
    return [{"a": str(number), "b": "1.5", "c": [number]} for number in range(count)]


ROWS: Rows = {
    "template: slots": (template.parse, lambda size: "<a>" * size),
    "template: names": (template.parse, lambda size: "".join(f"<a{number}>" for number in range(size))),
    "template: marks": (template.parse, lambda size: "<" * size),
    "template: backslashes": (template.parse, lambda size: "\\" * size),
    "template: escapes": (template.parse, lambda size: "\\<" * size),
    "template: text to escape": (template.escape, lambda size: "\\" * size + "<"),
    "template: names in data": (template.names_in, lambda size: [nested(20)] * size),
    "template: slots to replace": (
        lambda text: template.replace_slots(text, {"a": "x"}.get), lambda size: "<a> \\<b> " * size
    ),
    "definition: a header with slots": (parse_data, lambda size: with_header("<a>v0x" * size)),
    "definition: calls": (lambda text: parse(text, schemes=SCHEMES), lambda size: calls(size // 10)),
    "definition: calls to check": (check, lambda size: calls(size // 10)),
    "definition: stored text": (StoredText, lambda size: stored(size // 10)),
    "definition: a stored head": (
        lambda text: StoredDefinition(text).in_environment("live"), lambda size: stored(size // 10)
    ),
    "definition: brackets": (check, lambda size: "a: " + "[" * size),
    "definition: mistakes": (check, lambda size: HEAD + "".join(f"k{number}: 1\n" for number in range(size))),
    "definition: tabs": (check, lambda size: HEAD + "k:\n" + "\t" * size),
    "definition: no YAML": (tolerant(parse, DefinitionError), lambda size: HEAD + "'" * size),
    "definition: a header's value": (header_value, lambda size: "a" * size),
    "URL: a base": (tolerant(base_url), lambda size: "https://" + "a." * 100 + "b/" + "x/" * size),
    "URL: a query": (tolerant(full_url), lambda size: "https://a.example/?" + "a=b&" * size),
    "URL: a host": (tolerant(canonical_host), lambda size: "a." * size),
    "parameters: members": (tolerant(read_parameters, Exception), lambda size: b'{"a":{%b"z":1}}' % (b'"k":1,' * size)),
    "parameters: values": (read_parameters, lambda size: b'{"a":[%b1]}' % (b"1.5," * size)),
    "parameters: depth": (tolerant(read_parameters, Exception), lambda size: b'{"a":' + b"[" * size),
    "parameters: written": (write_json, lambda size: [{"a": 10**30, "b": "x"}] * size),
    "parameters: pairs": (lambda pairs: coerce_text(CALL, pairs), lambda size: [("a", "x")] * size),
    "answer: items": (detect, lambda size: [{"id": number, "tags": ["a"]} for number in range(size)]),
    "answer: members": (detect, lambda size: {f"name {number}": [number] for number in range(size)}),
    "answer: values of a map": (detect, lambda size: {str(number): {"x": number} for number in range(size)}),
    "answer: objects that share no names": (detect, lambda size: [{f"k{number}": 1} for number in range(size)]),
    "answer: lists in lists": (detect, lambda size: [[[number]] for number in range(size)]),
    "answer: JSON in text": (detect, lambda size: ['{"a": {"b": 1}}'] * size),
    "answer: in its shape": (lambda document: shape(document, FIELDS, "drop"), objects),
    "answer: drift": (Watch(FIELDS).look, lambda size: [{"a": 1, f"n{number}": 1} for number in range(size)]),
    "answer: a sample": (sample_of, lambda size: "x@y.example " * size),
    "answer: its kind": (kind_of_answer, lambda size: b"a,b\n" * size),
    "answer: a number": (tolerant(lambda text: read_answer("number", text)), lambda size: "1" * size),
    "answer: a model's ticks": (read_embedded, lambda size: "So: " + "`" * size),
    "answer: a model's blocks": (read_embedded, lambda size: "So:\n" + '```json\n{"a": 1}\n' * size),
    "pages: holders of members": (says_more, lambda size: {"meta": {f"k{number}": {} for number in range(size)}}),
    "pages: names of members": (
        lambda document: page_members(document, {"next"}), lambda size: {f"n.e.x.t.{each}": 1 for each in range(size)}
    ),
    "pages: lists": (list_of_items, lambda size: {f"k{number}": [1] for number in range(size)}),
    "links": (lambda text: next_link([text]), lambda size: "<a>; rel=prev, " * size),
    "links: parameters": (lambda text: next_link([text]), lambda size: "<a>" + ";x=y" * size),
    "links: quotes": (lambda text: next_link([text]), lambda size: '<a>;x="' * size),
    "CSV: a header of one name": (read_csv, lambda size: "a," * size + "a\n"),
    "CSV: rows": (read_csv, lambda size: "a,b\n" * size),
    "CSV: quotes": (tolerant(read_csv), lambda size: '"a\n' * size),
    "XML: elements": (read_xml, lambda size: "<r>" + '<a b="1">x</a>' * size + "</r>"),
    "XML: text in pieces": (read_xml, lambda size: "<r>" + "x&lt;" * size + "</r>"),
    "XML: depth": (tolerant(read_xml), lambda size: "<a>" * size),
}  # fmt: skip
