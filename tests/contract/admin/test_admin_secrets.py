"""Canary secrets through every route, as values, names, ids and headers: no answer, log or file gives one back."""

import base64
import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from tests.contract.admin.conftest import Admin, Prepared
from tests.contract.admin.test_admin_roles import BODIES, NEEDS, place

CANARY = "sk-sandbox-CaNaRy0123456789zYxWvUtSrQpOnM"
FORMS = (
    CANARY.encode(),
    base64.b64encode(CANARY.encode()).rstrip(b"="),
    CANARY.encode().hex().encode(),
    quote(CANARY, safe="").encode(),
)


def holds(content: bytes) -> bool:
    """Whether ``content`` has the canary in any form."""
    return any(form in content for form in FORMS)


async def test_a_stored_secret_is_in_no_answer_log_or_file(furnished_admin: Admin, furnished: Prepared) -> None:
    """Put, listed, activated, verified, retired, and everything else that can be asked while it is there."""
    admin, names = furnished_admin, dict(furnished.names)
    for query in ("", "?activate=true"):
        await admin.made("PUT", f"/apis/openai/credentials/live{query}", {"fields": {"key": CANARY}})
    for method, path in sorted(NEEDS, key=lambda route: route[0] == "DELETE"):
        await admin(method, place(path, names), BODIES.get((method, path)))
    assert len(admin.replies) > len(NEEDS)
    assert not [reply for reply in admin.replies if holds(reply.body) or holds(repr(reply.headers).encode())]
    assert not holds(admin.log.getvalue().encode())
    assert not [file for file in admin.folder.rglob("*") if file.is_file() and holds(file.read_bytes())]


async def test_minted_secrets_are_in_one_answer_and_no_file(furnished_admin: Admin, furnished: Prepared) -> None:
    """App keys and admin tokens: only their keyed hashes are stored."""
    admin, names = furnished_admin, dict(furnished.names)
    secrets = [
        (await admin.made("POST", "/apps/blog/keys", {}))["secret"],
        (await admin.made("POST", f"/keys/{names['id']}/rotate"))["secret"],
        (await admin.made("POST", "/tokens", {"name": "ci", "role": "viewer"}))["secret"],
    ]
    for route in ("/apps/blog/keys", f"/keys/{names['id']}", "/tokens", "/audit"):
        await admin("GET", route)
    for secret in secrets:
        assert sum(secret.encode() in reply.body for reply in admin.replies) == 1
        assert not [file for file in admin.folder.rglob("*") if file.is_file() and secret.encode() in file.read_bytes()]


@pytest.mark.parametrize("route", NEEDS, ids=" ".join)
async def test_a_misplaced_secret_is_not_repeated(
    furnished_admin: Admin, furnished: Prepared, route: tuple[str, str]
) -> None:
    """In paths, queries, headers, and at every place of the body, as value, name and list: refused without an echo."""
    admin, names = furnished_admin, dict(furnished.names)
    method, path = route
    good = place(path, names)
    await admin(method, place(path, dict.fromkeys(names, CANARY)), BODIES.get(route))
    join = "&" if "?" in good else "?"
    await admin(method, f"{good}{join}limit={CANARY}&{CANARY}=1&after={CANARY}", BODIES.get(route))
    for field in ("If-Match", "Accept", "Content-Type", "Authorization", "Host", "Cookie", "Content-Length"):
        await admin(method, good, BODIES.get(route), headers={field: CANARY})
    for body in spoilt(BODIES.get(route, {})):
        await admin(method, good, body)
    refused = [reply for reply in admin.replies if reply.status >= 400]
    assert refused
    assert not [reply for reply in refused if holds(reply.body) or holds(repr(reply.headers).encode())]
    assert not holds(admin.log.getvalue().encode())


def spoilt(good: object) -> Iterator[object]:
    """Bodies with the canary where it does not belong."""
    yield from (CANARY.encode(), f'{{"{CANARY}'.encode(), CANARY, [CANARY], {CANARY: CANARY}, f'"{CANARY}'.encode())
    yield json.dumps({CANARY: {"a": CANARY}}).encode() + CANARY.encode()
    members: dict[str, object] = good if isinstance(good, dict) else {}
    for name in members:
        for value in (
            [CANARY],
            {CANARY: CANARY},
            {"a": {CANARY: CANARY}},
            f"{CANARY}\n",
            [[CANARY]],
            {"key": [CANARY]},
        ):
            yield members | {name: value}
    yield members | {CANARY: CANARY}
