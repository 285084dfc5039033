"""Normal form and readings of paths."""

import pytest

from tieline.access.paths import normalise, readings
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
def test_a_normal_path_stays_the_same_object(path: bytes) -> None:
    """Nothing is copied where nothing has to change."""
    assert normalise(path) is path


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"//", b"/"),
        (b"/a//b///c", b"/a/b/c"),
        (b"//a", b"/a"),
        (b"/a//", b"/a/"),
        (b"/./a/./b", b"/a/b"),
        (b"/a/b/../c", b"/a/c"),
        (b"/a/b/..", b"/a/"),
        (b"/a/.", b"/a/"),
        (b"/a/..", b"/"),
        (b"/.", b"/"),
        (b"/a/../", b"/"),
        (b"/%63hat/%63%6F%6d", b"/chat/com"),
        (b"/%7e%2D%2e%5f", b"/~-._"),
        (b"/a/%2e%2E/b", b"/b"),
        (b"/a/%2e/b", b"/a/b"),
        (b"/a%2fb%c3%a4", b"/a%2Fb%C3%A4"),
        (b"/a%3ab", b"/a%3Ab"),
        (b"/a/..//../b/../c", None),
        (b"/x/a/..//b/../c", b"/x/c"),
    ],
)
def test_other_forms_become_the_normal_one(path: bytes, expected: bytes | None) -> None:
    """RFC 3986: unreserved characters decoded, capital hex, no dot segments, single slashes."""
    if expected is None:
        with pytest.raises(InvalidRequest):
            normalise(path)
    else:
        assert normalise(path) == expected


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
        b"/..",
        b"/a/../..",
        b"/%2e%2e/a",
        b"/a/..;/b",
        b"/a/..;x=1/b",
        b"/a/.;/b",
        b"/a/..%2fb",
        b"/a/..%2F",
        b"/a%2f..",
        b"/a%2F..%2Fb",
        b"/a/%2F./b",
        b"/a/..%3Bx/b",
        b"/a/%252e%252e/b",
        b"/a/%252E./b",
        b"/a/%25252e%25252e/b",
        b"/a/..%255Cb",
    ],
)
def test_what_two_servers_could_read_differently_is_refused(path: bytes) -> None:
    """Refused, not repaired, with a text that says what to do."""
    with pytest.raises(InvalidRequest) as caught:
        normalise(path)
    assert caught.value.public.count(".") >= 1


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"/a/b", [b"/a/b"]),
        (b"/a%20b", [b"/a%20b"]),
        (b"/a%2Fb", [b"/a%2Fb", b"/a/b"]),
        (b"/a%2F%2Fb/", [b"/a%2F%2Fb/", b"/a/b/"]),
        (b"/a%3Ab", [b"/a%3Ab", b"/a:b"]),
        (b"/a;x=1/b", [b"/a;x=1/b", b"/a/b"]),
        (b"/;x/b", [b"/;x/b", b"/b"]),
        (b"/a%3Bx/b", [b"/a%3Bx/b", b"/a;x/b", b"/a/b"]),
        (b"/a%2Fb;x", [b"/a%2Fb;x", b"/a/b;x", b"/a%2Fb", b"/a/b"]),
        (b"/a%252Fb", [b"/a%252Fb"]),
    ],
)
def test_a_path_has_every_reading_an_upstream_may_take(path: bytes, expected: list[bytes]) -> None:
    """Encoded slashes and path characters undone, parameters dropped, and both."""
    assert list(readings(path)) == expected
    assert readings(path)[0] is path
