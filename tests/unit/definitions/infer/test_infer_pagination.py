"""How answers follow each other, proposed from what well-known APIs answer, and not where nothing says so."""

from typing import Any

import pytest

from tieline.definitions.infer.page_samples import PageSample
from tieline.definitions.infer.pagination import Proposal, propose
from tieline.definitions.model import Call, Pagination
from tieline.definitions.parse import parse_data
from tieline.definitions.problems import DefinitionError

THINGS = [{"id": "a"}, {"id": "b"}]


def call(**said: Any) -> Call:
    """A call of a whole definition, so that every parameter has its place."""
    calls = {"list": {"path": "/things", **said}}
    return parse_data({"tieline": "v1", "api": "x", "base_url": "https://x.example", "calls": calls}).calls["list"]


def query(**types: str) -> dict[str, Any]:
    """Optional query parameters of these types."""
    return {name: {"in": "query", "type": kind, "optional": True} for name, kind in types.items()}


def proposed(said: Any, document: Any, headers: dict[str, str] | None = None, **given: Any) -> Proposal | None:
    """What one answer shows of a call."""
    return propose(call(**said), [PageSample(document, headers or {}, given)])


LINK = '<https://x.example/things?page=2>; rel="next", <https://x.example/things?page=9>; rel="last"'
URLS = {
    "a REST framework": ({"count": 9, "next": "https://x.example/things?page=2", "results": THINGS}, "results", "next"),
    "HAL": ({"_embedded": {"things": THINGS}, "_links": {"next": {"href": "/things?page=2"}}},
            "_embedded.things", "_links.next.href"),
    "JSON:API": ({"data": THINGS, "links": {"self": "/t", "next": "/t?page[number]=2"}}, "data", "links.next"),
    "OData": ({"value": THINGS, "@odata.nextLink": "https://x.example/things?$skip=2"}, "value", '"@odata.nextLink"'),
    "a graph": ({"data": THINGS, "paging": {"next": "https://x.example/things?after=b", "cursors": {"after": "b"}}},
                "data", "paging.next"),
    "tasks": ({"data": THINGS, "next_page": {"offset": "eyJ0", "path": "/t?offset=eyJ0", "uri": "https://x.example/t?o=e"}},
              "data", "next_page.uri"),
    "records": ({"totalSize": 9, "nextRecordsUrl": "/query/01g-2000", "records": THINGS}, "records", "nextRecordsUrl"),
    "Hydra": ({"hydra:member": THINGS, "hydra:view": {"@id": "/t", "hydra:next": "/t?page=2"}}, '"hydra:member"',
              '"hydra:view"."hydra:next"'),
    "a view": ({"member": THINGS, "totalItems": 9, "view": {"next": "/t?page=2"}}, "member", "view.next"),
    "a query alone": ({"items": THINGS, "next_page_url": "?page=2"}, "items", "next_page_url"),
    "a list of links": ({"plans": THINGS, "links": [{"href": "/t", "rel": "self"}, {"href": "/p2", "rel": "next"}]},
                        "plans", "links"),
    "a bundle": ({"type": "searchset", "link": [{"relation": "self", "url": "/t"}, {"relation": "next", "url": "/n"}],
                  "entry": THINGS}, "entry", "link"),
    "hypermedia": ({"links": [{"rel": ["next"], "href": "/t?page=2"}], "entities": THINGS}, "entities", "links"),
}  # fmt: skip
CURSORS = {
    "a token": ({"items": THINGS, "nextPageToken": "CAUQAA"}, query(pageToken="text"), "pageToken", "nextPageToken"),
    "a chat": ({"ok": True, "channels": THINGS, "response_metadata": {"next_cursor": "dGVhbTpD"}},
               query(cursor="text"), "cursor", "response_metadata.next_cursor"),
    "a model provider": ({"data": THINGS, "has_more": True, "first_id": "a", "last_id": "b"},
                         query(after="text", limit="integer"), "after", "last_id"),
    "a listing": ({"kind": "Listing", "data": {"after": "t3_1", "children": THINGS}}, query(after="text"), "after",
                  "data.after"),
    "notes": ({"object": "list", "results": THINGS, "next_cursor": "fe2c", "has_more": True},
              query(start_cursor="text"), "start_cursor", "next_cursor"),
    "a number": ({"list": THINGS, "next_page": 2}, query(page="integer"), "page", "next_page"),
    "a parameter of the call before one that it lacks": (
        {"meta": {"next_token": "b26v"}, "data": THINGS}, query(pagination_token="text"), "pagination_token",
        "meta.next_token"),
    "a customer base": ({"results": THINGS, "paging": {"next": {"after": "NTI1", "link": "?after=NTI1"}}},
                        query(after="text"), "after", "paging.next.after"),
    "conversations": ({"type": "list", "data": THINGS, "pages": {"type": "pages", "next": {"page": 2,
                       "starting_after": "WzE3"}, "page": 1, "per_page": 2, "total_pages": 9}},
                      query(starting_after="text"), "starting_after", "pages.next.starting_after"),
    "a base": ({"records": THINGS, "offset": "itrX/recY"}, query(offset="text"), "offset", "offset"),
    "messages": ({"data": THINGS, "has_more": True, "first_id": "a", "last_id": "b"}, query(after_id="text"),
                 "after_id", "last_id"),
    "a cluster": ({"kind": "PodList", "metadata": {"continue": "eyJ2", "resourceVersion": "9"}, "items": THINGS},
                  query(**{"continue": "text"}), "continue", "metadata.continue"),
    "tickets": ({"tickets": THINGS, "meta": {"has_more": True, "after_cursor": "xxx", "before_cursor": "yyy"}},
                query(after="text"), "after", "meta.after_cursor"),
    "a table": ({"Items": THINGS, "Count": 2, "LastEvaluatedKey": {"id": {"S": "b"}}},
                query(ExclusiveStartKey="json"), "ExclusiveStartKey", "LastEvaluatedKey"),
    "a number that the call counts": (
        {"data": THINGS, "additional_data": {"pagination": {"start": 0, "next_start": 2}}},
        query(start="integer", limit="integer"), "start", "additional_data.pagination.next_start"),
    "meta": ({"meta": {"next_token": "b26v"}, "data": THINGS}, query(pagination_token="text", next_token="text"),
             "next_token", "meta.next_token"),
}  # fmt: skip


