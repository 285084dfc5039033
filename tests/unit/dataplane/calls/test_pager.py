"""Where a page's items are and what asks for the next page, by each kind of pagination."""

import itertools
from typing import Any

import pytest

from tieline.core.errors import UpstreamProtocolError
from tieline.dataplane.calls.pager import NextPage, PageAnswer, Pager
from tieline.dataplane.snapshot.page_items import PageItems
from tieline.definitions.infer.links import next_link
from tieline.definitions.model import Call, Field, Pagination, Parameter

_numbers = itertools.count()


def pager(kind: str, given: dict[str, Any] | None = None, *, type: str = "integer", **settings: Any) -> Pager:
    """The walk of a call with this pagination, whose parameter is called ``at``."""
    parameters = {"at": Parameter("query", type=type, required=False)} if settings.get("parameter") else {}
    return Pager(Call("data", path="/", parameters=parameters, pagination=Pagination(kind, **settings)), given or {})


def page(document: Any = None, count: int = 1, *headers: tuple[bytes, bytes]) -> PageAnswer:
    """An answer with ``count`` items."""
    return PageAnswer(document, headers, [{"n": next(_numbers)} for _ in range(count)])


def test_pages_are_counted_until_one_is_empty() -> None:
    """Each page is the one before plus the step."""
    walk = pager("page", parameter="at", start=1)
    steps = [walk.first(), walk.after(page()), walk.after(page()), walk.after(page(count=0))]
    assert steps == [NextPage({}), NextPage({"at": 2}), NextPage({"at": 3}), None]


def test_the_first_request_of_a_walk_is_the_one_without_it() -> None:
    """Spring Data counts from 0; only a parameter that is required and not given is given where pages start."""
    walk = pager("page", parameter="at", start=0)
    assert (walk.first(), walk.after(page())) == (NextPage({}), NextPage({"at": 1}))
    needed = Call("data", path="/", parameters={"at": Parameter("query", type="integer")},
                  pagination=Pagination("page", "at", start=1))  # fmt: skip
    assert Pager(needed, {}).first() == NextPage({"at": 1})


def test_a_walk_begins_where_its_caller_says() -> None:
    """The caller's own page is the first."""
    walk = pager("page", {"at": 7}, parameter="at", start=1)
    assert (walk.first(), walk.after(page())) == (NextPage({}), NextPage({"at": 8}))


def test_offsets_grow_by_the_step() -> None:
    """A step that is given is what is added."""
    walk = pager("offset", parameter="at", step=50)
    assert (walk.first(), walk.after(page(count=50))) == (NextPage({}), NextPage({"at": 50}))


def test_offsets_without_a_step_grow_by_what_came() -> None:
    """As many items as a page had are passed over."""
    walk = pager("offset", parameter="at")
    assert (walk.first(), walk.after(page(count=20))) == (NextPage({}), NextPage({"at": 20}))


def test_a_cursor_in_the_body_is_followed_until_there_is_none() -> None:
    """Null is the end."""
    walk = pager("cursor", parameter="at", next="meta.next", type="text")
    assert walk.first() == NextPage({})
    assert walk.after(page({"meta": {"next": "abc"}})) == NextPage({"at": "abc"})
    assert walk.after(page({"meta": {"next": None}})) is None


def test_a_cursor_in_a_header_is_followed() -> None:
    """The header's name is read in any case."""
    walk = pager("cursor", parameter="at", header="X-Next", type="text")
    assert walk.after(page({}, 1, (b"x-next", b"abc"))) == NextPage({"at": "abc"})


@pytest.mark.parametrize("end", ["", False, [], {}, None, 0, "0"])
def test_a_cursor_that_says_nothing_is_the_end(end: Any) -> None:
    """APIs say the end in many ways."""
    assert pager("cursor", parameter="at", next="next").after(page({"next": end})) is None


def test_a_cursor_that_comes_again_cannot_be_gone_on_with() -> None:
    """No request is made twice, also in a circle of several, and that is told rather than taken for the end."""
    walk = pager("cursor", parameter="at", next="next", type="text")
    assert walk.after(page({"next": "a"})) == NextPage({"at": "a"})
    assert walk.after(page({"next": "b"})) == NextPage({"at": "b"})
    with pytest.raises(UpstreamProtocolError, match="read before"):
        walk.after(page({"next": "a"}))


def test_the_same_page_twice_is_an_error() -> None:
    """A server that ignores the parameter (X's next_token) answers the first page for ever."""
    walk = pager("cursor", parameter="at", next="next", type="text")
    same = PageAnswer({"next": "a"}, [], [{"id": 1}, {"id": 2}])
    walk.check_new(same)
    with pytest.raises(UpstreamProtocolError, match="same page"):
        walk.check_new(same)


