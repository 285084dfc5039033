"""``digest`` against the examples that RFC 7616 prints, and what it makes of a server's challenges."""

import hashlib
from collections.abc import Sequence
from typing import Any

import pytest

from tieline.core.secret import Secret
from tieline.core.urls import Origin
from tieline.schemes.base import Applier, Headers, Outgoing
from tieline.schemes.challenge import parameters
from tieline.schemes.digest import Digest

PASSWORD = "Circle of " + "Life"
ORIGIN = Origin("http", "www.example.org", 80)
CNONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
NONCE = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
OPAQUE = "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"
BOTH = [
    f'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={name}, nonce="{NONCE}", opaque="{OPAQUE}"'
    for name in ("SHA-256", "MD5")
]
HAS_SHA512_256 = "sha512_256" in hashlib.algorithms_available


def bound(username: str = "Mufasa", password: str = PASSWORD, cnonce: str = CNONCE, **options: Any) -> Applier:
    """The scheme with a user and a client nonce that is known."""
    secrets = {"username": Secret.from_text(username), "password": Secret.from_text(password)}
    return Digest(lambda: cnonce).bind(options, secrets)


def challenge(*values: str) -> Headers:
    """The head of a refusal."""
    return [(b"WWW-Authenticate", value.encode()) for value in values]


def sent(applier: Applier, path: bytes = b"/dir/index.html", **request: Any) -> Outgoing:
    """A request after the scheme was applied to it."""
    headers: list[tuple[bytes, bytes]] = []
    outgoing = Outgoing(request.get("method", b"GET"), path, request.get("query", b""), headers, ORIGIN)
    outgoing.body = request.get("body")
    applier.apply(outgoing)
    return outgoing


def proof(outgoing: Outgoing) -> dict[str, str]:
    """The parameters of its ``Authorization``; none where there is no such field."""
    value = outgoing.header(b"authorization")
    return dict(parameters(value.removeprefix(b"Digest "))) if value is not None else {}


def challenged(applier: Applier, *values: str) -> Applier:
    """The same, after a first request was refused with a challenge."""
    assert applier.answered([], 401, challenge(*values))
    return applier


def test_nothing_is_sent_before_there_is_a_challenge() -> None:
    """The request goes out bare, and its body is kept so that it can go out again."""
    applier = bound()
    assert sent(applier).headers == []
    assert applier.wants_body([])
    assert not challenged(applier, *BOTH).wants_body([])


