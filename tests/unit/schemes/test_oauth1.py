"""``oauth1`` against the examples of RFC 5849 and OAuth Core, and against oauthlib for everything in between."""

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, unquote

import oauthlib.oauth1
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from hypothesis import given
from hypothesis import strategies as st

from tests.peers.flows import scripted, told
from tests.peers.keys import EC_KEY
from tests.unit.schemes.samples import FORM, JSON, PEM, SECRET
from tieline.core.errors import CredentialMissing
from tieline.core.secret import Secret
from tieline.core.urls import Origin
from tieline.schemes.base import Outgoing
from tieline.schemes.flow import IssuerRefused, IssuerRequest, Token
from tieline.schemes.oauth1 import OAuth1, OAuth1Sources
from tieline.schemes.oauth1_signature import METHODS, OAuth1Signer, base_string, pairs_of

PHOTOS = {
    "consumer_key": "dpf43f3p2l4k3l03",
    "consumer_secret": "kd94hf93" + "k423kf44",
    "token": "nnch734d00sl2jdk",
    "token_secret": "pfkkdhi9" + "sl3r4s00",
}
SIGN_IN = {
    "request_url": "https://photos.example.net/initiate",
    "authorize_url": "https://photos.example.net/authorize",
    "token_url": "https://photos.example.net/token",
}
BACK = "https://tieline.example/back"


def sealed(fields: Mapping[str, str]) -> dict[str, Secret]:
    """A credential."""
    return {name: Secret.from_text(value) for name, value in fields.items()}


def scheme(timestamp: int = 137131202, nonce: str = "chapoH") -> OAuth1:
    """The scheme at a known moment."""
    return OAuth1(OAuth1Sources(lambda: timestamp + 0.9, lambda: nonce))


def signed(
    outgoing: Outgoing, fields: Mapping[str, str] = PHOTOS, at: OAuth1 | None = None, **options: Any
) -> dict[str, str]:
    """The parameters of ``Authorization`` after the scheme was applied."""
    (at or scheme()).bind(options, sealed(fields)).apply(outgoing)
    return fields_of((outgoing.header(b"authorization") or b"").decode())


def fields_of(value: str) -> dict[str, str]:
    """The decoded parameters of an ``Authorization`` field."""
    pairs = [each.partition("=") for each in value.removeprefix("OAuth ").split(", ")]
    return {unquote(name): unquote(text.strip('"')) for name, _, text in pairs if name}


def request(method: bytes = b"GET", target: bytes = b"/photos", *headers: Any, **more: Any) -> Outgoing:
    """A request to the photo service of the standard."""
    path, _, query = target.partition(b"?")
    origin = more.get("origin", Origin("http", "photos.example.net", 80))
    return Outgoing(method, path, query, list(headers), origin, more.get("body"))


def test_the_base_string_is_the_one_that_the_standard_prints() -> None:
    """RFC 5849 section 3.4.1.1, with every odd pair of section 3.4.1.3.1."""
    protocol = [
        (b"oauth_consumer_key", b"9djdj82h48djs9d2"),
        (b"oauth_token", b"kkk9d7dh3k39sjv7"),
        (b"oauth_signature_method", b"HMAC-SHA1"),
        (b"oauth_timestamp", b"137131201"),
        (b"oauth_nonce", b"7d8f3e4a"),
    ]
    pairs = [*pairs_of(b"b5=%3D%253D&a3=a&c%40=&a2=r%20b"), *protocol, *pairs_of(b"c2&a3=2+q")]
    base = base_string(b"post", Origin("http", "example.com", 80), b"/request", pairs)
    assert base == (
        b"POST&http%3A%2F%2Fexample.com%2Frequest&a2%3Dr%2520b%26a3%3D2%2520q%26a3%3Da%26b5%3D%253D%25253D%26c%2540%3D"
        b"%26c2%3D%26oauth_consumer_key%3D9djdj82h48djs9d2%26oauth_nonce%3D7d8f3e4a%26oauth_signature_method%3DHMAC-SHA1"
        b"%26oauth_timestamp%3D137131201%26oauth_token%3Dkkk9d7dh3k39sjv7"
    )
    # the signature of erratum 2550: the one in the text was made for another string
    assert OAuth1Signer("HMAC-SHA1", b"j49sk3j29djd", b"dh893hdasih9").sign(base) == b"r6/TJjbCOr97/+UU0NsvSne7s5g="


