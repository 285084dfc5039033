"""Walks by the signs of APIs that people connect: what asks on, what tells the end, and where a page stands."""

import json
from typing import Any

import orjson
import pytest

from tests.wire import calling
from tests.wire.calling import json_answer
from tests.wire.conftest import StartStage
from tests.wire.raw import Message
from tests.wire.test_call_page_ends import Way, way
from tests.wire.test_call_pages import ALL, SIZE, TOTAL, Reply, serving, things
from tests.wire.test_call_streams import events

INTEGER = {"type": "integer"}


def counted_from_nought(_: Message, query: dict[str, str]) -> bytes:
    """Auth0 with include_totals: no page is told, but the place of its first item."""
    start = int(query.get("page", "0")) * SIZE
    return json_answer({"start": start, "limit": SIZE, "length": SIZE, "total": TOTAL, "users": things(start)})


def hits(_: Message, query: dict[str, str]) -> bytes:
    """Elasticsearch by from and size."""
    return json_answer({"hits": {"total": {"value": TOTAL, "relation": "eq"}, "hits": things(int(query["from"]))}})


def hits_counted_in_part(_: Message, query: dict[str, str]) -> bytes:
    """Elasticsearch that stopped counting at ten."""
    return json_answer({"hits": {"total": {"value": 10, "relation": "gte"}, "hits": things(int(query["from"]))}})


def works(_: Message, query: dict[str, str]) -> bytes:
    """Crossref."""
    return json_answer({"message": {"total-results": TOTAL, "items": things(int(query["offset"]))}})


def posts(_: Message, query: dict[str, str]) -> bytes:
    """WordPress without Link."""
    start = (int(query.get("page", "1")) - 1) * SIZE
    return json_answer(things(start), b"X-WP-Total: %d" % TOTAL, b"X-WP-TotalPages: 5")


def sorted_hits(_: Message, query: dict[str, str]) -> bytes:
    """Elasticsearch's search_after: a list, of the last hit."""
    start = orjson.loads(query["search_after"])[0] + 1 if "search_after" in query else 0
    return json_answer({"hits": {"hits": [{**each, "sort": [each["id"], "x"]} for each in things(start)]}})


def contacts(_: Message, query: dict[str, str]) -> bytes:
    """HubSpot: a number and a flag, and the number on the last page too."""
    start = int(query.get("vidOffset", "0"))
    return json_answer({"contacts": things(start), "has-more": start + SIZE < TOTAL, "vid-offset": start + SIZE})


