"""How definition and credential become a plan, and what becomes of those that do not fit each other."""

import gc
import weakref
from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from tests.wire.stage import PROVIDER_KEY
from tieline.core.errors import DefinitionUnusable
from tieline.dataplane.attempt.prepare import steady_appliers
from tieline.dataplane.snapshot.plan import Api, Plan
from tieline.dataplane.snapshot.view import Snapshot
from tieline.definitions.parse import parse_data, to_json
from tieline.schemes.base import Applier, Outgoing
from tieline.testing.dataplane import MemorySource
from tieline.testing.vault import memory_keyring
from tieline.wire.deadlines import Deadlines
from tieline.wire.guard import Guard
from tieline.wire.pool import Pool
from tieline.wire.tls import Trust


async def compiled(fields: Mapping[str, str] | None, **changes: Any) -> Api:
    """The API with a live credential of these fields."""
    source = MemorySource(await memory_keyring())
    source.put_api(
        {
            "tieline": "v1",
            "api": "api",
            "base_url": "https://api.example.com/v1",
            "auth": {"scheme": "bearer"},
            **changes,
        }
    )
    if fields is not None:
        source.put_credential("api", fields)
    return await served(source)


async def served(source: MemorySource) -> Api:
    """The API called "api" as a worker serves it."""
    guard = Guard()
    snapshot = Snapshot(source, source.keyring, guard, Pool(guard, Deadlines(), Trust()))
    await snapshot.load()
    api = snapshot.apis.get(b"api")
    assert api is not None
    return api


def sent(plan: Plan, path: bytes = b"/x") -> Outgoing:
    """A request after everything was added."""
    outgoing = Outgoing(b"GET", plan.base_path + path, b"", [], plan.origin)
    plan.shared.add(outgoing, path)
    for applier in steady_appliers(plan):
        applier.apply(outgoing)
    return outgoing


def code(plan: Plan) -> str | None:
    """Why a plan cannot be used."""
    return plan.problem.code if plan.problem is not None else None


PRIVATE_VARIABLE = {"base_url": "https://api.example.com/<account>/v1", "variables": {"account": {"private": True}}}


async def test_a_private_variable_of_one_environment_leaves_the_other_alone() -> None:
    """Live has its account, development has no credential: live works, development says what is missing."""
    api = await compiled({"key": PROVIDER_KEY, "variable.account": "acme"}, **PRIVATE_VARIABLE)
    assert api.plans["live"].problem is None
    assert api.plans["live"].base_path == b"/acme/v1"
    assert code(api.plans["development"]) == "credential_missing"
    assert api.plans["development"].lane is None


async def test_an_api_without_any_credential_says_what_is_missing() -> None:
    """It exists, and asks for its credential."""
    api = await compiled(None, **PRIVATE_VARIABLE)
    assert {code(plan) for plan in api.plans.values()} == {"credential_missing"}


@pytest.mark.parametrize("value", ["a/b", "a b", "../x", "é", "a\r\nb"])
async def test_a_private_variable_that_does_not_fit_a_url_is_a_problem_of_its_environment(value: str) -> None:
    """It is not sent, and not shown."""
    api = await compiled({"key": PROVIDER_KEY, "variable.account": value}, **PRIVATE_VARIABLE)
    live = api.plans["live"]
    assert live.problem is not None
    assert code(live) == "credential_missing"
    assert value not in live.problem.public


@pytest.mark.parametrize(
    ("value", "problem"), [("acme", None), ("a b", "credential_missing"), ("..", "credential_missing")]
)
async def test_a_private_variable_that_does_not_fit_an_issuers_url(value: str, problem: str | None) -> None:
    """Is a problem of the API's in that environment; a good one is where the token is asked for."""
    auth = {"scheme": "oauth2", "grant": "client_credentials", "token_url": "https://api.example.com/<account>/token"}
    variables = {"account": {"private": True}}
    fields = {"client_id": "app", "client_secret": "not-real", "variable.account": value}
    api = await compiled(fields, auth=auth, variables=variables)
    assert code(api.plans["live"]) == problem
    assert code(api.plans["development"]) == "credential_missing"


async def test_an_api_whose_definition_does_not_fit_says_so_and_no_other_suffers() -> None:
    """424 with the reason, not 404: it is there. The same where another version stored what this one cannot read."""
    source = MemorySource(await memory_keyring())
    auth = {"scheme": "oauth2", "grant": "client_credentials", "token_url": "https://api.example.com/<account>/token"}
    data = {"tieline": "v1", "base_url": "https://api.example.com/v1"}
    bad = {**data, "api": "bad", "auth": auth, "variables": {"account": {"default": "a b"}}}
    source.put_row("bad", orjson.dumps(to_json(parse_data(bad))).decode())  # put before schemes were asked
    source.put_row("unreadable", "{")
    source.put_row("odd", '{"tieline": "v1", "api": "odd", "base_url": "https://a.example.", "calls": 5}')
    source.put_api({**data, "api": "good", "auth": {"scheme": "none"}})
    guard = Guard()
    snapshot = Snapshot(source, source.keyring, guard, Pool(guard, Deadlines(), Trust()))
    await snapshot.load()
    found = snapshot.apis.get(b"bad")
    assert found is not None
    assert {code(plan) for plan in found.plans.values()} == {"definition_unusable"}
    for name in (b"unreadable", b"odd"):
        found = snapshot.apis.get(name)
        assert found is not None
        assert {code(plan) for plan in found.plans.values()} == {"definition_unusable"}
        with pytest.raises(DefinitionUnusable):
            found.plans["live"].calls.find("any")
    good = snapshot.apis.get(b"good")
    assert good is not None
    assert code(good.plans["live"]) is None


