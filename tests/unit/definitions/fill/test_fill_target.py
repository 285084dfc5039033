"""Paths, URLs, query pairs and headers."""

from collections.abc import Mapping
from typing import Any

import pytest

from tieline.core.errors import HeadersTooLarge, InvalidParameter, UriTooLong
from tieline.definitions.fill.call import compile_call
from tieline.definitions.fill.request import Filled
from tieline.definitions.fill.scope import Surroundings
from tieline.definitions.model import Call
from tieline.definitions.parse import DefinitionError, parse

BASE = "tieline: v1\napi: a\nbase_url: https://a.example/v2\nvariables: {tenant: {default: t}}\n"


def call(text: str) -> Call:
    """The call of a definition."""
    return parse(BASE + f"calls: {{c: {{{text}}}}}\n").calls["c"]


def filled(text: str, given: Mapping[str, Any]) -> Filled:
    """The call, filled, where the variable ``tenant`` is ``a/b c``."""
    return compile_call(call(text), Surroundings({"tenant": "a/b c"})).fill(given)


def test_a_value_is_one_segment_of_a_path() -> None:
    """Its slashes, blanks and letters are percent-encoded."""
    assert filled("path: '/a/<x>/b-<y>', parameters: {x: {}, y: {type: integer}}", {"x": "X/c ü?#%", "y": 5}).path == (
        "/a/X%2Fc%20%C3%BC%3F%23%25/b-5"
    )


def test_a_raw_value_is_a_path_of_its_own() -> None:
    """Slashes stay, what would end the path is refused."""
    raw = "path: '/a/<x>', parameters: {x: {raw: true}}"
    assert filled(raw, {"x": "b/c%20d/"}).path == "/a/b/c%20d/"
    for value in ("../c", "b//c", "%2e%2e/c", "%zz"):
        with pytest.raises(InvalidParameter):
            filled(raw, {"x": value})
    for value in ("b?c", "b#", "b\\c", "a b"):
        with pytest.raises(
            InvalidParameter, match=r"x goes into a path as it is and holds .*; encode or remove it"
        ) as error:
            filled(raw, {"x": value})
        assert error.value.param == "x"


@pytest.mark.parametrize("value", [".", "..", "a/../b", "..;x", "%2e%2e", "\\", "a\nb", "a\x00", "\x7f", "/.."])
def test_a_value_that_servers_could_read_as_another_path_is_refused(value: str) -> None:
    """Whatever would make permissions and upstream disagree."""
    with pytest.raises(InvalidParameter) as caught:
        filled("path: '/a/<x>', parameters: {x: {}}", {"x": value})
    assert caught.value.param == "x"


@pytest.mark.parametrize("path", ["/a/<x>", "/<x>/a", "/a/<x>/b", "/a/<x><y>"])
def test_a_blank_value_leaves_no_segment_empty(path: str) -> None:
    """``/files/<id>`` without an id would be another operation."""
    blank = "{allow_blank: true}"
    given = {"x": "", "y": ""} if "<y>" in path else {"x": ""}
    names = ", ".join(f"{name}: {blank}" for name in given)
    with pytest.raises(
        InvalidParameter, match=r"x is blank and would leave a segment .* empty; give a value\.$"
    ) as caught:
        filled(f"path: '{path}', parameters: {{{names}}}", given)
    assert caught.value.param == "x"
    assert filled("path: '/a-<x>', parameters: {x: {allow_blank: true}}", {"x": ""}).path == "/a-"


def test_the_value_that_leaves_a_segment_empty_is_named() -> None:
    """Of several the one that is blank; a raw one that brings an empty segment along."""
    for text, given, param in (
        ("path: '/a/<x>/<y>', parameters: {x: {}, y: {allow_blank: true}}", {"x": "b", "y": ""}, "y"),
        ("path: '/a/<x>/c', parameters: {x: {raw: true}}", {"x": "b//d"}, "x"),
    ):
        with pytest.raises(InvalidParameter, match=f"^The parameter {param} is blank") as caught:
            filled(text, given)
        assert caught.value.param == param


def test_a_path_may_end_in_a_slash_of_its_own() -> None:
    """Behind a value as elsewhere."""
    assert filled("path: '/a/<x>/', parameters: {x: {}}", {"x": "b"}).path == "/a/b/"


