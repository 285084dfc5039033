"""Schemes with an issuer, a login, or a signature of Tieline's own: relays and calls before upstreams that check."""

import asyncio
import base64
import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import orjson
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from tests.peers.issuer import Issuer
from tests.peers.keys import EC_KEY
from tests.wire import calling
from tests.wire.conftest import StartStage
from tests.wire.raw import Message, Peer, Script, Upstream, answer
from tests.wire.stage import Stage

UNAUTHORIZED = b"401 Unauthorized"
CALL = {
    "method": "POST",
    "path": "/thing",
    "parameters": {"what": {}},
    "body": {"type": "raw", "content_type": "text/plain", "template": "do <what>"},
    "response": {"type": "text"},
}
PASSWORD = "not-real-" + "0123456789"
Check = Callable[[Message], Awaitable[bytes | None]]


def checking(check: Check) -> Script:
    """An upstream that answers with what ``check`` makes of a request, 401 for None."""

    async def serve(upstream: Upstream, peer: Peer) -> None:
        while True:
            body = await check(await upstream.read(peer))
            await peer.send(answer(body) if body is not None else answer(b"no", status=UNAUTHORIZED))

    return serve


async def start(start_stage: StartStage, script: Script, auth: Mapping[str, Any], **fields: str) -> Stage:
    """A stage whose API is authenticated by ``auth`` with these fields."""
    stage = await start_stage(script, auth=dict(auth), calls={"do": CALL})
    stage.worker.source.put_credential("api", fields)
    await stage.worker.caught_up()
    return stage


def bearer(seen: Message) -> str:
    """The bearer token of a request, empty where there is none."""
    found = seen.every(b"authorization")
    return found[0].decode().removeprefix("Bearer ") if found else ""


def oauth2(issuer: Issuer) -> dict[str, Any]:
    """Client credentials at the real server."""
    return {
        "scheme": "oauth2",
        "grant": "client_credentials",
        "token_url": f"{issuer.url}/token",
        "scopes": ["read"],
    }


async def test_a_token_of_a_real_server_opens_the_api(start_stage: StartStage, issuer: Issuer) -> None:
    """The API asks that server of every token; one is enough for many requests. A client's id is no secret."""
    client = issuer.register("client_credentials")

    async def check(seen: Message) -> bytes | None:
        said = await asyncio.to_thread(issuer.introspect, client, bearer(seen))
        return b"as " + said["client_id"].encode() if said["active"] else None

    stage = await start(start_stage, checking(check), oauth2(issuer), client_id=client.id, client_secret=client.secret)
    got = await asyncio.gather(*(stage.get() for _ in range(5)))
    assert {each.status for each in got} == {200}
    assert {each.body for each in got} == {b"as " + client.id.encode()}
    assert calling.result(await calling.run(stage, "do", {"what": "this"})) == f"as {client.id}"
    assert issuer.granted(client) == {"client_credentials": 1}
    assert len({bearer(seen) for seen in stage.upstream.seen}) == 1


async def test_a_token_that_was_revoked_is_replaced(start_stage: StartStage, issuer: Issuer) -> None:
    """The API refuses it, another is got, and the request is repeated; the caller sees one answer."""
    client = issuer.register("client_credentials")

    async def check(seen: Message) -> bytes | None:
        said = await asyncio.to_thread(issuer.introspect, client, bearer(seen))
        return b"welcome" if said["active"] else None

    stage = await start(start_stage, checking(check), oauth2(issuer), client_id=client.id, client_secret=client.secret)
    assert (await stage.get()).status == 200
    await asyncio.to_thread(issuer.revoke, client, bearer(stage.upstream.seen[-1]))
    assert (await stage.get()).body == b"welcome"
    assert issuer.granted(client) == {"client_credentials": 2}
    assert len(stage.upstream.seen) == 3


async def test_a_wrong_secret_is_told(start_stage: StartStage, issuer: Issuer) -> None:
    """Nothing reaches the API, and the answer says what an operator has to do."""
    client = issuer.register("client_credentials")

    async def check(_: Message) -> bytes | None:
        return b"welcome"

    stage = await start(start_stage, checking(check), oauth2(issuer), client_id=client.id, client_secret=PASSWORD)
    got = await stage.get()
    assert (got.status, got.one(b"tieline-error")) == (424, b"reauthorization_required")
    assert b"invalid_client" in got.body
    assert PASSWORD.encode() not in got.body
    assert stage.upstream.seen == []


def logging_in(sessions: set[str]) -> Script:
    """An API with a login of its own: a form, then a session cookie and a token for every request."""

    async def check(seen: Message) -> bytes | None:
        if seen.target == b"/v1/login":
            given = dict(parse_qsl(seen.body.decode()))
            if given != {"user": "ada", "pass": PASSWORD}:
                return None
            sessions.add(found := secrets.token_hex(8))
            return orjson.dumps({"data": {"session": found}, "ttl": 600})
        token = seen.every(b"x-session")
        return b"welcome" if token and token[0].decode() in sessions else None

    return checking(check)


