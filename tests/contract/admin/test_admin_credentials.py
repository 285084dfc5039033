"""Credentials: put, shown masked, activated, retired; what is refused, and that values never come back."""

import pytest

from tests.contract.admin.conftest import Admin

KEY = "sk-sandbox-0123456789abcdefWXYZ"


@pytest.fixture
async def openai(admin: Admin) -> Admin:
    """An admin API with OpenAI."""
    await admin.made("POST", "/apis", {"name": "openai", "from_catalogue": "openai"})
    return admin


async def put(admin: Admin, key: str = KEY, query: str = "") -> dict[str, object]:
    """A new live version."""
    stored: dict[str, object] = await admin.made(
        "PUT", f"/apis/openai/credentials/live{query}", {"fields": {"key": key}}
    )
    return stored


async def states(admin: Admin) -> dict[int, str]:
    """The state of each version."""
    return {each["version"]: each["state"] for each in (await admin.made("GET", "/apis/openai/credentials"))["items"]}


async def test_the_first_version_of_an_environment_is_active_and_later_ones_wait(openai: Admin) -> None:
    """Put is not activate, but for the first; versions count across environments."""
    first = await put(openai)
    assert (first["version"], first["state"], first["fields"]) == (1, "active", {"key": "sk-…WXYZ"})
    assert (await put(openai))["state"] == "pending"
    development = await openai.made("PUT", "/apis/openai/credentials/development", {"fields": {"key": KEY}})
    assert (development["version"], development["state"]) == (3, "active")
    assert await states(openai) == {1: "active", 2: "pending", 3: "active"}
    api = await openai.made("GET", "/apis/openai")
    assert {name: each["version"] for name, each in api["credentials"].items()} == {"live": 1, "development": 3}


@pytest.mark.parametrize("around", [("\ufeff", "\n"), ("", "\r\n"), ("\u200b ", " ")])
async def test_what_came_along_with_a_key_is_cut_off_and_said(openai: Admin, around: tuple[str, str]) -> None:
    """A byte order mark, zero-width blanks, line ends: they are no part of it, whatever way it came."""
    stored = await put(openai, around[0] + KEY + around[1])
    assert stored["fields"] == {"key": "sk-…WXYZ"}
    assert list(stored["cut"]) == ["key"]  # type: ignore[call-overload]
    assert (await put(openai))["cut"] == {}


async def test_activating_a_version_retires_the_one_before_and_can_be_undone(openai: Admin) -> None:
    """The version that was in use keeps its values, so that a bad new one can be taken back."""
    await put(openai)
    await put(openai)
    activated = await openai.made("POST", "/apis/openai/credentials/2/activate")
    assert (activated["state"], await states(openai)) == ("active", {1: "retired", 2: "active"})
    await openai.made("POST", "/apis/openai/credentials/1/activate")
    assert await states(openai) == {1: "active", 2: "retired"}


async def test_activate_true_uses_a_new_version_at_once(openai: Admin) -> None:
    """One request replaces a leaked key."""
    await put(openai)
    assert (await put(openai, query="?activate=true"))["state"] == "active"
    assert await states(openai) == {1: "retired", 2: "active"}


async def test_a_retired_version_is_erased_for_good(openai: Admin) -> None:
    """It stays in the list, cannot be activated, and retiring it again is no error."""
    await put(openai)
    assert (await openai("DELETE", "/apis/openai/credentials/1")).status == 204
    assert (await openai("DELETE", "/apis/openai/credentials/1")).status == 204
    listed = (await openai.made("GET", "/apis/openai/credentials"))["items"]
    assert [(each["state"], each["erased"]) for each in listed] == [("retired", True)]
    refused = await openai("POST", "/apis/openai/credentials/1/activate")
    assert (refused.status, refused.error["code"]) == (422, "invalid_input")
    assert (await openai.made("GET", "/vault"))["items"][0]["secrets"] == 0
    kinds = [each["kind"] for each in (await openai.made("GET", "/audit"))["items"]]
    assert kinds.count("credential.retired") == 1


