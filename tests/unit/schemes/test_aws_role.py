"""``aws_sigv4`` with ``assume_role``: what is asked of AWS's token service, and what its answers give."""

import calendar
from typing import Any
from urllib.parse import quote

import pytest

from tests.peers.flows import scripted, told
from tests.unit.schemes.samples import SECRET
from tests.unit.schemes.test_aws_sigv4 import ACCESS_KEY, MOMENT, OPTIONS, SECRET_KEY, TOKEN, request
from tieline.core.secret import Secret
from tieline.schemes.aws_sigv4 import AwsSigV4
from tieline.schemes.flow import IssuerRefused, IssuerRequest

ROLE = {"role_arn": "arn:aws:iam::123456789012:role/demo", "external_id": "ext-1", "duration": "15m"}
KEYS = {"access_key_id": Secret.from_text(ACCESS_KEY), "secret_access_key": Secret.from_text(SECRET_KEY)}
GRANTED = """<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>
<AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/demo/tieline</Arn></AssumedRoleUser>
<Credentials><AccessKeyId>ASIAIOSFODNN7EXAMPLE</AccessKeyId><SecretAccessKey>SECRET</SecretAccessKey>
<SessionToken>TOKEN</SessionToken><Expiration>2019-11-09T13:34:41Z</Expiration></Credentials>
</AssumeRoleResult></AssumeRoleResponse>""".replace("SECRET", SECRET_KEY).replace("TOKEN", TOKEN)


def assumed(answer: str, status: int = 200, **options: Any) -> Any:
    """What the role gives, and what was asked."""
    asked: list[IssuerRequest] = []
    all_options = {**OPTIONS, "assume_role": ROLE, **options}
    return scripted(AwsSigV4().renew(all_options, KEYS, None, MOMENT), [told(answer, status)], asked), asked


def test_a_role_is_asked_of_the_regions_service() -> None:
    """In a form that is signed for it, now."""
    _, asked = assumed(GRANTED, region="eu-central-1")
    assert asked[0].url == "https://sts.eu-central-1.amazonaws.com/"
    assert dict(pair.split("=") for pair in asked[0].body.decode().split("&")) == {
        "Action": "AssumeRole",
        "Version": "2011-06-15",
        "RoleArn": quote(ROLE["role_arn"], safe=""),
        "RoleSessionName": "tieline",
        "DurationSeconds": "900",
        "ExternalId": "ext-1",
    }
    headers = dict(asked[0].headers)
    assert headers["X-Amz-Date"] == "20150830T123600Z"
    assert f"Credential={ACCESS_KEY}/20150830/eu-central-1/sts/aws4_request" in headers["Authorization"]


def test_a_role_gives_keys_that_end() -> None:
    """And requests are signed with them from then on."""
    token, _ = assumed(GRANTED)
    assert token.expires_at == calendar.timegm((2019, 11, 9, 13, 34, 41))
    assert token.account == "arn:aws:sts::123456789012:assumed-role/demo/tieline"
    outgoing = request("GET", "/")
    AwsSigV4(lambda: MOMENT).bind_token({**OPTIONS, "assume_role": ROLE}, KEYS, token).apply(outgoing)
    assert outgoing.header(b"x-amz-security-token") == TOKEN.encode()
    assert b"Credential=ASIAIOSFODNN7EXAMPLE/" in (outgoing.header(b"authorization") or b"")


@pytest.mark.parametrize(
    ("status", "code", "final"),
    [(403, "AccessDenied", True), (400, "Throttling", False), (503, "ServiceUnavailable", False), (500, "", False)],
)
def test_a_refusal_says_whether_to_try_again(status: int, code: str, final: bool) -> None:
    """The code goes to the log; AWS's words go nowhere."""
    error = f"<ErrorResponse><Error><Code>{code}</Code><Message>{SECRET}</Message></Error></ErrorResponse>"
    with pytest.raises(IssuerRefused) as caught:
        assumed(error, status)
    assert (caught.value.final, caught.value.detail) == (final, f"{status} {code}".strip())
    assert SECRET not in caught.value.public


@pytest.mark.parametrize(
    "answer", ["", "{}", GRANTED.replace("2019-11-09", "soon"), GRANTED.replace("SessionToken", "Else"), "<!DOCTYPE a>"]
)
def test_an_answer_without_keys_is_refused(answer: str) -> None:
    """Rather than used."""
    with pytest.raises(IssuerRefused, match="holds no keys"):
        assumed(answer)


def test_the_service_that_gives_roles_is_named() -> None:
    """So that the credential may go there, and nowhere else."""
    scheme = AwsSigV4()
    china = {**OPTIONS, "region": "cn-north-1", "assume_role": ROLE}
    own = {**OPTIONS, "assume_role": {**ROLE, "sts_url": "https://sts.example.com/"}}
    assert scheme.hosts(china) == ("sts.cn-north-1.amazonaws.com.cn",)
    assert scheme.hosts(own) == ("sts.example.com",)
    assert scheme.hosts(OPTIONS) == ()
    assert [scheme.renews(each) for each in (own, OPTIONS)] == [True, False]
