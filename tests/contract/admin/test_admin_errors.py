"""What the admin API refuses before and around its routes, and the shape and headers of its answers."""

import json

import pytest

from tests.contract.admin.conftest import Admin
from tieline.core.errors import NotReady

MIB = 1024 * 1024


async def test_an_error_has_the_contracts_shape(admin: Admin) -> None:
    """Message, type, code, param and the request id, which is also a header."""
    reply = await admin("GET", "/apis/nothing")
    assert reply.status == 404
    assert reply.error.keys() == {"message", "type", "code", "param", "request_id"}
    assert (reply.error["type"], reply.error["code"]) == ("admin_error", "not_found")
    assert reply.error["request_id"] == reply.headers["tieline-request-id"]
    assert reply.error["request_id"].startswith("req_")
    assert reply.headers["tieline-error"] == "not_found"


async def test_every_answer_carries_the_safe_headers(admin: Admin) -> None:
    """Nothing is kept by caches, framed, sniffed or told to others."""
    for reply in (await admin("GET", "/apis"), await admin("GET", "/"), await admin("GET", "/nothing")):
        assert reply.headers["cache-control"] == "no-store"
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["referrer-policy"] == "no-referrer"
        assert "default-src 'none'" in reply.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in reply.headers["content-security-policy"]
        assert "access-control-allow-origin" not in reply.headers


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/apis/", 404, "not_found"),
        ("POST", "/catalogue", 405, "method_not_allowed"),
        ("PATCH", "/apis/openai", 405, "method_not_allowed"),
        ("GET", "/session", 404, "not_found"),
    ],
)
async def test_routes_and_methods_that_are_not_there(
    admin: Admin, method: str, path: str, status: int, code: str
) -> None:
    """They are answered in the same shape; a slash at the end is another path."""
    reply = await admin(method, path)
    assert (reply.status, reply.error["code"]) == (status, code)
    assert ("allow" in reply.headers) == (status == 405)


@pytest.mark.parametrize("body", [b"{", b'{"name": }', b"\xff\xfe", b"[" * 100_000, b'{"name": "a"', b"9" * 5000])
async def test_a_body_that_is_no_json_gets_400(admin: Admin, body: bytes) -> None:
    """Broken, not UTF-8, or too deep to read."""
    for method, path in (("POST", "/apps"), ("PUT", "/apis/openai")):
        reply = await admin(method, path, body)
        assert (reply.status, reply.error["code"]) == (400, "invalid_request")


@pytest.mark.parametrize("body", [b"", b"null", b"7", b'"text"', b"[]", b"true"])
async def test_a_body_that_is_no_object_gets_422(admin: Admin, body: bytes) -> None:
    """JSON, but not what is needed."""
    reply = await admin("POST", "/apps", body)
    assert (reply.status, reply.error["code"]) == (422, "invalid_input")
    assert "one JSON object" in reply.error["message"]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
async def test_a_body_of_another_type_is_refused(admin: Admin, kind: str) -> None:
    """A form on another site can send these types without asking; JSON it cannot."""
    reply = await admin("POST", "/apps", {"name": "blog"}, headers={"Content-Type": kind})
    assert reply.status == 422
    assert (await admin.made("GET", "/apps"))["items"] == []


async def test_a_body_that_nests_too_deep_is_refused(admin: Admin) -> None:
    """Sixty-four levels are read, more are not."""
    deep = json.loads("[" * 70 + "]" * 70)
    for method, path, body in (
        ("POST", "/apis", {"name": "deep", "definition": {"notes": deep}}),
        ("PUT", "/apis/deep", {"definition": {"notes": deep}}),
        ("POST", "/apps", {"name": deep}),
    ):
        reply = await admin(method, path, body)
        assert reply.status == 422
        assert "deep" in reply.error["message"]


async def test_a_body_over_8_mib_is_refused(admin: Admin) -> None:
    """By its announced length, and where none is announced as soon as it is too much."""
    announced = await admin("POST", "/apps", headers={"Content-Length": str(8 * MIB + 1)})
    assert (announced.status, announced.error["code"]) == (413, "body_too_large")
    head = f"POST /api/v1/apps HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {admin.tokens['owner']}\r\n"
    chunk = f"{MIB:x}\r\n".encode() + b"x" * MIB + b"\r\n"
    fields = "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    reply = await admin.send((head + fields).encode() + chunk * 8 + b"1\r\nx\r\n")
    assert (reply.status, reply.error["code"]) == (413, "body_too_large")