@pytest.mark.parametrize("link", [LINK, "<https://x.example/t?a=1,2;b>;title=x;rel=next", '</p2>; rel="last next"'])
def test_a_link_header_names_the_next_page(link: str) -> None:
    """RFC 8288 in its spellings; the list may be the whole answer."""
    found = proposed({}, THINGS, {"link": link})
    assert found is not None
    assert found.pagination == Pagination("link", items="$")


@pytest.mark.parametrize("case", URLS, ids=list(URLS))
def test_a_next_url_is_found_in_the_body(case: str) -> None:
    """Absolute, a path, or a query; under the names that APIs use."""
    document, items, path = URLS[case]
    found = proposed({}, document)
    assert found is not None
    assert found.pagination == Pagination("next_url", items=items, next=path)


@pytest.mark.parametrize("case", CURSORS, ids=list(CURSORS))
def test_a_cursor_goes_with_the_parameter_that_takes_it(case: str) -> None:
    """The cursor's path and the call's own parameter."""
    document, parameters, parameter, path = CURSORS[case]
    found = proposed({"parameters": parameters}, document)
    assert found is not None
    assert (found.pagination.kind, found.pagination.parameter, found.pagination.next) == ("cursor", parameter, path)
    assert found.add == {}


def test_a_cursor_in_graphql_stands_beside_the_items() -> None:
    """``pageInfo.endCursor`` of the connection whose edges are the items, for the variable that takes it."""
    body = {"type": "graphql", "query": "query($after: String) { x }", "variables": {"after": "<after>"}}
    document = {"data": {"repo": {"issues": {"edges": THINGS, "pageInfo": {"endCursor": "Y3==", "hasNextPage": True}}}}}
    said = {"method": "POST", "body": body, "parameters": {"after": {"optional": True}}}
    found = proposed(said, document)
    assert found is not None
    issues = "data.repo.issues"
    assert (found.pagination.kind, found.pagination.parameter) == ("cursor", "after")
    assert (found.pagination.items, found.pagination.next) == (f"{issues}.edges", f"{issues}.pageInfo.endCursor")
    assert found.pagination.more == f"{issues}.pageInfo.hasNextPage"


