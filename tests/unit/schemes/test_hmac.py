"""``hmac``: what it signs, and the signatures that providers print as examples, by the definitions of the docs."""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.schemes.samples import JSON, ORIGIN, SECRET
from tieline.core.errors import CredentialMissing
from tieline.core.secret import Secret
from tieline.definitions.environment import resolve
from tieline.definitions.parse import parse
from tieline.schemes.base import Applier, Outgoing
from tieline.schemes.hmac import Hmac, HmacSources
from tieline.schemes.registry import SCHEMES

PAGE = (Path(__file__).parents[3] / "docs/schemes.md").read_text(encoding="utf-8")
MINIMAL = "tieline: v1\napi: a\nbase_url: https://a.example\n"
NOW = 1499827319.559
PLAIN: dict[str, Any] = {"template": "<method> <target>", "name": "X-Signature"}


def documented(provider: str) -> Mapping[str, Any]:
    """The options that docs/schemes.md shows for a provider."""
    found = re.search(rf"```yaml\n(auth: # {re.escape(provider)}\n.*?)```", PAGE, re.DOTALL)
    assert found is not None
    options: Mapping[str, Any] = parse(MINIMAL + found[1], schemes=SCHEMES).auth[0].options
    return options


def bound(options: Mapping[str, Any], now: float = NOW, **fields: str) -> Applier:
    """The scheme at a known moment, whose random bytes count up from 0."""
    sealed = {name: Secret.from_text(value) for name, value in {"secret": SECRET, **fields}.items()}
    return Hmac(HmacSources(lambda: now, lambda count: bytes(range(count)))).bind(options, sealed)


def signed(applier: Applier, target: bytes = b"/v1/x?a=1", body: bytes | None = None, **more: Any) -> Outgoing:
    """A request after the scheme was applied to it."""
    path, _, query = target.partition(b"?")
    outgoing = Outgoing(more.get("method", b"GET"), path, query, list(more.get("headers", [])), ORIGIN, body)
    applier.apply(outgoing)
    return outgoing


def mac(key: str | bytes, text: str, algorithm: str = "sha256") -> bytes:
    """The signature, by the standard library alone."""
    return hmac.new(key.encode() if isinstance(key, str) else key, text.encode(), algorithm).digest()


def test_binance_signs_as_its_documentation_prints() -> None:
    """The example "SIGNED Endpoint" of its API documentation, with the timestamp put in by us."""
    key = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP" + "1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
    target = b"/api/v3/order?symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000"
    outgoing = signed(bound(documented("Binance"), secret=key, key_id="vmPU" + "ZE6mv9SD"), target, method=b"POST")
    assert outgoing.query.endswith(
        b"&recvWindow=5000&timestamp=1499827319559"
        b"&signature=c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"
    )
    assert outgoing.header(b"x-mbx-apikey") == b"vmPUZE6mv9SD"