def recent_contacts(_: Message, query: dict[str, str]) -> bytes:
    """HubSpot's recent contacts: two numbers, and each alone comes again."""
    start = int(query.get("vidOffset", "1")) - 1 + 2 * int(query.get("timeOffset", "0"))
    following = start + SIZE
    told = {"vid-offset": following % 2 + 1, "time-offset": following // 2}
    return json_answer({"contacts": things(start), "has-more": following < TOTAL, **told})


def wiki(_: Message, query: dict[str, str]) -> bytes:
    """MediaWiki: both members of continue go back, of which one is always the same."""
    if "apcontinue" in query:
        assert query["continue"] == "-||"
    start = int(query.get("apcontinue", "0"))
    following = {"continue": {"apcontinue": str(start + SIZE), "continue": "-||"}} if start + SIZE < TOTAL else {}
    return json_answer({**following, "query": {"allpages": things(start)}})


def messages(_: Message, query: dict[str, str]) -> bytes:
    """Discord: before an id; numbered here so that the items count up."""
    return json_answer(things(int(query.get("before", "-1")) + 1))


def board(_: Message, query: dict[str, str]) -> bytes:
    """monday: the pages of the one board."""
    start = int(query.get("cursor", "0"))
    following = str(start + SIZE) if start + SIZE < TOTAL else None
    return json_answer({"data": {"boards": [{"items_page": {"cursor": following, "items": things(start)}}]}})


def books(_: Message, query: dict[str, str]) -> bytes:
    """Hydra."""
    start = (int(query.get("page", "1")) - 1) * SIZE
    following = {"hydra:next": f"?page={start // SIZE + 2}"} if start + SIZE < TOTAL else {}
    return json_answer({"hydra:member": things(start), "hydra:view": following})


WAYS: dict[str, Way] = {
    "pages from nought": way(counted_from_nought, 5, INTEGER, kind="page", parameter="page", items="users"),
    "a total within": way(
        hits, 5, {**INTEGER, "optional": False, "default": 0}, kind="offset", parameter="from", items="hits.hits"),
    "a total that is a lower bound": way(
        hits_counted_in_part, 6, {**INTEGER, "optional": False, "default": 0}, kind="offset", parameter="from",
        items="hits.hits", total="hits.total.value"),
    "a total beside the items": way(
        works, 5, {**INTEGER, "optional": False, "default": 0}, kind="offset", parameter="offset",
        items="message.items"),
    "pages in a header": way(posts, 5, INTEGER, kind="page", parameter="page", start=1),
    "what the last is sorted by": way(
        sorted_hits, 6, {"type": "json"}, kind="cursor", parameter="search_after", next="hits.hits[-1].sort",
        items="hits.hits"),
    "an offset that is told": way(
        contacts, 5, INTEGER, kind="cursor", parameter="vidOffset", next="vid-offset", more="has-more",
        items="contacts"),
    "before an id": way(messages, 6, kind="cursor", parameter="before", next="[-1].id"),
    "the pages of one board": way(
        board, 5, kind="cursor", parameter="cursor", next="data.boards[0].items_page.cursor",
        items="data.boards[0].items_page.items"),
    "Hydra": way(books, 5, kind="next_url", next='"hydra:view"."hydra:next"', items='"hydra:member"'),
}  # fmt: skip


@pytest.mark.parametrize("name", WAYS)
async def test_a_walk_goes_by_the_signs_of_the_api(start_stage: StartStage, name: str) -> None:
    """Every item once, ``more: false``, and as many requests as it takes."""
    one = WAYS[name]
    calls = {"it": {"path": "/things", "parameters": one.parameters, "pagination": one.pagination}}
    stage = await start_stage(serving(one.reply), calls=calls)
    told = events(await calling.run(stage, "it", {}, ALL))
    assert [item.get("id") for _, item in told[:-1]] == list(range(TOTAL))
    assert (told[-1][0], told[-1][1].get("more")) == ("done", False)
    assert len(stage.upstream.seen) == one.requests


TOGETHER: dict[str, tuple[Reply, str, dict[str, Any]]] = {
    "members of one object": (
        wiki, "query.allpages", {"parameter": "continue", "next": "continue.continue",
                                 "also": {"apcontinue": "continue.apcontinue"}}),
    "two numbers": (recent_contacts, "contacts", {"parameter": "vidOffset", "next": "vid-offset", "more": "has-more",
                                                  "also": {"timeOffset": "time-offset"}}),
}  # fmt: skip


@pytest.mark.parametrize("name", TOGETHER)
async def test_what_goes_back_together_is_one_cursor(start_stage: StartStage, name: str) -> None:
    """A value that comes again is no circle where the one beside it is another."""
    reply, items, paging = TOGETHER[name]
    parameters = {each: {"in": "query", "optional": True} for each in (paging["parameter"], *paging["also"])}
    pagination = {"kind": "cursor", "items": items, **paging}
    calls = {"it": {"path": "/things", "parameters": parameters, "pagination": pagination}}
    stage = await start_stage(serving(reply), calls=calls)
    told = events(await calling.run(stage, "it", {}, ALL))
    assert told[:-1] == [("item", {"id": number}) for number in range(TOTAL)]
    assert told[-1][1].get("more") is False


SKIPPING: dict[str, tuple[Reply, dict[str, Any]]] = {
    "pages that begin at 0": (counted_from_nought, {"kind": "page", "start": 1, "items": "users"}),
    "steps of more than a page": (
        lambda _, query: json_answer(
            {"offset": int(query.get("page", "0")), "limit": SIZE, "items": things(int(query.get("page", "0")))}),
        {"kind": "offset", "step": 2 * SIZE, "items": "items"}),
    "pages that name themselves": (
        lambda _, query: json_answer(
            {"page": int(query.get("page", "0")), "items": things(int(query.get("page", "0")) * SIZE)}),
        {"kind": "page", "start": 1, "items": "items"}),
}  # fmt: skip


@pytest.mark.parametrize("name", SKIPPING)
async def test_a_walk_that_leaves_items_out_says_so(start_stage: StartStage, name: str) -> None:
    """By the place at which the answers say that they stand; nothing of what follows is handed out."""
    reply, paging = SKIPPING[name]
    calls = {"it": {"path": "/things", "parameters": {"page": {"in": "query", "type": "integer", "optional": True}},
                    "pagination": {"parameter": "page", **paging}}}  # fmt: skip
    stage = await start_stage(serving(reply), calls=calls)
    told = events(await calling.run(stage, "it", {}, ALL))
    assert [name for name, _ in told] == ["item"] * SIZE + ["error"]
    assert "left items out" in told[-1][1]["error"]["message"]


async def test_a_walk_by_pages_of_what_counts_items_says_so(start_stage: StartStage) -> None:
    """Most items would be handed out twice, and the walk would be as long as the list."""
    calls = {"it": {"path": "/things", "parameters": {"skip": {"in": "query", "type": "integer", "optional": True}},
                    "pagination": {"kind": "page", "parameter": "skip", "start": 0, "items": "items"}}}  # fmt: skip
    reply = serving(lambda _, query: json_answer({"items": things(int(query.get("skip", "0")))}))
    told = events(await calling.run(await start_stage(reply, calls=calls), "it", {}, ALL))
    assert [name for name, _ in told] == ["item"] * SIZE + ["error"]
    assert "are items, not pages" in told[-1][1]["error"]["message"]


def scroll(message: Message, _: dict[str, str]) -> bytes:
    """Elasticsearch's scroll: pages after the first are asked for elsewhere, with the cursor alone."""
    asked = json.loads(message.body)
    if b"/things/_search" in message.target:
        assert asked == {"size": SIZE}
        return json_answer({"_scroll_id": "5", "hits": {"hits": things(0)}})
    assert asked.keys() == {"scroll_id", "keep"}
    start = int(asked["scroll_id"])
    return json_answer({"_scroll_id": str(start + SIZE), "hits": {"hits": things(start)}})


SCROLL: dict[str, Any] = {
    "search": {
        "method": "POST", "path": "/things/_search", "parameters": {"size": INTEGER, "keep": {"in": "query"}},
        "body": {"type": "json", "template": {"size": "<size>"}},
        "pagination": {"kind": "cursor", "call": "scroll", "parameter": "cursor", "next": "_scroll_id",
                       "items": "hits.hits"},
    },
    "scroll": {
        "method": "POST", "path": "/_search/scroll", "parameters": {"cursor": {}, "keep": {}},
        "body": {"type": "json", "template": {"scroll_id": "<cursor>", "keep": "<keep>"}},
    },
}  # fmt: skip


async def test_another_call_asks_for_the_pages_after_the_first(start_stage: StartStage) -> None:
    """It gets the cursor, and of the caller's values those that it takes."""
    stage = await start_stage(serving(scroll), calls=SCROLL)
    told = events(await calling.run(stage, "search", {"size": SIZE, "keep": "1m"}, ALL))
    assert told[:-1] == [("item", {"id": number}) for number in range(TOTAL)]
    assert told[-1] == ("done", {"items": TOTAL, "pages": 6, "more": False})


async def test_the_call_that_asks_on_must_be_permitted_too(start_stage: StartStage) -> None:
    """What the key may not send is not sent for a walk either; what came before stands."""
    areas = [{"area": name, "title": name, "levels": ["write"], "match": [f"POST {path}"]}
             for name, path in (("search", "/things/*"), ("rest", "/_search/*"))]  # fmt: skip
    stage = await start_stage(serving(scroll), calls=SCROLL, areas=areas)
    grants = {"mode": "restricted", "grants": {"api": {"search": "write"}}}
    key = stage.worker.source.put_key("api", permissions=grants)
    told = events(await calling.run(stage, "search", {"size": SIZE, "keep": "1m"}, ALL, key=key))
    assert [name for name, _ in told] == ["item"] * SIZE + ["error"]
    assert told[-1][1]["error"]["code"] == "missing_permission"
    assert len(stage.upstream.seen) == 1