@pytest.mark.parametrize(
    "body",
    [
        {"fields": {}},
        {"fields": {"key": ""}},
        {"fields": {"key": f"{KEY[:9]}\u200b{KEY}"}},
        {"fields": {"key": f"sk-sandbox\r\nX-Injected: {KEY}"}},
        {"fields": {"key": f"{KEY}\u0000"}},
        {"fields": {"key": KEY, "token": KEY}},
        {"fields": {KEY: "key"}},
        {"fields": {"key": "x" * 65_537}},
        {"fields": {"key": [KEY]}},
        {"fields": {"key": None}},
        {"fields": {"key": KEY}, "hosts": []},
        {"fields": {"key": KEY}, "hosts": ["https://api.openai.com"]},
        {"fields": {"key": KEY}, "hosts": ["a b"]},
        {"fields": {"key": KEY}, "hosts": [f"{KEY} "]},
        {"fields": {"key": "\ud800"}},
        {"key": KEY},
        KEY,
        [KEY],
    ],
)
async def test_a_credential_that_cannot_be_is_refused_without_repeating_it(openai: Admin, body: object) -> None:
    """The answer names the field, never the value, and nothing is stored."""
    reply = await openai("PUT", "/apis/openai/credentials/live", body)
    assert (reply.status, reply.error["code"]) == (422, "invalid_input")
    assert KEY.encode() not in reply.body
    assert await states(openai) == {}
    assert (await openai.made("GET", "/vault"))["items"][0]["secrets"] == 0


async def test_a_short_value_is_shown_as_nothing(openai: Admin) -> None:
    """The mask of a value that is too short to mask is a mark alone."""
    assert (await put(openai, "hunter2"))["fields"] == {"key": "…"}


async def test_private_values_are_fields_of_the_credential(admin: Admin) -> None:
    """A private header's value is asked for, checked and masked as the key is; a private variable must fit."""
    definition = {
        "tieline": "v1",
        "api": "shop",
        "base_url": "https://shop.example/<tenant>",
        "variables": {"tenant": {"private": True}},
        "headers": [{"name": "X-Partner", "private": True}],
        "auth": {"scheme": "bearer"},
    }
    await admin.made("POST", "/apis", {"name": "shop", "definition": definition})
    path = "/apis/shop/credentials/live"
    values = {"key": KEY, "header.X-Partner": "partner-0123456789abcdef", "variable.tenant": "acme"}
    assert (await admin("PUT", path, {"fields": {"key": KEY}})).status == 422
    refused = await admin("PUT", path, {"fields": values | {"variable.tenant": "canary/../x"}})
    assert (refused.status, b"canary" in refused.body) == (422, False)
    stored = await admin.made("PUT", path, {"fields": values})
    assert stored["fields"] == {"key": "sk-…WXYZ", "header.X-Partner": "partner-…cdef", "variable.tenant": "…"}
    assert stored["hosts"] == ["shop.example"]


async def test_a_private_variable_must_fit_the_options_of_the_scheme(admin: Admin) -> None:
    """As it must fit the URL: whoever puts it hears of it, not the first app that asks."""
    definition = {
        "tieline": "v1",
        "api": "things",
        "base_url": "https://things.example",
        "variables": {"region": {"private": True}},
        "auth": {
            "scheme": "aws_sigv4",
            "service": "execute-api",
            "region": "<region>",
            "assume_role": {"role_arn": "arn:aws:iam::123456789012:role/demo"},
        },
    }
    await admin.made("POST", "/apis", {"name": "things", "definition": definition})
    path = "/apis/things/credentials/live"
    values = {"access_key_id": "AKIDEXAMPLE", "secret_access_key": KEY, "variable.region": "canary (west)"}
    refused = await admin("PUT", path, {"fields": values})
    assert (refused.status, b"canary" in refused.body) == (422, False)
    stored = await admin.made("PUT", path, {"fields": values | {"variable.region": "eu-west-1"}})
    assert stored["hosts"] == ["things.example", "sts.eu-west-1.amazonaws.com"]


async def test_hosts_of_the_environment_are_the_default(admin: Admin) -> None:
    """Where development has another base URL, its credential goes there."""
    definition = {
        "tieline": "v1",
        "api": "shop",
        "base_url": "https://shop.example",
        "environments": {"development": {"base_url": "https://test.shop.example"}},
        "auth": {"scheme": "bearer"},
    }
    await admin.made("POST", "/apis", {"name": "shop", "definition": definition})
    for environment, host in (("live", "shop.example"), ("development", "test.shop.example")):
        stored = await admin.made("PUT", f"/apis/shop/credentials/{environment}", {"fields": {"key": KEY}})
        assert stored["hosts"] == [host]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", "/apis/openai/credentials/staging", 422),
        ("PUT", "/apis/nothing/credentials/live", 404),
        ("POST", "/apis/openai/credentials/1/activate", 404),
        ("DELETE", "/apis/openai/credentials/7", 404),
        ("DELETE", "/apis/openai/credentials/0", 422),
        ("DELETE", "/apis/openai/credentials/99999999999999999999", 422),
        ("DELETE", "/apis/openai/credentials/one", 422),
        ("GET", "/apis/openai/credentials/1", 405),
    ],
)
async def test_versions_and_apis_that_are_not_there(openai: Admin, method: str, path: str, status: int) -> None:
    """There is no read of one version, and odd ones are refused."""
    body = {"fields": {"key": KEY}} if method == "PUT" else None
    assert (await openai(method, path, body)).status == status