async def test_nothing_of_a_body_is_read_for_a_stranger(admin: Admin) -> None:
    """The answer comes before the body does."""
    head = "POST /api/v1/apps HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\nConnection: close\r\n\r\n"
    assert (await admin.send(head.encode())).status == 401


async def test_an_unknown_field_is_named_but_an_odd_one_is_not_repeated(admin: Admin) -> None:
    """A typing error is told; a name that could be a secret is not."""
    typed = await admin("POST", "/apps", {"name": "blog", "apsi": []})
    assert (typed.status, typed.error["param"]) == (422, "apsi")
    pasted = await admin("POST", "/apps", {"name": "blog", "sk-sandbox-canary": 1})
    assert (pasted.status, b"canary" in pasted.body) == (422, False)


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "after=key_1", "after=%00", "offset=3", "limit="])
@pytest.mark.parametrize("path", ["/apis", "/apps", "/tokens", "/audit"])
async def test_pages_that_cannot_be_are_refused(admin: Admin, path: str, query: str) -> None:
    """Out of range, not a cursor of this list, or not a parameter."""
    reply = await admin("GET", f"{path}?{query}")
    assert (reply.status, reply.error["param"]) == (422, query.partition("=")[0])


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("127.0.0.1:8601", 200),
        ("[::1]:8601", 200),
        ("LOCALHOST.", 200),
        ("tieline.example:443", 200),
        ("evil.example", 400),
        ("127.0.0.1.evil.example", 400),
        ("10.1.2.3", 400),
        ("localhost@evil.example", 400),
        ("localhost:8601:1", 400),
        ("", 400),
    ],
)
async def test_only_our_own_names_are_answered(admin: Admin, host: str, status: int) -> None:
    """A page that rebinds its name to this machine gets nothing, but for health checks that say nothing."""
    for path in ("/api/v1/apis", "/", "/api/openapi.json", "/api/docs"):
        reply = await admin("GET", path, headers={"Host": host})
        assert reply.status == status
    assert (await admin("GET", "/healthz", role=None, headers={"Host": host})).status == 200


async def test_health_says_whether_the_store_answers(admin: Admin) -> None:
    """Alive always, ready while the store can be reached."""
    assert (await admin("GET", "/healthz", role=None)).json == {"status": "ok"}
    assert (await admin("GET", "/readyz", role=None)).json == {"status": "ready"}
    assert (await admin("HEAD", "/healthz", role=None)).status == 200


async def test_a_failure_inside_is_answered_without_its_text(admin: Admin) -> None:
    """The answer has the request id, the log the place; neither has the exception's text."""

    async def fail(*_: object) -> None:
        msg = "sk-sandbox-canary in an exception"
        raise KeyError(msg)

    admin.prober.probe = fail  # type: ignore[assignment,method-assign]
    await admin.made("POST", "/apis", {"name": "openai", "from_catalogue": "openai"})
    reply = await admin("POST", "/apis/openai/verify")
    assert (reply.status, reply.error["code"]) == (500, "internal_error")
    log = admin.log.getvalue()
    assert reply.error["request_id"] in log
    assert "KeyError at " in log
    assert "canary" not in log + reply.body.decode()


async def test_a_store_that_is_away_is_answered_with_503(admin: Admin) -> None:
    """With a time to come back; the detail is for the log alone."""

    async def fail(*_: object) -> None:
        raise NotReady("The store cannot be reached. Try again soon.", detail="host db.internal", retry_after=2)

    admin.prober.probe = fail  # type: ignore[assignment,method-assign]
    await admin.made("POST", "/apis", {"name": "openai", "from_catalogue": "openai"})
    reply = await admin("POST", "/apis/openai/verify")
    assert (reply.status, reply.error["code"], reply.headers["retry-after"]) == (503, "not_ready", "2")
    assert b"db.internal" not in reply.body
    assert "db.internal" in admin.log.getvalue()