@pytest.mark.parametrize(("header", "parameter"), [("x-next-cursor", "cursor"), ("x-continuation-token", "cursor"),
                                                   ("x-next-page", "page")])  # fmt: skip
def test_a_cursor_is_found_in_a_header(header: str, parameter: str) -> None:
    """Where the body tells nothing of it."""
    found = proposed({"parameters": query(cursor="text", page="integer")}, THINGS, {header: "2"})
    assert found is not None
    assert found.pagination == Pagination("cursor", parameter, "$", header=header)


def test_a_call_without_the_parameter_is_told_which_to_add() -> None:
    """A cursor that cannot be sent back is no use: the proposal brings a parameter for it."""
    found = proposed({}, {"items": THINGS, "nextPageToken": "CAUQAA"})
    assert found is not None
    assert found.pagination.parameter == "pageToken"
    assert (found.add["pageToken"].place, found.add["pageToken"].optional) == ("query", True)
    assert "needs a parameter" in found.because


@pytest.mark.parametrize(
    ("parameters", "document", "given", "start"),
    [
        (query(page="integer"), {"data": THINGS}, {}, 1),
        (query(page="integer"), {"data": THINGS, "page": 0}, {}, 0),
        (query(page="integer"), THINGS, {"page": 3}, 1),
        (query(page="integer"), {"content": THINGS, "number": 0, "first": True, "totalPages": 3}, {}, 0),
        (query(pageNumber="text"), {"content": THINGS, "totalPages": 4}, {"pageNumber": "1"}, 1),
    ],
)
def test_a_page_number_counts_up_from_the_first(parameters: Any, document: Any, given: Any, start: int) -> None:
    """From nought or one: what was asked for or what the answer says of itself, else one; a later page says nothing."""
    found = proposed({"parameters": parameters}, document, **given)
    assert found is not None
    assert (found.pagination.kind, found.pagination.start, found.pagination.step) == ("page", start, 1)


@pytest.mark.parametrize(
    ("parameters", "document", "given", "start", "step"),
    [
        (query(offset="integer", limit="integer"), {"results": THINGS}, {"limit": 50}, 0, 50),
        (query(offset="integer"), {"results": THINGS, "limit": 20}, {}, 0, 20),
        (query(skip="integer"), THINGS, {}, 0, 2),
        (query(startIndex="integer", count="integer"), {"Resources": THINGS, "startIndex": 1}, {"startIndex": 1}, 1, 2),
    ],
)
def test_an_offset_counts_up_by_the_size_of_a_page(
    parameters: Any, document: Any, given: Any, start: int, step: int
) -> None:
    """The size that was asked for, else told, else counted."""
    found = proposed({"parameters": parameters}, document, **given)
    assert found is not None
    assert (found.pagination.kind, found.pagination.start, found.pagination.step) == ("offset", start, step)


def test_a_parameter_is_known_by_the_name_it_is_sent_under() -> None:
    """``page[number]`` is a query pair whose value is a parameter of another name."""
    said = {
        "query": [{"name": "page[number]", "value": "<at>"}],
        "parameters": {"at": {"type": "integer", "default": 1}},
    }
    found = proposed(said, {"data": THINGS})
    assert found is not None
    assert (found.pagination.kind, found.pagination.parameter, found.pagination.start) == ("page", "at", 1)


def test_the_surest_sign_wins() -> None:
    """A next URL before a cursor before a page number, all of which may be there at once."""
    document = {"results": THINGS, "next": "https://x.example/?page=2", "next_cursor": "abc"}
    parameters = query(page="integer", cursor="text")
    kinds = []
    for gone in (None, "next", "next_cursor"):
        document.pop(gone, None)  # type: ignore[arg-type]
        found = proposed({"parameters": parameters}, dict(document))
        kinds.append(found.pagination.kind if found else None)
    assert kinds == ["next_url", "cursor", "page"]


