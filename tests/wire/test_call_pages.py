"""Every page of a call, by each kind of pagination, against a server that counts."""

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.wire import calling
from tests.wire.calling import error, json_answer, result
from tests.wire.conftest import StartStage
from tests.wire.raw import Message, Peer, Script, Upstream, until
from tests.wire.test_call_streams import events

ALL = b"Tieline-Pages: all"
TOTAL, SIZE = 23, 5
Reply = Callable[[Message, dict[str, str]], bytes]


def serving(reply: Reply) -> Script:
    """A script that answers each request by ``reply``, which gets its query as well."""

    async def serve(upstream: Upstream, peer: Peer) -> None:
        while True:
            message = await upstream.read(peer)
            query = {name: values[0] for name, values in parse_qs(urlsplit(message.target.decode()).query).items()}
            await peer.send(reply(message, query))

    return serve


def things(start: int) -> list[dict[str, int]]:
    """The items from ``start`` on that fit a page."""
    return [{"id": number} for number in range(start, min(start + SIZE, TOTAL))]


def by_page(_: Message, query: dict[str, str]) -> bytes:
    """Pages counted from one."""
    return json_answer({"data": things((int(query["page"]) - 1) * SIZE), "total": TOTAL})


def by_offset(_: Message, query: dict[str, str]) -> bytes:
    """As many as fit, from an offset; the whole answer is the list."""
    return json_answer(things(int(query["offset"])))


def by_cursor(_: Message, query: dict[str, str]) -> bytes:
    """A cursor in the body."""
    start = int(query.get("after", "0"))
    following = str(start + SIZE) if start + SIZE < TOTAL else None
    return json_answer({"data": things(start), "meta": {"next": following}})


def by_header(_: Message, query: dict[str, str]) -> bytes:
    """A cursor in a header."""
    start = int(query.get("after", "0"))
    fields = [b"X-Next: %d" % (start + SIZE)] if start + SIZE < TOTAL else []
    return json_answer({"data": things(start)}, *fields)


def by_link(message: Message, query: dict[str, str]) -> bytes:
    """A Link header among others."""
    start = int(query.get("from", "0"))
    base = b"http://" + message.one(b"host") + b"/v1/things?from="
    fields = (
        [b'Link: <%b0>; rel="first", <%b%d>; rel="next"' % (base, base, start + SIZE)] if start + SIZE < TOTAL else []
    )
    return json_answer(things(start), *fields)


def by_url(_: Message, query: dict[str, str]) -> bytes:
    """A URL that is a query alone."""
    start = int(query.get("from", "0"))
    return json_answer({"data": things(start), "next": f"?from={start + SIZE}" if start + SIZE < TOTAL else None})


def by_listed_link(_: Message, query: dict[str, str]) -> bytes:
    """A list of links with relations, in the body; the last page has links too."""
    start = int(query.get("from", "0"))
    links = [{"rel": "self", "href": f"?from={start}"}, {"rel": "first", "href": "?from=0"}]
    following = [{"rel": "next", "href": f"?from={start + SIZE}"}] if start + SIZE < TOTAL else []
    return json_answer({"links": following + links, "data": things(start)})


KINDS: dict[str, tuple[Reply, dict[str, Any]]] = {
    "page": (by_page, {"kind": "page", "parameter": "page", "start": 1, "items": "data"}),
    "offset": (by_offset, {"kind": "offset", "parameter": "offset", "step": SIZE}),
    "offset by count": (by_offset, {"kind": "offset", "parameter": "offset"}),
    "cursor": (by_cursor, {"kind": "cursor", "parameter": "after", "next": "meta.next", "items": "data"}),
    "cursor in a header": (by_header, {"kind": "cursor", "parameter": "after", "header": "X-Next"}),
    "link": (by_link, {"kind": "link"}),
    "next url": (by_url, {"kind": "next_url", "next": "next", "items": "data"}),
    "listed link": (by_listed_link, {"kind": "next_url", "next": "links", "items": "data"}),
}


def call(pagination: dict[str, Any], **settings: Any) -> dict[str, Any]:
    """One call named ``it`` with this pagination."""
    parameters = {}
    if "parameter" in pagination:
        number = {"type": "integer", "default": pagination.get("start", 0)}
        parameters[pagination["parameter"]] = {
            "in": "query",
            **({"optional": True} if "cursor" in pagination["kind"] else number),
        }
    return {"it": {"path": "/things", "parameters": parameters, "pagination": pagination, **settings}}


