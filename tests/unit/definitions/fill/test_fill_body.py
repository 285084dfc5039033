"""Bodies of every type: what goes where, what is left out, what is refused."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from tieline.core.errors import BodyTooLarge, InvalidParameter
from tieline.definitions.fill.call import compile_call
from tieline.definitions.fill.request import FilePart, FilledBody
from tieline.definitions.fill.scope import BODY_MOST, Member, Surroundings
from tieline.definitions.model import Call, SharedParameter
from tieline.definitions.parse import DefinitionError, parse

BASE = "tieline: v1\napi: a\nbase_url: https://a.example/v2\nvariables: {tenant: {default: t}}\n"
SHARED = Surroundings(
    {"tenant": 'a "b"'},
    (
        Member(SharedParameter("account", "body", None, private=True), "sk-sandbox-account"),
        Member(SharedParameter("only", "body", "o", when="/b*"), "o"),
    ),
)


def call(body: str, parameters: str = "") -> Call:
    """A call with a body."""
    text = f"calls: {{c: {{path: /a, method: POST, parameters: {{{parameters}}}, body: {body}}}}}\n"
    return parse(BASE + text).calls["c"]


def made(
    body: str,
    parameters: str,
    given: Mapping[str, Any],
    files: Mapping[str, FilePart] | None = None,
    around: Surroundings | None = None,
) -> FilledBody | None:
    """The body that the call makes."""
    compiled = compile_call(call(body, parameters), around or Surroundings({"tenant": "t"}))
    return compiled.fill(given, {}, files or {}).body


def text(
    body: str, parameters: str, given: Mapping[str, Any], around: Surroundings | None = None
) -> tuple[bytes, str] | None:
    """Content type and text of a body without files."""
    found = made(body, parameters, given, None, around)
    if found is None:
        return None
    assert found.content is not None
    assert found.length == len(found.content)
    return found.content_type, found.content.decode()


def test_a_json_text_that_is_a_slot_has_the_values_type() -> None:
    """Inside a longer text, and in a key, the value is text."""
    body = '{type: json, template: {a: "<x>", b: ["<n>", "n=<n>"], c: "t:<x>", "<k>": "<l>", d: "<o>", e: "<b>"}}'
    parameters = "x: {}, n: {type: number}, k: {}, l: {type: list}, o: {type: json}, b: {type: boolean}"
    given = {"x": '"\n', "n": Decimal("1.10"), "k": 'k"', "l": [1, None], "o": {"y": 2**80}, "b": True}
    assert text(body, parameters, given) == (
        b"application/json",
        r'{"a":"\"\n","b":[1.10,"n=1.10"],"c":"t:\"\n","k\"":[1,null],"d":{"y":1208925819614629174706176},"e":true}',
    )


@pytest.mark.parametrize("template", ["<x>", "a <x>"])
def test_a_value_that_json_cannot_write_is_told_by_its_name(template: str) -> None:
    """As a value of its own, and inside a text."""
    with pytest.raises(InvalidParameter, match=r"^The parameter x holds half a character") as caught:
        text(f"{{type: json, template: {{a: '{template}'}}}}", "x: {type: list}", {"x": ["\ud800"]})
    assert caught.value.param == "x"


def test_a_json_template_without_slots_is_sent_as_it_is() -> None:
    """Numbers, flags, nothing, escaped slots."""
    body = r'{type: json, content_type: application/vnd.a+json, template: [1, 2.5, true, null, "\\<x>", {}, []]}'
    assert text(body, "", {}) == (b"application/vnd.a+json", '[1,2.5,true,null,"<x>",{},[]]')


def test_an_optional_value_takes_its_member_or_item_along() -> None:
    """Wherever it stands; what is around it stays."""
    body = '{type: json, template: {a: "<x>", b: {c: "<x>", d: 1}, e: ["<x>", "y <x>", 2], "<x>": 3, f: {g: "<x>"}}}'
    assert text(body, "x: {optional: true}", {}) == (b"application/json", '{"b":{"d":1},"e":[2],"f":{}}')
    whole = '{type: json, template: "<x>"}'
    assert text(whole, "x: {optional: true}", {}) is None
    assert text(whole, "x: {optional: true}", {"x": "v"}) == (b"application/json", '"v"')
    found = text(body, "x: {optional: true}", {"x": "v"})
    assert found is not None
    assert json.loads(found[1]) == {
        "a": "v",
        "b": {"c": "v", "d": 1},
        "e": ["v", "y v", 2],
        "v": 3,
        "f": {"g": "v"},
    }


def test_parameters_in_the_body_are_members_under_their_own_names() -> None:
    """After those of the template; optional ones only where they are given."""
    parameters = "x: {in: body}, y: {in: body, optional: true, type: integer}"
    assert text("{type: json, template: {a: 1}}", parameters, {"x": "v"}) == (b"application/json", '{"a":1,"x":"v"}')
    assert text("{type: json}", parameters, {"x": "v", "y": 1}) == (b"application/json", '{"x":"v","y":1}')
    assert text("{type: form}", parameters, {"x": "v w"}) == (b"application/x-www-form-urlencoded", "x=v+w")


def test_a_key_from_a_value_cannot_take_the_place_of_another() -> None:
    """Two equal keys would be read as one, and which one nobody says."""
    body = '{type: json, template: {"<x>": 1, admin: false, "<y>": 2}}'
    with pytest.raises(InvalidParameter, match=r"^The parameter x names a member .* there already; give another\.$"):
        text(body, "x: {}, y: {}", {"x": "admin", "y": "z"})
    with pytest.raises(InvalidParameter, match=r"^The parameter x names a member .* there already; give another\.$"):
        text(body, "x: {}, y: {}", {"x": "z", "y": "z"})
    with pytest.raises(InvalidParameter, match="there already"):
        text('{type: json, template: {"<x>": 1, admin: false}}', "x: {}", {"x": "admin"})


def test_shared_values_join_bodies_that_have_members() -> None:
    """The call's own member of that name wins; ``when`` holds."""
    assert text("{type: json}", "", {}, SHARED) == (b"application/json", '{"account":"sk-sandbox-account"}')
    assert text("{type: json, template: {account: mine}}", "", {}, SHARED) == (
        b"application/json",
        '{"account":"mine"}',
    )
    assert text("{type: form, fields: [{name: a, value: '<tenant>'}]}", "", {}, SHARED) == (
        b"application/x-www-form-urlencoded",
        "a=a+%22b%22&account=sk-sandbox-account",
    )
    assert text("{type: json, template: ['<tenant>']}", "", {}, SHARED) == (b"application/json", r'["a \"b\""]')


