"""The admin API fuzzed from its own OpenAPI document: whatever is sent, no server error and always our error shape."""

import json
import random
from typing import Any
from urllib.parse import quote

import pytest

from tests.contract.admin.conftest import Admin, filled
from tieline.web.openapi import document

ODD_TEXTS = (
    *(
        "",
        " ",
        "a",
        "openai",
        "blog",
        "live",
        "all",
        "restricted",
        "é",
        "\u0000",
        "\ud800",
        "𝕏",
        "\u202e",
        "\n",
        "%00",
        "../..",
        "{}",
    ),
    *(
        "null",
        "0",
        "-1",
        "1e999",
        "tieline: v1",
        "&a *a",
        "!!python/none ~",
        "x" * 300,
        "https://[::1",
        "https://<a>.example",
    ),
    *("2001:db8::/32", "10.0.0.0/8", "0x7f.1", "app_0123456789abcdefghjkmnpqr"),
)
ODD_VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    10**30,
    0.5,
    1e308,
    [],
    {},
    [[]],
    {"": {}},
    [None],
    {"a": [1]},
)


SMALLEST = {"tieline": "v1", "api": "a", "base_url": "https://a.example"}
PLAIN: dict[str, tuple[Any, ...]] = {
    "integer": (0, 1, 60, -1, 2**31, 2**63, 10**30),
    "boolean": (True, False),
    "string": ODD_TEXTS,
}


class Inventor:
    """Makes values that fit a schema mostly and now and then do not."""

    def __init__(self, schemas: dict[str, Any], dice: random.Random) -> None:
        self._schemas = schemas
        self._dice = dice

    def value(self, schema: dict[str, Any], depth: int = 0) -> Any:
        """One value."""
        if self._dice.random() < 0.12 or depth > 6:
            return self._dice.choice((*ODD_VALUES, *ODD_TEXTS))
        if "$ref" in schema:
            return self.value(self._schemas[schema["$ref"].rpartition("/")[2]], depth + 1)
        if "anyOf" in schema:
            return self.value(self._dice.choice(schema["anyOf"]), depth + 1)
        if "enum" in schema:
            return self._dice.choice(schema["enum"])
        if schema.get("type") == "object":
            return self._object(schema, depth + 1)
        if schema.get("type") == "array":
            return [self.value(schema["items"], depth + 1) for _ in range(self._dice.randint(0, 3))]
        return self._dice.choice(PLAIN.get(schema.get("type", ""), (*ODD_VALUES, *ODD_TEXTS, SMALLEST)))

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        if "properties" not in schema:
            below = schema.get("additionalProperties")
            names = [self._dice.choice(("openai", "files", "key", *ODD_TEXTS)) for _ in range(self._dice.randint(0, 3))]
            return {name: self.value(below if isinstance(below, dict) else {}, depth) for name in names}
        needed = schema.get("required", ())
        body = {
            name: self.value(each, depth)
            for name, each in schema["properties"].items()
            if name in needed or self._dice.random() < 0.6
        }
        return body | ({self._dice.choice(ODD_TEXTS): 1} if self._dice.random() < 0.05 else {})


@pytest.mark.timeout(900)
async def test_nothing_that_is_sent_breaks_the_server(admin: Admin, soak: bool) -> None:
    """Values that nearly fit, odd texts in paths and queries, in any order on a store that fills."""
    await fuzz(admin, 10_000 if soak else 500)


@pytest.mark.timeout(900)
async def test_nothing_that_is_sent_breaks_it_on_postgresql(admin_on_postgresql: Admin, soak: bool) -> None:
    """The other engine refuses other things, such as NUL in a text; none may get that far."""
    await fuzz(admin_on_postgresql, 10_000 if soak else 500)


async def fuzz(admin: Admin, count: int) -> None:
    """Send ``count`` requests."""
    dice = random.Random(20261123)
    described = json.loads(document())
    inventor = Inventor(described["components"]["schemas"], dice)
    routes = [
        (method, path, operation)
        for path, item in described["paths"].items()
        for method, operation in item.items()
        if (method, path) not in {("delete", "/api/v1/tokens/{id}"), ("get", "/api/v1/requests/stream")}  # has no end
    ]
    seen = set()
    names: dict[str, str] = {}
    for number in range(count):
        if number % 40 == 0:
            for thing in ("/budgets/monthly", "/webhooks/ops", "/apis/openai", "/apis/crm", "/apps/blog"):
                await admin("DELETE", thing)
            names = await filled(admin)
        method, path, operation = dice.choice(routes)
        for name, value in names.items():
            filler = dice.choice(ODD_TEXTS) if dice.random() < 0.2 else value
            path = path.replace("{" + name + "}", quote(filler.encode(errors="replace"), safe=""))
        given = [each for each in operation.get("parameters", ()) if each["in"] == "query" and dice.random() < 0.7]
        query = "&".join(
            f"{each['name']}={quote(str(inventor.value(each['schema'])).encode(errors='replace'))}" for each in given
        )
        content = operation.get("requestBody", {}).get("content", {}).get("application/json")
        body = None if content is None else inventor.value(content["schema"])
        reply = await admin(method.upper(), f"{path}?{query}" if query else path, body)
        seen.add(reply.status)
        assert reply.status < 500, (method, path, query, body, admin.log.getvalue())
        if reply.status >= 400:
            assert reply.error["type"] == "admin_error"
    assert {200, 201, 204, 404, 422} <= seen
    assert (await admin.made("POST", "/audit/verify"))["ok"]