async def test_a_field_that_the_definition_no_longer_has_is_passed_over() -> None:
    """A definition may change before its credential does."""
    api = await compiled({"key": PROVIDER_KEY, "variable.gone": "x", "header.gone": "y"})
    assert api.plans["live"].problem is None


@pytest.mark.parametrize("value", ["sk\r\nX-Evil: 1", "sk\n", "sk\x00", "sk\x7f"])
async def test_a_secret_that_would_end_its_line_is_never_sent(value: str) -> None:
    """Should one ever reach the vault, it goes no further."""
    live = (await compiled({"key": value})).plans["live"]
    assert code(live) == "credential_missing"
    assert live.lane is None
    private = {"headers": [{"name": "X-Org", "private": True}]}
    assert code((await compiled({"key": PROVIDER_KEY, "header.X-Org": value}, **private)).plans["live"]) is not None


async def test_a_missing_private_value_is_named() -> None:
    """The message tells the command."""
    api = await compiled({"key": PROVIDER_KEY}, headers=[{"name": "X-Org", "private": True}])
    problem = api.plans["live"].problem
    assert problem is not None
    assert problem.param == "header.X-Org"


async def test_environments_differ_in_what_they_override() -> None:
    """Base URL and headers of development are its own."""
    api = await compiled(
        {"key": PROVIDER_KEY},
        environments={"development": {"base_url": "https://dev.example.com", "hosts": ["dev.example.com"]}},
        headers=[{"name": "X-Version", "value": "1"}],
    )
    assert (api.plans["live"].origin.host, api.plans["development"].origin.host) == (
        "api.example.com",
        "dev.example.com",
    )


async def test_shared_values_are_added_where_they_apply() -> None:
    """By the path below the base URL; two headers of one name, each for its own paths."""
    api = await compiled(
        {"key": PROVIDER_KEY},
        headers=[
            {"name": "Beta", "value": "a", "when": "/a*"},
            {"name": "Beta", "value": "b", "when": "/b"},
            {"name": "Always", "value": "c"},
        ],
        parameters=[{"name": "v", "in": "query", "value": "1", "when": "/a*"}],
    )
    plan = api.plans["live"]
    assert (b"Beta", b"a") in sent(plan, b"/ab").headers
    assert sent(plan, b"/ab").query == b"v=1"
    assert (b"Beta", b"b") in sent(plan, b"/b").headers
    assert [name for name, _ in sent(plan, b"/c").headers] == [b"Always", b"Authorization"]


async def test_short_values_are_not_looked_for_in_answers() -> None:
    """They would match by chance; a longer one that holds another is found by the shorter."""
    plan = (await compiled({"key": "short"})).plans["live"]
    assert all(len(value) >= 12 for value in plan.reflections)
    plan = (await compiled({"key": PROVIDER_KEY})).plans["live"]
    assert plan.reflections == (PROVIDER_KEY.encode(),)


async def test_no_secret_shows_in_a_repr() -> None:
    """Plans may be logged by accident."""
    api = await compiled(
        {"key": "not-a-real-secret", "header.X-Org": "not-a-real-org"}, headers=[{"name": "X-Org", "private": True}]
    )
    assert "not-a-real" not in repr(api)
    assert "not-a-real" not in repr(api.plans["live"].shared.headers) + repr(steady_appliers(api.plans["live"]))


async def test_a_bad_value_of_one_environment_leaves_the_other_served() -> None:
    """Stored before it was refused: development says what is wrong with it, live goes on."""
    source = MemorySource(await memory_keyring())
    data = {"tieline": "v1", "api": "api", "base_url": "https://<h>.example.com", "variables": {"h": {"default": "ok"}}}
    source.put_row("api", orjson.dumps({**data, "environments": {"development": {"variables": {"h": None}}}}).decode())
    plans = (await served(source)).plans
    assert code(plans["live"]) is None
    assert plans["development"].problem is not None
    assert code(plans["development"]) == "definition_unusable"
    assert "<h> is not among variables" in plans["development"].problem.public


async def test_a_variable_without_a_value_is_named() -> None:
    """Whoever calls the API learns what its operator has to set."""
    plans = (await compiled({"key": PROVIDER_KEY}, variables={"region": {}})).plans
    assert plans["live"].problem is not None
    assert "variables.region: has no value" in plans["live"].problem.public