@pytest.mark.parametrize(
    ("target", "port", "uri"),
    [(b"/r%20v/X", 80, b"http%3A%2F%2Fexample.com%2Fr%2520v%2FX"), (b"", 8080, b"http%3A%2F%2Fexample.com%3A8080%2F")],
)
def test_the_base_uri_is_the_one_that_the_standard_prints(target: bytes, port: int, uri: bytes) -> None:
    """RFC 5849 section 3.4.1.2: a port that is not the scheme's own, and never an empty path."""
    assert base_string(b"GET", Origin("http", "example.com", port), target, []) == b"GET&" + uri + b"&"


def sign_of(protocol: Mapping[str, str], outgoing: Outgoing, token_secret: str = "") -> bytes:
    """The signature of the standard's client for these parameters."""
    pairs = [(name.encode(), value.encode()) for name, value in protocol.items()]
    pairs += pairs_of(outgoing.query)
    base = base_string(outgoing.method, outgoing.origin, outgoing.path, pairs)
    return OAuth1Signer("HMAC-SHA1", PHOTOS["consumer_secret"].encode(), token_secret.encode()).sign(base)


@pytest.mark.parametrize(
    ("outgoing", "more", "token_secret", "signature"),
    [
        (
            request(b"POST", b"/initiate", origin=Origin("https", "photos.example.net", 443)),
            {
                "oauth_timestamp": "137131200",
                "oauth_nonce": "wIjqoS",
                "oauth_callback": "http://printer.example.com/ready",
            },
            "",
            b"74KNZJeDHnMBp0EMJ9ZHt/XKycU=",
        ),
        (
            request(b"POST", b"/token", origin=Origin("https", "photos.example.net", 443)),
            {
                "oauth_timestamp": "137131201",
                "oauth_nonce": "walatlh",
                "oauth_token": "hh5s93j4hdidpola",
                "oauth_verifier": "hfdp7dh39dks9884",
            },
            "hdhd0244k9j7ao03",
            b"gKgrFCywp7rO0OXSjdot/IHF7IU=",
        ),
        (
            request(b"GET", b"/photos?file=vacation.jpg&size=original"),
            {"oauth_timestamp": "137131202", "oauth_nonce": "chapoH", "oauth_token": PHOTOS["token"]},
            PHOTOS["token_secret"],
            b"MdpQcU8iPSUjWoN/UDMsK2sui9I=",
        ),
    ],
    ids=["temporary credentials", "token", "resource"],
)
def test_signatures_are_those_that_the_standard_prints(
    outgoing: Outgoing, more: Mapping[str, str], token_secret: str, signature: bytes
) -> None:
    """RFC 5849 section 1.2, the three requests of its printer."""
    protocol = {"oauth_consumer_key": PHOTOS["consumer_key"], "oauth_signature_method": "HMAC-SHA1", **more}
    assert sign_of(protocol, outgoing, token_secret) == signature


def test_the_whole_field_is_the_one_of_oauth_core() -> None:
    """OAuth Core 1.0 appendix A.5, which sends the version as Tieline does."""
    outgoing = request(b"GET", b"/photos?file=vacation.jpg&size=original")
    got = signed(outgoing, at=scheme(1191242096, "kllo9940pd9333jh"), realm="http://photos.example.net/")
    assert got == {
        "realm": "http://photos.example.net/",
        "oauth_consumer_key": "dpf43f3p2l4k3l03",
        "oauth_token": "nnch734d00sl2jdk",
        "oauth_signature_method": "HMAC-SHA1",
        "oauth_signature": "tR3+Ty81lMeYAr/Fid0kMTYa/WM=",
        "oauth_timestamp": "1191242096",
        "oauth_nonce": "kllo9940pd9333jh",
        "oauth_version": "1.0",
    }


