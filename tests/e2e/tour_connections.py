"""The part of the tour that goes through connections: signed in to, used, renewed, revoked, removed, misused."""

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from tests.e2e.tokens import Provider, Visitor, providing

if TYPE_CHECKING:
    from tests.e2e.tour import Tour

USER = {"api": "issued", "app": "Visitors", "user": "ann"}


async def drive_connections(tour: "Tour") -> None:
    """Every route, each kind of sign-in, and a provider that gives, renews, fails and takes back."""
    async with providing() as provider:
        named = provider.definition("issued", connections="per_user_or_shared")
        await tour.ask("POST", "/apis", {"name": "issued", "definition": named})
        client = {"client_id": "tieline", "client_secret": tour.provider("a client's secret")}
        await tour.ask("PUT", "/apis/issued/credentials/live", {"fields": client})
        await tour.ask("POST", "/apps", {"name": "Visitors", "apis": ["issued"]})
        key = (await tour.ask("POST", "/apps/Visitors/keys", {})).json["secret"]
        await _signed_in(tour, provider, await _link(tour, "GET", "/oauth/authorize/issued"))
        await _signed_in(tour, provider, await _link(tour, "POST", "/connect-links", USER))
        await _by_device(tour, provider)
        for _ in range(2):
            await tour.relay("/relay/issued/things", key, headers={"tieline-connection": "ann"})
            provider.access.clear()
            await tour.relay("/relay/issued/things", key)
        _known(tour, provider)
        await _misplaced(tour)
        provider.revoke()
        for _ in range(3):
            await tour.relay("/relay/issued/things", key, headers={"tieline-connection": "ann"})
            await tour.relay("/relay/issued/things", key)
        for connection in (await tour.ask("GET", "/connections?api=issued&app=Visitors")).json["items"]:
            await tour.ask("DELETE", f"/connections/{connection['id']}")
        await tour.ask("GET", "/connections")


async def command_connections(tour: "Tour") -> None:
    """Every command about connections."""
    await tour.command("connection", "sign-in", "issued", "--no-wait")
    (found,) = (await tour.command("connection", "list", "--api", "issued", "--json"))["items"]
    await tour.command("connection", "list")
    await tour.command("connection", "show", found["id"])
    await tour.command("connection", "remove", found["id"])
    await tour.command("connection", "sign-in", "typed", "--no-wait")


async def _link(tour: "Tour", method: str, path: str, body: object = None) -> str:
    url: str = (await tour.ask(method, path, body)).json["url"]
    return url


async def _signed_in(tour: "Tour", provider: Provider, link: str) -> None:
    """A browser goes through a sign-in, is refused once, comes back twice, and once as another browser."""
    for code in ("", tour.provider("an authorization code", odd=False)):
        visitor = Visitor(tour.node)
        sent = dict(parse_qsl((await visitor.get(link)).header("location").partition("?")[2]))
        state = tour.known("a state", sent["state"])
        tour.known("a browser's mark", visitor.cookie.partition("=")[2])
        back = f"{sent['redirect_uri']}?state={state}&{f'code={code}' if code else 'error=access_denied'}"
        for browser in (Visitor(tour.node), visitor, visitor):
            tour.answers.append(("the way back", (await browser.get(back)).raw))
        if not code:
            link = await _link(tour, "GET", "/oauth/authorize/issued?app=Visitors&user=ann")
    _known(tour, provider)


async def _by_device(tour: "Tour", provider: Provider) -> None:
    device = (await tour.ask("POST", "/oauth/device/issued", {})).json
    _known(tour, provider)
    poll = f"/oauth/device/issued/{device['id']}"
    await tour.ask("POST", poll)
    await asyncio.sleep(device["interval"] + 0.1)
    assert (await tour.ask("POST", poll)).json["state"] == "connected"
    _known(tour, provider)


def _known(tour: "Tour", provider: Provider) -> None:
    """Look for whatever the provider gave since."""
    for secret in provider.given:
        tour.known("a token", secret)
    provider.given.clear()


async def _misplaced(tour: "Tour") -> None:
    """Secrets where sign-ins have no place for one: all are refused, none is told again."""
    secret = tour.provider("a secret in a sign-in", odd=False)
    for method, path, body in (
        ("GET", f"/connections?api={secret}", None),
        ("GET", f"/connections?after={secret}", None),
        ("DELETE", f"/connections/{secret}", None),
        ("GET", f"/oauth/authorize/{secret}", None),
        ("GET", f"/oauth/authorize/issued?position={secret}", None),
        ("GET", f"/oauth/authorize/issued?return_to=https://{secret}.example", None),
        ("GET", f"/oauth/authorize/issued?{secret}=1", None),
        ("POST", "/connect-links", {**USER, "api": secret}),
        ("POST", "/connect-links", {**USER, "app": secret}),
        ("POST", "/connect-links", {**USER, "user": f"{secret}\n"}),
        ("POST", "/connect-links", {**USER, secret: 1}),
        ("POST", "/oauth/device/issued", {"environment": secret}),
        ("POST", f"/oauth/device/issued/{secret}", None),
    ):
        refused = await tour.ask(method, path, body)
        assert refused.status >= 400, (method, path, refused.raw)
    console = "http://{}:{}/api/v1/oauth".format(*tour.node.console)
    for target in (f"start?link={secret}", f"callback?state={secret}", f"callback?code={secret}", f"start?{secret}"):
        tour.answers.append((f"a browser at {target[:8]}", (await Visitor(tour.node).get(f"{console}/{target}")).raw))
