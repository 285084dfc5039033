"""How answers follow each other, proposed from what well-known APIs answer, and not where nothing says so."""

from typing import Any

import pytest

from tieline.definitions.infer.pagination import Page, Proposal, propose
from tieline.definitions.model import Call, Pagination
from tieline.definitions.parse import parse_data

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
    return propose(call(**said), [Page(document, headers or {}, given)])


LINK = '<https://x.example/things?page=2>; rel="next", <https://x.example/things?page=9>; rel="last"'
URLS = {
    "a REST framework": ({"count": 9, "next": "https://x.example/things?page=2", "results": THINGS}, "results", "next"),
    "HAL": ({"_embedded": {"things": THINGS}, "_links": {"next": {"href": "/things?page=2"}}},
            "_embedded.things", "_links.next.href"),
    "JSON:API": ({"data": THINGS, "links": {"self": "/t", "next": "/t?page[number]=2"}}, "data", "links.next"),
    "OData": ({"value": THINGS, "@odata.nextLink": "https://x.example/things?$skip=2"}, "value", '"@odata.nextLink"'),
    "a graph": ({"data": THINGS, "paging": {"next": "https://x.example/things?after=b", "cursors": {"after": "b"}}},
                "data", "paging.next"),
    "a query alone": ({"items": THINGS, "next_page_url": "?page=2"}, "items", "next_page_url"),
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
    assert found.pagination == Pagination("cursor", "after", f"{issues}.edges", next=f"{issues}.pageInfo.endCursor")


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
        (query(page="integer"), THINGS, {"page": 3}, 3),
        (query(pageNumber="text"), {"content": THINGS, "totalPages": 4}, {"pageNumber": "1"}, 1),
    ],
)
def test_a_page_number_counts_up_from_the_first(parameters: Any, document: Any, given: Any, start: int) -> None:
    """From what was asked for, else what the answer says of itself, else one."""
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
    pages = [Page({"items": THINGS, "cursor": "main", "next_token": each}) for each in ("one", "two")]
    found = propose(call(**said), pages)
    assert found is not None
    assert found.pagination.next == "next_token"
    assert propose(call(**said), [Page({"items": THINGS, "cursor": "main"})] * 2) is None


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