def test_a_second_answer_shows_what_does_not_move() -> None:
    """What is the same in both answers is no cursor."""
    said = {"parameters": query(cursor="text")}
    pages = [PageSample({"items": THINGS, "cursor": "main", "next_token": each}) for each in ("one", "two")]
    found = propose(call(**said), pages)
    assert found is not None
    assert found.pagination.next == "next_token"
    assert propose(call(**said), [PageSample({"items": THINGS, "cursor": "main"})] * 2) is None


@pytest.mark.parametrize(
    ("said", "document", "headers", "given"),
    [
        ({}, {"data": THINGS}, {}, {}),
        ({}, {"id": 1, "next": "https://x.example/posts/2"}, {}, {}),
        ({}, {"results": THINGS, "next": None, "previous": None}, {}, {}),
        ({}, {"data": THINGS, "next": "tuesday"}, {}, {}),
        ({}, {"items": [{"next": "https://x.example/"}]}, {}, {}),
        ({}, THINGS, {"link": '</style.css>; rel="stylesheet", </prev>; rel="prev"'}, {}),
        ({}, THINGS, {"link": '</a>; title="rel=next"; rel="prefetch"'}, {}),
        ({"parameters": query(cursor="text")}, {"items": THINGS, "cursor": "abc"}, {}, {"cursor": "abc"}),
        ({"parameters": query(page="integer")}, {"id": 1, "name": "no list"}, {}, {}),
        ({"parameters": query(start="date", **{"from": "date"})}, {"data": THINGS}, {}, {"start": "2024-01-01"}),
        ({"path": "/books/<page>", "parameters": {"page": {"type": "integer"}}}, {"words": ["a"]}, {}, {"page": 3}),
        ({"method": "DELETE", "parameters": query(page="integer")}, {"data": THINGS}, {}, {}),
        ({"parameters": {**query(id="text")}}, {"data": THINGS, "last_id": "b"}, {}, {}),
        ({"parameters": query(page="text")}, {"tags": ["a"], "title": "a page by name"}, {}, {"page": "home"}),
        ({}, 7, {}, {}),
        ({}, None, {"x-next-page": "2"}, {}),
    ],
)  # fmt: skip
def test_nothing_is_proposed_without_a_sign(said: Any, document: Any, headers: Any, given: Any) -> None:
    """No list, no next, a null, an echo, a value in a path, a date, a name: none of these makes pages."""
    assert proposed(said, document, headers, **given) is None


def test_a_proposal_can_be_saved() -> None:
    """With the parameter it adds, every kind of proposal is one that the definition takes."""
    found = proposed({}, {"items": THINGS}, {"x-next-cursor": "abc"})
    assert found is not None
    said = {"parameters": query(**{found.pagination.parameter or "": "text"})}
    pages = {"kind": "cursor", "parameter": "cursor", "items": "items", "header": "x-next-cursor"}
    assert call(**said, pagination=pages).pagination == found.pagination


ENDS = {
    "a flag": (query(cursor="text"), {"items": THINGS, "next_cursor": "x", "has_more": True}, {"more": "has_more"}),
    "a graph": (query(after="text"), {"nodes": THINGS, "pageInfo": {"endCursor": "x", "hasNextPage": True}},
                {"more": "pageInfo.hasNextPage"}),
    "the last one": (query(startAt="integer"), {"startAt": 0, "total": 9, "isLast": False, "values": THINGS},
                     {"last": "isLast", "total": "total"}),
    "records": ({}, {"done": False, "nextRecordsUrl": "/q/01g", "records": THINGS}, {"last": "done"}),
    "a repository": (query(page="integer"), {"content": THINGS, "number": 0, "first": True, "last": False,
                     "totalPages": 5, "totalElements": 9}, {"last": "last", "total": "totalElements",
                     "pages": "totalPages"}),
    "pages": (query(page="integer"), {"data": THINGS, "page": 1, "pages": 5}, {"pages": "pages"}),
    "a total of this page": (query(offset="integer"), {"data": THINGS, "total": 2}, {}),
}  # fmt: skip