def rows(first: int, count: int) -> PageAnswer:
    """A page of ``count`` rows that are numbered from ``first`` on."""
    return PageAnswer(None, [], [{"row": number} for number in range(first, first + count)])


@pytest.mark.parametrize(("settings", "shift"), [({"kind": "page"}, 1), ({"kind": "offset", "step": 2}, 2)])
@pytest.mark.parametrize("last", [5, 3])
def test_pages_that_lie_one_step_further_count_items(settings: dict[str, Any], shift: int, last: int) -> None:
    """An ``offset`` that is walked like a page number hands out rows twice, and so does a step below a page's size."""
    walk = pager(parameter="at", **settings)
    walk.check_new(rows(0, 5))
    with pytest.raises(UpstreamProtocolError, match=f"from the one numbered {shift + 1} on"):
        walk.check_new(rows(shift, max(last, 5 - shift)))


ALIKE: dict[str, tuple[dict[str, Any], list[Any], list[Any]]] = {
    "what was added while the walk went on moves rows": (
        {"kind": "page"}, [{"row": n} for n in (5, 4, 3)], [{"row": n} for n in (3, 2, 1)]),
    "further rows that are the same": ({"kind": "page"}, ["a", "b", "b", "b"], ["b", "b", "b", "c"]),
    "plain numbers": ({"kind": "page"}, [0, 1, 2], [1, 2, 3]),
    "two rows": ({"kind": "page"}, ["a", "b"], ["b", "c"]),
    "another step": ({"kind": "offset", "step": 3}, ["a", "b", "c"], ["b", "c", "d"]),
    "no step": ({"kind": "offset"}, ["a", "b", "c"], ["b", "c", "d"]),
    "cursors": ({"kind": "cursor", "next": "next"}, ["a", "b", "c"], ["b", "c", "d"]),
    "in another order": ({"kind": "page"}, ["a", "b", "c"], ["c", "b", "d"]),
    "the last of it": ({"kind": "page"}, ["a", "b", "c"], []),
}  # fmt: skip


@pytest.mark.parametrize("name", ALIKE)
def test_pages_may_have_some_items_of_the_page_before(name: str) -> None:
    """Lists change while they are walked; only pages that lie exactly one step further are no pages."""
    settings, before, then = ALIKE[name]
    walk = pager(parameter="at", **settings)
    walk.check_new(PageAnswer(None, [], before))
    walk.check_new(PageAnswer(None, [], then))


def test_an_empty_cursor_of_the_caller_is_the_beginning() -> None:
    """A total that was read ends such a walk; one that begins at another cursor began in the middle."""
    for given, ends in (("", True), ("abc", False)):
        walk = pager("cursor", {"at": given}, parameter="at", next="next", type="text", total="all")
        assert walk.first() == NextPage({})
        assert (walk.after(page({"next": "def", "all": 2}, 2)) is None) is ends


def test_pages_of_equal_numbers_may_follow_each_other() -> None:
    """Figures are alike more often than things are."""
    walk = pager("offset", parameter="at")
    walk.check_new(PageAnswer(None, [], [0, 0]))
    walk.check_new(PageAnswer(None, [], [0, 0]))


@pytest.mark.parametrize(
    ("settings", "document", "count"),
    [
        ({}, {"next": "9", "has_more": False}, 1),
        ({}, {"next": "9", "pageInfo": {"hasNextPage": False}}, 1),
        ({}, {"next": "9", "isLast": True}, 1),
        ({}, {"next": "9"}, 0),
        ({"more": "go_on"}, {"next": "9", "go_on": None}, 1),
        ({"last": "meta.done"}, {"next": "9", "meta": {"done": True}}, 1),
        ({"total": "all"}, {"next": "9", "all": 2}, 2),
    ],
)
def test_a_cursor_on_the_last_page_is_not_followed(settings: dict[str, Any], document: Any, count: int) -> None:
    """A flag, a page without items, or a total that was read ends the walk, whatever cursor there is."""
    assert pager("cursor", parameter="at", next="next", type="text", **settings).after(page(document, count)) is None


def test_the_same_cursor_beside_no_items_is_the_end() -> None:
    """Some APIs answer the cursor they were asked with, and nothing else, for ever."""
    walk = pager("cursor", parameter="at", next="next", type="text")
    assert walk.after(page({"next": "9"})) == NextPage({"at": "9"})
    assert walk.after(page({"next": "9"}, 0)) is None