@pytest.mark.parametrize(
    ("algorithms", "response"),
    [
        (["MD5"], "8ca523f5e9506fed4657c9700eebdbec"),
        (["MD5", "SHA-256"], "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_answer_is_the_one_that_the_standard_prints(algorithms: Sequence[str], response: str) -> None:
    """RFC 7616 section 3.9.1; of both challenges the stronger one that is taken."""
    applier = challenged(bound(algorithms=algorithms), *BOTH)
    assert proof(sent(applier)) == {
        "username": "Mufasa",
        "realm": "http-auth@example.org",
        "uri": "/dir/index.html",
        "algorithm": algorithms[-1],
        "nonce": NONCE,
        "nc": "00000001",
        "cnonce": CNONCE,
        "qop": "auth",
        "response": response,
        "opaque": OPAQUE,
    }


@pytest.mark.skipif(not HAS_SHA512_256, reason="this OpenSSL has no SHA-512/256")
def test_a_hashed_user_name_is_the_one_that_the_standard_prints() -> None:
    """RFC 7616 section 3.9.2 as its erratum 4897 corrects it: the text was made with a wrong SHA-512/256."""
    applier = bound("Jäsøn Doe", "Secret, or " + "not?", "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v")
    told = (
        'Digest realm="api@example.org", qop="auth", algorithm=SHA-512-256, charset=UTF-8, userhash=true, '
        'nonce="5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK", opaque="HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS"'
    )
    got = proof(sent(challenged(applier, told), b"/doe.json"))
    assert got["username"] == "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b"
    assert got["response"] == "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5"
    assert got["userhash"] == "true"


def test_a_user_name_beyond_ascii_is_written_as_an_extended_parameter() -> None:
    """RFC 7616 section 3.4.4 and RFC 8187, where the server does not ask for a hash of it."""
    applier = challenged(bound("Jäsøn Doe"), 'Digest realm="r", nonce="n", qop=auth, algorithm=SHA-256')
    header = sent(applier).header(b"authorization") or b""
    assert b"username*=UTF-8''J%C3%A4s%C3%B8n%20Doe" in header
    assert header.isascii()


def test_without_qop_the_answer_is_the_old_one() -> None:
    """RFC 2069: neither count nor client nonce."""
    told = 'Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"'
    got = proof(sent(challenged(bound(password="Circle Of " + "Life"), told)))
    assert got["response"] == "670fd8c2df070c60b045671b8b24ff02"
    assert not got.keys() & {"qop", "nc", "cnonce", "algorithm", "opaque"}


def h(*parts: str) -> str:
    """MD5 of the parts with colons, as the standard writes its formulas."""
    return hashlib.md5(":".join(parts).encode(), usedforsecurity=False).hexdigest()


@pytest.mark.parametrize("body", [None, b"", b"a body"])
def test_auth_int_signs_the_body(body: bytes | None) -> None:
    """RFC 7616 section 3.4.3; only where the server offers nothing else, or the definition prefers it."""
    applier = challenged(bound(qop="auth-int"), 'Digest realm="r", nonce="n", qop="auth,auth-int"')
    assert applier.wants_body([])
    got = proof(sent(applier, b"/x", method=b"POST", body=body))
    what = h("POST", "/x", h((body or b"").decode()))
    assert got["response"] == h(h("Mufasa", "r", PASSWORD), "n", "00000001", CNONCE, "auth-int", what)


def test_a_session_has_one_client_nonce_and_one_key() -> None:
    """RFC 7616 section 3.4.2: so that a server may derive the key at the first request or anew at each."""
    counter = iter(range(9))
    applier = Digest(lambda: f"c{next(counter)}").bind(
        {}, {"username": Secret(b"u"), "password": Secret(b"not-" + b"real")}
    )
    challenged(applier, 'Digest realm="r", nonce="n", qop=auth, algorithm=MD5-sess')
    first, second = proof(sent(applier)), proof(sent(applier))
    assert first["cnonce"] == second["cnonce"]
    key = h(h("u", "r", "not-real"), "n", first["cnonce"])
    assert second["response"] == h(key, "n", "00000002", first["cnonce"], "auth", h("GET", "/dir/index.html"))


def test_the_query_is_part_of_what_is_signed() -> None:
    """As it goes out."""
    applier = challenged(bound(), *BOTH)
    assert proof(sent(applier, b"/a", query=b"b=%22c%22&d"))["uri"] == "/a?b=%22c%22&d"


def test_each_request_takes_a_count_of_its_own() -> None:
    """Many under way at once, answered in any order."""
    applier = challenged(bound(), *BOTH)
    requests = [sent(applier) for _ in range(20)]
    for outgoing in reversed(requests):
        assert not applier.answered(outgoing.headers, 200, [])
    assert [proof(each)["nc"] for each in requests] == [f"{number:08x}" for number in range(1, 21)]


def test_requests_that_all_met_the_first_challenge_all_go_again() -> None:
    """With the nonce that was learnt first, each counted."""
    applier = bound()
    bare = [sent(applier) for _ in range(3)]
    told = [f'Digest realm="r", nonce="n{number}", qop=auth' for number in range(3)]
    assert all(applier.answered(each.headers, 401, challenge(text)) for each, text in zip(bare, told, strict=True))
    assert [(proof(each)["nonce"], proof(each)["nc"]) for each in (sent(applier), sent(applier))] == [
        ("n0", "00000001"),
        ("n0", "00000002"),
    ]


def test_a_stale_nonce_is_replaced() -> None:
    """The secret is good, says the server: the same request may go again."""
    applier = challenged(bound(), 'Digest realm="r", nonce="old", qop=auth')
    outgoing = sent(applier)
    assert applier.answered(outgoing.headers, 401, challenge('Digest realm="r", nonce="new", qop=auth, stale=TRUE'))
    assert proof(sent(applier))["nonce"] == "new"


def test_a_secret_refused_under_a_fresh_nonce_is_not_tried_again() -> None:
    """One try a request: a server that counts them must not lock the user out for our stubbornness."""
    applier = challenged(bound(), 'Digest realm="r", nonce="1", qop=auth')
    for number in range(2, 5):
        outgoing = sent(applier)
        assert not applier.answered(outgoing.headers, 401, challenge(f'Digest realm="r", nonce="{number}", qop=auth'))
    assert proof(sent(applier))["nonce"] == "4"


def test_a_server_that_forgot_its_nonces_is_believed_once() -> None:
    """After a restart it may refuse a nonce that it took before, without calling it stale."""
    applier = challenged(bound(), 'Digest realm="r", nonce="old", qop=auth')
    assert not applier.answered(sent(applier).headers, 200, [])
    outgoing = sent(applier)
    assert applier.answered(outgoing.headers, 401, challenge('Digest realm="r", nonce="new", qop=auth'))
    outgoing = sent(applier)
    assert not applier.answered(outgoing.headers, 401, challenge('Digest realm="r", nonce="newer", qop=auth'))


def test_the_server_may_name_the_next_nonce() -> None:
    """RFC 7616 section 3.5; answers to older requests do not bring the old one back."""
    applier = challenged(bound(), 'Digest realm="r", nonce="1", qop=auth, opaque="o"')
    early, late = sent(applier), sent(applier)
    applier.answered(early.headers, 200, [(b"Authentication-Info", b'nextnonce="2", qop=auth')])
    applier.answered(late.headers, 200, [(b"Authentication-Info", b'nextnonce="1b"')])
    got = proof(sent(applier))
    assert (got["nonce"], got["nc"], got["opaque"]) == ("2", "00000001", "o")


@pytest.mark.parametrize(
    "told",
    [
        'Basic realm="r"',
        'Digest realm="r"',
        'Digest nonce="n"',
        'Digest realm="r", nonce="n", algorithm=SHA-1',
        'Digest realm="r", nonce="n", algorithm="MD5, x=y"',
        'Digest realm="r", nonce="n", qop=token',
        'Digest realm="r", nonce="n',
        f'Digest realm="r", nonce="{"n" * 5000}"',
    ],
)
def test_a_challenge_that_cannot_be_met_is_passed_on(told: str) -> None:
    """The caller gets the refusal as it came."""
    applier = bound()
    assert not applier.answered([], 401, challenge(told))
    assert sent(applier).headers == []


@pytest.mark.parametrize("status", [200, 403, 407, 500])
def test_only_a_refusal_is_a_challenge(status: int) -> None:
    """Whatever fields another answer has."""
    applier = bound()
    assert not applier.answered([], status, challenge(*BOTH))
    assert sent(applier).headers == []


def test_the_answer_cannot_be_broken_by_a_name() -> None:
    """Quotes and backslashes in what goes into quotes."""
    applier = challenged(bound('a", uri="/b\\'), 'Digest realm="say \\"hi\\"", nonce="n\\\\", qop=auth')
    got = proof(sent(applier))
    assert (got["username"], got["realm"], got["nonce"]) == ('a", uri="/b\\', 'say "hi"', "n\\")
    assert got["uri"] == "/dir/index.html"


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"qop": "none"}, "qop:"),
        ({"algorithms": []}, "algorithms:"),
        ({"algorithms": "MD5"}, "algorithms:"),
        ({"algorithms": ["MD4"]}, "algorithms[0]:"),
        ({"algorithms": [["MD5"]]}, "algorithms[0]:"),
        ({"realm": "x"}, "unknown option 'realm'"),
    ],
)
def test_a_wrong_option_is_a_problem(options: dict[str, Any], word: str) -> None:
    """Each problem begins with the option that it is about."""
    problems = Digest().check(options)
    assert len(problems) == 1
    assert problems[0].startswith(word)