def rsa_signature(name: str) -> Callable[[str, Any], str]:
    """How oauthlib would sign with RSA if a JOSE library of its choice were here: by ``cryptography`` itself."""
    key = load_pem_private_key(PEM.encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return lambda base, _: b64encode(key.sign(base.encode(), padding.PKCS1v15(), getattr(hashes, name)())).decode()


class Peer(oauthlib.oauth1.Client):  # type: ignore[misc]  # it has no types
    """oauthlib's client."""

    SIGNATURE_METHODS = {  # noqa: RUF012  # its own form
        **oauthlib.oauth1.Client.SIGNATURE_METHODS,
        **{f"RSA-{name}": rsa_signature(name) for name in ("SHA1", "SHA256", "SHA512")},
    }


text = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=12)
pairs = st.lists(st.tuples(text.filter(lambda name: not name.startswith("oauth_")), text), max_size=4)


def encoded(form: Sequence[tuple[str, str]]) -> str:
    """A form as oauthlib insists on: everything encoded that may be."""
    return "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in form if name)


def _quoted(value: str) -> str:
    return "".join(f"%{byte:02X}" if not chr(byte).isalnum() or byte > 127 else chr(byte) for byte in value.encode())


@given(st.sampled_from(METHODS), st.sampled_from(["POST", "PUT", "PATCH"]), text, pairs, pairs, st.booleans())
def test_oauthlib_makes_the_same_signature(
    method: str,
    verb: str,
    path: str,
    query: Any,
    form: Any,
    with_token: bool,
) -> None:
    """For every signature method, path, query and form."""
    fields = {"consumer_key": "ck", "token": "tk" if with_token else "", "token_secret": "té" if with_token else ""}
    fields |= {"private_key": PEM} if method.startswith("RSA") else {"consumer_secret": "s&é"}
    target = f"/{_quoted(path)}?{encoded(query)}".rstrip("?")
    body = encoded(form)
    outgoing = request(verb.encode(), target.encode(), FORM, body=body.encode())
    got = signed(outgoing, {name: value for name, value in fields.items() if value}, signature_method=method)
    client = Peer(
        "ck",
        fields.get("consumer_secret", ""),
        fields["token"] or None,
        fields["token_secret"],
        signature_method=method,
        rsa_key=PEM,
        timestamp="137131202",
        nonce="chapoH",
    )
    headers = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
    _, made, _ = client.sign(f"http://photos.example.net{target}", verb, body or None, headers)
    assert got["oauth_signature"] == fields_of(made["Authorization"])["oauth_signature"]


def test_parameters_in_the_query() -> None:
    """Behind the caller's own, less what the caller sent under the protocol's names."""
    applier = scheme().bind({"in": "query"}, sealed(PHOTOS))
    outgoing = request(b"GET", b"/photos?size=original&oauth_token=forged&oauth_signature=x")
    outgoing.drop_query(applier.replaces_query)
    applier.apply(outgoing)
    assert outgoing.query.startswith(b"size=original&oauth_consumer_key=dpf43f3p2l4k3l03&")
    names = [name for name, _ in parse_qsl(outgoing.query.decode())]
    assert len(names) == len(set(names)) == 8


def test_parameters_in_the_body() -> None:
    """Of a form, whatever the caller's own protocol pairs there."""
    outgoing = request(b"POST", b"/photos", FORM, body=b"a=1&oauth_token=forged")
    scheme().bind({"in": "body"}, sealed(PHOTOS)).apply(outgoing)
    body = (outgoing.body or b"").decode()
    assert body.startswith("a=1&oauth_consumer_key=dpf43f3p2l4k3l03&")
    assert dict(parse_qsl(body))["oauth_token"] == PHOTOS["token"]
    assert outgoing.headers == [FORM]


@pytest.mark.parametrize(("headers", "body"), [([JSON], b"{}"), ([], b"")])
def test_parameters_in_a_body_that_is_no_form_are_refused(headers: Any, body: bytes) -> None:
    """And the message says what to send."""
    outgoing = request(b"POST", b"/photos", *headers, body=body)
    with pytest.raises(CredentialMissing, match="application/x-www-form-urlencoded"):
        scheme().bind({"in": "body"}, sealed(PHOTOS)).apply(outgoing)


