"""How answers follow each other, proposed from the first of them: for an operator to confirm.

The surest sign wins: a ``Link`` header, a next URL, a cursor, then a page or offset that the call takes. An answer
without a list of items has no pages. Knows no network: what was sent and what came back is passed in.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from tieline.definitions import template
from tieline.definitions.infer import paths
from tieline.definitions.infer.links import next_link, next_listed
from tieline.definitions.infer.page_fields import (
    HAS_MORE,
    IS_LAST,
    PAGE_COUNTS,
    TOTALS,
    as_flag,
    link_lists,
    list_of_items,
    naming_step,
    page_members,
    plain_name,
)
from tieline.definitions.infer.paths import Steps
from tieline.definitions.infer.shape import collect
from tieline.definitions.model import Call, Pagination, Parameter

_MOST_START: Final = 1_000_000
_MOST_STEP: Final = 100_000

_PAGES: Final = ("page", "pagenumber", "pageno", "pageindex", "currentpage", "paged", "p", "pg")
_OFFSETS: Final = ("offset", "skip", "startat", "startindex", "start", "from", "pageoffset")
_SIZES: Final = (
    "limit", "perpage", "pagesize", "pagelimit", "size", "count", "maxresults", "maxitems", "take", "top", "rows",
    "num", "itemsperpage", "resultsperpage", "length", "first",
)  # fmt: skip
_CURSORS: Final = (
    "cursor", "nextcursor", "pagetoken", "nextpagetoken", "paginationtoken", "nexttoken", "continuationtoken",
    "continuation", "continue", "after", "aftercursor", "startingafter", "startcursor", "pagecursor", "pageafter",
    "nextkey", "marker", "bookmark", "scrollid", "lastkey", "exclusivestartkey", "next", "searchafter", "sinceid",
    "startafter", "afterid", "lastid", "page",
)  # fmt: skip
_CURSOR_ENDS: Final = ("cursor", "pagetoken", "paginationtoken", "continuationtoken", "nexttoken", "marker", "bookmark")
_AFTER_AN_ID: Final = ("startingafter", "afterid", "startafter", "lastid", "after")
_NEXT_CURSORS: Final = (
    "nextcursor", "nextpagetoken", "nexttoken", "nextcontinuationtoken", "continuationtoken", "endcursor", "nextpage",
    "nextpagecursor", "nextkey", "nextmarker", "nextstart", "nextoffset", "scrollid", "cursor", "aftercursor",
    "continuation", "continue", "bookmark", "startingafter", "after", "offset", "lastid", "lastkey", "lastevaluatedkey",
    "nextafter", "next", "nextid",
)  # fmt: skip
_NEXT_URLS: Final = (
    "next", "nexturl", "nextpageurl", "nextlink", "nextpage", "odatanextlink", "nexthref", "nextpagelink", "nexturi",
    "nextpageuri", "nextrecordsurl", "afterurl",
)  # fmt: skip
_CURSOR_HEADERS: Final = (
    "x-next-cursor", "x-cursor-next", "x-next-page-token", "x-next-token", "x-continuation-token", "x-ms-continuation",
    "x-pagination-next", "x-cursor", "next-cursor", "next-page-token", "x-after-cursor", "x-next-page", "next-page",
)  # fmt: skip
_SENT_AS: Final = {
    "nextpagetoken": "pageToken", "nexttoken": "nextToken", "nextpage": "page", "page": "page", "offset": "offset",
    "lastevaluatedkey": "ExclusiveStartKey",
}  # fmt: skip
_SPEAKING: Final = frozenset({"offset", "lastevaluatedkey"})
_AMBIGUOUS: Final = frozenset({"start", "from"})
_URL: Final = re.compile(r"(?:https?:/)?/[^\s<>\"\\]+|\?[^\s<>\"\\]+=[^\s<>\"\\]*")


@dataclass(frozen=True, slots=True)
class PageSample:
    """One answer to learn from: its document, its headers (names in lower case), the parameters it was asked with."""

    document: Any
    headers: Mapping[str, str] = field(default_factory=dict)
    given: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Proposal:
    """How the call seems to be paged, and the sign that speaks for it.

    ``add`` is a parameter that the call lacks and would need, by the name that ``pagination`` gives it.
    """

    pagination: Pagination
    because: str
    add: Mapping[str, Parameter] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Samples:
    """The answers, and where the first of them has how many items."""

    call: Call
    pages: Sequence[PageSample]
    items: str
    count: int


def propose(call: Call, pages: Sequence[PageSample]) -> Proposal | None:
    """How ``call`` is paged, by its first answers, in their order; None where nothing shows that it is."""
    lists = [list_of_items(page.document) for page in pages]
    found = next((each for each in lists if each is not None), None)
    if found is None or call.method not in {"GET", "POST"}:
        return None
    samples = _Samples(call, pages, paths.join(found[0]), len(found[1]))
    ways = (_by_link, _by_url, _by_cursor, _by_header, _by_last_item, _by_number)
    proposal = next((each for way in ways if (each := way(samples)) is not None), None)
    return None if proposal is None else replace(proposal, pagination=_ended(samples, proposal.pagination))


def _by_link(samples: _Samples) -> Proposal | None:
    """RFC 8288: ``Link: <…>; rel="next"``."""
    if any(next_link([page.headers.get("link", "")]) is not None for page in samples.pages):
        return Proposal(Pagination("link", items=samples.items), 'the Link header names the next page (rel="next")')
    return None


def _by_url(samples: _Samples) -> Proposal | None:
    for steps, value in _signs(samples, _NEXT_URLS):
        if isinstance(value, str) and _URL.fullmatch(value) and _moves(samples, steps):
            path = paths.join(steps)
            return Proposal(Pagination("next_url", items=samples.items, next=path), f"{path} is the next page's URL")
    near = paths.split(samples.items)[:-1]
    for page in samples.pages:
        for steps, links in link_lists(page.document, near):
            if next_listed(links) is not None:
                path = paths.join(steps)
                because = f"{path} lists links, one of them to the next page"
                return Proposal(Pagination("next_url", items=samples.items, next=path), because)
    return None


def _by_cursor(samples: _Samples) -> Proposal | None:
    """A cursor in the body: surely one where the call has a parameter for it, or its name can mean nothing else."""
    for steps, value in _signs(samples, _NEXT_CURSORS):
        name = plain_name(str(steps[-1]))
        if not _is_cursor(value, name) or not _moves(samples, steps) or _is_echo(samples, value):
            continue
        path = paths.join(steps)
        parameter = _cursor_parameter(samples.call, name, structured=isinstance(value, dict))
        if parameter is not None:
            return _cursor(samples, f"{path} holds a cursor for the parameter {parameter}", parameter, next=path)
        if name in _SPEAKING or (name.startswith("next") and name not in {"next", "nextid"}):
            return _cursor(samples, f"{path} holds a cursor", None, next=path, like=str(steps[-1]))
    return None


def _by_header(samples: _Samples) -> Proposal | None:
    for header in _CURSOR_HEADERS:
        values = [page.headers[header] for page in samples.pages if page.headers.get(header)]
        if not values or (len(samples.pages) > 1 and len(values) > 1 and len(set(values)) == 1):
            continue
        name = "nextpage" if header.endswith("next-page") else "nextcursor"
        parameter = _cursor_parameter(samples.call, name, structured=False)
        because = f"the header {header} tells what comes next"
        return _cursor(samples, because, parameter, header=header, like="page" if name == "nextpage" else "cursor")
    return None


def _by_last_item(samples: _Samples) -> Proposal | None:
    """The last item's id, where the answer says whether there is more, and the call takes what comes after an id."""
    if _flag(samples, HAS_MORE) is None and _flag(samples, IS_LAST) is None:
        return None
    wires = _wires(samples.call)
    parameter = next((wires[word] for word in _AFTER_AN_ID if word in wires), None)
    found = list_of_items(samples.pages[0].document)
    last = found[1][-1] if found is not None and found[1] else None
    if parameter is None or not isinstance(last, dict) or not isinstance(last.get("id"), str | int):
        return None
    path = paths.join((*paths.split(samples.items), paths.LAST, "id"))
    because = f"the call takes the last item's id in {parameter}, and the answer says whether there is more"
    return _cursor(samples, because, parameter, next=path)