@pytest.mark.parametrize(
    ("where", "members"),
    [
        ("path: /a", {"account": "sk-sandbox-account"}),
        ("path: /b", {"account": "sk-sandbox-account", "only": "o"}),
        ("url: 'https://a.example/b'", {"account": "sk-sandbox-account"}),
    ],
)
def test_a_shared_value_says_which_paths_it_is_for(where: str, members: dict[str, str]) -> None:
    """A URL of a call's own is below none: what is for some paths is not for it."""
    found = parse(BASE + f"calls: {{c: {{{where}, method: POST, body: {{type: json}}}}}}\n").calls["c"]
    body = compile_call(found, SHARED).fill({}).body
    assert body is not None
    assert body.content is not None
    assert json.loads(body.content) == members


def test_graphql_sends_document_variables_and_operation() -> None:
    """The document is fixed, the variables are a template."""
    body = "{type: graphql, query: 'query Q($a: Int) { f(a: $a) { <x> } }', variables: {a: '<n>'}, operation_name: Q}"
    found = text(body, "n: {type: integer}, m: {in: body, optional: true}", {"n": 3, "m": "x"})
    assert found is not None
    assert json.loads(found[1]) == {
        "query": "query Q($a: Int) { f(a: $a) { <x> } }",
        "operationName": "Q",
        "variables": {"a": 3, "m": "x"},
    }


def test_graphql_without_variables_sends_none() -> None:
    """The member is left out."""
    assert text("{type: graphql, query: '{ f }'}", "", {}) == (b"application/json", '{"query":"{ f }"}')