def test_a_page_that_is_shorter_than_others_is_not_the_end() -> None:
    """Items go while pages are read; only a page without any, or the API's word, is."""
    walk = pager("page", parameter="at", start=1)
    assert [walk.after(page({}, count)) for count in (5, 4, 5)] == [NextPage({"at": at}) for at in (2, 3, 4)]


def test_a_flag_that_is_left_out_says_nothing() -> None:
    """The cursor beside it does."""
    walk = pager("cursor", parameter="at", next="next", type="text", more="has_more")
    assert walk.after(page({"next": "9", "has_more": True})) == NextPage({"at": "9"})
    plain = pager("cursor", parameter="at", next="next", type="text")
    assert plain.after(page({"next": "9"})) == NextPage({"at": "9"})


def test_an_empty_page_that_says_there_is_more_is_passed_over() -> None:
    """Filters may leave a page without items (DynamoDB)."""
    walk = pager("cursor", parameter="at", next="next", type="text")
    assert walk.after(page({"next": "9", "has_more": True}, 0)) == NextPage({"at": "9"})


def test_more_pages_without_a_way_to_them_are_an_error() -> None:
    """A walk that cannot go on says so."""
    walk = pager("cursor", parameter="at", next="next", type="text")
    with pytest.raises(UpstreamProtocolError, match="not where"):
        walk.after(page({"has_more": True}))


@pytest.mark.parametrize("told", [{"total": 10}, {"total_count": 10}, {"page": {"totalPages": 2}}, {"pages": 2}])
def test_a_total_ends_a_counted_walk_without_one_more_request(told: dict[str, Any]) -> None:
    """Two pages of five are ten items."""
    walk = pager("page", parameter="at", start=1)
    assert walk.after(page(told, 5)) == NextPage({"at": 2})
    assert walk.after(page(told, 5)) is None


def test_a_total_says_nothing_to_a_walk_that_began_in_the_middle() -> None:
    """What came before is not counted."""
    walk = pager("page", {"at": 2}, parameter="at", start=1)
    assert walk.after(page({"pages": 1}, 5)) == NextPage({"at": 3})


def test_a_total_that_may_be_this_pages_is_not_the_end() -> None:
    """Some call the number of items on the page their total; the definition can say which it is."""
    assert pager("offset", parameter="at").after(page({"total": 5}, 5)) == NextPage({"at": 5})
    assert pager("offset", parameter="at", total="total").after(page({"total": 5}, 5)) is None


def test_a_cursor_can_be_the_last_items_id() -> None:
    """Stripe's starting_after."""
    walk = pager("cursor", parameter="at", next="data[-1].id", type="text")
    assert walk.after(page({"data": [{"id": "a"}, {"id": "b"}], "has_more": True}, 2)) == NextPage({"at": "b"})
    assert walk.after(page({"data": [{"id": "c"}], "has_more": False})) is None


def test_a_cursor_that_is_an_object_is_taken_as_json_where_the_parameter_may_be() -> None:
    """DynamoDB's LastEvaluatedKey; text cannot carry it, and that is told."""
    key = {"id": {"S": "x"}}
    assert pager("cursor", parameter="at", next="k", type="json").after(page({"k": key})) == NextPage({"at": key})
    with pytest.raises(UpstreamProtocolError, match="an object at k"):
        pager("cursor", parameter="at", next="k", type="text").after(page({"k": key}))


@pytest.mark.parametrize("document", [{"next": True}, {"next": "x" * 8193}])
def test_a_sign_that_cannot_be_used_is_not_the_end(document: Any) -> None:
    """It is an error."""
    with pytest.raises(UpstreamProtocolError):
        pager("cursor", parameter="at", next="next", type="text").after(page(document))


def test_a_next_url_that_is_none_is_not_the_end() -> None:
    """A number leads nowhere."""
    with pytest.raises(UpstreamProtocolError, match="no URL"):
        pager("next_url", next="next").after(page({"next": 2}))


def test_a_cursor_takes_its_parameters_type() -> None:
    """A number in text becomes a number, a number becomes text."""
    assert pager("cursor", parameter="at", next="next").after(page({"next": "12"})) == NextPage({"at": 12})
    assert pager("cursor", parameter="at", next="next", type="text").after(page({"next": 12})) == NextPage({"at": "12"})


def test_a_next_url_is_handed_on_as_it_was_told() -> None:
    """Whoever asks knows what it is relative to."""
    walk = pager("next_url", next="next")
    assert walk.after(page({"next": "?page=2"})) == NextPage({}, "?page=2")
    assert walk.after(page({"next": None})) is None