def test_two_dots_from_two_places_do_not_climb() -> None:
    """The path is judged as it is sent."""
    with pytest.raises(InvalidParameter, match=r"^The value of x or y would change the path's shape") as caught:
        filled("path: '/a/<x><y>/b', parameters: {x: {}, y: {}}", {"x": ".", "y": "."})
    assert caught.value.param == "x"
    with pytest.raises(InvalidParameter):
        filled("path: '/a/.<x>', parameters: {x: {}}", {"x": "./b"})


def test_variables_are_encoded_like_values() -> None:
    """In path and query alike."""
    found = filled("path: '/<tenant>?t=<tenant>'", {})
    assert (found.path, found.query) == ("/a%2Fb%20c", b"t=a%2Fb%20c")
    assert filled("url: 'https://a.example/<tenant>'", {}).url == "https://a.example/a%2Fb%20c"


def test_a_request_has_a_path_or_a_url_and_only_what_it_was_given() -> None:
    """Beside the method; variables stand among the call's own values."""
    found = filled("method: DELETE, path: '/<tenant>/<x>', parameters: {x: {}}", {"x": "b"})
    assert (found.method, found.path, found.url) == ("DELETE", "/a%2Fb%20c/b", None)
    assert (found.query, found.headers, found.body) == (b"", [], None)


def test_headers_of_the_greatest_size_are_sent() -> None:
    """32 KiB with their names, and none that are a byte larger."""
    named = "path: /a, parameters: {x: {in: header}}"
    assert filled(named, {"x": "a" * (32 * 1024 - 1)}).headers == [(b"x", b"a" * (32 * 1024 - 1))]
    with pytest.raises(HeadersTooLarge):
        filled(named, {"x": "a" * 32 * 1024})


def test_a_full_url_has_its_host_from_a_value() -> None:
    """A label is a label, a whole host may have dots."""
    text = "url: 'https://<x>.A.example:8443/v/<y>?k=1', parameters: {x: {}, y: {}}"
    found = filled(text, {"x": "Eu1", "y": "a"})
    assert (found.path, found.url, found.query) == (None, "https://eu1.a.example:8443/v/a", b"k=1")
    assert filled("url: 'https://<x>/', parameters: {x: {}}", {"x": "b.example"}).url == "https://b.example/"
    several = filled("url: 'https://<x>.example/A/<x>/b', parameters: {x: {}}", {"x": "c"})
    assert several.url == "https://c.example/A/c/b"
    between = filled("url: 'https://a.<x>.b.<y>.example/', parameters: {x: {}, y: {}}", {"x": "c", "y": "d"})
    assert between.url == "https://a.c.b.d.example/"
    assert filled("url: 'https://<x>:81', parameters: {x: {}}", {"x": "b.example"}).url == "https://b.example:81/"


@pytest.mark.parametrize(
    ("text", "value", "says"),
    [
        ("path: '/<x>'", "a\n", "goes into a path and holds a control character or backslash; remove it"),
        ("path: '/<x>'", "a\\", "goes into a path and holds a control character or backslash; remove it"),
        (
            "url: 'https://<x>.a.example/'",
            "-",
            "goes into a host, which has letters, digits and hyphens; give such a name",
        ),
        ("url: 'https://<x>/'", f"{'a' * 63}.{'b' * 63}.{'c' * 63}.{'d' * 62}", "goes into a host, which has letters"),
    ],
)
def test_a_value_that_does_not_fit_its_place_is_told_so(text: str, value: str, says: str) -> None:
    """By the parameter's name and what to do."""
    with pytest.raises(InvalidParameter) as caught:
        filled(f"{text}, parameters: {{x: {{}}}}", {"x": value})
    assert caught.value.public.startswith(f"The parameter x {says}")
    assert caught.value.param == "x"


def test_a_host_may_be_an_ipv6_address_with_a_port() -> None:
    """The last colon is the port's."""
    text = f"{BASE}hosts: ['[2001:db8::1]', a.example]\ncalls: {{c: {{url: 'http://[2001:db8::1]:81/b'}}}}\n"
    assert compile_call(parse(text).calls["c"]).fill({}).url == "http://[2001:db8::1]:81/b"