@pytest.mark.parametrize(
    ("template", "given", "made"),
    [
        (r"<r v='1'>\<a><o><b w='1'/>end</a></r>", {}, "<r v='1'></r>"),
        (r"<r v='1'>\<a><b w='1'/>end <o></a></r>", {}, "<r v='1'></r>"),
        (r"<r v='1'>\<a><o> <p></a></r>", {"p": "1"}, "<r v='1'></r>"),
        (r"<r v='1'>\<a><o> <p></a></r>", {"p": "1", "o": "2"}, "<r v='1'><a>2 1</a></r>"),
        (r"<r v='1'><d w='1'/><o></r>", {}, None),
        (r"<r v='1'><d w='1'/><o></r>", {"o": "2"}, "<r v='1'><d w='1'/>2</r>"),
    ],
)
def test_an_optional_value_takes_the_xml_element_along_whose_text_it_is_in(
    template: str, given: dict[str, str], made: str | None
) -> None:
    """Whatever else stands in the element, before or behind; of several values each is needed."""
    parameters = ", ".join(f"{name}: {{optional: true}}" for name in "op" if f"<{name}>" in template)
    found = text(f"{{type: xml, template: {json.dumps(template)}}}", parameters, given)
    assert found == (None if made is None else (b"application/xml", made))


def test_xml_values_are_escaped_where_they_stand() -> None:
    """In text and in attributes; optional ones take element or attribute along."""
    template = r"""<?xml version="1.0"?><!-- c --><a x='1' y="<o>">\<b><x>\</b>\<c><o></c><d z='<x>'/></a>"""
    body = f"{{type: xml, template: {json.dumps(template)}}}"
    parameters = "x: {allow_blank: true}, o: {optional: true}"
    start = """<?xml version="1.0"?><!-- c --><a x='1'"""
    escaped, quoted = "&lt;&amp;&gt;\"'\n&#13;", "&lt;&amp;&gt;&quot;&apos;&#10;&#13;"
    without = f"{start}><b>{escaped}</b><d z='{quoted}'/></a>"
    assert text(body, parameters, {"x": "<&>\"'\n\r"}) == (b"application/xml", without)
    with_both = f"{start} y=\"v\"><b></b><c>v</c><d z=''/></a>"
    assert text(body, parameters, {"x": "", "o": "v"}) == (b"application/xml", with_both)


def test_an_optional_value_in_the_root_takes_the_whole_document_along() -> None:
    """There is no document without a root."""
    body = r"{type: xml, template: '\<a><x></a>'}"
    assert text(body, "x: {optional: true}", {}) is None
    assert text(body, "x: {optional: true}", {"x": "v"}) == (b"application/xml", "<a>v</a>")


def test_characters_that_xml_does_not_have_are_refused() -> None:
    """There is no way to write them."""
    for value in ("\x00", "\x0b", "\ufffe", "\x1b"):
        with pytest.raises(InvalidParameter, match=r"^The parameter x goes into XML .* remove it\.$"):
            text(r"{type: xml, template: '\<a><x></a>'}", "x: {}", {"x": value})


def test_a_file_is_a_reference_between_bytes() -> None:
    """It never comes into memory; the length is known where its size is."""
    body = (
        "{type: multipart, fields: [{name: 'a\"b', value: 'v <x>'}, {name: f, value: '<u>'}, {name: l, value: '<l>'}]}"
    )
    file = FilePart("u", 'C:\\dir\\na"me é.png', "image/png", 200 * 1024**2)
    found = made(body, "x: {}, u: {type: file}, l: {type: list}", {"x": "1", "l": ["p", 2]}, {"u": file})
    assert found is not None
    before, middle, after = found.pieces
    assert isinstance(before, bytes)
    assert isinstance(after, bytes)
    boundary = found.content_type.removeprefix(b"multipart/form-data; boundary=")
    assert before == (
        b'--%b\r\nContent-Disposition: form-data; name="a%%22b"\r\n\r\nv 1\r\n--%b\r\nContent-Disposition: form-data; '
        b'name="f"; filename="na%%22me \xc3\xa9.png"\r\nContent-Type: image/png\r\n\r\n' % (boundary, boundary)
    )
    assert middle is file
    assert after.count(b'name="l"') == 2
    assert after.endswith(b"\r\n--%b--\r\n" % boundary)
    assert found.length == len(before) + 200 * 1024**2 + len(after)
    assert found.files == (file,)
    assert found.content is None


def test_a_file_of_unknown_size_leaves_the_length_open() -> None:
    """The body is then sent in chunks."""
    raw = "{type: raw, content_type: image/png, template: '<u>'}"
    found = made(raw, "u: {type: file}", {}, {"u": FilePart("u")})
    assert found == FilledBody(b"image/png", (FilePart("u"),), None)
    assert made(raw, "u: {type: file, optional: true}", {}) is None


