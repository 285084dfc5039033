"""Budgets as a client meets them: what fits is sent, what does not is refused in words and reaches no API."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.wire.calling import run
from tests.wire.conftest import StartStage
from tests.wire.raw import Message, answer, saying, until
from tests.wire.stage import Stage
from tieline.ports.budgets import BudgetRow

NANO = 10**9
ONE_DOLLAR = {
    "*": {"date": "2026-11-30", "source": "https://example.com/prices", "rates": {"requests": {"usd": "1", "per": "1"}}}
}
MODEL = {
    "m": {
        "date": "2026-11-30",
        "source": "https://example.com/prices",
        "window": 1_000,
        "most_output": 10,
        "rates": {"input_tokens": {"usd": "1", "per": "1"}, "output_tokens": {"usd": "10", "per": "1"}},
    }
}
JSON = b"Content-Type: application/json"
EVERY_KEY = {"each": "key"}


async def budget(stage: Stage, dollars: int, *, target: Any = None, tokens: bool = False, **terms: Any) -> BudgetRow:
    """Give the stage a budget."""
    members = {"applies_to": target or EVERY_KEY, "period": "total", **terms}
    unit, amount = ("tokens", dollars) if tokens else ("usd", dollars * NANO)
    row = BudgetRow("bud_1", "pocket money", amount, unit, members, datetime.now(UTC), "tests")  # type: ignore[arg-type]
    stage.worker.source.put_budget(row)
    await stage.worker.caught_up()
    return row


async def spent(stage: Stage) -> int:
    """What the store knows to be spent, in nano-dollars, once everything was settled."""
    await stage.worker.service.ledger.leasing.flush()
    return sum(stage.worker.source.ledger.spent.values())


def error(message: Message) -> Any:
    """The error that an answer of Tieline's holds."""
    return json.loads(message.body)["error"]


async def test_what_is_beyond_the_budget_is_refused_and_not_sent(start_stage: StartStage) -> None:
    """The fourth of three is a 429 that no client repeats; it says which budget, what is left and when it resets."""
    stage = await start_stage(prices=ONE_DOLLAR)
    await budget(stage, 3)
    assert [(await stage.get()).status for _ in range(3)] == [200] * 3
    refused = await stage.get()
    fields = dict(refused.headers)
    assert (refused.status, fields[b"tieline-error"], fields[b"x-should-retry"]) == (429, b"budget_exceeded", b"false")
    found = error(refused)
    assert (found["code"], found["param"]) == ("budget_exceeded", "pocket money")
    assert "of 3.00 USD 0.00 USD are left, and it may cost 1.00 USD" in found["message"]
    assert "does not begin anew" in found["message"]
    assert (len(stage.upstream.seen), await spent(stage)) == (3, 3 * NANO)


async def test_many_at_once_spend_exactly_what_there_is(start_stage: StartStage) -> None:
    """Of sixty at once fifty are served; the refused ones are not as many transactions."""
    stage = await start_stage(prices=ONE_DOLLAR)
    await budget(stage, 50)
    answers = await asyncio.gather(*(stage.get() for _ in range(60)))
    assert sorted(each.status for each in answers) == [200] * 50 + [429] * 10
    assert (len(stage.upstream.seen), await spent(stage)) == (50, 50 * NANO)
    assert stage.worker.source.ledger.asked < 40


@pytest.mark.parametrize(
    ("says", "counts"),
    [
        (answer(status=b"200 OK"), 1),
        (answer(status=b"400 Bad Request"), 0),
        (answer(status=b"500 Oops"), 0),
        (answer(status=b"429 Slow"), 0),
    ],
)
async def test_what_the_upstream_refused_costs_nothing(start_stage: StartStage, says: bytes, counts: int) -> None:
    """An answer from 400 on is given back whole."""
    stage = await start_stage(saying(says), prices=ONE_DOLLAR)
    await budget(stage, 2)
    for _ in range(4):
        await stage.get()
    assert await spent(stage) == min(2, 4 * counts) * NANO
    assert len(stage.upstream.seen) == (2 if counts else 4)


