"""The part of the tour that goes through webhooks: made, changed, sent to, tested, removed."""

from typing import TYPE_CHECKING

from tests.e2e.stage import until

if TYPE_CHECKING:
    from tests.e2e.tour import Tour

PRICES = {
    "*": {"date": "2026-11-30", "source": "https://example.com/prices", "rates": {"requests": {"usd": "1", "per": "1"}}}
}


async def drive_webhooks(tour: "Tour") -> None:
    """Every route, and a budget that passes its thresholds: the receiver reflects what it is sent, and refuses it."""
    url = f"{tour.upstream.url}/~reflect/{tour.provider('the path of a webhook', odd=False)}"
    await tour.ask("POST", "/webhooks", {"name": "bell", "url": url})
    await tour.ask("POST", "/webhooks/bell/rotate", {"overlap": 60})
    refused = f"{tour.upstream.url}/~refuse/{tour.provider('the path of another', odd=False)}"
    await tour.ask("POST", "/webhooks", {"name": "deaf", "url": refused})
    definition = {"tieline": "v1", "api": "dear", "base_url": tour.upstream.url, "auth": {"scheme": "none"}}
    await tour.ask("POST", "/apis", {"name": "dear", "definition": definition | {"prices": PRICES}})
    await tour.ask("POST", "/apps", {"name": "Spender", "apis": ["dear"]})
    budget = {"amount": {"usd": "1"}, "alerts": [50, 100], "mode": "warn"}
    key = (await tour.ask("POST", "/apps/Spender/keys", {"budget": budget})).json["secret"]
    await tour.relay("/relay/dear/things", key)
    assert await until(lambda: sum("webhook-id" in each.headers for each in tour.upstream.arrivals) >= 4)
    for name in ("bell", "deaf"):
        await tour.ask("POST", f"/webhooks/{name}/test")
        await tour.ask("GET", f"/webhooks/{name}/deliveries")
        await tour.ask("GET", f"/webhooks/{name}")
    await tour.ask("PATCH", "/webhooks/bell", {"paused": True})
    await tour.ask("GET", "/webhooks")
    await tour.ask("DELETE", "/webhooks/bell")


async def command_webhooks(tour: "Tour") -> None:
    """Every command, with a URL that holds a token."""
    url = f"{tour.upstream.url}/{tour.provider('the path of a webhook', odd=False)}"
    await tour.command("webhook", "create", "chime", "--url-stdin", "--json", stdin=url)
    await tour.command("webhook", "rotate", "chime", "--json")
    for words in (
        ("list",),
        ("show", "chime"),
        ("test", "chime"),
        ("deliveries", "chime"),
        ("update", "chime", "--pause"),
        ("remove", "chime"),
    ):
        await tour.command("webhook", *words)
