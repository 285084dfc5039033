"""What schemes read of outsiders takes as many steps as it has bytes: twice the input, at most twice the steps."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.steps import steps
from tieline.core.pasted import cut
from tieline.schemes.challenge import challenges, parameters
from tieline.schemes.flow import IssuerAnswer
from tieline.schemes.json_member import NoPlaceError, put_member
from tieline.schemes.login.jar import Jar
from tieline.schemes.oauth2.answers import document


def member(text: bytes) -> None:
    """A key put into a document; a document without a place for it takes its steps too."""
    try:
        put_member(text, ["a", "b"], "key")
    except NoPlaceError:
        return


def challenged(value: bytes) -> None:
    """A challenge read."""
    challenges([(b"WWW-Authenticate", value)])


def cookies(count: int) -> None:
    """Cookies taken in."""
    fields = tuple(("set-cookie", f"c{n}=x; a=b; Max-Age=5") for n in range(count))
    Jar().learn(IssuerAnswer(200, fields, b""), "h.example.com", 0.0)


GROWING: dict[str, tuple[Callable[[Any], Any], Callable[[int], Any]]] = {
    "members": (member, lambda n: b"{" + b",".join(b'"k":1' for _ in range(n)) + b"}"),
    "the same member": (member, lambda n: b"{" + b",".join([b'"a":{"b":1}'] * n) + b"}"),
    "depth": (member, lambda n: b'{"x":' + b"[" * n + b"]" * n + b"}"),
    "depth without end": (member, lambda n: b'{"a":' * n),
    "backslashes": (member, lambda n: b'{"x":"' + b"\\" * 2 * n + b'"}'),
    "escaped quotes": (member, lambda n: b'{"x":"' + b'\\"' * n + b'"}'),
    "a string without end": (member, lambda n: b'{"x":"' + b'\\"' * n),
    "commas of a challenge": (challenged, lambda n: b"Digest " + b"," * n),
    "challenges": (challenged, lambda n: b", ".join([b"Digest a=b"] * n)),
    "parameters": (parameters, lambda n: b",".join(b'a%d="b"' % each for each in range(n))),
    "escapes of a parameter": (parameters, lambda n: b'a="' + b"\\a" * n + b'"'),
    "cookies": (cookies, lambda n: n),
    "pairs of a form": (lambda body: document(IssuerAnswer(200, (), body)), lambda n: b"error=1&" * n),
    "blanks": (cut, lambda n: " \u200b" * n + "x" + " " * n),
}


@pytest.mark.parametrize("name", GROWING)
def test_twice_the_input_takes_at_most_twice_the_steps(name: str) -> None:
    """A few steps more or less are for what does not grow."""
    work, made = GROWING[name]
    small, large = made(2_000), made(4_000)
    once, twice = steps(lambda: work(small)), steps(lambda: work(large))
    assert twice <= 2 * once + 50


def test_what_a_document_holds_besides_is_passed_over() -> None:
    """A long text or a long list of numbers is a few steps, so that no other request waits for it."""
    long = b'{"x":"' + b"y" * 4_000_000 + b'","z":[' + b"1," * 2_000_000 + b"1]}"
    assert steps(lambda: put_member(long, ["key"], "k")) < 500