async def test_who_hangs_up_before_the_answer_has_spent_it(start_stage: StartStage) -> None:
    """The upstream may charge it, and nobody hears of it again; nothing stays reserved."""
    stage = await start_stage(saying(b""), prices=ONE_DOLLAR)
    await budget(stage, 1)
    client = await stage.connect()
    await client.send(stage.request())
    await until(lambda: len(stage.upstream.seen) == 1)
    client.close()
    async with asyncio.timeout(10):
        while await spent(stage) != NANO:  # noqa: ASYNC110  the worker tells nobody when
            await asyncio.sleep(0.01)
    assert (await stage.get()).status == 429


async def test_a_model_is_bounded_by_what_it_is_asked_and_costs_what_it_used(start_stage: StartStage) -> None:
    """The bound is reserved, and what is not used of it is there for the next."""
    used = json.dumps({"model": "m", "usage": {"prompt_tokens": 5, "completion_tokens": 2}}).encode()
    stage = await start_stage(saying(answer(used, JSON)), prices=MODEL, usage={"kind": "openai"})
    await budget(stage, 1_500)
    body = b'{"model":"m","max_tokens":10,"messages":[{"role":"user","content":"hello"}]}'
    ask = stage.request(b"POST", b"/chat/completions", JSON, body=body)
    first = await stage.ask(ask, method=b"POST")
    assert (first.status, await spent(stage)) == (200, 25 * NANO)
    answers = [(await stage.ask(ask, method=b"POST")).status for _ in range(20)]
    assert await spent(stage) == (1 + answers.count(200)) * 25 * NANO
    assert answers == [200] * answers.count(200) + [429] * answers.count(429)
    assert 429 in answers, "the bound of about 1,100 no longer fits"


async def test_what_nobody_can_bound_is_refused_in_words(start_stage: StartStage) -> None:
    """No price is known of another model; what only reads is free."""
    stage = await start_stage(prices=MODEL, usage={"kind": "openai"})
    await budget(stage, 100_000)
    body = b'{"model":"other","messages":[]}'
    refused = await stage.ask(stage.request(b"POST", b"/chat/completions", JSON, body=body), method=b"POST")
    assert (refused.status, error(refused)["code"]) == (429, "budget_exceeded")
    assert "nobody knows the most that this one may cost" in error(refused)["message"]
    assert (await stage.get(b"/models")).status == 200
    assert len(stage.upstream.seen) == 1


async def test_what_nobody_can_bound_goes_one_at_a_time_where_that_is_allowed(start_stage: StartStage) -> None:
    """While one is under way the next is told to come again; when it has ended the next is served."""
    stage = await start_stage(saying(b""), prices=MODEL, usage={"kind": "openai"})
    await budget(stage, 10, unbounded="one_at_a_time")
    ask = stage.request(b"POST", b"/chat/completions", JSON, body=b"{}")
    first = await stage.connect()
    await first.send(ask)
    await until(lambda: len(stage.upstream.seen) == 1)
    refused = await stage.ask(ask, method=b"POST")
    assert (refused.status, error(refused)["code"]) == (429, "concurrency_limited")
    first.close()
    second = await stage.connect()
    async with asyncio.timeout(10):
        while len(stage.upstream.seen) < 2:
            await second.send(ask)
            await asyncio.sleep(0.05)


async def test_a_warning_refuses_nothing(start_stage: StartStage) -> None:
    """What goes beyond is served and counted."""
    stage = await start_stage(prices=ONE_DOLLAR)
    await budget(stage, 2, mode="warn")
    assert [(await stage.get()).status for _ in range(4)] == [200] * 4
    assert await spent(stage) == 4 * NANO


async def test_a_lost_store_lets_a_node_spend_what_it_has_leased(start_stage: StartStage) -> None:
    """Then a hard budget says that the store is away, and not that it is used up; a warning goes on."""
    stage = await start_stage(prices=ONE_DOLLAR)
    await budget(stage, 160)
    assert (await stage.get()).status == 200
    stage.worker.source.ledger.away = True
    answers = [await stage.get() for _ in range(12)]
    assert [each.status for each in answers] == [200] * 9 + [503] * 3
    assert error(answers[-1])["code"] == "not_ready"
    stage.worker.source.ledger.away = False
    assert (await stage.get()).status == 200
    assert await spent(stage) == 11 * NANO