def test_a_host_of_the_greatest_length_is_taken() -> None:
    """253 characters (RFC 1035, section 2.3.4)."""
    host = f"{'a' * 63}.{'b' * 63}.{'c' * 63}.{'d' * 61}"
    assert filled("url: 'https://<x>/', parameters: {x: {}}", {"x": host}).url == f"https://{host}/"


@pytest.mark.parametrize(
    "value", ["a.b", "a@b", "a/b", "a:80", "-a", "a\n", "a#", "ä", "[::1]", "a?b", "%61", "a" * 64]
)
def test_a_value_cannot_leave_its_label(value: str) -> None:
    """Nothing that ends a host or names another."""
    with pytest.raises(InvalidParameter):
        filled("url: 'https://<x>.a.example/', parameters: {x: {}}", {"x": value})


@pytest.mark.parametrize("value", ["evil.example/x", "u@evil.example", "a..b", "evil.example:1", ".a", "a b"])
def test_a_value_that_is_the_host_is_no_more_than_that(value: str) -> None:
    """The credential's hosts are checked by the data plane."""
    with pytest.raises(InvalidParameter):
        filled("url: 'https://<x>/', parameters: {x: {}}", {"x": value})


def test_query_pairs_keep_their_order_and_encoding() -> None:
    """Those of the path as written, then those of ``query``, then parameters under their own names."""
    pairs = "path: '/a?one=a%20b&flag&two=x<x>', query: [{name: 'n m', value: 'é <x>'}]"
    text = f"{pairs}, parameters: {{x: {{}}, z: {{in: query}}}}"
    found = filled(text, {"x": "1&2", "z": "="})
    assert found.query == b"one=a%20b&flag&two=x1%262&n%20m=%C3%A9%201%262&z=%3D"


def test_an_optional_value_takes_its_pair_and_header_along() -> None:
    """The others stay."""
    text = (
        "path: '/a?k=1&o=<o>', query: [{name: p, value: 'a <o>'}], headers: [{name: X-O, value: 'o <o>'}], "
        "parameters: {o: {optional: true}, h: {in: header, optional: true}, q: {in: query}}"
    )
    assert (filled(text, {"q": "b"}).query, filled(text, {"q": "b"}).headers) == (b"k=1&q=b", [])
    found = filled(text, {"q": "b", "o": "c", "h": "d"})
    assert found.query == b"k=1&o=c&p=a%20c&q=b"
    assert found.headers == [(b"X-O", b"o c"), (b"h", b"d")]


def test_a_header_without_a_value_is_sent_as_it_is_written() -> None:
    """Its name in the case of the definition."""
    assert filled("path: /a, headers: [{name: X-A, value: 'v=1, w'}]", {}).headers == [(b"X-A", b"v=1, w")]


def test_a_slash_in_a_query_is_encoded_where_it_is_meant_as_text() -> None:
    """In names and values of ``query``; the path's own query is sent as it is written."""
    found = filled("path: '/a?p=q/r', query: [{name: 'a/X', value: 'b/<x>/X'}], parameters: {x: {}}", {"x": "c/d"})
    assert found.query == b"p=q/r&a%2FX=b%2Fc%2Fd%2FX"


def test_headers_hold_latin_1_without_control_characters() -> None:
    """One byte for each character, as fetch sends them."""
    header = "path: /a, headers: [{name: X-A, value: 'v=<x>;'}], parameters: {x: {allow_blank: true}}"
    assert filled(header, {"x": "caf\u00e9\t!"}).headers == [(b"X-A", b"v=caf\xe9\t!;")]
    for value in ("a\r\nX-B: c", "\n", "\x00", "\x7f", "\x85", "€", "\u2028"):
        with pytest.raises(InvalidParameter, match=r"^The parameter x goes into a header") as caught:
            filled(header, {"x": value})
        assert caught.value.param == "x"


def test_each_pair_of_a_query_is_counted_once() -> None:
    """Two that are below the bound together are sent."""
    half = "a" * 30_000
    found = filled("path: /a, parameters: {x: {in: query}, y: {in: query}}", {"x": half, "y": half})
    assert found.query == f"x={half}&y={half}".encode()