def test_a_definition_says_a_files_name_and_type() -> None:
    """Over what the caller said; an optional file takes its part along."""
    body = (
        "{type: multipart, fields: [{name: f, value: '<u>', filename: a.bin, content_type: a/b}, {name: g, value: h}]}"
    )
    found = made(body, "u: {type: file, optional: true}", {}, {"u": FilePart("u", "x", "bad type\r\n", 1)})
    assert found is not None
    assert isinstance(found.pieces[0], bytes)
    assert b'filename="a.bin"\r\nContent-Type: a/b\r\n' in found.pieces[0]
    left = made(body, "u: {type: file, optional: true}", {})
    assert left is not None
    assert left.content is not None
    assert b'name="f"' not in left.content


@pytest.mark.parametrize(
    ("file", "problem"),
    [
        (FilePart("u", "a\r\nb.png"), "has a file name with control characters or more than 255; rename it"),
        (FilePart("u", "a\x00"), "has a file name with control characters or more than 255; rename it"),
        (FilePart("u", "\ud800"), "has a file name with half a character (a lone surrogate); rename it"),
        (FilePart("u", "a" * 256), "has a file name with control characters or more than 255; rename it"),
        (FilePart("u", "a", "text/plain\r\nX: y"), "has a content type that is no media type; write it like image/png"),
        (FilePart("u", "a", "png"), "has a content type that is no media type; write it like image/png"),
    ],
)
def test_a_files_name_and_type_cannot_add_lines(file: FilePart, problem: str) -> None:
    """They come from the caller, too, who is told which file it is."""
    with pytest.raises(InvalidParameter) as caught:
        made("{type: multipart}", "u: {type: file, in: body}", {}, {"u": file})
    assert (caught.value.public, caught.value.param) == (f"The parameter u {problem}.", "u")


@pytest.mark.parametrize(
    ("field", "head"),
    [
        ("{name: f, value: v, filename: 'a\\b.txt'}", b'name="f"; filename="a%5Cb.txt"\r\n\r\nv\r\n'),
        ("{name: f, value: v, content_type: a/b}", b'name="f"\r\nContent-Type: a/b\r\n\r\nv\r\n'),
        ("{name: f, value: v}", b'name="f"\r\n\r\nv\r\n'),
    ],
)
def test_a_part_that_is_no_file_may_have_a_files_name_and_type(field: str, head: bytes) -> None:
    """As a definition says them."""
    found = made(f"{{type: multipart, fields: [{field}]}}", "", {})
    assert found is not None
    assert found.content is not None
    assert head in found.content


def test_a_file_whose_type_nobody_says_is_bytes() -> None:
    """And one without a name is called file; the longest name is taken."""
    for name, sent in (("", b"file"), ("a" * 255, b"a" * 255)):
        found = made("{type: multipart}", "u: {type: file, in: body}", {}, {"u": FilePart("u", name)})
        assert found is not None
        assert isinstance(found.pieces[0], bytes)
        assert found.pieces[0].endswith(b'filename="%b"\r\nContent-Type: application/octet-stream\r\n\r\n' % sent)


