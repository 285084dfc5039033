"""Catalogue and APIs: what can be added, changed, exported and removed, and what is refused with nothing half-saved."""

from typing import Any

import pytest

from tests.contract.admin.conftest import Admin

YAML = """\
tieline: v1
api: weather
base_url: https://api.weather.example/v2
auth: {scheme: api_key, in: query, name: appid}
verify: {method: GET, path: /ping}
areas:
  - {area: forecasts, title: Forecasts, levels: [read], match: ["GET /forecasts"]}
environments:
  development: {base_url: "https://sandbox.weather.example/v2"}
"""


async def test_the_catalogue_lists_openai_and_shows_its_definition(admin: Admin) -> None:
    """The entry that is listed can be opened and holds areas."""
    listed = await admin.made("GET", "/catalogue")
    assert {"name": "openai", "title": "OpenAI", "documentation": "https://platform.openai.com/docs"} in listed["items"]
    entry = await admin.made("GET", "/catalogue/openai")
    assert entry["definition"]["base_url"] == "https://api.openai.com/v1"
    assert (await admin("GET", "/catalogue/nothing")).error["code"] == "not_found"


async def test_an_api_from_the_catalogue_has_its_areas_and_no_credential(admin: Admin) -> None:
    """Adding from the catalogue gives the whole entry under the chosen name."""
    reply = await admin("POST", "/apis", {"name": "my-openai", "from_catalogue": "openai"})
    assert reply.status == 201
    assert reply.headers["location"] == "/api/v1/apis/my-openai"
    assert reply.headers["etag"] == '"1"'
    api = reply.json
    assert (api["name"], api["relay"], api["source_entry"]) == ("my-openai", "/relay/my-openai", "openai")
    assert api["definition"]["api"] == "my-openai"
    assert api["credentials"] == {"live": None, "development": None}
    first = api["areas"][0]
    assert (first["name"], first["title"], first["levels"]) == ("models", "List models", ["read"])
    assert await admin.made("GET", "/apis/my-openai") == api


async def test_a_base_url_replaces_the_entrys_and_its_host_is_where_credentials_go(admin: Admin) -> None:
    """With ``base_url`` the entry serves another place, such as the sandbox."""
    body = {"name": "openai", "from_catalogue": "openai", "base_url": "http://10.1.2.3:8700/v1"}
    assert (await admin.made("POST", "/apis", body))["base_url"] == "http://10.1.2.3:8700/v1"
    stored = await admin.made(
        "PUT", "/apis/openai/credentials/live", {"fields": {"key": "sk-sandbox-0123456789abcdef"}}
    )
    assert stored["hosts"] == ["10.1.2.3"]


async def test_a_base_url_alone_makes_an_api_with_a_bearer_token(admin: Admin) -> None:
    """Most APIs take one, so the smallest definition is a base URL and its key the field ``key``."""
    api = await admin.made("POST", "/apis", {"name": "echo", "base_url": "https://echo.example"})
    assert (api["title"], api["areas"]) == ("echo", [])
    kept = await admin.made("PUT", "/apis/echo/credentials/live", {"fields": {"key": "sk-sandbox-0123456789"}})
    assert (kept["state"], kept["hosts"]) == ("active", ["echo.example"])


@pytest.mark.parametrize("form", ["text", "object"])
async def test_a_definition_is_taken_as_text_or_object_and_exported_in_both_forms(admin: Admin, form: str) -> None:
    """What goes in comes out, as YAML unless JSON is asked for."""
    definition: Any = YAML
    if form == "object":
        definition = {"tieline": "v1", "api": "weather", "base_url": "https://api.weather.example/v2"}
    await admin.made("POST", "/apis", {"name": "weather", "definition": definition})
    as_yaml = await admin("GET", "/apis/weather/definition")
    assert as_yaml.headers["content-type"].startswith("application/yaml")
    assert b"base_url: " in as_yaml.body
    as_json = await admin("GET", "/apis/weather/definition", headers={"Accept": "application/json"})
    assert as_json.json["base_url"] == "https://api.weather.example/v2"
    assert as_json.headers["etag"] == '"1"'


