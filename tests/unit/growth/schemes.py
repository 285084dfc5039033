"""Rows: what schemes read of issuers, upstreams and the requests that they sign."""

from typing import Any

from tests.unit.growth.row import Rows, tolerant
from tieline.core.json_places import NoPlaceError
from tieline.core.pasted import cut
from tieline.core.urls import Origin
from tieline.definitions.getters import getter
from tieline.schemes import sigv4
from tieline.schemes.base import Outgoing
from tieline.schemes.challenge import challenges, parameters
from tieline.schemes.flow import IssuerAnswer
from tieline.schemes.jose_keys import load_key
from tieline.schemes.json_member import put_member
from tieline.schemes.login.jar import Jar
from tieline.schemes.oauth2.answers import document
from tieline.schemes.signal import Signal

member = tolerant(lambda text: put_member(text, ["a", "b"], "key"), NoPlaceError)


def challenged(value: bytes) -> None:
    """A challenge read."""
    challenges([(b"WWW-Authenticate", value)])


def cookies(count: int) -> None:
    """Cookies taken in."""
    fields = tuple(("set-cookie", f"c{n}=x; a=b; Max-Age=5") for n in range(count))
    Jar().learn(IssuerAnswer(200, fields, b""), "h.example.com", 0.0)


def outgoing(path: bytes, query: bytes = b"") -> Outgoing:
    """A request to be signed."""
    return Outgoing(b"GET", path, query, [], Origin("http", "127.0.0.1", 80))


def signed(request: Outgoing) -> Any:
    """The text that SigV4 signs."""
    return sigv4.canonical(request, {b"host": b"h"}, "", normalised=True)


SIGNAL = Signal(statuses=None, header=None, body=("errors[].code", ("x",)))
ROWS: Rows = {
    "JSON: members": (member, lambda n: b"{" + b",".join(b'"k":1' for _ in range(n)) + b"}"),
    "JSON: the same member": (member, lambda n: b"{" + b",".join([b'"a":{"b":1}'] * n) + b"}"),
    "JSON: depth": (member, lambda n: b'{"x":' + b"[" * n + b"]" * n + b"}"),
    "JSON: depth without end": (member, lambda n: b'{"a":' * n),
    "JSON: backslashes": (member, lambda n: b'{"x":"' + b"\\" * 2 * n + b'"}'),
    "JSON: escaped quotes": (member, lambda n: b'{"x":"' + b'\\"' * n + b'"}'),
    "JSON: a string without end": (member, lambda n: b'{"x":"' + b'\\"' * n),
    "challenge: commas": (challenged, lambda n: b"Digest " + b"," * n),
    "challenge: several": (challenged, lambda n: b", ".join([b"Digest a=b"] * n)),
    "challenge: parameters": (parameters, lambda n: b",".join(b'a%d="b"' % each for each in range(n))),
    "challenge: escapes": (parameters, lambda n: b'a="' + b"\\a" * n + b'"'),
    "cookies": (cookies, lambda n: n),
    "issuer: pairs of a form": (lambda body: document(IssuerAnswer(200, (), body)), lambda n: b"error=1&" * n),
    "issuer: JSON": (lambda body: document(IssuerAnswer(200, (), body)), lambda n: b'{"a":[' + b"1," * n + b"1]}"),
    "pasted: blanks": (cut, lambda n: " \u200b" * n + "x" + " " * n),
    "SigV4: a query": (lambda query: signed(outgoing(b"/", query)), lambda n: b"a=%2b&" * n),
    "SigV4: a path": (lambda path: signed(outgoing(path)), lambda n: b"/a/.." * n),
    "signal: a list": (
        lambda body: SIGNAL.fits_body(body, lambda path, value: getter(path)(value)),
        lambda n: b'{"errors":[' + b'{"code":"y"},' * n + b"1]}",
    ),
    "keys: a JWK": (
        tolerant(lambda text: load_key("RS256", text), Exception), lambda n: b'{"kty":"RSA","n":"' + b"A" * n + b'"}'
    ),
}  # fmt: skip
