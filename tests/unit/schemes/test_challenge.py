"""Challenges are read by the letter of RFC 9110 section 11, and a field that breaks it counts for nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.schemes.challenge import Challenge, challenges, parameters, quoted

REALM = b'Digest realm="a", nonce="n"'


def read(*values: bytes) -> list[Challenge]:
    """The challenges of an answer with these fields."""
    return list(challenges([(b"WWW-Authenticate", value) for value in values]))


def test_the_example_of_the_standard_is_three_challenges() -> None:
    """RFC 9110 section 11.6.1: schemes and parameters are parted by the same commas."""
    field = b'Basic realm="simple", Newauth realm="apps", type=1,\ttitle="Login to \\"apps\\"", Digest'
    assert read(field) == [
        Challenge("basic", {"realm": "simple"}),
        Challenge("newauth", {"realm": "apps", "type": "1", "title": 'Login to "apps"'}),
        Challenge("digest", {}),
    ]


def test_every_field_is_read() -> None:
    """Whatever the case of its name and of its words."""
    answer = [(b"www-authenticate", b"BASIC Realm=x"), (b"Server", b"y"), (b"WWW-AUTHENTICATE", REALM)]
    assert [each.scheme for each in challenges(answer)] == ["basic", "digest"]
    assert challenges(answer)[0].parameters == {"realm": "x"}


def test_a_token_of_another_scheme_is_passed_over() -> None:
    """``Negotiate`` and its kin write one token instead of parameters."""
    assert read(b"Negotiate YWJj==, " + REALM) == [Challenge("digest", {"realm": "a", "nonce": "n"})]


@pytest.mark.parametrize(
    "field",
    [
        b'Digest realm="a',
        b'Digest realm="a" nonce="b"',
        b'Digest realm="a", realm="b"',
        b'Digest realm="a\x07"',
        b'Digest realm="a\\\x07"',
        b'Digest realm="a"x',
        b'Digest realm=, nonce="n"',
        b"Digest @",
        b'"Digest" realm=a',
        b"=a",
    ],
)
def test_a_malformed_field_is_none_at_all(field: bytes) -> None:
    """And does not take a good one beside it with it."""
    assert read(field) == []
    assert len(read(field, REALM)) == 1


def test_a_list_of_parameters_is_read_alone() -> None:
    """As ``Authentication-Info`` has them (RFC 7616 section 3.5)."""
    assert parameters(b'nextnonce="a,b", qop=auth , nc=00000001') == {
        "nextnonce": "a,b",
        "qop": "auth",
        "nc": "00000001",
    }
    assert parameters(b'nextnonce="a", nextnonce="b"') == {}


@given(st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f")))
def test_what_was_quoted_is_read_as_it_was(text: str) -> None:
    """Quotes and backslashes too."""
    assert parameters(f"a={quoted(text)}".encode("latin-1")) == {"a": text}


@given(st.binary(max_size=60))
def test_no_field_is_an_error(value: bytes) -> None:
    """Whatever a server writes."""
    assert all(each.scheme == each.scheme.lower() for each in read(value, b"Digest " + value))
