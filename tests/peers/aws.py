"""A judge of AWS signatures built on botocore, and a token service that gives a role's temporary keys.

Requests to ``/sts/`` ask for a role; every request must be signed with one of the keys that the judge knows, for the
service and region that it names itself.
"""

import re
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

import botocore.auth
import botocore.awsrequest
import botocore.credentials

from tests.peers.judges import TEXT, Answer, Arrival

XML = {"Content-Type": "text/xml"}
PERMANENT = ("AKIDEXAMPLE", "permanent-" + "not-real-secret", "")
TEMPORARY = ("ASIDEXAMPLE", "temporary-" + "not-real-secret", "session/token+" + "not-real==")
_KEYS = {each[0]: each for each in (PERMANENT, TEMPORARY)}
_FIELD = re.compile(r"AWS4-HMAC-SHA256 Credential=([^,]+), SignedHeaders=([^,]+), Signature=([0-9a-f]{64})")
_ROLE = """<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
<AccessKeyId>{}</AccessKeyId><SecretAccessKey>{}</SecretAccessKey><SessionToken>{}</SessionToken>
<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"""


def judge(arrival: Arrival) -> Answer:
    """``signed`` for a request whose signature botocore makes too, else what is wrong."""
    problem = _problem(arrival)
    if problem:
        return 403, TEXT, problem.encode()
    if urlsplit(arrival.target).path != "/sts/":
        return 200, TEXT, b"signed"
    asked = parse_qs(arrival.body.decode())
    if asked.get("Action") != ["AssumeRole"] or asked.get("ExternalId") != ["customer-7"]:
        return 400, XML, b"<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>"
    return 200, XML, _ROLE.format(*map(escape, TEMPORARY)).encode()


def _problem(arrival: Arrival) -> str:
    query = parse_qs(urlsplit(arrival.target).query, keep_blank_values=True)
    if "X-Amz-Signature" in query:
        names, claimed = query["X-Amz-SignedHeaders"][0], query["X-Amz-Signature"][0]
        credential, moment = query["X-Amz-Credential"][0], query["X-Amz-Date"][0]
        token = query.get("X-Amz-Security-Token", [""])[0]
    else:
        found = _FIELD.fullmatch(arrival.header("authorization"))
        if found is None:
            return "no signature"
        credential, names, claimed = found.groups()
        moment, token = arrival.header("x-amz-date"), arrival.header("x-amz-security-token")
    key_id, day, region, service, _ = credential.split("/")
    if key_id not in _KEYS or day != moment[:8]:
        return "an unknown key or another day"
    if token != _KEYS[key_id][2]:
        return "another session token"
    made = _signature(arrival, names.split(";"), (service, region), moment, _KEYS[key_id])
    return "" if made == claimed else "another signature"


def _signature(
    arrival: Arrival, names: list[str], scope: tuple[str, str], moment: str, keys: tuple[str, str, str]
) -> str:
    in_query = "X-Amz-Signature=" in arrival.target
    base = botocore.auth.S3SigV4Auth if scope[0] == "s3" else botocore.auth.SigV4Auth
    if scope[0] == "s3" and in_query:
        base = botocore.auth.S3SigV4QueryAuth
    signer = base(botocore.credentials.Credentials(keys[0], keys[1]), *scope)
    target = re.sub(r"&?X-Amz-Signature=[0-9a-f]+", "", arrival.target)
    url = f"http://{arrival.header('host')}{target}"
    request = botocore.awsrequest.AWSRequest(arrival.method, url, data=arrival.body)
    for name, value in arrival.headers:
        if name.lower() in names:
            request.headers.add_header(name, value)
    request.context["timestamp"] = moment
    text = signer.string_to_sign(request, signer.canonical_request(request))
    return str(signer.signature(text, request))
