"""Admin requests and definitions with a secret where something else belongs: the product refuses each of them."""

from typing import Any
from urllib.parse import quote

from tests.e2e.stage import definition


def misplacements(secret: str, key_id: str) -> list[tuple[str, str, object]]:
    """Admin requests that name ``secret`` where something else belongs; all are refused."""
    in_path = quote(secret, safe="")
    paths = (f"/apis/{in_path}", f"/apps/{in_path}", f"/keys/{in_path}", f"/catalogue/{in_path}", f"/{in_path}")
    queries = (f"/apis?after={in_path}", f"/apis?limit={in_path}", f"/apis?{in_path}=1", f"/audit?key={in_path}")
    bodies: list[tuple[str, str, object]] = [
        ("POST", "/apis", {"name": secret, "base_url": "https://example.com"}),
        ("POST", "/apis", {"name": "x", "base_url": "https://example.com", secret: 1}),
        ("POST", "/apis", {"name": "x", "from_catalogue": secret}),
        ("POST", "/apis", {"name": "x", "base_url": f"https://user:{secret}@example.com/"}),
        ("POST", "/apis", {"name": "x", "base_url": f"https://example.com/?key={secret}"}),
        ("POST", "/apis", {"name": "x", "base_url": secret}),
        ("POST", "/apis", {"name": "x", "base_url": "https://example.com", "hosts": [secret + "/"]}),
        ("PUT", "/apis/bearer/credentials/live", {"fields": {secret: "x"}}),
        ("PUT", "/apis/bearer/credentials/live", {"fields": {"key": f"{secret}\nx"}}),
        ("PUT", "/apis/bearer/credentials/live", {"fields": {"key": f"a\r\nx: {secret}"}}),
        ("PUT", "/apis/bearer/credentials/live", {"fields": {"key": "x", "other": secret}}),
        ("PUT", "/apis/bearer/credentials/live", {"fields": {"key": [secret]}}),
        ("PUT", "/apis/bearer/credentials/live", {"fields": {"key": {"value": secret}}}),
        ("PUT", "/apis/bearer/credentials/live", {"key": secret}),
        ("PUT", "/apis/bearer/credentials/live", secret),
        ("PUT", "/apis/bearer/credentials/live", b'{"fields": {"key": "' + secret.encode()),
        ("PUT", "/apis/bearer/credentials/live", {"fields": {"key": "x"}, "hosts": [f"{secret}/x"]}),
        ("PUT", f"/apis/bearer/credentials/{in_path}", {"fields": {"key": "x"}}),
        ("POST", f"/apis/bearer/credentials/{in_path}/activate", None),
        ("POST", "/apis/bearer/verify", {"environment": secret}),
        ("POST", "/apps", {"name": secret + "\n"}),
        ("POST", "/apps", {"name": "x", "apis": [secret]}),
        ("POST", "/apps/Cage/keys", {"permissions": {"mode": secret}}),
        ("POST", "/apps/Cage/keys", {"permissions": {"mode": "restricted", "grants": {secret: {"things": "read"}}}}),
        ("POST", "/apps/Cage/keys", {"permissions": {"mode": "restricted", "grants": {"bearer": {secret: "read"}}}}),
        ("POST", "/apps/Cage/keys", {"permissions": {"mode": "restricted", "grants": {"bearer": {"things": secret}}}}),
        ("POST", "/apps/Cage/keys", {"from_ip": [secret]}),
        ("POST", "/apps/Cage/keys", {"environment": secret}),
        ("POST", "/apps/Cage/keys", {"expires_in": secret}),
        ("PATCH", f"/keys/{key_id}", {"name": f"{secret}\n"}),
        ("POST", f"/keys/{key_id}/rotate", {"overlap": secret}),
        ("DELETE", f"/tokens/{in_path}", None),
        ("POST", "/tokens", {"name": "x", "role": secret}),
        ("POST", f"/apps/{in_path}/keys", {}),
        (secret[:20], "/apis", None),
    ]
    return [*(("GET", path, None) for path in (*paths, *queries)), *bodies]


def wrong_definitions() -> list[Any]:
    """Functions that make a definition which cannot be, with a secret somewhere in it."""

    def wrong(**more: Any) -> dict[str, Any]:
        return {**definition("bearer", "https://example.com"), **more}

    return [
        lambda secret: wrong(auth={"scheme": "bearer", "key": secret}),
        lambda secret: wrong(auth={"scheme": secret}),
        lambda secret: wrong(auth={"scheme": "api_key", "format": secret}),
        lambda secret: wrong(auth={"scheme": "api_key", "in": secret}),
        lambda secret: wrong(auth={"scheme": "api_key", "name": f"{secret}:"}),
        lambda secret: wrong(headers=[{"name": "Authorization", "value": f"Bearer {secret}"}]),
        lambda secret: wrong(headers=[{"name": "X-Key", "value": secret, "private": True}]),
        lambda secret: wrong(headers=[{"name": f"{secret} ", "value": "x"}]),
        lambda secret: wrong(base_url=f"https://example.com/{secret}?key={secret}"),
        lambda secret: wrong(base_url=f"https://{secret}@example.com"),
        lambda secret: wrong(limits={"timeout": {"connect": secret}}),
        lambda secret: wrong(verify={"method": "GET", "path": secret}),
        lambda secret: wrong(areas=[{"area": secret, "title": "x", "levels": ["read"], "match": ["* /x"]}]),
        lambda secret: wrong(areas=[{"area": "x", "title": "x", "levels": [secret], "match": [secret]}]),
        lambda secret: wrong(variables={secret: {"title": "x"}}),
        lambda secret: wrong(environments={secret: {}}),
        lambda secret: wrong(**{secret: 1}),
    ]