def test_github_signs_as_its_documentation_prints() -> None:
    """The test values of "Validating webhook deliveries"."""
    outgoing = signed(
        bound(documented("GitHub's webhooks"), secret="It's a Secret to " + "Everybody"), body=b"Hello, World!"
    )
    assert outgoing.header(b"x-hub-signature-256") == (
        b"sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    )


def test_coinbase_signs_with_a_decoded_key() -> None:
    """Timestamp, method, path with query and body."""
    key = base64.b64encode(b"\x00\x01not-real\xff").decode()
    options = documented("Coinbase Exchange")
    outgoing = signed(bound(options, secret=key, key_id="k"), b"/orders?a=b", b'{"x":1}', method=b"POST")
    made = mac(b"\x00\x01not-real\xff", '1499827319POST/orders?a=b{"x":1}')
    assert outgoing.header(b"cb-access-sign") == base64.b64encode(made)
    assert outgoing.header(b"cb-access-timestamp") == b"1499827319"


def test_azure_app_configuration_signs_lines() -> None:
    """Date and hash of the body are headers that it adds, and signs."""
    key = base64.b64encode(b"not-real").decode()
    outgoing = signed(bound(documented("Azure App Configuration"), secret=key, key_id="id"), b"/kv?api=1", b"{}")
    hashed = base64.b64encode(hashlib.sha256(b"{}").digest()).decode()
    text = f"GET\n/kv?api=1\nWed, 12 Jul 2017 02:41:59 GMT;api.example.com;{hashed}"
    made = base64.b64encode(mac(b"not-real", text)).decode()
    assert outgoing.header(b"authorization") == (
        f"HMAC-SHA256 Credential=id&SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature={made}".encode()
    )
    assert outgoing.header(b"x-ms-content-sha256") == hashed.encode()


def test_azure_service_bus_has_an_end() -> None:
    """The same end is signed and told."""
    outgoing = signed(bound(documented("Azure Service Bus"), key_id="policy"))
    made = quote(base64.b64encode(mac(SECRET, "https%3A%2F%2Fapi.example.com%2F\n1499827919")), safe="")
    assert outgoing.header(b"authorization") == (
        f"SharedAccessSignature sr=https%3A%2F%2Fapi.example.com%2F&sig={made}&se=1499827919&skn=policy".encode()
    )


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("<method> <path> <query>", "PUT /v1/x a=1&b=%20"),
        ("<target>|<host>|<url>", "/v1/x?a=1&b=%20|api.example.com|https://api.example.com/v1/x?a=1&b=%20"),
        ("<body>,<key_id>", '{"é":1},key'),
        ("<body_hash>", hashlib.sha256('{"é":1}'.encode()).hexdigest()),
        ("<header:X-One>,<header:content-type>,<header:none>", "first,application/json; charset=utf-8,"),
        ("<nonce>", bytes(range(16)).hex()),
        ("line\nand \\<method> é", "line\nand <method> é"),
        ("<timestamp><expires>", "14998273191499827619"),
    ],
)
def test_every_slot_is_filled(template: str, text: str) -> None:
    """With what goes out."""
    applier = bound({**PLAIN, "template": template, "format": "<signature>"}, key_id="key")
    outgoing = signed(
        applier,
        b"/v1/x?a=1&b=%20",
        '{"é":1}'.encode(),
        method=b"PUT",
        headers=[JSON, (b"x-one", b"first"), (b"X-One", b"second")],
    )
    assert outgoing.header(b"x-signature") == mac(SECRET, text).hex().encode()


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("unix", "1499827319"),
        ("unix_ms", "1499827319559"),
        ("iso8601", "2017-07-12T02:41:59Z"),
        ("iso8601_ms", "2017-07-12T02:41:59.559Z"),
        ("rfc1123", "Wed, 12 Jul 2017 02:41:59 GMT"),
    ],
)
def test_forms_of_the_time(form: str, text: str) -> None:
    """In a header of their own, and signed."""
    options = {**PLAIN, "template": "<header:x-time>", "timestamp": form}
    outgoing = signed(bound({**options, "headers": [{"name": "X-Time", "value": "<timestamp>"}]}))
    assert outgoing.header(b"x-time") == text.encode()
    assert outgoing.header(b"x-signature") == mac(SECRET, text).hex().encode()


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("hex", "000102030405060708090a0b0c0d0e0f"),
        ("uuid", "00010203-0405-4607-8809-0a0b0c0d0e0f"),
        ("base64", "AAECAwQFBgcICQoLDA0ODw=="),
        ("number", "1499827319559000"),
    ],
)
def test_forms_of_the_nonce(form: str, text: str) -> None:
    """In the query, encoded there."""
    options = {**PLAIN, "nonce": form, "parameters": [{"name": "a nonce", "value": "<nonce>"}]}
    assert signed(bound(options), b"/").query == b"a%20nonce=" + quote(text, safe="").encode()


@pytest.mark.parametrize(
    ("encoding", "write"),
    [
        ("hex", lambda made: made.hex()),
        ("hex_upper", lambda made: made.hex().upper()),
        ("base64", lambda made: base64.b64encode(made).decode()),
        ("base64url", lambda made: base64.urlsafe_b64encode(made).decode().rstrip("=")),
        ("base64_percent", lambda made: quote(base64.b64encode(made).decode(), safe="")),
    ],
)
@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha384", "sha512"])
def test_algorithms_and_encodings(algorithm: str, encoding: str, write: Any) -> None:
    """Every one with every other."""
    outgoing = signed(bound({**PLAIN, "algorithm": algorithm, "encoding": encoding}))
    expected = write(mac(SECRET, "GET /v1/x?a=1", algorithm))
    assert outgoing.header(b"x-signature") == expected.encode()


@given(st.text(max_size=20), st.binary(max_size=20), st.text("abc=&%20", max_size=10))
def test_what_is_signed_is_what_is_said(literal: str, body: bytes, query: str) -> None:
    """No literal, body or query changes another slot."""
    template = literal.replace("<", "\\<") + "|<query>|<body>"
    if re.search(r"\\\\<", template):
        return
    outgoing = signed(bound({**PLAIN, "template": template}), b"/?" + query.encode(), body)
    expected = hmac.new(
        SECRET.encode(), literal.encode(errors="surrogatepass") + b"|" + query.encode() + b"|" + body, "sha256"
    )
    assert outgoing.header(b"x-signature") == expected.hexdigest().encode()


