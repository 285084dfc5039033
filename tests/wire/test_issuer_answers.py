"""Whatever an issuer answers, a request that needs its token gets an answer that says what happened: never a 500.

Each scheme with an issuer meets every answer of the list, through the relay and through a call. A failure of Tieline's
own would be ``internal_error``, or something in the log with a traceback.
"""

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import orjson
import pytest

from tests.wire import calling
from tests.wire.conftest import StartStage
from tests.wire.raw import Peer, Upstream, answer

HUGE = 10**400
CALL = {"method": "GET", "path": "/thing", "response": {"type": "text"}}
FUTURE = "Thu, 26 Nov 99999999999 12:00:30 GMT"
ODD: tuple[Any, ...] = (None, True, -1, 1e308, "3600.5", "99999999999", FUTURE, [1], {"a": [1]}, "\u00e9", "a\u0000b")


def oauth2(port: int, **more: Any) -> dict[str, Any]:
    """A token endpoint of OAuth."""
    return {"scheme": "oauth2", "token_url": f"http://127.0.0.1:{port}/token", **more}


def login(port: int) -> dict[str, Any]:
    """A login whose answer has a token, a cookie and an end."""
    step = {
        "url": f"http://127.0.0.1:{port}/token",
        "body": {"type": "json", "template": {"password": "<password>"}},
        "take": {"token": {"path": "access_token"}},
        "expires": {"path": "expires_in", "unit": "date"},
    }
    fields = [{"name": "password"}]
    return {
        "scheme": "login",
        "fields": fields,
        "steps": [step],
        "cookies": True,
        "place": [{"name": "X-T", "value": "<token>"}],
    }


def role(port: int) -> dict[str, Any]:
    """A role of AWS, asked for at a token service."""
    found = {"role_arn": "arn:aws:iam::123456789012:role/tieline", "sts_url": f"http://127.0.0.1:{port}/token"}
    return {"scheme": "aws_sigv4", "service": "execute-api", "region": "eu-central-1", "assume_role": found}


CLIENT = {"client_id": "me", "client_secret": "not-real"}
SCHEMES: Mapping[str, tuple[Any, Mapping[str, str]]] = {
    "client credentials": (lambda port: oauth2(port, grant="client_credentials"), CLIENT),
    "refresh token": (
        lambda port: oauth2(port, grant="refresh_token", expires_unit="date", lifetime="1h"),
        {**CLIENT, "refresh_token": "r"},
    ),
    "password": (
        lambda port: oauth2(port, grant="password", expires_unit="epoch", token_path="data[0].access_token"),
        {**CLIENT, "username": "\u00e9\u4e2d", "password": "\u00e9\u4e2d"},
    ),
    "login": (login, {"password": "\u00e9\u4e2d"}),
    "role": (role, {"access_key_id": "AKIAEXAMPLE", "secret_access_key": "not-real"}),
}


def documents() -> Iterator[bytes]:
    """Answers of JSON with an odd value in each place, and of things that are no JSON."""
    good = {"access_token": "t", "refresh_token": "r", "expires_in": 60, "scope": "a", "token_type": "bearer"}
    for name in (*good, "error"):
        for value in ODD:
            yield orjson.dumps({**good, name: value})
        yield orjson.dumps({**good, name: "@"}).replace(b'"@"', str(HUGE).encode())
        yield orjson.dumps({**good, name: "@"}).replace(b'"@"', b"NaN")
        yield orjson.dumps({**good, name: "@"}).replace(b'"@"', b'"\\ud83d"')
    yield orjson.dumps({"data": [good]})
    yield from (b"", b"\xff\xfe\x00", b"null", b"[]", b"[" * 100_000, b'"text"', b"<html>no</html>", b"a=1&a=2&error=x")
    for when in ("99999999999-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00", "soon", ""):
        keys = "<AccessKeyId>A</AccessKeyId><SecretAccessKey>b</SecretAccessKey><SessionToken>c</SessionToken>"
        given = f"<Credentials>{keys}<Expiration>{when}</Expiration></Credentials>"
        yield f"<AssumeRoleResponse><AssumeRoleResult>{given}</AssumeRoleResult></AssumeRoleResponse>".encode()


def heads() -> Iterator[tuple[bytes, list[bytes]]]:
    """Statuses and fields."""
    for status in (
        b"200 OK",
        b"204 No Content",
        b"302 Found",
        b"400 Bad",
        b"401 No",
        b"429 Busy",
        b"503 Down",
        b"599 X",
    ):
        yield status, []
    yield b"429 Busy", [b"Retry-After: " + FUTURE.encode()]
    yield b"503 Down", [b"Retry-After: " + b"9" * 400]
    yield b"200 OK", [b"Content-Encoding: gzip"]
    yield b"200 OK", [b"Content-Encoding: \xe9"]
    yield b"200 OK", [b"Content-Type: text/xml; charset=\xff"]
    yield b"200 OK", [f"Set-Cookie: a=b; Expires={FUTURE}; Max-Age={HUGE}".encode()]
    yield b"200 OK", [b"Set-Cookie: \xff=\xfe; Max-Age=\xb2", b"Set-Cookie: =", b"Set-Cookie: a=b; Domain=\xff."]
    yield b"200 OK", [b"WWW-Authenticate: \xff\xfe"]


def answers() -> Iterator[bytes]:
    """Every document, and every head before a good document and a bad one."""
    for body in documents():
        yield answer(body)
        if b'"error"' in body:
            yield answer(body, status=b"400 Bad Request")
    for status, fields in heads():
        for body in (b'{"access_token":"t","expires_in":60}', b"<html>no</html>", b'{"error":"invalid_grant"}'):
            yield answer(body, *fields, status=status)
    yield b""
    yield b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{"


@pytest.mark.parametrize("name", SCHEMES)
async def test_no_answer_of_an_issuer_is_a_failure_of_tielines(
    start_stage: StartStage, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The request is served, or refused with what happened; nothing is logged with a traceback."""
    given = b""

    async def serve(upstream: Upstream, peer: Peer) -> None:
        while True:
            seen = await upstream.read(peer)
            await peer.send(given if seen.target == b"/token" else answer(b"welcome"))
            if not given and seen.target == b"/token":
                peer.close()

    make, fields = SCHEMES[name]
    stage = await start_stage(serve)
    await stage.configure(auth=make(stage.upstream.port), calls={"do": CALL})
    secret = list(fields)[-1]
    for number, given in enumerate(answers()):
        stage.worker.source.put_credential("api", {**fields, secret: f"{fields[secret]}{number}"})
        await stage.worker.caught_up()
        for got in (await stage.get(), await calling.run(stage, "do")):
            assert got.status in {200, 424, 502, 504}, (given[:300], got.line, got.body)
    assert [
        record.getMessage() for record in caplog.records if record.exc_info or record.levelno > logging.WARNING
    ] == []