def login(port: int) -> dict[str, Any]:
    """How it is described."""
    return {
        "scheme": "login",
        "fields": [{"name": "user", "secret": False}, {"name": "password"}],
        "steps": [
            {
                "url": f"http://127.0.0.1:{port}/v1/login",
                "body": {
                    "type": "form",
                    "fields": [{"name": "user", "value": "<user>"}, {"name": "pass", "value": "<password>"}],
                },
                "take": {"session": {"path": "data.session"}},
                "expires": {"path": "ttl"},
            }
        ],
        "place": [{"name": "X-Session", "value": "<session>"}],
    }


async def start_login(start_stage: StartStage, sessions: set[str], password: str = PASSWORD) -> Stage:
    """A stage before that API."""
    stage = await start_stage(logging_in(sessions))
    await stage.configure(auth=login(stage.upstream.port), calls={"do": CALL})
    stage.worker.source.put_credential("api", {"user": "ada", "password": password})
    await stage.worker.caught_up()
    return stage


async def test_a_login_is_made_once_and_again_when_it_ended(start_stage: StartStage) -> None:
    """At the first request, and when the API no longer knows the session."""
    sessions: set[str] = set()
    stage = await start_login(start_stage, sessions)
    got = await asyncio.gather(*(stage.get() for _ in range(5)))
    assert ({each.body for each in got}, len(sessions)) == ({b"welcome"}, 1)
    sessions.clear()
    assert ((await stage.get()).body, len(sessions)) == (b"welcome", 1)
    assert calling.result(await calling.run(stage, "do", {"what": "this"})) == "welcome"
    assert (len(sessions), stage.upstream.seen[-1].body) == (1, b"do this")


async def test_a_header_of_a_login_is_sent_as_a_calls_is(start_stage: StartStage) -> None:
    """As Latin-1 (RFC 9110 section 5.5)."""

    async def check(seen: Message) -> bytes | None:
        return orjson.dumps({"data": {"session": seen.every(b"x-pass")[0].hex()}}) if seen.every(b"x-pass") else b"-"

    stage = await start_stage(checking(check))
    auth = login(stage.upstream.port)
    auth["steps"][0] |= {"headers": [{"name": "X-Pass", "value": "<password>"}]}
    await stage.configure(auth=auth)
    stage.worker.source.put_credential("api", {"user": "ada", "password": "pässword"})
    await stage.worker.caught_up()
    await stage.get()
    assert stage.upstream.seen[-1].one(b"x-session") == "pässword".encode("latin-1").hex().encode()


@pytest.mark.parametrize(
    ("auth", "fields"),
    [
        ({"scheme": "api_key", "in": "body", "name": "auth.key"}, {"key": PASSWORD}),
        ({"scheme": "hmac", "template": "<body_hash>", "name": "X-Signature"}, {"secret": PASSWORD}),
    ],
)
async def test_a_large_body_is_changed_and_signed_as_a_small_one_is(
    start_stage: StartStage, auth: Mapping[str, Any], fields: Mapping[str, str]
) -> None:
    """In a thread, so that other requests do not wait for it."""

    async def check(seen: Message) -> bytes | None:
        digest = hashlib.sha256(seen.body).hexdigest().encode()
        signed = hmac.digest(PASSWORD.encode(), digest, "sha256").hex().encode()
        is_signed = seen.every(b"x-signature") == [signed]
        return b"welcome" if is_signed or seen.body.endswith(b',"auth":{"key":"%b"}}' % PASSWORD.encode()) else None

    stage = await start(start_stage, checking(check), auth, **fields)
    for size in (10, 1_000_000):
        body = b'{"text":"' + b"x" * size + b'"}'
        request = stage.request(b"POST", b"/thing", b"Content-Type: application/json", body=body)
        assert (await stage.ask(request, method=b"POST")).body == b"welcome"


async def test_a_wrong_login_is_not_tried_again_and_again(start_stage: StartStage) -> None:
    """It would lock the account: the second request is told without asking."""
    stage = await start_login(start_stage, set(), "not-the-password")
    for _ in range(3):
        got = await stage.get()
        assert (got.status, got.one(b"tieline-error")) == (424, b"reauthorization_required")
    assert [seen.target for seen in stage.upstream.seen] == [b"/v1/login"]