@pytest.mark.parametrize("name", ENDS)
def test_what_tells_the_end_is_proposed(name: str) -> None:
    """Flags, totals and the number of pages, so that no request is made for a page that is not there."""
    parameters, document, signs = ENDS[name]
    found = proposed({"parameters": parameters}, document)
    assert found is not None
    paging = found.pagination
    held = {"more": paging.more, "last": paging.last, "total": paging.total, "pages": paging.pages}
    assert {sign: path for sign, path in held.items() if path is not None} == signs


def test_the_last_items_id_is_a_cursor_where_the_call_takes_one() -> None:
    """Stripe says that there is more, and not where."""
    found = proposed({"parameters": query(starting_after="text", limit="integer")}, {"data": THINGS, "has_more": True})
    assert found is not None
    paging = found.pagination
    assert (paging.kind, paging.parameter, paging.next, paging.more) == (
        "cursor", "starting_after", "data[-1].id", "has_more",
    )  # fmt: skip
    assert proposed({"parameters": query(starting_after="text")}, {"data": THINGS}) is None


@pytest.mark.parametrize("word", ["start", "from"])
def test_a_time_is_no_offset(word: str) -> None:
    """What a period begins with is called so too; a small number shows that it counts."""
    said = {"parameters": query(**{word: "integer", "limit": "integer"})}
    assert proposed(said, {word: 1700000000, "items": THINGS}) is None
    assert propose(call(**said), [PageSample({"items": THINGS}, {}, {word: 1700000000})]) is None
    counted = proposed(said, {word: 0, "items": THINGS})
    assert counted is not None
    assert counted.pagination.kind == "offset"


@pytest.mark.parametrize("next", ["data[].id", "[].id", "data[-1]x"])
def test_a_path_that_cannot_be_a_cursor_is_refused_when_it_is_read(next: str) -> None:
    """``[]`` leads to every item's; the last one's is ``[-1]``."""
    pagination = {"kind": "cursor", "parameter": "after", "next": next}
    with pytest.raises(DefinitionError, match=r"pagination\.next"):
        call(parameters=query(after="text"), pagination=pagination)
    assert call(parameters=query(after="text"), pagination=pagination | {"next": "data[-1].id"}).pagination


def test_the_last_item_has_no_field() -> None:
    """Fields are of every item, or of one that is counted from the first."""
    with pytest.raises(DefinitionError, match=r"pagination\.next only"):
        call(response={"fields": [{"path": "data[-1].id", "type": "text"}]})


USERS = [{"user_id": f"auth0|{number}"} for number in range(5)]


@pytest.mark.parametrize(("given", "start", "first"), [({}, 0, 0), ({"page": 1}, 5, 0), ({"page": 1}, 0, 1)])
def test_the_place_that_an_answer_states_tells_from_what_pages_are_counted(
    given: dict[str, Any], start: int, first: int
) -> None:
    """Auth0 with include_totals states no page, and counts pages from 0."""
    told = {"start": start, "limit": 5, "length": 5, "total": 23, "users": USERS}
    found = propose(call(parameters=query(page="integer")), [PageSample(told, {}, given)])
    assert found is not None
    assert (found.pagination.kind, found.pagination.start, found.pagination.total) == ("page", first, "total")