def test_a_body_is_read_only_where_it_is_signed() -> None:
    """Else it is streamed."""
    assert not bound(PLAIN).wants_body([])
    assert bound({**PLAIN, "template": "<body>"}).wants_body([])
    assert bound({**PLAIN, "headers": [{"name": "Digest", "value": "<body_hash>"}]}).wants_body([])


@pytest.mark.parametrize(
    ("encoding", "secret"), [("hex", "xyz"), ("hex", "abc"), ("base64", "not!real"), ("base64", "no t=")]
)
def test_a_secret_in_another_encoding_is_told(encoding: str, secret: str) -> None:
    """When it is put, and when it is bound, without being shown."""
    options = {**PLAIN, "key_encoding": encoding}
    for refuse in (
        lambda: bound(options, secret=secret),
        lambda: Hmac().check_values(options, {"secret": Secret.from_text(secret)}),
    ):
        with pytest.raises(CredentialMissing, match=f"not in {encoding}") as caught:
            refuse()
        assert secret not in caught.value.public


def test_no_header_is_broken_by_what_is_signed() -> None:
    """A field that is copied into another has printable ASCII, or the request is refused."""
    options = {**PLAIN, "headers": [{"name": "X-Copy", "value": "<header:x-from>"}]}
    for value in (b"caf\xc3\xa9", b"tab\t"):
        with pytest.raises(CredentialMissing, match="printable ASCII"):
            signed(bound(options), headers=[(b"X-From", value)])


def test_an_app_key_is_found_where_the_key_id_goes() -> None:
    """An SDK is given it in place of the API's own."""
    assert Hmac().places(documented("Binance")).headers == {b"x-mbx-apikey"}
    assert Hmac().places(documented("Azure Service Bus")).headers == {b"authorization"}
    assert Hmac().places(PLAIN).headers == frozenset()
    query = {**PLAIN, "in": "query", "parameters": [{"name": "AccessKeyId", "value": "<key_id>"}]}
    assert Hmac().places(query).query == {b"AccessKeyId"}


def test_a_variable_leaves_the_slots_alone() -> None:
    """It is filled in where it is named; a header's slot and a literal stay as they were written."""
    text = MINIMAL + "variables: {stage: {default: one}}\n"
    text += 'auth: {scheme: api_key, name: X, format: "<stage> \\\\< <header:x> <key>"}\n'
    assert resolve(parse(text), "live").auth[0].options["format"] == "one \\< <header:x> <key>"


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"name": "X"}, 'the key "template" is missing'),
        ({"template": "x"}, 'the key "name" is missing'),
        ({**PLAIN, "template": "<methode>"}, "template: there is no slot"),
        ({**PLAIN, "template": "<Method>"}, "template: "),
        ({**PLAIN, "template": "<user-id>"}, "template: "),
        ({**PLAIN, "template": "<signature>"}, "template: there is no slot"),
        ({**PLAIN, "algorithm": "md5"}, "algorithm:"),
        ({**PLAIN, "encoding": "rot13"}, "encoding:"),
        ({**PLAIN, "key_encoding": "utf8"}, "key_encoding:"),
        ({**PLAIN, "timestamp": "now"}, "timestamp:"),
        ({**PLAIN, "expires_in": "never"}, "expires_in:"),
        ({**PLAIN, "nonce": "once"}, "nonce:"),
        ({**PLAIN, "body_hash": {"algorithm": "md5"}}, "body_hash.algorithm:"),
        ({**PLAIN, "in": "body"}, "in:"),
        ({**PLAIN, "name": "Host"}, "name:"),
        ({**PLAIN, "name": "a b"}, "name:"),
        ({**PLAIN, "format": "v1"}, "format: must hold <signature> once"),
        ({**PLAIN, "format": "<signature><signature>"}, "format: must hold <signature> once"),
        ({**PLAIN, "format": "a\n<signature>"}, "format:"),
        ({**PLAIN, "format": "<body><signature>"}, "format: there is no slot"),
        ({**PLAIN, "headers": [{"name": "X", "value": "<body>"}]}, "headers[0].value:"),
        ({**PLAIN, "headers": [{"name": "Content-Length", "value": "1"}]}, "headers[0].name:"),
        ({**PLAIN, "parameters": {"name": "x", "value": "y"}}, "parameters:"),
        ({**PLAIN, "secret": "x"}, "secret: a secret does not stand in a definition"),
        ({**PLAIN, "secrets": "x"}, "unknown option 'secrets'"),
    ],
)
def test_a_wrong_option_is_a_problem(options: dict[str, Any], word: str) -> None:
    """Each problem names the option that it is about."""
    problems = Hmac().check(options)
    assert len(problems) == 1
    assert problems[0].startswith(word)