async def test_a_token_of_our_own_is_verified(start_stage: StartStage) -> None:
    """By the public key, claims and all; one token serves many requests."""
    public = ECKey.import_key(EC_KEY)

    async def check(seen: Message) -> bytes | None:
        claims = jwt.decode(bearer(seen), public).claims
        good = claims["iss"] == "team-1" and claims["iat"] <= time.time() < claims["exp"]
        return b"welcome" if good else None

    auth = {
        "scheme": "jwt",
        "algorithm": "ES256",
        "fields": [{"name": "team", "secret": False}],
        "claims": {"iss": "<team>", "iat": "<now>", "exp": "<now+300>"},
    }
    stage = await start(start_stage, checking(check), auth, key=EC_KEY, team="team-1")
    assert {(await stage.get()).body for _ in range(3)} == {b"welcome"}
    assert calling.result(await calling.run(stage, "do", {"what": "this"})) == "welcome"
    assert len({bearer(seen) for seen in stage.upstream.seen}) == 1


async def test_each_token_of_our_own_is_masked(start_stage: StartStage) -> None:
    """The second, minted when the first was about to end, is no more to be seen than the first."""
    auth = {"scheme": "jwt", "algorithm": "HS256", "claims": {"exp": "<now+1>", "jti": "<uuid>"}}

    async def check(seen: Message) -> bytes | None:
        return b"you sent " + bearer(seen).encode()

    stage = await start(start_stage, checking(check), auth, key="k" * 40)
    first = await stage.get()
    await asyncio.sleep(1.0)
    second = await stage.get()
    sent = [bearer(seen) for seen in stage.upstream.seen]
    assert len(set(sent)) == 2
    assert [got.body for got in (first, second)] == [b"you sent " + b"*" * len(each) for each in sent]


async def test_a_password_is_digested(start_stage: StartStage) -> None:
    """The server works out the same, and sees each nonce once."""
    nonces: set[bytes] = set()

    async def check(seen: Message) -> bytes | None:
        given = dict(re.findall(rb'(\w+)="([^"]*)"', seen.one(b"x-wsse")))
        text = given[b"Nonce"] + given[b"Created"] + PASSWORD.encode()
        good = base64.b64encode(hashlib.sha1(text, usedforsecurity=False).digest()) == given[b"PasswordDigest"]
        fresh = given[b"Nonce"] not in nonces
        nonces.add(given[b"Nonce"])
        return b"welcome" if good and fresh and given[b"Username"] == b"ada" else None

    stage = await start(start_stage, checking(check), {"scheme": "wsse"}, username="ada", password=PASSWORD)
    assert {(await stage.get()).body for _ in range(3)} == {b"welcome"}
    assert calling.result(await calling.run(stage, "do", {"what": "this"})) == "welcome"


def hawk_server(ahead: int) -> Script:
    """A server whose clock is ``ahead``; it checks time, header and payload, and says its time to the late."""

    def mac(text: str) -> bytes:
        return base64.b64encode(hmac.digest(PASSWORD.encode(), text.encode(), "sha256"))

    async def serve(upstream: Upstream, peer: Peer) -> None:
        while True:
            seen = await upstream.read(peer)
            given = {
                name: value.decode() for name, value in re.findall(rb'(\w+)="([^"]*)"', seen.one(b"authorization"))
            }
            kind = seen.one(b"content-type").decode()
            payload = f"hawk.1.payload\n{kind}\n{seen.body.decode()}\n"
            digest = base64.b64encode(hashlib.sha256(payload.encode()).digest()).decode()
            host, _, port = seen.one(b"host").decode().partition(":")
            method = seen.line.split(b" ")[0].decode()
            lines = f"hawk.1.header\n{given[b'ts']}\n{given[b'nonce']}\n{method}\n{seen.target.decode()}\n"
            good = mac(f"{lines}{host}\n{port}\n{digest}\n\n").decode() == given[b"mac"]
            now = int(time.time()) + ahead
            if good and abs(int(given[b"ts"]) - now) < 60:
                await peer.send(answer(b"welcome"))
            else:
                stamp = b'WWW-Authenticate: Hawk ts="%d", tsm="%b"' % (now, mac(f"hawk.1.ts\n{now}\n"))
                await peer.send(answer(b"no", stamp, status=UNAUTHORIZED))

    return serve


async def test_a_request_and_its_body_are_signed(start_stage: StartStage) -> None:
    """The server's clock is an hour ahead: that is learnt from its first refusal, and known from then on."""
    auth = {"scheme": "hawk", "payload": True}
    stage = await start(start_stage, hawk_server(3600), auth, id="key-1", key=PASSWORD)
    request = stage.request(b"POST", b"/thing?b=1&a=2", b"Content-Type: text/plain", body=b"hello")
    for _ in range(3):
        assert (await stage.ask(request, method=b"POST")).body == b"welcome"
    assert len(stage.upstream.seen) == 4
    assert calling.result(await calling.run(stage, "do", {"what": "this"})) == "welcome"
