"""A key in the body: where it goes in a JSON document and in a form, and that nothing else of them changes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.schemes.samples import FORM, JSON, ORIGIN, SECRET
from tieline.core.errors import CredentialMissing
from tieline.core.json_places import NoPlaceError
from tieline.core.secret import Secret
from tieline.schemes.api_key import ApiKey
from tieline.schemes.base import Outgoing
from tieline.schemes.json_member import put_member


def applied(body: bytes | None, *headers: tuple[bytes, bytes], name: str = "key", **options: Any) -> bytes | None:
    """The body after the scheme was applied to it."""
    outgoing = Outgoing(b"POST", b"/", b"", list(headers), ORIGIN, body)
    ApiKey().bind({"in": "body", "name": name, **options}, {"key": Secret.from_text(SECRET)}).apply(outgoing)
    return outgoing.body


@pytest.mark.parametrize(
    ("body", "name", "expected"),
    [
        ('{"a": 1.0 , "b":12345678901234567890123}', "key", '{"a": 1.0 , "b":12345678901234567890123,"key":"KEY"}'),
        ("{}", "key", '{"key":"KEY"}'),
        (" { } ", "key", ' { "key":"KEY"} '),
        ('{"key": null, "b": "\\u00e9é"}', "key", '{"key": "KEY", "b": "\\u00e9é"}'),
        ('{"key": 1, "a": 2, "key": 3}', "key", '{"key": "KEY", "a": 2, "key": "KEY"}'),
        ('{"\\u006bey": {"x": 1}}', "key", '{"\\u006bey": "KEY"}'),
        ('{"auth": {"user": "me"}, "n": 1e3}', "auth.key", '{"auth": {"user": "me","key":"KEY"}, "n": 1e3}'),
        ('{"n":[1,2]}', "auth.in.key", '{"n":[1,2],"auth":{"in":{"key":"KEY"}}}'),
    ],
)
def test_a_member_is_put_and_all_else_stays(body: str, name: str, expected: str) -> None:
    """Numbers as they were written, blanks, order, escapes."""
    assert applied(body.encode(), JSON, name=name) == expected.replace("KEY", SECRET).encode()


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b'"key"', b"{", b'{"a":}', b'{"a" 1}', b"{a:1}", b'{"a":1}}', b'{"a":1,}', b"\xff", b'{"auth":1}'],
)
def test_a_document_without_a_place_is_refused(body: bytes) -> None:
    """The message says what is needed, and shows neither body nor key."""
    with pytest.raises(CredentialMissing, match="as the member auth") as caught:
        applied(body, JSON, name="auth.key")
    assert SECRET not in caught.value.public


def test_a_document_that_nests_without_end_is_refused() -> None:
    """It breaks nothing."""
    with pytest.raises(NoPlaceError):
        put_member(b'{"a":' + b"[" * 200_000, ["key"], "x")


@pytest.mark.parametrize(
    "headers", [[], [(b"Content-Type", b"text/plain")], [(b"Content-Type", b"multipart/form-data; x")]]
)
def test_other_bodies_are_refused(headers: Any) -> None:
    """The caller learns what to send."""
    with pytest.raises(CredentialMissing, match="JSON or a form"):
        applied(b"x", *headers)


def test_json_has_many_names() -> None:
    """A structured suffix is JSON too (RFC 6839)."""
    assert applied(b"{}", (b"content-type", b"Application/VND.api+JSON; v=1")) == b'{"key":"%b"}' % SECRET.encode()


@pytest.mark.parametrize(
    ("body", "expected"),
    [(b"", b"key=KEY"), (b"a=1&b=+%20", b"a=1&b=+%20&key=KEY"), (b"key=mine&a=1&%6bey=x", b"a=1&key=KEY")],
)
def test_a_pair_is_put_into_a_form(body: bytes, expected: bytes) -> None:
    """In place of the caller's own of that name, the rest as it was."""
    assert applied(body, FORM) == expected.replace(b"KEY", SECRET.encode())


def test_the_key_is_formatted_first() -> None:
    """As in every other place."""
    assert applied(b"{}", JSON, format='"v1" <key>') == json.dumps({"key": f'"v1" {SECRET}'}).encode().replace(
        b": ", b":", 1
    )


names = st.text(max_size=4)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner) | st.dictionaries(names, inner),
)


@given(st.dictionaries(names, values), st.lists(names, min_size=1, max_size=3), st.text(), st.sampled_from([None, 1]))
def test_only_the_member_changes(document: dict[str, Any], steps: list[str], value: str, indent: int | None) -> None:
    """Read again, the document is what it was but for that member."""
    text = json.dumps(document, indent=indent, ensure_ascii=False, default=str)
    expected = json.loads(text)
    try:
        got = put_member(text.encode(errors="surrogatepass"), steps, value)
    except NoPlaceError:
        return
    inner = expected
    for step in steps[:-1]:
        inner = inner.setdefault(step, {})
    inner[steps[-1]] = value
    assert json.loads(got) == expected
