"""``hawk`` by the examples of its README, and what it learns from a server with another clock."""

import hmac
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

import pytest

from tieline.core.errors import CredentialMissing
from tieline.core.secret import Secret
from tieline.core.urls import Origin
from tieline.schemes.base import Applier, Outgoing
from tieline.schemes.hawk import Hawk

# The README's credential, split so that scanners do not take it for a real one.
KEY = "werxhqb98rpaxn" + "39848xrunpaw3489ruxnpa98w4rxn"
SECRETS = {"id": Secret(b"dh37fgj492je"), "key": Secret.from_text(KEY)}
ORIGIN = Origin("http", "example.com", 8000)
START = 1353832234


def bound(options: Mapping[str, Any]) -> Applier:
    """Hawk at the README's time."""
    scheme = Hawk(lambda: START, lambda: "j4h3g2")
    assert scheme.check(options) == []
    return scheme.bind(options, SECRETS)


def sent(applier: Applier, method: bytes = b"GET", body: bytes | None = None, kind: bytes = b"text/plain") -> bytes:
    """The field of a request like the README's."""
    headers = [(b"Content-Type", kind)] if body is not None else []
    outgoing = Outgoing(method, b"/resource/1", b"b=1&a=2", headers, ORIGIN, body)
    applier.apply(outgoing)
    return outgoing.headers[-1][1]


def test_the_example_of_the_readme() -> None:
    """Section "Protocol Example"."""
    assert sent(bound({"ext": "some-app-ext-data"})) == (
        b'Hawk id="dh37fgj492je", ts="1353832234", nonce="j4h3g2", ext="some-app-ext-data", '
        b'mac="6R4rV5iE+NPoym+WwjeHzjAGXUtLNIxmo1vpMofpLAE="'
    )


@pytest.mark.parametrize("kind", [b"text/plain", b"Text/Plain; charset=utf-8"])
def test_the_example_with_a_payload(kind: bytes) -> None:
    """Section "Payload Validation"; the type counts without case and parameters."""
    applier = bound({"ext": "some-app-ext-data", "payload": True})
    assert applier.reads_body
    assert sent(applier, b"POST", b"Thank you for flying Hawk", kind) == (
        b'Hawk id="dh37fgj492je", ts="1353832234", nonce="j4h3g2", '
        b'hash="Yi9LfIIFRtBEPt74PVmbTF/xVAwPn7ub15ePICfgnuY=", '
        b'ext="some-app-ext-data", mac="aSe1DERmZuRl3pI36/9BdZmnErTw3sNzOOAUlfeKjVw="'
    )


def test_application_and_delegation_are_signed() -> None:
    """Two lines more than without."""
    lines = "hawk.1.header\n1353832234\nj4h3g2\nGET\n/resource/1?b=1&a=2\nexample.com\n8000\n\n\nmy-app\nby-them\n"
    mac = b64encode(hmac.digest(KEY.encode(), lines.encode(), "sha1"))
    value = sent(bound({"app": "my-app", "dlg": "by-them", "algorithm": "sha1"}))
    assert value.endswith(b'mac="%b", app="my-app", dlg="by-them"' % mac)


def challenge(stamp: int, key: str = KEY) -> list[tuple[bytes, bytes]]:
    """What a server says that finds the time wrong."""
    proof = b64encode(hmac.digest(key.encode(), f"hawk.1.ts\n{stamp}\n".encode(), "sha256")).decode()
    return [(b"WWW-Authenticate", f'Hawk ts="{stamp}", tsm="{proof}", error="Stale timestamp"'.encode())]


def test_the_servers_time_is_taken() -> None:
    """Signed with the key; the request may then be repeated."""
    applier = bound({})
    assert applier.answered([], 401, challenge(START + 500))
    assert b'ts="1353832734"' in sent(applier)
    assert not applier.answered([], 401, challenge(START + 500))


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (401, challenge(START + 500, "another key")),
        (200, challenge(START + 500)),
        (401, []),
        (401, [(b"WWW-Authenticate", b"Hawk")]),
        (401, [(b"WWW-Authenticate", b'Hawk ts="soon", tsm="x"')]),
        (401, [(b"WWW-Authenticate", b'Basic realm="r"')]),
    ],
)
def test_nobody_else_sets_the_clock(status: int, headers: list[tuple[bytes, bytes]]) -> None:
    """Without the right proof nothing is learnt."""
    applier = bound({})
    assert not applier.answered([], status, headers)
    assert b'ts="1353832234"' in sent(applier)


def test_a_body_that_nobody_has_is_not_signed() -> None:
    """The error says why."""
    with pytest.raises(CredentialMissing):
        sent(bound({"payload": True}))


@pytest.mark.parametrize(
    "options", [{"algorithm": "md5"}, {"ext": 'a"b'}, {"app": "a\nb"}, {"dlg": "d"}, {"payload": "yes"}]
)
def test_a_wrong_option_is_a_problem(options: Mapping[str, Any]) -> None:
    """Told at its name."""
    assert [problem.partition(":")[0] for problem in Hawk().check(options)] == list(options)


def test_an_id_that_would_end_its_quotes_is_refused() -> None:
    """Before any request."""
    with pytest.raises(CredentialMissing):
        Hawk().bind({}, {**SECRETS, "id": Secret(b'a", mac="')})
