"""The part of the tour that goes through calls: described, learned, run, by route and by command, well and badly."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.e2e.tour import Tour

READ: dict[str, Any] = {"path": "/things", "parameters": {"a": {"in": "query", "optional": True}}}
TELL: dict[str, Any] = {
    "method": "POST",
    "path": "/work",
    "parameters": {"text": {}, "note": {"in": "header", "optional": True}},
    "body": {"type": "json", "template": {"text": "<text>"}},
}


async def drive_calls(tour: "Tour", apis: Sequence[str], key: str) -> None:
    """Every route of calls on every API, each run against an upstream that sends back what it was sent."""
    for api in (*apis, "reflect", "refuse", "malformed", "hang-up", "down"):
        path = f"/apis/{api}/calls"
        await tour.ask("POST", path, {"name": "look", "definition": READ})
        await tour.ask("POST", path, {"name": "say", "definition": json.dumps(TELL)})
        await tour.ask("PUT", f"{path}/look", {**READ, "title": "Look"})
        for more in ({"save": True, "keep_samples": "whole"}, {"anew": True, "environment": "development"}):
            await tour.ask("POST", f"{path}/look/initialize", {"parameters": {"a": "b"}, **more})
        await tour.ask("POST", f"{path}/say/initialize", {"parameters": {"text": "x"}})
        for call, given in (("look", {"a": "b"}), ("say", {"text": "x", "note": "y"})):
            await tour.relay(f"/call/{api}/{call}", key, method="POST", body=json.dumps(given).encode())
    await tour.ask("POST", "/apis/bearer/calls/look/initialize", {"sample": '{"id": 1}', "save": True})
    for path in ("", "/look", "/look/schema", "/look/drift"):
        await tour.ask("GET", f"/apis/bearer/calls{path}")
    await tour.ask("GET", "/apis/bearer/prices")
    await _misplaced(tour, key)
    await tour.ask("DELETE", "/apis/bearer/calls/say")


async def _misplaced(tour: "Tour", key: str) -> None:
    """Secrets where calls have no place for one: all are refused, none is told again."""
    for secret in (tour.provider("a secret in a call", odd=False), key):
        calls = "/apis/bearer/calls"
        for method, path, body in (
            ("GET", f"{calls}/{secret}", None),
            ("GET", f"{calls}?after={secret}%21", None),
            ("DELETE", f"{calls}/{secret}", None),
            ("POST", calls, {"name": secret + "!", "definition": READ}),
            ("POST", calls, {"name": "x", "definition": {"path": secret}}),
            ("POST", calls, {"name": "x", "definition": f"{secret}: ["}),
            ("POST", calls, {"name": "x", "definition": {**READ, secret: 1}}),
            ("PUT", f"{calls}/look", {**READ, "headers": [{"name": "Authorization", "value": secret}]}),
            ("PUT", f"{calls}/look", {**READ, "parameters": {"a": {"type": secret}}}),
            ("POST", f"{calls}/look/initialize", {"parameters": {secret: 1}}),
            ("POST", f"{calls}/look/initialize", {"parameters": {"a": [secret]}}),
            ("POST", f"{calls}/look/initialize", {"parameters": {"a": "b"}, "environment": secret}),
            ("POST", f"{calls}/look/initialize", {"sample": "{}", secret: 1}),
            ("POST", f"{calls}/look/initialize", {"sample": f'{{"id": {secret}'}),
        ):
            refused = await tour.ask(method, path, body)
            assert refused.status >= 400, (method, path, refused.raw)
        for target in (f"/call/bearer/{secret}", f"/call/{secret}/look", f"/call/bearer/look?{secret}=1"):
            await tour.relay(target, key, headers={"x-mark": "misplaced"})
        sent = json.dumps({secret: secret}).encode()
        await tour.relay("/call/bearer/look", key, method="POST", body=sent, headers={"x-mark": "misplaced"})


async def command_calls(tour: "Tour", key: str) -> None:
    """Every command of calls on the API ``typed``."""
    file, sample = tour.node.home.parent / "call.yaml", tour.node.home.parent / "sample.json"
    file.write_text(json.dumps(READ))
    sample.write_text('{"id": 1}')
    env = {"TIELINE_APP_URL": "http://{}:{}".format(*tour.node.app), "TIELINE_APP_KEY": key}
    place = "typed.look"
    for words in (
        ("call", "add", place, "--file", str(file)),
        ("call", "update", place, "--file", str(file), "--json"),
        ("call", "list", "typed"),
        ("call", "show", place, "--json"),
        ("call", "export", place),
        ("call", "schema", place),
        ("call", "initialize", place, "-p", "a=b", "--save"),
        ("call", "initialize", place, "--sample", str(sample), "--json"),
        ("call", "drift", place),
        ("call", "run", place, "-p", "a=b"),
    ):
        await tour.command(*words)
    await tour.command("call", "edit", place, env={"VISUAL": "true"})
    await tour.command("call", "run", place, "-p", "a=b", "--stream", env=env)
    for refused in (("call", "run", place), ("call", "show"), ("call", "run", place, "-p")):
        await tour.command(*refused, tour.provider(f"an argument of {refused[:2]}", odd=False), env=env)
    await tour.command("call", "remove", place)