def test_the_parts_of_a_body_are_bounded_together() -> None:
    """16 MiB with their heads, however many they are."""
    body = "{type: multipart, fields: [{name: a, value: '<x>'}, {name: b, value: '<y>'}]}"
    heads = len(b'Content-Disposition: form-data; name="a"\r\n\r\n') * 2
    given = {"x": "a" * (BODY_MOST // 2), "y": "a" * (BODY_MOST - BODY_MOST // 2 - heads)}
    assert made(body, "x: {}, y: {}", given) is not None
    for name, value in given.items():
        with pytest.raises(BodyTooLarge):
            made(body, "x: {}, y: {}", given | {name: value + "a"})


def test_a_raw_body_is_text_as_it_is() -> None:
    """An optional value within it is empty, as the whole it takes the body along."""
    body = "{type: raw, content_type: text/csv, template: 'a,<x>'}"
    assert text(body, "x: {}", {"x": '"\n'}) == (b"text/csv", 'a,"\n')
    assert text(body, "x: {optional: true}", {}) == (b"text/csv", "a,")
    whole = "{type: raw, content_type: text/csv, template: '<x>'}"
    assert text(whole, "x: {optional: true}", {}) is None
    assert text(whole, "x: {optional: true}", {"x": "v"}) == (b"text/csv", "v")


def test_a_raw_body_of_the_greatest_length_is_sent() -> None:
    """And none that is a byte longer."""
    raw = "{type: raw, content_type: text/csv, template: '<x>'}"
    found = made(raw, "x: {}", {"x": "a" * BODY_MOST})
    assert found is not None
    assert found.length == BODY_MOST
    with pytest.raises(BodyTooLarge):
        made(raw, "x: {}", {"x": "a" * (BODY_MOST + 1)})


def test_a_body_is_bounded_before_it_is_copied() -> None:
    """16 MiB besides files, however often a long value is used."""
    slots = "<x>" * 40
    for body in (
        f"{{type: json, template: ['{slots}']}}",
        f"{{type: json, template: {{'{slots}': 1}}}}",
        f"{{type: form, fields: [{{name: a, value: '{slots}'}}]}}",
        f"{{type: multipart, fields: [{{name: a, value: '{slots}'}}]}}",
        f"{{type: raw, content_type: text/plain, template: '{slots}'}}",
        f"{{type: xml, template: '\\<a>{slots}</a>'}}",
    ):
        with pytest.raises(BodyTooLarge):
            text(body, "x: {}", {"x": "a" * 500_000})


@pytest.mark.parametrize(
    ("body", "parameters", "expected"),
    [
        (r"{type: xml, template: '\<a><x>'}", "x: {}", "not well-formed"),
        (r"{type: xml, template: '<a b=\"1\"><x></c>'}", "x: {}", "not well-formed"),
        (r"{type: xml, template: '\<a><!-- <x> --></a>'}", "x: {}", "<x> stands in .* only text and attributes"),
        (r"{type: xml, template: '\<q:a><x></q:a>'}", "x: {}", "unbound prefix"),
        (r"{type: xml, template: '\<a><![CDATA[<x>]]></a>'}", "x: {}", "only text and attributes"),
        (r"{type: xml, template: '<?p <x>?>\<a></a>'}", "x: {}", "only text and attributes"),
        (r"{type: xml, template: '\<<x>></a>'}", "x: {}", "not well-formed"),
        (r"{type: xml, template: '\<a <x>=\"1\"/>'}", "x: {}", "not well-formed"),
        (r"{type: xml, template: '<!DOCTYPE a [<!ENTITY e \"<x>\">]>\<a>&e;</a>'}", "x: {}", "document type"),
        (r"{type: xml, template: '<?xml version=\"1.1\"?>\<a><x></a>'}", "x: {}", "another version"),
        (r"{type: xml, template: '<?xml version=\"1.0\" encoding=\"latin1\"?>\<a><x></a>'}", "x: {}", "encoding"),
        ("{type: json, template: ['<x>'], content_type: application/json; charset=latin-1}", "x: {}", "sent in UTF-8"),
        ("{type: xml, template: '\\<a>\U000f0001<x></a>'}", "x: {}", "private-use"),
        (f"{{type: xml, template: '\\<a>{'<x>' * 70_000}</a>'}}", "x: {}", "too many slots"),
        ("{type: json, template: {x: 1}}", "x: {in: body}", "adds another"),
        ("{type: form, fields: [{name: a, value: '<u>'}]}", "u: {type: file}", "multipart"),
        ('{type: raw, content_type: application/json, template: \'{"a": "<x>"}\'}', "x: {}", "escapes nothing"),
        (
            "{type: raw, content_type: application/soap+xml; charset=utf-8, template: 'a<x>'}",
            "x: {}",
            "escapes nothing",
        ),
        ("{type: multipart, fields: [{name: a, value: 'x <u>'}]}", "u: {type: file}", "part of its own"),
        ("{type: multipart, fields: [{name: a, value: '<u>'}, {name: b, value: '<u>'}]}", "u: {type: file}", "twice"),
        ("{type: multipart, fields: [{name: 'a\\', value: b}]}", "", "backslash"),
    ],
)
def test_a_body_that_cannot_be_filled_is_refused_when_it_is_read(body: str, parameters: str, expected: str) -> None:
    """No value could change its structure later."""
    with pytest.raises(DefinitionError, match=expected):
        call(body.replace('\\"', '"'), parameters)