def _by_number(samples: _Samples) -> Proposal | None:
    """A page or offset that the call takes, where the answer has a list: it says nothing of what comes next itself."""
    wires = _wires(samples.call)
    for kind, words in (("page", _PAGES), ("offset", _OFFSETS)):
        for word in words:
            name = wires.get(word)
            if name is None or not _counts(samples, name, word):
                continue
            given = _number_given(samples, name)
            if kind == "page":
                told = _stated_page(samples) if given is None else given
                pagination = Pagination("page", name, samples.items, start=told if told in {0, 1} else 1)
                return Proposal(pagination, f"the call takes a page number, {name}, and answers with a list")
            step = _size(samples)
            pagination = Pagination("offset", name, samples.items, start=1 if given == 1 else 0, step=step)
            return Proposal(pagination, f"the call takes an offset, {name}, and answers with lists of {step}")
    return None


def _ended(samples: _Samples, paging: Pagination) -> Pagination:
    """``paging`` with what the answers tell of the end: a flag, and where pages are counted the totals."""
    more = _flag(samples, HAS_MORE)
    last = None if more is not None else _flag(samples, IS_LAST | ({"done"} if paging.kind == "next_url" else set()))
    if paging.kind not in {"page", "offset"}:
        return replace(paging, more=more, last=last)
    total = _stated_number(samples, TOTALS)
    pages = _stated_number(samples, PAGE_COUNTS) if paging.kind == "page" else None
    is_total = total is not None and total[1] > samples.count
    return replace(
        paging,
        more=more,
        last=last,
        total=total[0] if is_total and total is not None else None,
        pages=pages[0] if pages is not None and pages[1] > 0 else None,
    )