@pytest.mark.parametrize(
    ("kind", "wrap"),
    [("application/yaml", None), ("application/json", "definition"), ("application/json", None)],
)
async def test_a_whole_definition_is_put_in_any_form(admin: Admin, kind: str, wrap: str | None) -> None:
    """YAML, a JSON definition, and one wrapped in ``definition`` all replace what is there and raise the revision."""
    await admin.made("POST", "/apis", {"name": "weather", "definition": YAML})
    changed = (await admin.made("GET", "/apis/weather"))["definition"] | {"title": "Weather"}
    text = YAML.replace("api: weather\n", "api: weather\ntitle: Weather\n")
    body: object = text.encode() if kind.endswith("yaml") else {"definition": text} if wrap else changed
    reply = await admin("PUT", "/apis/weather", body, headers={"Content-Type": kind})
    assert (reply.status, reply.json["title"], reply.json["revision"]) == (200, "Weather", 2)
    assert reply.headers["etag"] == '"2"'


async def test_a_change_with_an_old_revision_is_refused(admin: Admin) -> None:
    """``If-Match`` guards against lost updates; without it the last writer wins."""
    await admin.made("POST", "/apis", {"name": "weather", "definition": YAML})
    changed = YAML.replace("/v2", "/v3").encode()
    kind = {"Content-Type": "application/yaml"}
    assert (await admin("PUT", "/apis/weather", changed, headers={**kind, "If-Match": '"1"'})).status == 200
    lost = await admin("PUT", "/apis/weather", YAML.encode(), headers={**kind, "If-Match": '"1"'})
    assert (lost.status, lost.error["code"]) == (412, "precondition_failed")
    assert (await admin("PUT", "/apis/weather", YAML.encode(), headers={**kind, "If-Match": 'W/"2"'})).status == 412
    assert (await admin("PUT", "/apis/weather", YAML.encode(), headers={**kind, "If-Match": "2"})).status == 422
    assert (await admin("PUT", "/apis/weather", YAML.encode(), headers={**kind, "If-Match": '"1", "2"'})).status == 200
    assert (await admin("PUT", "/apis/weather", changed, headers={**kind, "If-Match": "*"})).json["revision"] == 4


async def test_putting_the_same_definition_again_changes_nothing(admin: Admin) -> None:
    """The revision and the audit log stay as they are."""
    await admin.made("POST", "/apis", {"name": "weather", "definition": YAML})
    before = (await admin.made("GET", "/audit"))["items"]
    again = await admin("PUT", "/apis/weather", YAML.encode(), headers={"Content-Type": "application/yaml"})
    assert again.json["revision"] == 1
    assert (await admin.made("GET", "/audit"))["items"] == before


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        ({"name": "Weather", "base_url": "https://x.example"}, "name", "lower-case"),
        ({"name": "weather"}, "definition", "from_catalogue"),
        ({"name": "weather", "from_catalogue": "nothing"}, "from_catalogue", "no such entry. It has: openai"),
        ({"name": "weather", "from_catalogue": "openai", "definition": YAML}, "definition", "exclude"),
        ({"name": "weather", "definition": 7}, "definition", "text"),
        ({"name": "weather", "definition": YAML + "colour: blue\n"}, "colour", "line 10"),
        ({"name": "weather", "definition": YAML + "api: weather\n"}, "api", "line 10"),
        ({"name": "weather", "definition": {"tieline": "v1"}}, None, "base_url"),
        ({"name": "weather", "base_url": "ftp://x.example"}, "base_url", "https"),
        ({"name": "weather", "base_url": "https://user:pass@x.example"}, "base_url", "credential"),
        ({"name": "weather", "base_url": "https://x.example", "hosts": ["y.example"]}, "hosts", "x.example"),
        ({"name": "weather", "base_url": "https://x.example", "hosts": ["*"]}, "hosts[0]", "host"),
        ({"name": "weather", "definition": YAML.replace("api_key", "apikey")}, "auth.scheme", "api_key"),
    ],
)
async def test_an_api_that_cannot_be_is_refused_and_not_half_saved(
    admin: Admin, body: object, param: str | None, words: str
) -> None:
    """The answer names the field and what to do, and no API is there afterwards."""
    reply = await admin("POST", "/apis", body)
    assert (reply.status, reply.error["code"]) == (422, "invalid_input")
    assert words in reply.error["message"]
    assert param is None or reply.error["param"] == param
    assert (await admin.made("GET", "/apis"))["items"] == []


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8601",
        "http://169.254.169.254/latest",
        "https://10.0.0.1",
        "https://[::1]/x",
        "http://[::ffff:10.0.0.1]",
        "https://[fd00::1]",
    ],
)
async def test_a_base_url_that_is_an_inner_address_is_refused(admin: Admin, url: str) -> None:
    """A literal that the guard would not dial is refused when it is defined, in either environment."""
    reply = await admin("POST", "/apis", {"name": "inner", "base_url": url})
    assert (reply.status, reply.error["param"]) == (422, "base_url")
    definition = YAML.replace("https://sandbox.weather.example/v2", url)
    assert (await admin("POST", "/apis", {"name": "weather", "definition": definition})).status == 422
    assert (await admin("POST", "/apis", {"name": "open", "base_url": "https://10.1.255.255"})).status == 201


