"""Where a page's items are and what asks for the next page, by each kind of pagination."""

from typing import Any

import pytest

from tieline.dataplane.snapshot.paging import ItemShaper, Page, Pager, Step, next_link
from tieline.definitions.model import Call, Field, Pagination, Parameter


def pager(kind: str, given: dict[str, Any] | None = None, *, type: str = "integer", **settings: Any) -> Pager:
    """The walk of a call with this pagination, whose parameter is called ``at``."""
    parameters = {"at": Parameter("query", type=type, required=False)} if settings.get("parameter") else {}
    return Pager(Call("data", path="/", parameters=parameters, pagination=Pagination(kind, **settings)), given or {})


def page(document: Any = None, count: int = 1, *headers: tuple[bytes, bytes]) -> Page:
    """An answer with ``count`` items."""
    return Page(document, headers, count)


def test_pages_are_counted_until_one_is_empty() -> None:
    """Each page is the one before plus the step."""
    walk = pager("page", parameter="at", start=1)
    steps = [walk.first(), walk.after(page()), walk.after(page()), walk.after(page(count=0))]
    assert steps == [Step({"at": 1}), Step({"at": 2}), Step({"at": 3}), None]


def test_a_walk_begins_where_its_caller_says() -> None:
    """The caller's own page is the first."""
    walk = pager("page", {"at": 7}, parameter="at", start=1)
    assert (walk.first(), walk.after(page())) == (Step({"at": 7}), Step({"at": 8}))


def test_offsets_grow_by_the_step() -> None:
    """A step that is given is what is added."""
    walk = pager("offset", parameter="at", step=50)
    assert (walk.first(), walk.after(page(count=50))) == (Step({"at": 0}), Step({"at": 50}))


def test_offsets_without_a_step_grow_by_what_came() -> None:
    """As many items as a page had are passed over."""
    walk = pager("offset", parameter="at")
    assert (walk.first(), walk.after(page(count=20))) == (Step({"at": 0}), Step({"at": 20}))


def test_a_cursor_in_the_body_is_followed_until_there_is_none() -> None:
    """Null is the end."""
    walk = pager("cursor", parameter="at", next="meta.next", type="text")
    assert walk.first() == Step({})
    assert walk.after(page({"meta": {"next": "abc"}})) == Step({"at": "abc"})
    assert walk.after(page({"meta": {"next": None}})) is None


def test_a_cursor_in_a_header_is_followed() -> None:
    """The header's name is read in any case."""
    walk = pager("cursor", parameter="at", header="X-Next", type="text")
    assert walk.after(page({}, 1, (b"x-next", b"abc"))) == Step({"at": "abc"})


@pytest.mark.parametrize("end", ["", False, [], {}, None])
def test_a_cursor_that_says_nothing_is_the_end(end: Any) -> None:
    """APIs say the end in many ways."""
    assert pager("cursor", parameter="at", next="next").after(page({"next": end})) is None


def test_a_cursor_that_stays_the_same_is_the_end() -> None:
    """A walk does not turn in a circle."""
    walk = pager("cursor", parameter="at", next="next", type="text")
    assert walk.after(page({"next": "abc"})) == Step({"at": "abc"})
    assert walk.after(page({"next": "abc"})) is None


def test_a_cursor_takes_its_parameters_type() -> None:
    """A number in text becomes a number, a number becomes text."""
    assert pager("cursor", parameter="at", next="next").after(page({"next": "12"})) == Step({"at": 12})
    assert pager("cursor", parameter="at", next="next", type="text").after(page({"next": 12})) == Step({"at": "12"})


def test_a_next_url_is_handed_on_as_it_was_told() -> None:
    """Whoever asks knows what it is relative to."""
    walk = pager("next_url", next="next")
    assert walk.after(page({"next": "?page=2"})) == Step({}, "?page=2")
    assert walk.after(page({"next": None})) is None


@pytest.mark.parametrize(
    ("value", "target"),
    [
        (b'<https://a.test/2>; rel="next"', "https://a.test/2"),
        (b'<https://a.test/1>; rel="prev", <https://a.test/3>; rel=next', "https://a.test/3"),
        (b'<https://a.test/?a=1,2>; title="x, y; rel=z"; rel="last next"', "https://a.test/?a=1,2"),
        (b'</2>; REL="NEXT"', "/2"),
        (b'<https://a.test/2>; rel="prev"', None),
        (b'<https://a.test/2>; rel="next"; anchor="#other"', None),
        (b"nonsense", None),
    ],
)
def test_the_next_link_is_found(value: bytes, target: str | None) -> None:
    """By RFC 8288: quotes, commas in URLs, several relations, any case, links of other contexts."""
    assert next_link([(b"Link", value)]) == target


def test_a_page_that_is_not_there_is_beyond_the_last() -> None:
    """Some APIs answer 404 after their last page; before it, that is an error."""
    walk = pager("page", parameter="at")
    assert walk.is_beyond(404, 3)
    assert not walk.is_beyond(404, 0)
    assert not pager("link").is_beyond(404, 3)


def test_items_are_shaped_by_the_fields_below_them() -> None:
    """Names and exclusions hold for each item by itself."""
    fields = (
        Field("data", "object", list=True, object="Thing"),
        Field("data[].id", "integer", name="number"),
        Field("data[].secret", "text", include=False),
    )
    shaper = ItemShaper(Pagination("page", "at", items="data"), fields)
    document = {"data": [{"id": 1, "secret": "x"}], "total": 1}
    assert [shaper.shape(item) for item in shaper.find(document) or []] == [{"number": 1}]


def test_excluded_items_are_not_handed_out() -> None:
    """Whoever excludes the list excludes what is in it."""
    shaper = ItemShaper(Pagination("page", "at", items="data"), (Field("data", "json", list=True, include=False),))
    assert shaper.shape({"id": 1}) is None


@pytest.mark.parametrize(
    ("document", "items"),
    [([1, 2], [1, 2]), ({"total": 2, "things": [1, 2]}, [1, 2]), ({"a": [1], "b": [2]}, None), ({"a": 1}, None)],
)
def test_items_are_found_without_a_path_where_there_is_one_list(document: Any, items: list[int] | None) -> None:
    """The document itself, or its only list."""
    assert ItemShaper(Pagination("page", "at"), ()).find(document) == items
