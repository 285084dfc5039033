"""``tieline usage`` as an operator asks it: what apps used over the sandbox, in each of its forms."""

import csv
import http.client
import io
import json
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from tests.e2e.terminal import on_terminal

Cli = Callable[..., Any]
CHAT = json.dumps({"model": "gpt-4.1", "messages": [{"role": "user", "content": "Hello"}]})


@pytest.fixture(scope="module")
def used(server: Any, app_key: str) -> list[dict[str, Any]]:
    """Three chats under a tag and a list of models, counted; what the chats said they used."""
    told = []
    end = time.monotonic() + 60
    while server.admin("GET", "/apis/openai/prices")["provider"] is None and time.monotonic() < end:
        time.sleep(0.2)  # a process of its own makes the price lists at the first start
    for number in range(4):
        connection = http.client.HTTPConnection(server.app.removeprefix("http://"), timeout=30)
        headers = {"Authorization": f"Bearer {app_key}", "Content-Type": "application/json", "Tieline-Tag": "nightly"}
        if number < 3:
            connection.request("POST", "/relay/openai/chat/completions", CHAT, headers)
        else:
            connection.request("GET", "/relay/openai/models", headers={**headers, "Tieline-Tag": "list"})
        body = json.loads(connection.getresponse().read())
        connection.close()
        if number < 3:
            assert "usage" in body, body
            told.append(body["usage"])
    end = time.monotonic() + 20
    while time.monotonic() < end:
        items = server.admin("GET", "/usage?by=tag")["items"]
        if sum(each["requests"] for each in items if each["tag"]) == 4:
            break
        time.sleep(0.1)
    return told


def test_what_was_used_is_told_by_tag_and_model(cli: Cli, used: list[dict[str, Any]]) -> None:
    """To the token that the provider told, with its cost."""
    found = cli("usage", "--by", "tag,model,day", "--json").json["items"]
    (row,) = [each for each in found if each["tag"] == "nightly"]
    assert row["model"] == "gpt-4.1"
    assert row["requests"] == 3
    tokens = {
        name: sum(each[told] for each in used)
        for name, told in (("input_tokens", "prompt_tokens"), ("output_tokens", "completion_tokens"))
    }
    assert {name: row["quantities"][name] for name in tokens} == tokens
    cost = Decimal(2) / 10**6 * tokens["input_tokens"] + Decimal(8) / 10**6 * tokens["output_tokens"]
    assert Decimal(row["cost"]["usd"]) == cost


def test_a_table_fits_a_terminal(server: Any, used: list[dict[str, Any]]) -> None:
    """Of eighty columns, and the costs are never left out."""
    for by in ("app,api,model", "app,key,api,model,end-user,tag,day", "day", "tag,minute"):
        screen = on_terminal("usage", "--by", by, env=server.environment)
        assert screen.code == 0, screen.text
        table = [line for line in screen.lines if not line.startswith("Left out")]
        assert max(map(len, table)) <= 80, screen.text
        assert "USD" in screen.lines[0]
    assert "nightly" in screen.text


def test_csv_and_focus_are_whole(cli: Cli, used: list[dict[str, Any]]) -> None:
    """Their sums are those of the rows."""
    total = sum(Decimal(each["cost"]["usd"]) for each in cli("usage", "--json").json["items"] if each["cost"])
    for form, column in (("--csv", "cost_usd"), ("--focus", "BilledCost")):
        said = cli("usage", "--by", "tag", form)
        rows = list(csv.DictReader(io.StringIO(said.out)))
        assert sum(Decimal(row[column] or 0) for row in rows) == total > 0
    assert any(json.loads(row["Tags"] or "{}").get("tag") == "nightly" for row in rows)


@pytest.mark.parametrize(
    "words",
    [("--by", "colour"), ("--by", "day,hour"), ("--csv", "--focus"), ("--focus", "--time-zone", "Europe/Berlin")],
)
def test_what_cannot_be_asked_is_refused(cli: Cli, words: tuple[str, ...]) -> None:
    """Before anything is asked of the server."""
    assert cli("usage", *words).code == 2


def test_a_renamed_app_and_a_removed_api_leave_what_was(cli: Cli, server: Any, used: list[dict[str, Any]]) -> None:
    """Every row of before is still there, as it was."""
    before = cli("usage", "--by", "app,key,api,call,model,tag,minute", "--json").json["items"]
    server.admin("PATCH", "/apps/website", {"name": "shop"})
    server.admin("DELETE", "/apis/openai")
    after = cli("usage", "--by", "app,key,api,call,model,tag,minute", "--json").json["items"]
    assert before
    assert after == before
    assert {each["app"] for each in after} == {"website"}
