"""What a model costs, as operators ask for it, and lists that are made by the real compiler."""

import sys

import pytest

from tests.contract.admin.conftest import Admin
from tieline.access.caller import Caller, Role
from tieline.app import pricing
from tieline.app.pricing import keep_prices
from tieline.controlplane.prices import stored_version
from tieline.metering.versions import price_version

THIS = Caller("local", "local", "this machine", Role.OWNER)
OWN = {
    "date": "2026-08-21",
    "source": "https://provider.example/prices",
    "window": 1_000,
    "rates": {"audio_seconds": {"usd": "0.006", "per": "minute"}, "input_tokens": {"usd": "2.50", "per": "1M"}},
    "tiers": {"batch": {"input_tokens": {"usd": "1.25", "per": "1M"}}},
}


async def test_the_compiler_runs_apart_and_its_lists_are_shown(admin: Admin) -> None:
    """Once for a version; with an audit event; then a model of the catalogue's entry has its price."""
    await admin.made("POST", "/apis", {"name": "openai", "from_catalogue": "openai"})
    assert await admin.made("GET", "/apis/openai/prices") == {
        "provider": "openai", "version": None, "own": False, "model": None,
    }  # fmt: skip
    await keep_prices(admin.services, THIS)
    await keep_prices(admin.services, THIS)
    kinds = [each["kind"] for each in (await admin.made("GET", "/audit"))["items"]]
    assert kinds.count("prices.replaced") == 1
    found = await admin.made("GET", "/apis/openai/prices?model=gpt-4.1-2025-04-14")
    assert found["version"] == price_version()
    model = found["model"]
    assert (model["id"], model["source"], model["window"]) == ("gpt-4.1", "openai", 1_000_000)
    assert found["model"]["rates"]["standard"]["input_tokens"] == [{"above": 0, "usd": "0.000002"}]
    assert {"batch", "priority"} <= found["model"]["rates"].keys()


async def test_a_definitions_own_price_is_shown(admin: Admin) -> None:
    """For one of each quantity, times by the second, a part of a tier beside the standard."""
    definition = {"tieline": "v1", "api": "own", "base_url": "https://own.example", "prices": {"m*": OWN}}
    await admin.made("POST", "/apis", {"name": "own", "definition": definition})
    found = await admin.made("GET", "/apis/own/prices?model=m-large")
    assert (found["provider"], found["own"], found["model"]["source"]) == (None, True, "the definition")
    rates = found["model"]["rates"]
    assert rates["standard"]["audio_seconds"] == [{"above": 0, "usd": "0.0001"}]
    assert rates["batch"]["input_tokens"] == [{"above": 0, "usd": "0.00000125"}]


async def test_a_model_without_a_price_is_told_as_such(admin: Admin) -> None:
    """And is not shown as 0."""
    await admin.made("POST", "/apis", {"name": "echo", "base_url": "https://echo.example"})
    reply = await admin("GET", "/apis/echo/prices?model=m")
    assert reply.status == 404
    assert "counted as unpriced" in reply.json["error"]["message"]


async def test_a_failure_leaves_the_lists_and_is_logged(
    admin: Admin, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the compiler did: it is said in words, and what is stored stays in use."""
    await keep_prices(admin.services, THIS)
    before = await stored_version(admin.services)
    monkeypatch.setattr(pricing, "price_version", lambda: "another")
    for program in ("/bin/false", "/bin/true", "/nowhere/python"):
        monkeypatch.setattr(sys, "executable", program)
        await keep_prices(admin.services, THIS)
    assert await stored_version(admin.services) == before
    told = [each.getMessage() for each in caplog.records if each.name == "tieline.app.pricing"]
    assert len([each for each in told if "those that are stored stay in use" in each]) == 3