@pytest.mark.parametrize(
    ("target", "statuses"),
    [
        ({"each": "key"}, [200, 429, 200, 429]),
        ({"api": "api_api"}, [200, 429, 429, 429]),
        ({"api": "api_other"}, [200, 200, 200, 200]),
    ],
)
async def test_who_shares_a_budget(start_stage: StartStage, target: Any, statuses: list[int]) -> None:
    """Each key has its own, or all who ask the API share it."""
    stage = await start_stage(prices=ONE_DOLLAR)
    await budget(stage, 1, target=target)
    found = [(await stage.get()).status for _ in range(2)]
    stage.key = stage.worker.source.put_key("api")
    await stage.worker.caught_up()
    found += [(await stage.get()).status for _ in range(2)]
    assert found == statuses


async def test_each_end_user_has_a_budget(start_stage: StartStage) -> None:
    """By the name that ``Tieline-Connection`` gives; who names nobody is not held to it."""
    stage = await start_stage(prices=ONE_DOLLAR)
    await budget(stage, 1, target={"each": "end_user"})
    asks = [stage.request(b"GET", b"/thing", *fields) for fields in ((), (b"Tieline-Connection: ann",))]
    ben = stage.request(b"GET", b"/thing", b"Tieline-Connection: ben")
    found = [(await stage.ask(raw)).status for raw in (asks[1], asks[1], ben, asks[0], asks[0])]
    assert found == [200, 429, 200, 200, 200]


async def test_a_budget_that_is_raised_holds_at_once(start_stage: StartStage) -> None:
    """What was spent stays spent."""
    stage = await start_stage(prices=ONE_DOLLAR)
    await budget(stage, 1)
    assert [(await stage.get()).status for _ in range(2)] == [200, 429]
    await budget(stage, 2)
    await asyncio.sleep(0.25)  # a refusal is remembered for a fifth of a second
    assert [(await stage.get()).status for _ in range(2)] == [200, 429]


async def test_first_requests_of_a_new_end_user_at_once_share_one_budget(start_stage: StartStage) -> None:
    """Nobody is let through because nothing was known of it a moment ago."""
    stage = await start_stage(prices=ONE_DOLLAR)
    await budget(stage, 1, target={"each": "end_user"})
    raw = stage.request(b"GET", b"/thing", b"Tieline-Connection: new")
    answers = await asyncio.gather(*(stage.ask(raw) for _ in range(8)))
    assert sorted(each.status for each in answers) == [200] + [429] * 7


async def test_what_costs_nothing_passes_where_nothing_is_left(start_stage: StartStage) -> None:
    """The list of models is there for whoever has used up the budget."""
    stage = await start_stage(prices=MODEL, usage={"kind": "openai"})
    await budget(stage, 1)
    ask = stage.request(b"POST", b"/chat/completions", JSON, body=b'{"model":"m","max_tokens":1,"messages":[]}')
    assert (await stage.ask(ask, method=b"POST")).status == 429
    assert (await stage.get(b"/models")).status == 200


@pytest.mark.parametrize("path", [b"/chat/completions", b"/embeddings", b"/anything/else", b"/audio/speech"])
async def test_no_path_goes_round_the_budget(start_stage: StartStage, path: bytes) -> None:
    """What was used up is used up for every path of the API, known or not."""
    stage = await start_stage(prices=MODEL, usage={"kind": "openai"})
    await budget(stage, 1)
    ask = stage.request(b"POST", path, JSON, body=b'{"model":"m","max_tokens":1,"input":"x"}')
    assert (await stage.ask(ask, method=b"POST")).status == 429
    assert stage.upstream.seen == []


async def test_an_answer_that_tells_no_usage_counts_its_bound(start_stage: StartStage) -> None:
    """Nobody escapes a budget by an upstream that says nothing."""
    stage = await start_stage(saying(answer(b"{}", JSON)), prices=MODEL, usage={"kind": "openai"})
    await budget(stage, 2_500)
    ask = stage.request(b"POST", b"/chat/completions", JSON, body=b'{"model":"m","max_tokens":1,"messages":[]}')
    answers = [(await stage.ask(ask, method=b"POST")).status for _ in range(4)]
    assert answers == [200, 200, 429, 429]
    assert 2_000 * NANO <= await spent(stage) <= 2_500 * NANO