def test_a_body_that_is_no_form_is_neither_read_nor_signed() -> None:
    """It is streamed, however large it is."""
    applier = scheme().bind({}, sealed(PHOTOS))
    assert not applier.wants_body([JSON])
    assert applier.wants_body([(b"content-type", b"Application/X-WWW-Form-Urlencoded; charset=UTF-8")])
    assert signed(request(b"PUT", b"/photos", JSON, body=b"{}")) == signed(request(b"PUT", b"/photos", JSON))


def test_a_body_hash_covers_other_bodies() -> None:
    """The example of the OAuth Request Body Hash extension, draft 4, appendix A.1."""
    outgoing = request(b"PUT", b"/resource", (b"Content-Type", b"text/plain"), body=b"Hello World!")
    got = signed(outgoing, body_hash=True)
    assert got["oauth_body_hash"] == "Lve95gjOVATpfV8EL5X4nxwjKHE="


def test_a_form_has_no_body_hash() -> None:
    """The extension forbids it: its pairs are signed already."""
    outgoing = request(b"POST", b"/photos", FORM, body=b"a=1")
    assert "oauth_body_hash" not in signed(outgoing, body_hash=True)


def test_each_request_has_a_nonce_of_its_own() -> None:
    """A provider refuses one that it has seen."""
    applier = OAuth1().bind({}, sealed(PHOTOS))
    nonces = set()
    for _ in range(50):
        outgoing = request()
        applier.apply(outgoing)
        nonces.add(fields_of((outgoing.header(b"authorization") or b"").decode())["oauth_nonce"])
    assert len(nonces) == 50


@pytest.mark.parametrize("key", ["not a key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", EC_KEY])
def test_a_private_key_that_is_none_is_told(key: str) -> None:
    """When it is put, and when it is bound, without being shown."""
    secrets = sealed({"consumer_key": "c", "private_key": key})
    for use in (scheme().check_values, scheme().bind):
        with pytest.raises(CredentialMissing, match="RSA key") as caught:
            use({"signature_method": "RSA-SHA1"}, secrets)
        assert key not in caught.value.public


# -- a person's token


def begun(
    answer: str = "oauth_token=hh5s93j4hdidpola&oauth_token_secret=hdhd0244k9j7ao03&oauth_callback_confirmed=true",
) -> Any:
    """A sign-in that has begun, and what was asked."""
    asked: list[IssuerRequest] = []
    options = {"sign_in": SIGN_IN, "realm": "Photos"}
    flow = scheme(137131200, "wIjqoS").begin(options, sealed(PHOTOS), BACK, "st-1")
    return scripted(flow, [told(answer)], asked), asked


def test_a_sign_in_begins_with_temporary_credentials() -> None:
    """RFC 5849 section 2.1: signed with the consumer's secret alone, with the way back."""
    sign_in, asked = begun()
    fields = fields_of(dict(asked[0].headers)["Authorization"])
    assert (asked[0].method, asked[0].url, asked[0].body) == ("POST", SIGN_IN["request_url"], b"")
    assert fields["oauth_callback"] == BACK + "?state=st-1"
    assert "oauth_token" not in fields
    assert sign_in.url == SIGN_IN["authorize_url"] + "?oauth_token=hh5s93j4hdidpola"
    assert sign_in.context == sealed({"token": "hh5s93j4hdidpola", "token_secret": "hdhd0244k9j7ao03"})


def finished(answer: Mapping[str, str], given: str = "oauth_token=t&oauth_token_secret=s&screen_name=ada") -> Any:
    """The token of the sign-in that has begun."""
    kept = sealed({"token": "hh5s93j4hdidpola", "token_secret": "hdhd0244k9j7ao03"})
    flow = scheme(1000).finish({"sign_in": SIGN_IN}, sealed(PHOTOS), kept, answer)
    return scripted(flow, [told(given)] if answer.get("oauth_token") == "hh5s93j4hdidpola" else [])


