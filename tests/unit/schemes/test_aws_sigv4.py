"""``aws_sigv4`` against the cases of AWS's own test suite, and against botocore's signer for everything in between.

The suite signs with the access key of AWS's documentation at one moment of 2015; "with a known moment" is that.
"""

import calendar
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.core.errors import CredentialMissing
from tieline.core.secret import Secret
from tieline.core.urls import Origin
from tieline.schemes.aws_sigv4 import AwsSigV4
from tieline.schemes.base import Applier, Outgoing

ACCESS_KEY = "AKIDEXAMPLE"
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG+" + "bPxRfiCYEXAMPLEKEY"
TOKEN = "6e86291e8372ff2a2260956d9b8aae1d" + "763fbf315fa00fa31553b73ebf194267"
STS_TOKEN = (
    "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthA"
    "x7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9"
    "q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="
)
MOMENT = calendar.timegm((2015, 8, 30, 12, 36, 0))
ORIGIN = Origin("https", "example.amazonaws.com", 443)
OPTIONS = {"service": "service", "region": "us-east-1"}
FORM = ("Content-Type", "application/x-www-form-urlencoded")
UNRESERVED = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def bound(token: str = "", **options: Any) -> Applier:
    """The scheme with the suite's credential, at its moment."""
    secrets = {"access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY, "session_token": token}
    sealed = {name: Secret.from_text(value) for name, value in secrets.items() if value}
    return AwsSigV4(lambda: MOMENT + 0.5).bind({**OPTIONS, **options}, sealed)


def request(method: str, target: str, headers: Sequence[tuple[str, str]] = (), body: str | None = None) -> Outgoing:
    """A request of the suite."""
    path, _, query = target.partition("?")
    fields = [(name.encode(), value.encode()) for name, value in headers]
    return Outgoing(
        method.encode(), path.encode(), query.encode(), fields, ORIGIN, body.encode() if body is not None else None
    )


def signature_of(outgoing: Outgoing) -> str:
    """What stands in ``Signature``."""
    return (outgoing.header(b"authorization") or b"").rpartition(b"Signature=")[2].decode()


PLAIN = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
POSTED = "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"
QUERIED = "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"
# name: method, target, headers, body, options, signature
SUITE: Mapping[str, Any] = {
    "get-vanilla": ("GET", "/", [], None, {}, PLAIN),
    "get-vanilla-query": ("GET", "/", [], None, {}, PLAIN),
    "get-vanilla-empty-query-key": (
        "GET", "/?Param1=value1", [], None, {}, "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb",
    ),
    "get-vanilla-query-order-key-case": (
        "GET", "/?Param2=value2&Param1=value1", [], None, {},
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
    "get-vanilla-query-order-value": (
        "GET", "/?Param1=value2&Param1=value1", [], None, {},
        "5772eed61e12b33fae39ee5e7012498b51d56abc0abb7c60486157bd471c4694",
    ),
    "get-vanilla-query-order-encoded": (
        "GET", "/?Param-3=Value3&Param=Value2&%E1%88%B4=Value1", [], None, {},
        "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac",
    ),
    "get-vanilla-query-unreserved": (
        "GET", f"/?{UNRESERVED}={UNRESERVED}", [], None, {},
        "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
    ),
    "get-vanilla-utf8-query": (
        "GET", "/?%E1%88%B4=bar", [], None, {}, "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04",
    ),
    "get-unreserved": (
        "GET", f"/{UNRESERVED}", [], None, {}, "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
    ),
    "get-utf8": (
        "GET", "/%E1%88%B4", [], None, {"path": "s3"},
        "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85",
    ),
    "get-space": (
        "GET", "/example%20space/", [], None, {"path": "s3"},
        "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741",
    ),
    "get-relative-normalized": ("GET", "/example/..", [], None, {}, PLAIN),
    "get-relative-relative-normalized": ("GET", "/example1/example2/../..", [], None, {}, PLAIN),
    "get-slash-normalized": ("GET", "//", [], None, {}, PLAIN),
    "get-slash-dot-slash-normalized": ("GET", "/./", [], None, {}, PLAIN),
    "get-slash-pointless-dot-normalized": (
        "GET", "/./example", [], None, {}, "ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5",
    ),
    "get-slashes-normalized": (
        "GET", "//example//", [], None, {}, "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84",
    ),
    "get-header-key-duplicate": (
        "GET", "/", [("My-Header1", "value2"), ("My-Header1", "value2"), ("My-Header1", "value1")], None, {},
        "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
    ),
    "get-header-value-order": (
        "GET", "/", [("My-Header1", each) for each in ("value4", "value1", "value3", "value2")], None, {},
        "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01",
    ),
    "get-header-value-trim": (
        "GET", "/", [("My-Header1", " value1"), ("My-Header2", ' "a   b   c"')], None, {},
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
    ),
    "post-vanilla": ("POST", "/", [], None, {}, POSTED),
    "post-vanilla-query": ("POST", "/?Param1=value1", [], None, {}, QUERIED),
    "post-vanilla-empty-query-value": ("POST", "/?Param1=value1", [], "", {}, QUERIED),
    "post-header-key-case": ("POST", "/", [], None, {}, POSTED),
    "post-header-key-sort": (
        "POST", "/", [("My-Header1", "value1")], None, {},
        "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
    ),
    "post-header-value-case": (
        "POST", "/", [("My-Header1", "VALUE1")], None, {},
        "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d",
    ),
    "post-x-www-form-urlencoded": (
        "POST", "/", [FORM], "Param1=value1", {}, "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
    ),
    "post-x-www-form-urlencoded-parameters": (
        "POST", "/", [("Content-Type", "application/x-www-form-urlencoded; charset=utf8")], "Param1=value1", {},
        "1a72ec8f64bd914b0e42e42607c7fbce7fb2c7465f63e3092b3b0d39fa77a6fe",
    ),
    "get-vanilla-with-session-token": (
        "GET", "/", [], None, {"token": TOKEN}, "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8",
    ),
    "post-sts-header-before": (
        "POST", "/", [], None, {"token": STS_TOKEN}, "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
    ),
    "get-slashes-unnormalized": (
        "GET", "//example//", [], None, {"path": "s3"},
        "87cca117541a147f6df867677d98a7d80dff226d2bfca9e4ffa899665623c7e5",
    ),
    "post-sts-header-after": ("POST", "/", [], None, {"token": TOKEN, "sign_session_token": False}, POSTED),
}  # fmt: skip


@pytest.mark.parametrize(("method", "target", "headers", "body", "options", "signature"), SUITE.values(), ids=SUITE)
def test_the_signature_is_the_one_that_aws_publishes(
    method: str, target: str, headers: Any, body: str | None, options: Any, signature: str
) -> None:
    """aws-sig-v4-test-suite, the header form."""
    outgoing = request(method, target, headers, body)
    bound(**options).apply(outgoing)
    assert signature_of(outgoing) == signature


QUERY_SUITE: Mapping[str, Any] = {
    "get-header-value-trim": (
        "/", [("My-Header1", " value1"), ("My-Header2", ' "a   b   c"')], {},
        "e7bb0fd515e125e1aec2ecc4c0c17484fb06f6846b927c35e46005dd3df3acd4",
    ),
    "get-slash-pointless-dot-normalized": (
        "/./example", [], {}, "35034b1a0bdd969f346975386daf8aedfd4976573b8348cf4f67eaa41c5857de",
    ),
    "get-slash-unnormalized": (
        "//", [], {"path": "s3"}, "b2a9542809db687769200f56a844a03f2bd0291d6eb90232d5101c6a579446cd",
    ),
    "get-unreserved": (f"/{UNRESERVED}", [], {}, "95968482db1b9e0fadef6efc1bd24689f77c77d9ef56919c96a28cc92e0d6005"),
    "get-vanilla-query-order-encoded": (
        "/?Param-3=Value3&Param=Value2&%E1%88%B4=Value1", [], {},
        "c5f1848ceec943ac2ca68ee720460c23aaae30a2300586597ada94c4a65e4787",
    ),
    "get-vanilla-utf8-query": (
        "/?%E1%88%B4=bar", [], {}, "0bdd809b1519ac4f0c1dc3540e2cc46bd0c7f778eda408b2ebf3b913d21ff600",
    ),
    "get-vanilla-with-session-token": (
        "/", [], {"token": TOKEN}, "7ff2b50b376cb4d151970630573d6291dc128cc5c2a12ffb237f73cc53f67b6c",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("target", "headers", "options", "signature"), QUERY_SUITE.values(), ids=QUERY_SUITE)
def test_the_signature_in_a_query_is_the_one_that_aws_publishes(
    target: str, headers: Any, options: Any, signature: str
) -> None:
    """aws-sig-v4-test-suite, the query form; what was in the query stays before it, in its order."""
    outgoing = request("GET", target, headers)
    before = outgoing.query
    bound(**({"in": "query", "expires": 3600} | options)).apply(outgoing)
    assert outgoing.query.startswith(before)
    assert outgoing.query.endswith(b"&X-Amz-Signature=" + signature.encode())


BUCKET = Origin("https", "examplebucket.s3.amazonaws.com", 443)
QUERY_DAY: dict[str, Any] = {"in": "query", "expires": 86400}
EXAMPLE = {"access_key_id": "AKIAIOSFODNN7" + "EXAMPLE", "secret_access_key": SECRET_KEY.replace("MDENG+", "MDENG/")}


def in_s3(method: bytes, target: bytes, headers: Any, body: bytes | None = None, **options: Any) -> Outgoing:
    """A request of the S3 API Reference, signed at its moment."""
    path, _, query = target.partition(b"?")
    outgoing = Outgoing(method, path, query, list(headers), BUCKET, body)
    scheme = AwsSigV4(lambda: calendar.timegm((2013, 5, 24, 0, 0, 0)))
    sealed = {name: Secret.from_text(value) for name, value in EXAMPLE.items()}
    scheme.bind({"service": "s3", "region": "us-east-1", **options}, sealed).apply(outgoing)
    return outgoing


@pytest.mark.parametrize(
    ("outgoing", "signature"),
    [
        (
            in_s3(b"GET", b"/test.txt", [(b"Range", b"bytes=0-9")]),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            in_s3(
                b"PUT",
                b"/test$file.text",
                [(b"Date", b"Fri, 24 May 2013 00:00:00 GMT"), (b"x-amz-storage-class", b"REDUCED_REDUNDANCY")],
                b"Welcome to Amazon S3.",
            ),
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        (in_s3(b"GET", b"/?lifecycle", []), "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        (
            in_s3(b"GET", b"/?max-keys=2&prefix=J", []),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ],
    ids=["get an object", "put an object", "a subresource", "list objects"],
)
def test_s3_is_signed_as_its_reference_prints(outgoing: Outgoing, signature: str) -> None:
    """S3 API Reference, "Examples: Signature Calculations": its own path rules, the hash of the body in a header."""
    assert signature_of(outgoing) == signature


def test_a_presigned_request_to_s3_is_the_one_of_its_reference() -> None:
    """S3 API Reference, "Authenticating Requests: Using Query Parameters"; bodies are never part of it."""
    outgoing = in_s3(b"GET", b"/test.txt", [], None, **QUERY_DAY)
    assert outgoing.query.endswith(b"=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404")
    assert outgoing.headers == []


# -- botocore as the oracle

SEGMENT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=5).map(
    lambda text: quote(text, safe="")
)
PATH = st.lists(SEGMENT, max_size=4).map(lambda segments: "/" + "/".join(segments))
PAIR = st.tuples(SEGMENT, SEGMENT)
FIELD_VALUE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=10)
FIELDS = st.dictionaries(
    st.sampled_from(["Content-Type", "X-Amz-Meta-A", "x-amz-acl", "User-Agent", "Range", "Traceparent"]), FIELD_VALUE
)


class AtMoment(botocore.auth.SigV4Auth):  # type: ignore[misc]  # it has no types
    """botocore's signer for a request that has its date already; ``payload_hash`` stands for the body, if given."""

    payload_hash: str | None = None

    def payload(self, request: Any) -> str:
        """What stands for the body."""
        return self.payload_hash or str(super().payload(request))

    def signature_for(self, request: Any) -> str:
        """The signature that botocore makes."""
        request.context["timestamp"] = "20150830T123600Z"
        return str(self.signature(self.string_to_sign(request, self.canonical_request(request)), request))


class AtMomentForS3(AtMoment, botocore.auth.S3SigV4Auth):  # type: ignore[misc]
    """The same by S3's rules."""


def by_botocore(outgoing: Outgoing, service: str, payload_hash: str | None = None) -> str:
    """What botocore signs the same request with; it sees what went out, but for the signature."""
    query = "&".join(each for each in outgoing.query.decode().split("&") if not each.startswith("X-Amz-Signature="))
    url = f"https://{ORIGIN.host}{outgoing.path.decode()}" + (f"?{query}" if query else "")
    made = botocore.awsrequest.AWSRequest(outgoing.method.decode(), url, data=outgoing.body)
    for name, value in outgoing.headers:
        if name != b"Authorization":
            made.headers[name.decode()] = value.decode()
    credentials = botocore.credentials.Credentials(ACCESS_KEY, SECRET_KEY)
    signer = (AtMomentForS3 if service == "s3" else AtMoment)(credentials, service, "us-east-1")
    signer.payload_hash = payload_hash
    return signer.signature_for(made)


@given(
    st.sampled_from(["GET", "PUT", "POST", "DELETE"]),
    PATH,
    st.lists(PAIR.filter(lambda pair: pair[0] != ""), max_size=4),
    FIELDS,
    st.binary(max_size=20),
    st.sampled_from(["s3", "execute-api", "dynamodb"]),
    st.sampled_from(["header", "query"]),
    st.sampled_from(["signed", "unsigned", None]),
)
def test_botocore_makes_the_same_signature(
    method: str, path: str, query: Any, fields: Any, body: bytes, service: str, place: str, payload: str | None
) -> None:
    """For every method, path, query, field and body, in both forms."""
    in_query = place == "query"
    unsigned = payload == "unsigned" or (service == "s3" and in_query)
    target = path + "?" + "&".join(f"{name}={value}" for name, value in query)
    outgoing = request(method, target, list(fields.items()))
    outgoing.body = body
    options: dict[str, Any] = {"service": service, "in": place}
    if payload is not None and not (unsigned and payload == "signed"):
        options["payload"] = payload
    bound(**options).apply(outgoing)
    made = outgoing.query.rpartition(b"=")[2].decode() if in_query else signature_of(outgoing)
    assert by_botocore(outgoing, service, "UNSIGNED-PAYLOAD" if unsigned else None) == made


# -- what is read, and what is left


def test_an_unsigned_payload_is_streamed() -> None:
    """The body is not wanted, and a header says that it was not signed."""
    applier = bound(payload="unsigned")
    outgoing = request("PUT", "/", [("X-Amz-Content-Sha256", "forged")])
    applier.apply(outgoing)
    assert not applier.wants_body([])
    assert [value for name, value in outgoing.headers if name.lower() == b"x-amz-content-sha256"] == [
        b"UNSIGNED-PAYLOAD"
    ]


def test_a_body_with_its_checksum_behind_it_is_streamed() -> None:
    """As AWS's SDKs send bodies to S3: chunks whose trailer is not signed; the marker stays."""
    applier = bound(service="s3")
    marker = (b"x-amz-content-sha256", b"STREAMING-UNSIGNED-PAYLOAD-TRAILER")
    outgoing = request("PUT", "/key")
    outgoing.headers.append(marker)
    applier.apply(outgoing)
    assert not applier.wants_body([marker])
    assert outgoing.header(marker[0]) == marker[1]
    assert b"x-amz-content-sha256" in (outgoing.header(b"authorization") or b"")


def test_chunks_that_an_sdk_has_signed_are_refused() -> None:
    """The service would refuse them, and say less about it."""
    outgoing = request("PUT", "/key", [("X-Amz-Content-Sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER")])
    with pytest.raises(CredentialMissing, match="unsigned chunks"):
        bound(service="s3").apply(outgoing)


def test_a_query_goes_out_in_the_encoding_that_is_signed() -> None:
    """Services differ in how they read a plus; a percent-encoded blank they read alike."""
    outgoing = request("GET", "/a(b)?q=a+b&c=(d)&&flag")
    bound(service="s3").apply(outgoing)
    assert (outgoing.path, outgoing.query) == (b"/a%28b%29", b"q=a%20b&c=%28d%29&flag")


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        (b"/b//foo", b"/b//foo"),
        (b"/%61.txt", b"/a.txt"),
        (b"/a/plus%2bplus.txt", b"/a/plus%2Bplus.txt"),
        (b"/a/plus+plus.txt", b"/a/plus%2Bplus.txt"),
        (b"/a/!*()", b"/a/%21%2A%28%29"),
        (b"/t1/../t2/%7E", b"/t1/../t2/~"),
        (b"/100%25", b"/100%25"),
        (b"/caf%c3%a9", b"/caf%C3%A9"),
    ],
)
def test_a_key_of_s3_goes_out_in_the_encoding_that_is_signed(path: bytes, sent: bytes) -> None:
    """The same object, whatever a client encodes too much or too little; nothing is resolved or merged."""
    outgoing = request("GET", path.decode())
    bound(service="s3").apply(outgoing)
    assert outgoing.path == sent


def test_an_sdks_own_signature_does_not_go_on() -> None:
    """In the header or in the query."""
    applier = bound()
    forged = b"X-Amz-Signature=forged&X-Amz-Security-Token=forged&x=1"
    outgoing = Outgoing(b"GET", b"/", forged, [], ORIGIN)
    outgoing.drop_query(applier.replaces_query)
    applier.apply(outgoing)
    assert outgoing.query == b"x=1"
    assert applier.replaces == {b"authorization", b"x-amz-date", b"x-amz-security-token"}


def test_the_key_of_a_new_day_is_another() -> None:
    """An applier that lives for days signs as one that was made today."""
    sealed = {"access_key_id": Secret.from_text(ACCESS_KEY), "secret_access_key": Secret.from_text(SECRET_KEY)}
    moments = iter([MOMENT - 86_400, MOMENT])
    applier = AwsSigV4(lambda: next(moments)).bind(OPTIONS, sealed)
    yesterday, today = request("GET", "/"), request("GET", "/")
    applier.apply(yesterday)
    applier.apply(today)
    assert (signature_of(yesterday) == PLAIN, signature_of(today) == PLAIN) == (False, True)


def test_a_session_token_in_the_query_may_follow_the_signature() -> None:
    """Some services want it there, unsigned."""
    outgoing = request("GET", "/")
    bound(TOKEN, **{"in": "query", "sign_session_token": False}).apply(outgoing)
    assert outgoing.query.endswith(b"&X-Amz-Security-Token=" + TOKEN.encode())
    plain = request("GET", "/")
    bound(**{"in": "query"}).apply(plain)
    assert outgoing.query.startswith(plain.query)


def test_a_key_id_that_would_break_the_field_is_refused() -> None:
    """Without being shown."""
    secrets = {"access_key_id": Secret(b"AKI A"), "secret_access_key": Secret(b"x")}
    with pytest.raises(CredentialMissing) as caught:
        AwsSigV4().bind(OPTIONS, secrets)
    assert "AKI A" not in caught.value.public


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"region": "us-east-1"}, 'the key "service" is missing'),
        ({"service": "s3"}, 'the key "region" is missing'),
        ({**OPTIONS, "region": "US"}, "region:"),
        ({**OPTIONS, "in": "body"}, "in:"),
        ({**OPTIONS, "payload": "half"}, "payload:"),
        ({**OPTIONS, "service": "s3", "in": "query", "payload": "signed"}, "payload:"),
        ({**OPTIONS, "path": "x"}, "path:"),
        ({**OPTIONS, "expires": 0}, "expires:"),
        ({**OPTIONS, "sign_session_token": "no"}, "sign_session_token:"),
        ({**OPTIONS, "assume_role": {"role_arn": "demo"}}, "assume_role.role_arn:"),
        (
            {**OPTIONS, "assume_role": {"role_arn": "arn:aws:iam::123456789012:role/demo", "duration": "1d"}},
            "assume_role.duration:",
        ),
        ({**OPTIONS, "renew_on": {"status": [403]}}, "renew_on:"),
        ({**OPTIONS, "profile": "x"}, "unknown option 'profile'"),
    ],
)
def test_a_wrong_option_is_a_problem(options: dict[str, Any], word: str) -> None:
    """Each problem names the option that it is about."""
    problems = AwsSigV4().check(options)
    assert len(problems) == 1
    assert problems[0].startswith(word)