@pytest.mark.parametrize(
    ("value", "target"),
    [
        ('<https://a.test/2>; rel="next"', "https://a.test/2"),
        ('<https://a.test/1>; rel="prev", <https://a.test/3>; rel=next', "https://a.test/3"),
        ('<https://a.test/?a=1,2>; title="x, y; rel=z"; rel="last next"', "https://a.test/?a=1,2"),
        ('</2>; REL="NEXT"', "/2"),
        ('<https://a.test/2>; rel="prev"', None),
        ('<https://a.test/2>; rel="next"; anchor="#other"', None),
        ("nonsense", None),
    ],
)
def test_the_next_link_is_found(value: str, target: str | None) -> None:
    """By RFC 8288: quotes, commas in URLs, several relations, any case, links of other contexts."""
    assert next_link([value]) == target


def test_a_page_that_is_not_there_is_beyond_the_last() -> None:
    """Some APIs answer 404 after their last page, others what the operator says; before it, that is an error."""
    walk = pager("page", parameter="at")
    assert not walk.is_past_end(404)
    walk.after(page())
    assert (walk.is_past_end(404), walk.is_past_end(400)) == (True, False)
    other = pager("link", past_end=(400,))
    other.after(page())
    assert (other.is_past_end(404), other.is_past_end(400)) == (False, True)


@pytest.mark.parametrize("document", [None, {"data": None}, {"total": 0}])
def test_null_or_nothing_instead_of_a_list_is_a_page_without_items(document: Any) -> None:
    """After the first page also where the member is missing; a text there is an error still."""
    items = PageItems(Pagination("page", "at", items="data"), ())
    assert items.find(document) == []
    assert items.find({"data": "x"}) is None


def test_a_list_of_one_or_none_cannot_be_told_in_xml() -> None:
    """An element by itself is a list of one there, and none are a list without items."""
    items = PageItems(Pagination("page", "at", items="list.item"), (), textual=True)
    assert items.find({"list": {"item": {"id": "1"}}}, first=True) == [{"id": "1"}]
    assert items.find({"list": {"item": "x"}}, first=True) == ["x"]
    assert items.find({"list": None}, first=True) == []


def test_flags_of_xml_are_texts() -> None:
    """S3 says whether a list was truncated."""
    walk = pager("cursor", parameter="at", next="r.next", type="text", more="r.IsTruncated")
    assert walk.after(page({"r": {"IsTruncated": "true", "next": "9"}})) == NextPage({"at": "9"})
    assert walk.after(page({"r": {"IsTruncated": "false", "next": "10"}})) is None


def test_a_list_that_was_never_there_is_told_on_the_first_page() -> None:
    """The path may be wrong; null is a list without items."""
    items = PageItems(Pagination("page", "at", items="data"), ())
    assert (items.find({"total": 0}, first=True), items.find({"data": None}, first=True)) == (None, [])


def test_items_are_shaped_by_the_fields_below_them() -> None:
    """Names and exclusions hold for each item by itself."""
    fields = (
        Field("data", "object", list=True, object="Thing"),
        Field("data[].id", "integer", name="number"),
        Field("data[].secret", "text", include=False),
    )
    shaper = PageItems(Pagination("page", "at", items="data"), fields)
    document = {"data": [{"id": 1, "secret": "x"}], "total": 1}
    assert [shaper.shape(item) for item in shaper.find(document) or []] == [{"number": 1}]


def test_excluded_items_are_not_handed_out() -> None:
    """Whoever excludes the list excludes what is in it."""
    shaper = PageItems(Pagination("page", "at", items="data"), (Field("data", "json", list=True, include=False),))
    assert shaper.shape({"id": 1}) is None


@pytest.mark.parametrize(
    ("document", "items"),
    [([1, 2], [1, 2]), ({"total": 2, "things": [1, 2]}, [1, 2]), ({"a": [1], "b": [2]}, None), ({"a": 1}, None)],
)
def test_items_are_found_without_a_path_where_there_is_one_list(document: Any, items: list[int] | None) -> None:
    """The document itself, or its only list."""
    assert PageItems(Pagination("page", "at"), ()).find(document, first=True) == items


def test_a_page_must_join_the_one_before() -> None:
    """By the place it says it stands at, whatever that is counted from (Laravel's ``from`` counts from 1)."""
    walk = pager("page", parameter="at", start=1)
    walk.check_new(page({"from": 1, "per_page": 5}, 5))
    walk.check_new(page({"from": 6, "per_page": 5}, 5))
    with pytest.raises(UpstreamProtocolError, match="from was 6 on one page and 16 on the next"):
        walk.check_new(page({"from": 16, "per_page": 5}, 5))


