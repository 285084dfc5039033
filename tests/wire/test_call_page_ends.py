"""How walks end, by the ways of APIs that people reported: all items once, the end as told, and no request too many."""

from dataclasses import dataclass
from typing import Any

import pytest

from tests.wire import calling
from tests.wire.calling import json_answer
from tests.wire.conftest import StartStage
from tests.wire.raw import Message
from tests.wire.test_call_pages import ALL, SIZE, TOTAL, Reply, serving, things
from tests.wire.test_call_streams import events


@dataclass(frozen=True)
class Way:
    """How an API pages: what it answers, how the call says so, and how many requests a walk takes."""

    reply: Reply
    pagination: dict[str, Any]
    requests: int
    parameters: dict[str, Any]


def way(reply: Reply, requests: int, typed: dict[str, Any] | None = None, **pagination: Any) -> Way:
    """A way whose parameter, if there is one, may be left out."""
    name = pagination.get("parameter")
    parameters = {name: {"in": "query", "optional": True, **(typed or {})}} if name is not None else {}
    return Way(reply, pagination, requests, parameters)


def cursor_to_the_last(_: Message, query: dict[str, str]) -> bytes:
    """A cursor on every page, and a flag."""
    start = int(query.get("cursor", "0"))
    return json_answer({"cursor": str(start + SIZE), "has_more": start + SIZE < TOTAL, "items": things(start)})


def cursor_for_ever(_: Message, query: dict[str, str]) -> bytes:
    """A new cursor on every page, also after the last item, and no flag."""
    start = int(query.get("cursor", "0"))
    return json_answer({"cursor": str(start + SIZE), "items": things(start)})


def after_an_id(_: Message, query: dict[str, str]) -> bytes:
    """Stripe."""
    start = int(query.get("starting_after", "-1")) + 1
    return json_answer({"object": "list", "data": things(start), "has_more": start + SIZE < TOTAL})


def counted_from_nought(_: Message, query: dict[str, str]) -> bytes:
    """Spring Data."""
    number = int(query.get("page", "0"))
    start = number * SIZE
    told = {"number": number, "first": not number, "last": start + SIZE >= TOTAL, "totalPages": 5}
    return json_answer({"content": things(start), **told})


def by_key(_: Message, query: dict[str, str]) -> bytes:
    """DynamoDB: the cursor is an object."""
    start = int(query.get("after", '{"N":"0"}').split('"')[3])
    following = {"LastEvaluatedKey": {"N": str(start + SIZE)}} if start + SIZE < TOTAL else {}
    return json_answer({"Items": things(start), **following})


def refusing_the_last(_: Message, query: dict[str, str]) -> bytes:
    """WordPress."""
    start = (int(query.get("page", "1")) - 1) * SIZE
    if start >= TOTAL:
        return json_answer({"code": "rest_post_invalid_page_number"}, status=b"400 Bad Request")
    return json_answer(things(start))


def null_at_the_end(_: Message, query: dict[str, str]) -> bytes:
    """Null instead of an empty list."""
    return json_answer({"items": things((int(query.get("page", "1")) - 1) * SIZE) or None})


def nothing_at_the_end(_: Message, query: dict[str, str]) -> bytes:
    """No member instead of an empty list."""
    found = things((int(query.get("page", "1")) - 1) * SIZE)
    return json_answer({"items": found} if found else {"page": 6})


def no_content_at_the_end(_: Message, query: dict[str, str]) -> bytes:
    """No body at all after the last page."""
    found = things((int(query.get("page", "1")) - 1) * SIZE)
    return json_answer({"items": found}) if found else b"HTTP/1.1 204 No Content\r\n\r\n"


def with_a_total(_: Message, query: dict[str, str]) -> bytes:
    """An offset, and how many there are in all."""
    return json_answer({"items": things(int(query.get("offset", "0"))), "total": TOTAL})


INTEGER = {"type": "integer"}
BY_CURSOR: dict[str, Any] = {"kind": "cursor", "parameter": "cursor", "next": "cursor", "items": "items"}
BY_PAGE: dict[str, Any] = {"kind": "page", "parameter": "page", "start": 1, "items": "items"}
WAYS = {
    "a flag beside a cursor": way(cursor_to_the_last, 5, **BY_CURSOR),
    "an empty page beside a cursor": way(cursor_for_ever, 6, **BY_CURSOR),
    "the last item's id": way(
        after_an_id, 5, kind="cursor", parameter="starting_after", next="data[-1].id", items="data"
    ),
    "pages from nought": way(counted_from_nought, 5, INTEGER, kind="page", parameter="page", items="content"),
    "a key": way(by_key, 5, {"type": "json"}, kind="cursor", parameter="after", next="LastEvaluatedKey", items="Items"),
    "a refusal after the last page": way(refusing_the_last, 6, kind="page", parameter="page", start=1, past_end=[400]),
    "null": way(null_at_the_end, 6, **BY_PAGE),
    "no member": way(nothing_at_the_end, 6, **BY_PAGE),
    "no content": way(no_content_at_the_end, 6, **BY_PAGE),
    "a total": way(with_a_total, 5, INTEGER, kind="offset", parameter="offset", items="items"),
}  # fmt: skip


@pytest.mark.parametrize("name", WAYS)
async def test_a_walk_ends_because_the_api_says_so(start_stage: StartStage, name: str) -> None:
    """Every item once, ``more: false``, and as many requests as it takes."""
    one = WAYS[name]
    calls = {"it": {"path": "/things", "parameters": one.parameters, "pagination": one.pagination}}
    stage = await start_stage(serving(one.reply), calls=calls)
    told = events(await calling.run(stage, "it", {}, ALL))
    assert told[:-1] == [("item", {"id": number}) for number in range(TOTAL)]
    assert (told[-1][0], told[-1][1].get("more")) == ("done", False)
    assert len(stage.upstream.seen) == one.requests


def deaf(_: Message, __: dict[str, str]) -> bytes:
    """A server that ignores the parameter which the call sends (X takes ``pagination_token``)."""
    return json_answer({"data": things(0), "meta": {"next_token": "abc"}})


def in_a_circle(_: Message, query: dict[str, str]) -> bytes:
    """A next URL that leads back, to what was first asked for without it."""
    return json_answer(
        {"data": things(int(query.get("from", "0"))), "next": f"?from={5 - int(query.get('from', '0'))}"}
    )


STUCK = {
    "the same page again": (deaf, {"kind": "cursor", "parameter": "at", "next": "meta.next_token"}, SIZE),
    "a circle": (in_a_circle, {"kind": "next_url", "next": "next", "items": "data"}, 3 * SIZE),
    "an object that text cannot carry": (
        lambda _, __: json_answer({"data": things(0), "next": {"N": "5"}}),
        {"kind": "cursor", "parameter": "at", "next": "next", "items": "data"},
        SIZE,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STUCK)
async def test_a_walk_that_cannot_go_on_says_so(start_stage: StartStage, name: str) -> None:
    """An error after the items that came, never an end; and no request is made over and over."""
    reply, pagination, items = STUCK[name]
    parameters = {"at": {"in": "query", "optional": True}} if "parameter" in pagination else {}
    calls = {"it": {"path": "/things", "parameters": parameters, "pagination": pagination}}
    stage = await start_stage(serving(reply), calls=calls)
    told = events(await calling.run(stage, "it", {}, ALL))
    assert [name for name, _ in told] == ["item"] * items + ["error"]
    assert told[-1][1]["error"]["code"] == "upstream_protocol_error"
    assert len(stage.upstream.seen) <= 3