ASK = b'{"model":"m","max_tokens":10,"messages":[{"role":"user","content":"hello"}]}'
USED = answer(json.dumps({"model": "m", "usage": {"prompt_tokens": 5, "completion_tokens": 2}}).encode(), JSON)
FORM = b"Content-Type: multipart/form-data; boundary=b"


def form(*fields: tuple[str, str], file: bytes = b"") -> bytes:
    """A form of these fields, and a file behind them."""
    parts = [f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields]
    begin = b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
    return "".join(parts).encode() + begin + file + b"\r\n--b--\r\n"


async def in_parts(stage: Stage, *parts: bytes) -> Message:
    """Send a request in parts, each after a while, and read the answer."""
    client = await stage.connect()
    for part in parts:
        await client.send(part)
        await asyncio.sleep(0.05)
    return await client.message(method=b"POST")


async def metered(start_stage: StartStage, dollars: int, **terms: Any) -> Stage:
    """A stage whose upstream uses 25 dollars for each request, under a budget."""
    stage = await start_stage(saying(USED), prices=MODEL, usage={"kind": "openai"})
    await budget(stage, dollars, **terms)
    return stage


async def test_a_body_that_comes_in_parts_is_bounded_as_one_that_comes_at_once(start_stage: StartStage) -> None:
    """It is waited for, sent as it came, and costs what it used; where the bound does not fit, nothing is sent."""
    stage = await metered(start_stage, 1_140)
    whole = stage.request(b"POST", b"/chat/completions", JSON, body=ASK)
    head = len(whole) - len(ASK)
    assert (await in_parts(stage, whole[:head], whole[head : head + 9], whole[head + 9 :])).status == 200
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (ASK[:7], ASK[7:])) + b"0\r\n\r\n"
    chunked = stage.request(b"POST", b"/chat/completions", JSON, b"Transfer-Encoding: chunked")
    assert (await in_parts(stage, chunked, chunks[:11], chunks[11:])).status == 200
    assert [each.body for each in stage.upstream.seen] == [ASK, ASK]
    assert await spent(stage) == 50 * NANO
    refused = await in_parts(stage, whole[:head], whole[head:])
    assert (refused.status, error(refused)["code"], len(stage.upstream.seen)) == (429, "budget_exceeded", 2)


async def test_a_client_that_waits_to_be_asked_for_its_body_is_asked(start_stage: StartStage) -> None:
    """``Expect: 100-continue``."""
    stage = await metered(start_stage, 1_200)
    client = await stage.connect()
    raw = stage.request(b"POST", b"/chat/completions", JSON, b"Expect: 100-continue", body=ASK)
    await client.send(raw[: -len(ASK)])
    assert (await client.head()).status == 100
    await client.send(ASK)
    assert (await client.message(method=b"POST")).status == 200


async def test_who_hangs_up_before_the_body_is_whole_has_reserved_nothing(start_stage: StartStage) -> None:
    """Nor does a slot of a limit stay taken."""
    stage = await metered(start_stage, 1_200)
    raw = stage.request(b"POST", b"/chat/completions", JSON, body=ASK)
    for _ in range(5):
        client = await stage.connect()
        await client.send(raw[:-5])
        client.close()
    assert (await stage.ask(raw, method=b"POST")).status == 200
    assert (len(stage.upstream.seen), await spent(stage)) == (1, 25 * NANO)


async def test_a_form_is_bounded_by_its_fields(start_stage: StartStage) -> None:
    """Wherever they stand, whatever the file holds; it is sent as it came."""
    stage = await metered(start_stage, 1_140)
    body = form(("model", "m"), ("max_tokens", "10"), file=b"\0" * 200_000)
    raw = stage.request(b"POST", b"/audio/transcriptions", FORM, body=body)
    first = await stage.ask(raw, method=b"POST")
    assert (first.status, stage.upstream.seen[0].body == body, await spent(stage)) == (200, True, 25 * NANO)
    pairs = b"Content-Type: application/x-www-form-urlencoded"
    raw = stage.request(b"POST", b"/audio/transcriptions", pairs, body=b"model=m&max_tokens=10")
    assert (await stage.ask(raw, method=b"POST")).status == 200