def test_a_sign_in_ends_with_the_persons_token() -> None:
    """RFC 5849 section 2.3; who it is and how long it lasts where the provider says so."""
    answer = {"oauth_token": "hh5s93j4hdidpola", "oauth_verifier": "v", "state": "st-1"}
    token = finished(answer, "oauth_token=t&oauth_token_secret=s&screen_name=ada&oauth_expires_in=60")
    assert token.values == sealed({"token": "t", "token_secret": "s"})
    assert (token.account, token.expires_at) == ("ada", 1060.9)


def test_a_token_with_an_empty_secret_is_used() -> None:
    """RFC 5849 section 3.4.2 allows one; nothing empty is kept, so the token comes back without it."""
    answer = {"oauth_token": "hh5s93j4hdidpola", "oauth_verifier": "v"}
    token = finished(answer, "oauth_token=t&oauth_token_secret=")
    kept = Token({name: value for name, value in token.values.items() if value})
    outgoing = Outgoing(b"GET", b"/photos", b"", [], Origin("https", "photos.example.net", 443))
    scheme(1000).bind_token({"sign_in": SIGN_IN}, sealed(PHOTOS), kept).apply(outgoing)
    assert b'oauth_token="t"' in outgoing.headers[0][1]


@pytest.mark.parametrize(
    "answer",
    [{"oauth_token": "another", "oauth_verifier": "v"}, {"oauth_verifier": "v"}, {"denied": "x"}, {}],
)
def test_a_strangers_sign_in_is_refused(answer: Mapping[str, str]) -> None:
    """The token that comes back is the one that was kept, or nothing is asked."""
    with pytest.raises(IssuerRefused, match="Begin again"):
        finished(answer)


@pytest.mark.parametrize(
    "answer",
    ["oauth_token=t&oauth_token_secret=s", "oauth_token=&oauth_token_secret=s&oauth_callback_confirmed=true", "{}", ""],
)
def test_an_answer_without_a_token_is_refused(answer: str) -> None:
    """Or one of the first OAuth 1.0, which a stranger's sign-in could be fixed on."""
    with pytest.raises(IssuerRefused):
        begun(answer)


def test_a_provider_that_refuses_is_told() -> None:
    """Without its words."""
    flow = scheme().begin({"sign_in": SIGN_IN}, sealed(PHOTOS), BACK, "st")
    with pytest.raises(IssuerRefused) as caught:
        scripted(flow, [told("bad " + SECRET, 401)])
    assert SECRET not in caught.value.public + caught.value.detail


def test_there_is_no_renewal_without_a_person() -> None:
    """A token that is refused needs a new sign-in."""
    with pytest.raises(IssuerRefused) as caught:
        scripted(scheme().renew({"sign_in": SIGN_IN}, sealed(PHOTOS), None, 0.0), [])
    assert caught.value.final
    assert scheme().hosts({"sign_in": SIGN_IN}) == ("photos.example.net",)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"signature_method": "MD5"}, "signature_method:"),
        ({"in": "cookie"}, "in:"),
        ({"realm": 'a"b'}, "realm:"),
        ({"realm": "é"}, "realm:"),
        ({"body_hash": "yes"}, "body_hash:"),
        ({"sign_in": {**SIGN_IN, "other": "https://a.example"}}, "sign_in.other:"),
        ({"sign_in": {**SIGN_IN, "token_url": "/token"}}, "sign_in.token_url:"),
        ({"sign_in": {**SIGN_IN, "token_url": "https://me@a.example/"}}, "sign_in.token_url:"),
        ({"sign_in": {**SIGN_IN, "token_url": "https://a.example/?a b"}}, "sign_in.token_url:"),
        ({"renew_on": {"status": [401]}}, "renew_on:"),
        ({"sign_in": SIGN_IN, "renew_on": {"status": 401}}, "renew_on.status:"),
        ({"consumer": "x"}, "unknown option 'consumer'"),
    ],
)
def test_a_wrong_option_is_a_problem(options: dict[str, Any], word: str) -> None:
    """Each problem begins with the option that it is about."""
    problems = OAuth1().check(options)
    assert len(problems) == 1
    assert problems[0].startswith(word)