@pytest.mark.parametrize("kind", KINDS)
async def test_every_page_is_walked_to_the_end(start_stage: StartStage, kind: str) -> None:
    """Each item once, in order, then how many there were."""
    reply, pagination = KINDS[kind]
    stage = await start_stage(serving(reply), calls=call(pagination))
    told = events(await calling.run(stage, "it", {}, ALL))
    assert told[:-1] == [("item", {"id": number}) for number in range(TOTAL)]
    name, end = told[-1]
    assert (name, end["items"], end["more"]) == ("done", TOTAL, False)


@pytest.mark.parametrize("kind", KINDS)
async def test_one_page_is_what_a_caller_gets(start_stage: StartStage, kind: str) -> None:
    """Unless all are asked for."""
    reply, pagination = KINDS[kind]
    stage = await start_stage(serving(reply), calls=call(pagination))
    found = result(await calling.run(stage, "it"))
    assert len(found if isinstance(found, list) else found["data"]) == SIZE
    assert len(stage.upstream.seen) == 1


async def test_a_walk_stops_at_the_most_items(start_stage: StartStage) -> None:
    """And says that there are more."""
    reply, pagination = KINDS["cursor"]
    stage = await start_stage(serving(reply), calls=call({**pagination, "most": {"items": 7}}))
    told = events(await calling.run(stage, "it", {}, ALL))
    assert (len(told), told[-1]) == (8, ("done", {"items": 7, "pages": 2, "more": True}))
    assert len(stage.upstream.seen) == 2


async def test_a_walk_stops_when_its_time_is_over(start_stage: StartStage) -> None:
    """However far it has come."""

    async def endless(upstream: Upstream, peer: Peer) -> None:
        while True:
            await upstream.read(peer)
            await asyncio.sleep(0.05)
            await peer.send(json_answer([1]))

    stage = await start_stage(endless, calls=call({"kind": "page", "parameter": "page", "most": {"time": "1s"}}))
    name, end = events(await calling.run(stage, "it", {}, ALL))[-1]
    assert (name, end["more"]) == ("done", True)


async def test_pages_are_tried_again(start_stage: StartStage) -> None:
    """A trouble in the middle passes."""
    troubles = iter([False, False, True, False])

    def reply(message: Message, query: dict[str, str]) -> bytes:
        if next(troubles, False):
            return json_answer({}, b"Retry-After: 0", status=b"503 Busy")
        return by_cursor(message, query)

    stage = await start_stage(serving(reply), calls=call(KINDS["cursor"][1], retry={"attempts": 2}))
    assert events(await calling.run(stage, "it", {}, ALL))[-1][1]["items"] == TOTAL


async def test_a_page_that_fails_ends_the_walk_with_an_error(start_stage: StartStage) -> None:
    """What was handed out stands."""

    def reply(message: Message, query: dict[str, str]) -> bytes:
        if query.get("after") == "10":
            return json_answer({"message": "broken"}, status=b"400 Bad")
        return by_cursor(message, query)

    stage = await start_stage(serving(reply), calls=call(KINDS["cursor"][1]))
    told = events(await calling.run(stage, "it", {}, ALL))
    assert (len(told), told[-1][0]) == (11, "error")
    assert told[-1][1]["error"]["message"] == "The upstream answered 400: broken"


async def test_a_first_page_that_fails_is_an_error_answer(start_stage: StartStage) -> None:
    """Nothing was streamed yet."""
    stage = await start_stage(serving(lambda _, __: json_answer({}, status=b"404 Gone")), calls=call(KINDS["page"][1]))
    found = await calling.run(stage, "it", {}, ALL)
    assert (found.status, error(found)["code"]) == (404, "upstream_error")


async def test_a_page_that_is_not_there_is_the_end(start_stage: StartStage) -> None:
    """Some APIs answer 404 past their last page."""

    def reply(message: Message, query: dict[str, str]) -> bytes:
        return by_page(message, query) if int(query["page"]) < 3 else json_answer({}, status=b"404 Gone")

    stage = await start_stage(serving(reply), calls=call(KINDS["page"][1]))
    assert events(await calling.run(stage, "it", {}, ALL))[-1] == ("done", {"items": 10, "pages": 2, "more": False})


