"""Which paths may be sent, and how they may be read."""

import pytest

from tieline.access.paths import check, normal, readings
from tieline.core.errors import InvalidRequest


@pytest.mark.parametrize(
    "path",
    [
        b"",
        b"/",
        b"/v1/files",
        b"/v1/files/",
        b"/files/file-AbC_1.~",
        b"/models/ft:gpt-4.1:org::id",
        b"/a;x=1/b",
        b"/a%2Fb",
        b"/%C3%A4",
        b"/.well-known/x",
        b"/...",
        b"/a..b/..c/d..",
        b'/a/{id}|^`"<>[]',
        b"/100%25",
        b"/a@b!$&'()*+,=",
        b"/a;v=../b",
    ],
)
def test_an_ordinary_path_passes_and_is_its_normal_form(path: bytes) -> None:
    """Nothing is copied where nothing has to change."""
    check(path)
    assert normal(path) is path


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"//", b"/"),
        (b"/a//b///c", b"/a/b/c"),
        (b"//a", b"/a"),
        (b"/a//", b"/a/"),
        (b"/%63hat/%63%6F%6d", b"/chat/com"),
        (b"/%7e%2D%5f", b"/~-_"),
        (b"/a%2fb%c3%a4", b"/a%2Fb%C3%A4"),
        (b"/a%3ab", b"/a%3Ab"),
    ],
)
def test_the_normal_form_is_that_of_the_standard(path: bytes, expected: bytes) -> None:
    """RFC 3986: unreserved characters decoded, capital hex; and single slashes."""
    check(path)
    assert normal(path) == expected


@pytest.mark.parametrize(
    "path",
    [
        b"a",
        b"*",
        b"http://x/a",
        b"/a b",
        b"/a\x00",
        b"/a\nb",
        b"/a\x7f",
        b"/\xc3\xa4",
        b"/a\\b",
        b"/a?b",
        b"/a#b",
        b"/%",
        b"/%4",
        b"/%zz",
        b"/%%41",
        b"/%00",
        b"/%0a",
        b"/%1F",
        b"/%7f",
        b"/%5c",
        b"/%5C..%5Ca",
        b"/%c0%af",
        b"/%C1%9C",
        b"/%E0%80%AF",
        b"/%F0%80%80%AF",
        b"/.",
        b"/..",
        b"/a/.",
        b"/./a",
        b"/a/../b",
        b"/a//../b",
        b"/a/%2e/b",
        b"/a/%2E%2e/b",
        b"/a/.%2e/b",
        b"/a/../..",
        b"/%2e%2e/a",
        b"/a/..;/b",
        b"/a/..;x=1/b",
        b"/a/.;/b",
        b"/a/..;x;y/b",
        b"/a/..%2fb",
        b"/a/..%2F",
        b"/a%2f..",
        b"/a%2F..%2Fb",
        b"/a/%2F./b",
        b"/a/..%3Bx/b",
        b"/a/%252e%252e/b",
        b"/a/%252E./b",
        b"/a/%25252e%25252e/b",
        b"/%2525%32%65/",
        b"/a/%25%2532%65%252e/b",
        b"/a/..%255Cb",
    ],
)
def test_what_two_servers_could_read_differently_is_refused(path: bytes) -> None:
    """Refused, not repaired, with a text that says what to do."""
    with pytest.raises(InvalidRequest) as caught:
        check(path)
    assert caught.value.public.count(".") >= 1


@pytest.mark.parametrize(
    "path", [b"/t1/../t2/secret", b"/a/./b", b"/..", b"/a/%2e%2e/b", b"/a%2F..%2Fb", b"/a%5Cb", b"/a%00%0A", b"/..;/a"]
)
def test_an_api_that_takes_paths_literally_gets_them_literally(path: bytes) -> None:
    """An object store's keys may hold dot segments and any character."""
    check(path, literal=True)
    with pytest.raises(InvalidRequest):
        check(path)


@pytest.mark.parametrize("path", [b"a", b"/a b", b"/a\x00", b"/\xc3\xa4", b"/a\\b", b"/a?b", b"/a#b", b"/%zz"])
def test_what_is_no_path_is_refused_where_paths_are_literal_too(path: bytes) -> None:
    """What could end the request line, or is no percent-encoding."""
    with pytest.raises(InvalidRequest):
        check(path, literal=True)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"/a/b", [b"/a/b"]),
        (b"/a%20b", [b"/a%20b"]),
        (b"/a//b", [b"/a//b", b"/a/b"]),
        (b"//h/b", [b"//h/b", b"/b", b"/h/b"]),
        (b"//h", [b"//h", b"/", b"/h"]),
        (b"//h//x", [b"//h//x", b"//x", b"/h/x", b"/x"]),
        (b"/%61%2fb", [b"/%61%2fb", b"/a%2Fb", b"/a/b"]),
        (b"/a%2Fb", [b"/a%2Fb", b"/a/b"]),
        (b"/a%2F%2Fb/", [b"/a%2F%2Fb/", b"/a//b/", b"/a/b/"]),
        (b"/a%3Ab", [b"/a%3Ab", b"/a:b"]),
        (b"/a;x=1/b", [b"/a;x=1/b", b"/a/b"]),
        (b"/;x/b", [b"/;x/b", b"//b", b"/", b"/b"]),
        (b"/a%3Bx/b", [b"/a%3Bx/b", b"/a;x/b", b"/a/b"]),
        (b"/a%2Fb;x", [b"/a%2Fb;x", b"/a/b;x", b"/a%2Fb", b"/a/b"]),
        (b"/a%252Fb", [b"/a%252Fb"]),
    ],
)
def test_a_path_has_every_reading_an_upstream_may_take(path: bytes, expected: list[bytes]) -> None:
    """Escapes undone, parameters dropped, slashes merged, a host taken off, and several of these."""
    assert list(readings(path)) == expected
    assert readings(path)[0] is path