@pytest.mark.parametrize(
    ("field", "body"),
    [
        (FORM, form(("model", "m"), ("model", "m"), ("max_tokens", "10"))),
        (FORM, form(("model", "m"), ("max_tokens", "1"), ("max_tokens[]", "10"))),
        (FORM, form(("model", "m"), file=b'x name="n"; y')),
        (FORM, form(("model", "m"))[:-9]),
        (FORM + b"; boundary=c", form(("model", "m"))),
        (JSON, ASK[:-1]),
        (JSON, ASK[:-1] + b',"max_tokens":99}'),
        (JSON, b'{"model":"m","x":"' + b"x" * 1_048_576 + b'"}'),
        (JSON + b"\r\nContent-Encoding: gzip", ASK),
        (JSON + b"\r\nContent-Type: text/plain", ASK),
        (b"Content-Type: text/plain", b"hello"),
    ],
)
async def test_what_cannot_be_told_for_sure_has_no_bound(start_stage: StartStage, field: bytes, body: bytes) -> None:
    """It is refused, or one at a time where that is allowed."""
    stage = await metered(start_stage, 100_000)
    raw = stage.request(b"POST", b"/chat/completions", field, body=body)
    refused = await stage.ask(raw, method=b"POST")
    assert (refused.status, error(refused)["code"]) == (429, "budget_exceeded"), refused.body
    assert "nobody knows" in error(refused)["message"]
    await budget(stage, 100_000, unbounded="one_at_a_time")
    assert (await stage.ask(raw, method=b"POST")).status in {200, 400}
    assert len(stage.upstream.seen) == 1


CALLS = {
    "ask": {
        "method": "POST",
        "path": "/chat/completions",
        "parameters": {
            "prompt": {"in": "body", "type": "text"},
            "most": {"in": "body", "type": "number", "default": 10},
        },
        "body": {
            "type": "json",
            "template": {"model": "m", "max_tokens": "<most>", "messages": [{"role": "user", "content": "<prompt>"}]},
        },
        "response": {"type": "json", "fields": []},
    },
    "list": {"method": "GET", "path": "/models", "use_as": "data", "response": {"type": "json", "fields": []}},
    "hear": {
        "method": "POST",
        "path": "/audio/transcriptions",
        "parameters": {"file": {"in": "body", "type": "file"}},
        "body": {
            "type": "multipart",
            "fields": [
                {"name": "model", "value": "m"},
                {"name": "file", "value": "<file>"},
                {"name": "max_tokens", "value": "10"},
            ],
        },
        "response": {"type": "json", "fields": []},
    },
    "cached": {
        "method": "POST",
        "use_as": "data",
        "path": "/chat/completions",
        "cache": {"ttl": "1m"},
        "body": {"type": "json", "template": {"model": "m", "max_tokens": 10, "messages": []}},
        "response": {"type": "json", "fields": []},
    },
}


async def calling(start_stage: StartStage, dollars: int, **terms: Any) -> Stage:
    """As :func:`metered`, with calls."""
    stage = await start_stage(saying(USED), prices=MODEL, usage={"kind": "openai"}, calls=CALLS)
    await budget(stage, dollars, **terms)
    return stage


async def test_a_call_is_bounded_by_what_its_template_says(start_stage: StartStage) -> None:
    """It costs what it used; the bound of about 1,100 does not fit a third time."""
    stage = await calling(start_stage, 1_140)
    answers = [(await run(stage, "ask", {"prompt": "hello"})).status for _ in range(3)]
    assert (answers, await spent(stage)) == ([200, 200, 429], 50 * NANO)
    refused = await run(stage, "ask", {"prompt": "hello"})
    assert error(refused)["code"] == "budget_exceeded"
    assert len(stage.upstream.seen) == 2
    assert (await run(stage, "list")).status == 200, "what only reads is free"