async def test_a_client_that_leaves_stops_the_walk(start_stage: StartStage) -> None:
    """In the middle; no page is asked for afterwards."""

    async def slow(upstream: Upstream, peer: Peer) -> None:
        while True:
            await upstream.read(peer)
            await asyncio.sleep(0.02)
            await peer.send(json_answer([1]))

    stage = await start_stage(slow, calls=call({"kind": "page", "parameter": "page"}))
    client = await stage.connect()
    await client.send(calling.request(stage, "it", {}, ALL))
    await stage.upstream.until(lambda upstream: len(upstream.seen) > 3)
    client.reset()
    await stage.settled()
    count = len(stage.upstream.seen)
    await asyncio.sleep(0.2)
    assert len(stage.upstream.seen) == count


@pytest.mark.parametrize(
    "url", ["http://evil.test/steal", "//evil.test/steal", "http://api.test:1/x", "file:///etc/passwd", "http://[::1"]
)
async def test_a_next_url_stays_at_its_origin(start_stage: StartStage, url: str) -> None:
    """Whatever an answer says."""
    stage = await start_stage(
        serving(lambda _, __: json_answer({"data": [1], "next": url})), calls=call(KINDS["next url"][1])
    )
    told = events(await calling.run(stage, "it", {}, ALL))
    assert [name for name, _ in told] == ["item", "error"]
    assert told[1][1]["error"]["code"] == "upstream_protocol_error"
    assert len(stage.upstream.seen) == 1


async def test_a_next_url_needs_permission_too(start_stage: StartStage) -> None:
    """The upstream does not widen a key."""
    areas = [{"area": "things", "title": "Things", "levels": ["read"], "match": ["GET /things"]},
             {"area": "users", "title": "Users", "levels": ["read"], "match": ["GET /users"]}]  # fmt: skip
    stage = await start_stage(
        serving(lambda _, __: json_answer({"data": [1], "next": "/v1/users"})),
        calls=call(KINDS["next url"][1]), areas=areas,
    )  # fmt: skip
    key = stage.worker.source.put_key("api", permissions={"mode": "restricted", "grants": {"api": {"things": "read"}}})
    told = events(await calling.run(stage, "it", {}, ALL, key=key))
    assert told[-1][1]["error"]["param"] == "api:users=read"
    assert len(stage.upstream.seen) == 1


async def test_items_have_the_shape_of_their_fields(start_stage: StartStage) -> None:
    """What is excluded stays so."""
    fields = [{"path": "data", "type": "object", "list": True, "object": "Thing"},
              {"path": "data[].id", "type": "integer", "name": "number"}]  # fmt: skip
    stage = await start_stage(
        serving(by_page), calls=call(KINDS["page"][1], response={"type": "json", "fields": fields})
    )
    assert events(await calling.run(stage, "it", {}, ALL))[0] == ("item", {"number": 0})


async def test_an_answer_without_items_is_told(start_stage: StartStage) -> None:
    """With where to say them."""
    stage = await start_stage(serving(lambda _, __: json_answer({"a": 1})), calls=call(KINDS["page"][1]))
    assert "pagination.items" in error(await calling.run(stage, "it", {}, ALL))["message"]


async def test_a_call_without_pages_has_no_further_ones(start_stage: StartStage) -> None:
    """Asking for them is a mistake, as is asking in other words."""
    stage = await start_stage(serving(by_page), calls={"it": {"path": "/it"}})
    assert error(await calling.run(stage, "it", {}, ALL))["param"] == "Tieline-Pages"
    assert error(await calling.run(stage, "it", {}, b"Tieline-Pages: some"))["code"] == "invalid_request"


async def test_a_slow_client_slows_the_walk_down(start_stage: StartStage) -> None:
    """Pages are not gathered in Tieline."""
    page = [{"text": "x" * 1000}] * 100
    stage = await start_stage(
        serving(lambda _, __: json_answer(page)), calls=call({"kind": "page", "parameter": "page"})
    )
    client = await stage.connect(buffer=4096)
    await client.send(calling.request(stage, "it", {}, ALL))
    count = -1
    while count != len(stage.upstream.seen):
        count = len(stage.upstream.seen)
        await asyncio.sleep(0.5)
    assert 0 < count < 90
    client.reset()
    await until(lambda: stage.worker.service.pool.busy_connections == 0)