def _flag(samples: _Samples, words: Collection[str]) -> str | None:
    """The path of a flag of one of these names; None where no answer has one."""
    near = paths.split(samples.items)[:-1]
    found = ((steps, value) for page in samples.pages for steps, value in page_members(page.document, words, near))
    return next((paths.join(steps) for steps, value in found if as_flag(value) is not None), None)


def _stated_number(samples: _Samples, words: Collection[str]) -> tuple[str, int] | None:
    """The path of the first number of one of these names, and the number that the first answer has there."""
    near = paths.split(samples.items)[:-1]
    for steps, value in page_members(samples.pages[0].document, words, near):
        number = _whole(value)
        if number is not None:
            return paths.join(steps), number
    return None


def _stated_page(samples: _Samples) -> int | None:
    """The number that the first answer gives itself; ``number`` is one beside a count of pages (Spring Data)."""
    is_spring = _stated_number(samples, ("totalpages",)) is not None
    found = _stated_number(samples, (*_PAGES, "number") if is_spring else _PAGES)
    return None if found is None else found[1]


def _cursor(
    samples: _Samples, because: str, parameter: str | None, *, next: str | None = None, header: str | None = None,
    like: str = "cursor",
) -> Proposal:  # fmt: skip
    """A cursor's proposal; a call without a parameter for it would need one, which is proposed too."""
    add: dict[str, Parameter] = {}
    if parameter is None:
        parameter = _new_name(samples.call, like)
        place = "body" if samples.call.body.type in {"json", "form", "graphql"} else "query"
        add[parameter] = Parameter(place, required=False, optional=True)
        because += f"; the call needs a parameter to send it in, such as {parameter}"
    return Proposal(Pagination("cursor", parameter, samples.items, next=next, header=header), because, add)


def _new_name(call: Call, like: str) -> str:
    """The parameter that a cursor of this name is usually sent in."""
    name = _SENT_AS.get(plain_name(like), "cursor")
    if like != like.lower() or name in {"page", "cursor"}:
        return name if name not in call.parameters else f"next_{name}"
    return re.sub(r"([A-Z])", lambda found: "_" + found[1].lower(), name)


def _cursor_parameter(call: Call, name: str, *, structured: bool) -> str | None:
    """The call's parameter that takes a cursor whose name in the answer is ``name``; the closest name first.

    One that the call has comes before one that it would need: the server may well ignore the latter.
    """
    wires = _wires(call)
    bare = name.removeprefix("next").removeprefix("end").removeprefix("last")
    words = [name, *(word for word in (bare, *_CURSORS) if word in _CURSORS and (word != "page" or name == "nextpage"))]
    words += [word for word in wires if word.endswith(_CURSOR_ENDS)]
    if name.startswith("next"):  # next_start, nextOffset: what the call counts by itself
        words.insert(1, bare)
    types = {"json", "object"} if structured else {"text", "integer", "number", "json"}
    for word in (*words, *(("page",) if name == "next" else ())):
        found = wires.get(word)
        if found is not None and call.parameters[found].type in types:
            return found
    return None