async def test_a_call_with_a_file_is_bounded_by_its_fields(start_stage: StartStage) -> None:
    """Its bytes are sent as they come, and nobody has to read them."""
    stage = await calling(start_stage, 1_140)
    answered = await run(stage, "hear", None, FORM, body=form(file=b"\0" * 300_000))
    assert (answered.status, await spent(stage)) == (200, 25 * NANO), answered.body


async def test_a_call_that_is_answered_from_the_cache_spends_nothing_and_passes_where_nothing_is_left(
    start_stage: StartStage,
) -> None:
    """So does one that is replayed under its idempotency key."""
    stage = await calling(start_stage, 1_110)
    replayed = b"Idempotency-Key: one"
    assert (await run(stage, "cached")).status == 200
    assert [(await run(stage, "cached")).status for _ in range(2)] == [200, 200]
    assert (await run(stage, "ask", {"prompt": "x"}, replayed)).status == 429
    assert (len(stage.upstream.seen), await spent(stage)) == (1, 25 * NANO)


async def test_calls_at_once_share_a_budget(start_stage: StartStage) -> None:
    """Of eight at once no more are sent than bounds fit, and all is settled."""
    stage = await calling(start_stage, 2_300)
    answers = await asyncio.gather(*(run(stage, "ask", {"prompt": "hello"}) for _ in range(8)))
    good = [each.status for each in answers].count(200)
    assert 2 <= good <= 8
    assert (len(stage.upstream.seen), await spent(stage)) == (good, good * 25 * NANO)


async def test_a_walk_over_all_pages_has_no_bound_where_models_have_prices(start_stage: StartStage) -> None:
    """Nobody knows how many pages there are."""
    page = {"in": "query", "type": "integer", "default": 0}
    pagination = {"kind": "page", "parameter": "page", "items": "data"}
    calls = {"all": {**CALLS["list"], "method": "POST", "parameters": {"page": page}, "pagination": pagination}}
    stage = await start_stage(saying(USED), prices=MODEL, usage={"kind": "openai"}, calls=calls)
    await budget(stage, 100_000)
    refused = await run(stage, "all", {}, b"Tieline-Pages: all")
    assert refused.status == 429, refused.body


async def test_limits_lists_the_budgets_of_a_key(start_stage: StartStage) -> None:
    """What is left and when it begins anew; of an API's, which other apps share, what is left is not told."""
    stage = await start_stage(prices=ONE_DOLLAR)
    await budget(stage, 5, target={"each": "key"}, period="day")
    for _ in range(2):
        assert (await stage.get()).status == 200
    await spent(stage)
    asked = b"GET /limits HTTP/1.1\r\nHost: tieline.test\r\n%b\r\n\r\n" % stage.bearer
    (found,) = (await stage.ask(asked)).json["budgets"]
    midnight = found.pop("resets_at")
    assert midnight.endswith("T00:00:00.000Z")
    assert found == {
        "name": "pocket money",
        "of": "key",
        "amount": {"usd": "5.00"},
        "period": "day",
        "mode": "hard",
        "left": {"usd": "3.00"},
    }
    await budget(stage, 5, target={"api": "api_api"})
    (found,) = (await stage.ask(asked)).json["budgets"]
    assert (found["of"], found["api"], "left" in found) == ("api", "api", False)
    await budget(stage, 5, target={"api": "api_other"})
    assert (await stage.ask(asked)).json["budgets"] == []


async def test_limits_tells_of_an_end_user_who_is_named_and_of_a_store_that_is_away(start_stage: StartStage) -> None:
    """What nobody knows is null."""
    stage = await start_stage(prices=ONE_DOLLAR)
    await budget(stage, 5, target={"each": "end_user"})
    asked = b"GET /limits HTTP/1.1\r\nHost: tieline.test\r\n%b%b\r\n\r\n"
    assert (await stage.ask(asked % (stage.bearer, b""))).json["budgets"] == []
    named = asked % (stage.bearer, b"\r\nTieline-Connection: ann")
    assert (await stage.ask(named)).json["budgets"][0]["left"] == {"usd": "5.00"}
    stage.worker.source.ledger.away = True
    other = asked % (stage.bearer, b"\r\nTieline-Connection: ben")
    (found,) = (await stage.ask(other)).json["budgets"]
    assert (found["of"], found["left"]) == ("end_user", None)