async def test_another_credential_does_not_read_the_definition_again() -> None:
    """What a definition says does not depend on it, and reading may take long."""
    source = MemorySource(await memory_keyring())
    source.put_api({"tieline": "v1", "api": "api", "base_url": "https://a.example", "calls": {"c": {"path": "/"}}})
    guard = Guard()
    snapshot = Snapshot(source, source.keyring, guard, Pool(guard, Deadlines(), Trust()))
    await snapshot.load()
    before = snapshot.apis.get(b"api")
    source.put_credential("api", {"key": "another-key-of-the-api"})
    await snapshot.freshen()
    after = snapshot.apis.get(b"api")
    assert before is not None
    assert after is not None
    assert after is not before
    assert after.read is before.read


async def test_a_call_that_cannot_be_compiled_leaves_the_others_alone() -> None:
    """It is refused with the reason each time, and compiled once."""
    source = MemorySource(await memory_keyring())
    calls = {"good": {"path": "/"}, "bad": {"path": "/<x>"}, "odd": 5}
    data = {"tieline": "v1", "api": "api", "base_url": "https://a.example", "calls": calls}
    source.put_row("api", orjson.dumps(data).decode())
    found = (await served(source)).plans["live"].calls
    assert found.find("good") is not None
    for name in ("bad", "odd", "bad"):
        with pytest.raises(DefinitionUnusable, match=f"The call {name} cannot be run"):
            found.find(name)
    with pytest.raises(DefinitionUnusable):
        found.known("bad")


FORM, JSON = b"application/x-www-form-urlencoded", b"application/json"


@pytest.mark.parametrize(
    ("content_type", "body", "sent_body"),
    [
        (JSON, b'{"q":1.50}', b'{"q":1.50,"acct":"a&1"}'),
        (JSON, b'{"acct":"mine","q":1}', b'{"acct":"a&1","q":1}'),
        (JSON, b"[1]", b"[1]"),
        (FORM, b"q=1&acct=mine", b"q=1&acct=a%261"),
        (b"text/plain", b"q", b"q"),
        (JSON, b"", b""),
    ],
)
@pytest.mark.parametrize("private", [True, False])
async def test_shared_parameters_are_set_in_bodies(
    content_type: bytes, body: bytes, sent_body: bytes, *, private: bool
) -> None:
    """In JSON objects and forms, private ones too; nothing else of the body is changed."""
    value = {"private": True} if private else {"value": "a&1"}
    parameter = {"name": "acct", "in": "body", "when": "/b*", **value}
    plan = (await compiled({"key": PROVIDER_KEY, "parameter.acct": "a&1"}, parameters=[parameter])).plans["live"]
    assert not plan.steady
    applier = plan.auth[0]
    assert isinstance(applier, Applier)
    assert applier.wants_body([(b"Content-Type", content_type)]) is (content_type != b"text/plain")
    for path, expected in ((b"/v1/b1", sent_body), (b"/v1/c", body)):
        outgoing = Outgoing(b"POST", path, b"", [(b"Content-Type", content_type)], plan.origin, body)
        applier.apply(outgoing)
        assert outgoing.body == expected


async def test_a_shared_content_type_labels_no_body_that_has_one() -> None:
    """A caller's form stays a form."""
    plan = (
        await compiled({"key": PROVIDER_KEY}, headers=[{"name": "Content-Type", "value": "application/json"}])
    ).plans["live"]
    outgoing = Outgoing(b"POST", b"/", b"", [(b"content-type", FORM)], plan.origin)
    plan.shared.add(outgoing, b"/")
    assert outgoing.headers == [(b"content-type", FORM)]
    assert plan.request_fate[b"Content-Type"]
    bare = Outgoing(b"POST", b"/", b"", [], plan.origin)
    plan.shared.add(bare, b"/")
    assert bare.headers == [(b"Content-Type", JSON)]


async def test_replaced_secrets_are_collectable_at_once() -> None:
    """Thirty rotations leave the one secret that is in use: no plan, memo or table of verdicts keeps another."""
    source = MemorySource(await memory_keyring())
    source.put_api({"tieline": "v1", "api": "api", "base_url": "https://a.example", "auth": {"scheme": "bearer"}})
    guard = Guard()
    snapshot = Snapshot(source, source.keyring, guard, Pool(guard, Deadlines(), Trust()))
    await snapshot.load()
    appliers = []
    for turn in range(30):
        source.put_credential("api", {"key": f"{PROVIDER_KEY}-{turn}"})
        await snapshot.freshen()
        api = snapshot.apis.get(b"api")
        assert api is not None
        appliers.append(weakref.ref(api.plans["live"].auth[0]))
        sent(api.plans["live"])
        del api
    gc.collect()
    assert [applier() is not None for applier in appliers] == [False] * 29 + [True]