def _wires(call: Call) -> dict[str, str]:
    """The caller's parameters by the plain form of the names that they are sent under, and of their own."""
    found: dict[str, str] = {}
    pairs = [(pair.name, pair.value) for pair in (*call.query, *call.headers)]
    pairs += [(part.name, part.value) for part in call.body.fields]
    written = call.path or call.url or ""
    pairs += [
        (name, value) for name, _, value in (pair.partition("=") for pair in written.partition("?")[2].split("&"))
    ]
    for holder in (call.body.template, call.body.variables):
        if isinstance(holder, dict):
            pairs += [(name, value) for name, value in holder.items() if isinstance(value, str)]
    for name, value in pairs:
        slots = template.names_in(value)
        if len(slots) == 1 and value == f"<{slots[0]}>" and slots[0] in call.parameters:
            found.setdefault(plain_name(name), slots[0])
    for name in call.parameters:
        found.setdefault(plain_name(name), name)
    return {wire: name for wire, name in found.items() if _is_free(call.parameters[name])}


def _is_free(one: Parameter) -> bool:
    """Whether a caller may send another value each time: what stands in a path names a thing, and no page of it."""
    return not one.private and one.place in {"query", "header", "body"} and one.type != "file"


def _counts(samples: _Samples, name: str, word: str) -> bool:
    """Whether a parameter can be counted up: a number, or text that was one.

    ``start`` and ``from`` are as often the time that a period begins: a number must show that they count.
    """
    parameter = samples.call.parameters[name]
    given = samples.pages[0].given.get(name, parameter.default)
    number = _whole(given)
    if number is None and (given is not None or word in _AMBIGUOUS):
        return given is None and _stated_number(samples, (word,)) is not None
    return parameter.type in {"integer", "number"} or (parameter.type == "text" and number is not None)


def _number_given(samples: _Samples, name: str) -> int | None:
    """The number that the first answer was asked for with; None where it was asked for without one."""
    given = samples.pages[0].given.get(name, samples.call.parameters[name].default)
    return _whole(given)


def _size(samples: _Samples) -> int:
    """How many items a page has: as asked for, as told, else as counted."""
    wires = _wires(samples.call)
    for word in _SIZES:
        name = wires.get(word)
        asked = _number_given(samples, name) if name is not None else None
        if asked:
            return min(asked, _MOST_STEP)
    told = _stated_number(samples, [word for word in _SIZES if word not in {"count", "size", "length", "num", "rows"}])
    return min((told[1] if told is not None else 0) or samples.count or 1, _MOST_STEP)


def _whole(value: Any) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,7}", value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST_START:
        return None
    return value


def _is_cursor(value: Any, name: str) -> bool:
    """Whether it may be one: text that is no URL, a number, and where the name says so an object (a key)."""
    if isinstance(value, bool):
        return False
    if isinstance(value, dict):
        return bool(value) and name.endswith("key")
    if name == "offset" and (not isinstance(value, str) or value.isdigit()):
        return False
    return (isinstance(value, str) and 0 < len(value) <= 4096 and not _URL.fullmatch(value)) or isinstance(value, int)


def _moves(samples: _Samples, steps: Steps) -> bool:
    """Whether what stands there is another in each answer: what stays is a name of something else."""
    values = []
    for page in samples.pages:
        found: list[Any] = []
        collect(page.document, steps, found)
        values += [repr(value) for value in found if value is not None]
    return len(set(values)) == len(values)


def _is_echo(samples: _Samples, value: Any) -> bool:
    """Whether an answer only repeats what it was asked for with."""
    return any(
        given is not None and str(given) == str(value) for page in samples.pages for given in page.given.values()
    )


def _signs(samples: _Samples, words: Sequence[str]) -> Iterator[tuple[Steps, Any]]:
    """What stands under one of ``words`` in any answer, outside its items; the clearest word first."""
    items = paths.split(samples.items)
    found = [place for page in samples.pages for place in page_members(page.document, words, items[:-1])]
    found.sort(key=lambda place: words.index(plain_name(str(naming_step(place[0])))))
    known: set[Steps] = set()
    for steps, value in found:
        if steps not in known and value is not None and (not items or steps[: len(items)] != items):
            known.add(steps)
            yield steps, value