def test_a_path_of_the_greatest_length_is_sent() -> None:
    """64 KiB, and none that is a byte longer."""
    assert filled("path: '/<x>', parameters: {x: {}}", {"x": "a" * (64 * 1024 - 1)}).path == "/" + "a" * 65_535
    with pytest.raises(UriTooLong):
        filled("path: '/<x>', parameters: {x: {}}", {"x": "a" * 64 * 1024})


def test_a_header_does_not_begin_or_end_with_a_blank() -> None:
    """A reader would cut it off; other white space stays as it is."""
    named = "path: /a, parameters: {x: {in: header}}"
    for value in (" a", "a\t"):
        with pytest.raises(InvalidParameter) as caught:
            filled(named, {"x": value})
        assert caught.value.public == ("The parameter x makes a header's value begin or end with a blank; remove it.")
        assert caught.value.param == "x"
    for value in ("\xa0a\xa0", "X a X"):
        assert filled(named, {"x": value}).headers == [(b"x", value.encode("latin-1"))]


def test_sizes_are_bounded_before_anything_is_copied() -> None:
    """A long value in many slots does not fill the memory."""
    big = "a" * 1_000_000
    many = "<x>" * 2000
    with pytest.raises(UriTooLong):
        filled(f"path: '/{many}', parameters: {{x: {{}}}}", {"x": big})
    with pytest.raises(UriTooLong):
        filled(f"path: /a, query: [{{name: q, value: '{many}'}}], parameters: {{x: {{}}}}", {"x": big})
    with pytest.raises(HeadersTooLarge):
        filled(f"path: /a, headers: [{{name: X-A, value: '{many}'}}], parameters: {{x: {{}}}}", {"x": big})
    with pytest.raises(UriTooLong):
        filled("path: '/<x><x>', parameters: {x: {}}", {"x": "a" * 40_000})
    with pytest.raises(UriTooLong):
        filled("path: /a, parameters: {x: {in: query}, y: {in: query}}", {"x": "a" * 40_000, "y": "a" * 40_000})
    with pytest.raises(HeadersTooLarge):
        filled("path: /a, headers: [{name: X-A, value: '<x><x>'}], parameters: {x: {}}", {"x": "a" * 20_000})
    with pytest.raises(HeadersTooLarge):
        filled("path: /a, parameters: {x: {in: header}, y: {in: header}}", {"x": "a" * 30_000, "y": "a" * 30_000})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("path: '/<x>', parameters: {x: {optional: true}}", "<x> stands in the path, which is never left out"),
        ("url: 'https://<x>.a.example/', parameters: {x: {optional: true}}", "stands in the host, which is never"),
        ("path: '/a?<x>=1', parameters: {x: {}}", "not in its name"),
        ("path: '/<x>', method: POST, body: {type: multipart}, parameters: {x: {type: file}}", "<x> cannot stand here"),
        ("path: /a, method: POST, body: {type: json}, parameters: {Content-Type: {in: header}}", "is no name"),
        ("path: '/<x>', parameters: {x: {pattern: '(a)\\1'}}", "RE2 reads"),
    ],
)
def test_what_cannot_be_filled_is_refused_when_it_is_read(text: str, expected: str) -> None:
    """Not when a caller comes."""
    with pytest.raises(DefinitionError, match=expected):
        call(text)


def test_a_slot_that_nothing_stands_behind_is_refused() -> None:
    """Neither a parameter nor a variable of the API as it is set up here."""
    with pytest.raises(ValueError, match="<tenant> is no parameter of this call and no variable"):
        compile_call(call("path: '/a/<tenant>'"))


def test_what_the_scheme_sets_cannot_be_set_by_a_call() -> None:
    """Neither as a header nor as a query pair, however it is written."""
    around = Surroundings(headers=frozenset({"authorization"}), query=frozenset({"key"}))
    for text in (
        "path: /a, headers: [{name: Authorization, value: 'Bearer <x>'}], parameters: {x: {}}",
        "path: /a, parameters: {AUTHORIZATION: {in: header}}",
        "path: '/a?%6bey=1'",
        "path: '/a?key=b=1'",
        "path: /a, query: [{name: key, value: '<x>'}], parameters: {x: {}}",
        "path: /a, parameters: {key: {in: query}}",
    ):
        with pytest.raises(ValueError, match=r"^the (header authorization|query pair key) is set by the API's auth"):
            compile_call(call(text), around)
    compile_call(call("path: /a, parameters: {other: {in: header}}"), around)