FALLING = [{"id": "1180000000000000900"}, {"id": "1180000000000000850"}]
SORTED = [{"_id": "a", "sort": [1712, "a"]}, {"_id": "b", "sort": [1713, "b"]}]
ONWARD = {
    "what hits are sorted by": (
        {"hits": {"total": {"value": 9, "relation": "eq"}, "hits": SORTED}}, query(search_after="json"),
        ("search_after", "hits.hits[-1].sort")),
    "a scroll": ({"_scroll_id": "DXF1", "hits": {"total": {"value": 9, "relation": "eq"}, "hits": SORTED}},
                 query(scroll_id="text"), ("scroll_id", "_scroll_id")),
    "an offset of its own name": ({"contacts": THINGS, "has-more": True, "vid-offset": 204727},
                                  query(vidOffset="integer", count="integer"), ("vidOffset", "vid-offset")),
    "an offset that is told": ({"deals": THINGS, "hasMore": True, "offset": 33}, query(offset="integer"),
                               ("offset", "offset")),
    "a checkpoint": ({"users": THINGS, "next": "fYSdqSpx"}, query(**{"from": "text", "take": "integer"}),
                     ("from", "next")),
    "messages, the newest first": (FALLING, query(before="text", after="text", limit="integer"),
                                   ("before", "[-1].id")),
    "members by their ids": (FALLING[::-1], query(after="text", limit="integer"), ("after", "[-1].id")),
    "the pages of one board": (
        {"data": {"boards": [{"items_page": {"cursor": "MSw5", "items": THINGS}}]}}, query(cursor="text"),
        ("cursor", "data.boards[0].items_page.cursor")),
}  # fmt: skip


@pytest.mark.parametrize("name", ONWARD)
def test_a_cursor_is_found_where_only_the_call_or_the_order_shows_it(name: str) -> None:
    """Elasticsearch, HubSpot, Auth0, Discord, monday."""
    document, parameters, way = ONWARD[name]
    found = proposed({"parameters": parameters}, document)
    assert found is not None
    assert (found.pagination.kind, found.pagination.parameter, found.pagination.next) == ("cursor", *way)
    assert found.add == {}


def test_what_a_page_has_in_no_order_is_no_cursor() -> None:
    """Nor where the call takes a date."""
    mixed = [{"id": "30000000"}, {"id": "10000000"}, {"id": "20000000"}]
    assert proposed({"parameters": query(before="text", after="text")}, mixed) is None
    assert proposed({"parameters": query(before="date")}, FALLING) is None
    echoed = proposed({"parameters": query(offset="integer")}, {"deals": THINGS, "offset": 0, "hasMore": True})
    assert echoed is not None
    assert echoed.pagination.kind == "offset"


def test_members_that_go_back_together_are_one_cursor() -> None:
    """MediaWiki."""
    told = {"continue": {"apcontinue": "Alpha", "continue": "-||"}, "query": {"allpages": THINGS}}
    found = proposed({"parameters": query(apcontinue="text")}, told)
    assert found is not None
    paging = found.pagination
    assert (paging.kind, paging.parameter, paging.next, paging.items) == (
        "cursor", "continue", "continue.continue", "query.allpages",
    )  # fmt: skip
    assert (paging.also, list(found.add)) == ({"apcontinue": "continue.apcontinue"}, ["continue"])


TOTALS = {
    "hits": ({"hits": {"total": {"value": 9, "relation": "eq"}, "hits": THINGS}}, "hits.hits", "hits.total.value"),
    "hits that were counted in part": ({"hits": {"total": {"value": 10000, "relation": "gte"}, "hits": THINGS},
                                        "from": 0}, "hits.hits", None),
    "works": ({"message": {"total-results": 9, "items-per-page": 2, "items": THINGS}, "from": 0}, "message.items",
              "message.total-results"),
    "members": ({"hydra:member": THINGS, "hydra:totalItems": 9, "from": 0}, '"hydra:member"', '"hydra:totalItems"'),
}  # fmt: skip


@pytest.mark.parametrize("name", TOTALS)
def test_a_total_is_found_beside_the_items(name: str) -> None:
    """One that is a lower bound is none."""
    document, items, total = TOTALS[name]
    found = proposed({"parameters": query(**{"from": "integer"})}, document)
    assert found is not None
    assert (found.pagination.kind, found.pagination.items, found.pagination.total) == ("offset", items, total)


def test_a_page_smaller_than_was_asked_for_is_the_step() -> None:
    """Some servers have a most of their own: steps of what was asked for would leave items out."""
    told = {"items": THINGS, "total": 9}
    found = propose(call(parameters=query(offset="integer", limit="integer")), [PageSample(told, {}, {"limit": 100})])
    assert found is not None
    assert (found.pagination.kind, found.pagination.step) == ("offset", 2)