async def test_a_change_cannot_rename_an_api_or_point_it_inward(admin: Admin) -> None:
    """A definition that names another API, or an inner address, leaves the one that is there."""
    await admin.made("POST", "/apis", {"name": "weather", "definition": YAML})
    kind = {"Content-Type": "application/yaml"}
    renamed = await admin("PUT", "/apis/weather", YAML.replace("api: weather", "api: rain").encode(), headers=kind)
    assert (renamed.status, renamed.error["param"]) == (422, "api")
    inward = await admin("PUT", "/apis/weather", YAML.replace("api.weather.example", "10.0.0.1").encode(), headers=kind)
    assert inward.status == 422
    assert (await admin.made("GET", "/apis/weather"))["revision"] == 1


async def test_names_are_unique(admin: Admin) -> None:
    """A second API of the same name is refused with 409 and the first stays."""
    await admin.made("POST", "/apis", {"name": "weather", "definition": YAML})
    second = await admin("POST", "/apis", {"name": "weather", "base_url": "https://other.example"})
    assert (second.status, second.error["code"], second.error["param"]) == (409, "already_exists", "name")
    assert (await admin.made("GET", "/apis/weather"))["base_url"] == "https://api.weather.example/v2"


async def test_apis_come_in_pages(admin: Admin) -> None:
    """``limit`` and ``after`` walk the list without gaps or repeats."""
    for number in range(5):
        await admin.made("POST", "/apis", {"name": f"api{number}", "base_url": "https://x.example"})
    names: list[str] = []
    after = ""
    while True:
        page = await admin.made("GET", f"/apis?limit=2{after}")
        assert len(page["items"]) <= 2
        names += [item["name"] for item in page["items"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert sorted(names) == [f"api{number}" for number in range(5)]


async def test_removing_an_api_takes_credentials_and_grants_with_it(admin: Admin) -> None:
    """An API of the same name that comes later gives old keys nothing."""
    await admin.made("POST", "/apis", {"name": "weather", "definition": YAML})
    await admin.made("PUT", "/apis/weather/credentials/live", {"fields": {"key": "sandbox-0123456789abcdef"}})
    await admin.made("POST", "/apps", {"name": "blog", "apis": ["weather"]})
    grants = {"mode": "restricted", "grants": {"weather": {"forecasts": "read"}}}
    key = await admin.made("POST", "/apps/blog/keys", {"permissions": grants})
    assert (await admin("DELETE", "/apis/weather")).status == 204
    assert (await admin("GET", "/apis/weather")).status == 404
    await admin.made("POST", "/apis", {"name": "weather", "definition": YAML})
    assert (await admin.made("GET", "/apps/blog"))["apis"] == []
    assert (await admin.made("GET", "/apis/weather/credentials"))["items"] == []
    assert (await admin.made("GET", f"/keys/{key['id']}"))["permissions"] == {"mode": "restricted", "grants": {}}


async def test_verify_asks_the_data_plane_and_is_audited(admin: Admin) -> None:
    """The verdict is passed on; an API without a verify request is not tried."""
    await admin.made("POST", "/apis", {"name": "weather", "definition": YAML})
    assert await admin.made("POST", "/apis/weather/verify") == {
        "ok": True, "status": 200, "problem": None, "tried": True,
    }  # fmt: skip
    await admin.made("POST", "/apis/weather/verify", {"environment": "development"})
    assert admin.prober.asked == [("weather", "live"), ("weather", "development")]
    assert (await admin.made("GET", "/audit?limit=1"))["items"][0]["kind"] == "api.verified"
    await admin.made("POST", "/apis", {"name": "echo", "base_url": "https://echo.example"})
    untried = await admin.made("POST", "/apis/echo/verify")
    assert (untried["ok"], len(admin.prober.asked)) == (False, 2)
    assert "no verify request" in untried["problem"]
    assert untried["tried"] is False


async def test_an_api_is_verified_with_the_connection_of_a_user(admin: Admin) -> None:
    """Of the one app that uses it, or of the app that is named; which it is must be clear."""
    await admin.made("POST", "/apis", {"name": "weather", "definition": YAML})
    blog = (await admin.made("POST", "/apps", {"name": "blog", "apis": ["weather"]}))["id"]
    await admin.made("POST", "/apis/weather/verify", {"connection": "ann"})
    shop = (await admin.made("POST", "/apps", {"name": "shop", "apis": ["weather"]}))["id"]
    await admin.made("POST", "/apis/weather/verify", {"connection": "ann", "app": "shop"})
    assert admin.prober.end_users == [(blog, "ann"), (shop, "ann")]
    unclear = await admin("POST", "/apis/weather/verify", {"connection": "ann"})
    assert (unclear.status, unclear.error["param"]) == (422, "app")
    assert (await admin("POST", "/apis/weather/verify", {"app": "shop"})).error["param"] == "connection"
    assert (await admin("POST", "/apis/weather/verify", {"connection": "ann", "app": "nobody"})).status == 404


async def test_an_api_that_cannot_be_used_says_why(admin: Admin) -> None:
    """By environment: a variable without a value may be missing in one alone. Verifying it says the same."""
    text = (
        "tieline: v1\napi: weather\nbase_url: https://<region>.weather.example\nauth: {scheme: none}\n"
        "variables: {region: {}}\nverify: {path: /}\nenvironments: {live: {variables: {region: {default: eu}}}}\n"
    )
    api = await admin.made("POST", "/apis", {"name": "weather", "definition": text})
    reason = "variables.region: has no value; give it one, or a default"
    assert api["problems"] == {"development": reason}
    assert (await admin.made("GET", "/apis"))["items"][0]["problems"] == {"development": reason}
    whole = text.replace("region: {}", "region: {default: us}")
    assert (await admin("PUT", "/apis/weather", {"definition": whole})).json["problems"] == {}


async def test_a_value_that_cannot_be_served_is_refused_with_its_field(admin: Admin) -> None:
    """Each environment for itself."""
    text = (
        "tieline: v1\napi: weather\nbase_url: https://<h>.weather.example\nvariables: {h: {default: eu}}\n"
        "environments: {development: {variables: {h: {default: a b}}}}\n"
    )
    reply = await admin("POST", "/apis", {"name": "weather", "definition": text})
    assert (reply.status, reply.error["code"]) == (422, "invalid_input")
    assert reply.error["param"] == "environments.development.base_url"


async def test_a_mistake_in_a_call_is_told_with_its_line(admin: Admin) -> None:
    """A call that is sent as text keeps its lines, as a definition does."""
    await admin.made("POST", "/apis", {"name": "weather", "definition": YAML})
    call = "path: /now\nmethod: GETT\n"
    reply = await admin("POST", "/apis/weather/calls", {"name": "now", "definition": call})
    assert reply.error["message"].startswith('line 2, calls.now.method: "GETT" is not known here')