JOINED = {
    "sifted pages": [({"offset": 0, "limit": 50}, 3), ({"offset": 50, "limit": 50}, 9)],
    "sifted pages of untold size": [({"offset": 0}, 40), ({"offset": 50}, 41)],
    "times": [({"start": 1_700_000_000}, 5), ({"start": 1_700_003_600}, 5)],
    "the empty page after the last": [({"offset": 0}, 2), ({"offset": 50}, 0)],
    "a last page that begins early": [({"offset": 0, "limit": 5}, 5), ({"offset": 3, "limit": 5}, 5)],
    "a page number that stands still": [({"page": 0}, 5), ({"page": 0}, 5)],
}  # fmt: skip


@pytest.mark.parametrize("name", JOINED)
def test_what_is_no_gap_is_not_taken_for_one(name: str) -> None:
    """Servers cut pages and then sift them; not every number of these names is a place."""
    walk = pager("page", parameter="at")
    for document, count in JOINED[name]:
        walk.check_new(page(document, count))


def test_offsets_by_the_step_of_the_definition_are_no_gap() -> None:
    """Where no size of a page is told, the definition is believed."""
    walk = pager("offset", parameter="at", step=50)
    walk.check_new(page({"offset": 0}, 3))
    walk.check_new(page({"offset": 50}, 9))


def test_a_walk_may_begin_in_the_middle() -> None:
    """Then the place that was asked for is where the count begins."""
    walk = pager("offset", {"at": 20}, parameter="at")
    walk.check_new(page({"offset": 20, "limit": 5}, 5))
    with pytest.raises(UpstreamProtocolError, match="left items out"):
        walk.check_new(page({"offset": 40, "limit": 5}, 5))


@pytest.mark.parametrize(
    ("name", "value", "ends"),
    [(b"X-Total-Count", b"4", True), (b"X-WP-TotalPages", b"2", True), (b"X-Total-Count", b"5", False),
     (b"X-RateLimit-Total", b"4", False), (b"X-Total-Count", b"many", False)],
)  # fmt: skip
def test_headers_tell_totals(name: bytes, value: bytes, ends: bool) -> None:
    """Under their usual names."""
    walk = pager("page", parameter="at", start=1)
    assert walk.after(page([], 2)) == NextPage({"at": 2})
    assert (walk.after(page([], 2, (name, value))) is None) is ends


def test_a_total_that_grows_with_the_walk_ends_nothing() -> None:
    """LangGraph's server counted up to the end of the page that was asked for."""
    walk = pager("offset", parameter="at")
    for read in (50, 100):
        assert walk.after(page([], 50, (b"X-Pagination-Total", str(read).encode()))) == NextPage({"at": read})


def test_a_next_url_on_the_last_page_ends_nothing_and_is_not_asked_for() -> None:
    """Paddle's leads back to the page itself, and a flag says that there is no more."""
    walk = pager("next_url", next="meta.pagination.next")
    last = {"meta": {"pagination": {"next": "https://x.example/t?after=b", "has_more": False}}}
    assert walk.after(page(last, 2)) is None


def test_a_total_that_is_a_lower_bound_ends_nothing() -> None:
    """Elasticsearch stops counting at ten thousand."""
    document = {"hits": {"total": {"value": 2, "relation": "gte"}}}
    assert pager("offset", parameter="at", total="hits.total.value").after(page(document, 2)) == NextPage({"at": 2})
    document["hits"]["total"]["relation"] = "eq"
    assert pager("offset", parameter="at", total="hits.total.value").after(page(document, 2)) is None


def test_what_goes_back_beside_a_cursor_is_left_out_where_it_is_not_told() -> None:
    """And what a parameter cannot carry is an error, as for the cursor."""
    walk = pager("cursor", parameter="at", next="c.a", also={"b": "c.b"}, type="text")
    assert walk.after(page({"c": {"a": "1", "b": 7}})) == NextPage({"at": "1", "b": "7"})
    assert walk.after(page({"c": {"a": "1"}})) == NextPage({"at": "1"})
    with pytest.raises(UpstreamProtocolError, match="read before"):
        walk.after(page({"c": {"a": "1"}}))
    with pytest.raises(UpstreamProtocolError, match=r"an object at c\.b, which the parameter b"):
        walk.after(page({"c": {"a": "2", "b": {}}}))
