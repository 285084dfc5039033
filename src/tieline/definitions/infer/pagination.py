"""How answers follow each other, proposed from the first of them: for an operator to confirm.

The surest sign wins: a ``Link`` header, a next URL, a cursor, then a page or offset that the call takes. An answer
without a list of items has no pages. Knows no network: what was sent and what came back is passed in.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tieline.definitions import template
from tieline.definitions.infer import paths
from tieline.definitions.infer.landmarks import items_of, naming, places, plain
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
    "cursor", "nextcursor", "pagetoken", "nextpagetoken", "nexttoken", "continuationtoken", "continuation", "after",
    "startingafter", "startcursor", "pagecursor", "pageafter", "nextkey", "marker", "bookmark", "scrollid", "lastkey",
    "next", "searchafter", "sinceid", "startafter", "lastid", "page",
)  # fmt: skip
_NEXT_CURSORS: Final = (
    "nextcursor", "nextpagetoken", "nexttoken", "nextcontinuationtoken", "continuationtoken", "endcursor", "nextpage",
    "nextpagecursor", "nextkey", "nextmarker", "nextstart", "scrollid", "cursor", "continuation", "bookmark", "after",
    "lastid", "lastkey", "lastevaluatedkey", "nextafter", "next", "nextid",
)  # fmt: skip
_NEXT_URLS: Final = (
    "next", "nexturl", "nextpageurl", "nextlink", "nextpage", "odatanextlink", "nexthref", "nextpagelink", "nexturi",
    "nextpageuri",
)  # fmt: skip
_CURSOR_HEADERS: Final = (
    "x-next-cursor", "x-cursor-next", "x-next-page-token", "x-next-token", "x-continuation-token", "x-ms-continuation",
    "x-pagination-next", "x-cursor", "next-cursor", "next-page-token", "x-after-cursor", "x-next-page", "next-page",
)  # fmt: skip
_SENT_AS: Final = {"nextpagetoken": "pageToken", "nexttoken": "nextToken", "nextpage": "page", "page": "page"}
_LINK: Final = re.compile(r"<[^<>]*>([^<]*)")
_REL_NEXT: Final = re.compile(r";\s*rel\s*=\s*(?:\"(?:[^\"]*\s)?next(?:\s[^\"]*)?\"|next(?:[\s;,]|$))", re.IGNORECASE)
_URL: Final = re.compile(r"(?:https?:/)?/[^\s<>\"\\]+|\?[^\s<>\"\\]+=[^\s<>\"\\]*")


@dataclass(frozen=True, slots=True)
class Page:
    """One answer: its document, its headers with names in lower case, and the parameters it was asked for with."""

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
class _Seen:
    """The answers and what is asked of all of them."""

    call: Call
    pages: Sequence[Page]
    items: str
    count: int


def propose(call: Call, pages: Sequence[Page]) -> Proposal | None:
    """How ``call`` is paged, by its first answers, in their order; None where nothing shows that it is."""
    lists = [items_of(page.document) for page in pages]
    found = next((each for each in lists if each is not None), None)
    if found is None or call.method not in {"GET", "POST"}:
        return None
    seen = _Seen(call, pages, paths.join(found[0]), found[1])
    return _by_link(seen) or _by_url(seen) or _by_cursor(seen) or _by_header(seen) or _by_number(seen)


def _by_link(seen: _Seen) -> Proposal | None:
    """RFC 8288: ``Link: <…>; rel="next"``."""
    links = [each for page in seen.pages for each in _LINK.findall(page.headers.get("link", ""))]
    if any(_REL_NEXT.search(each) for each in links):
        return Proposal(Pagination("link", items=seen.items), 'the Link header names the next page (rel="next")')
    return None


def _by_url(seen: _Seen) -> Proposal | None:
    for steps, value in _signs(seen, _NEXT_URLS):
        if isinstance(value, str) and _URL.fullmatch(value) and _moves(seen, steps):
            path = paths.join(steps)
            return Proposal(Pagination("next_url", items=seen.items, next=path), f"{path} is the next page's URL")
    return None


def _by_cursor(seen: _Seen) -> Proposal | None:
    """A cursor in the body: surely one where the call has a parameter for it, or its name can mean nothing else."""
    for steps, value in _signs(seen, _NEXT_CURSORS):
        if not _is_cursor(value) or not _moves(seen, steps) or _is_echo(seen, value):
            continue
        name = plain(steps[-1])
        path = paths.join(steps)
        parameter = _cursor_parameter(seen.call, name)
        if parameter is not None:
            return _cursor(seen, f"{path} holds a cursor for the parameter {parameter}", parameter, next=path)
        if name.startswith("next") and name not in {"next", "nextid"}:
            return _cursor(seen, f"{path} holds a cursor", None, next=path, like=str(steps[-1]))
    return None


def _by_header(seen: _Seen) -> Proposal | None:
    for header in _CURSOR_HEADERS:
        values = [page.headers[header] for page in seen.pages if page.headers.get(header)]
        if not values or (len(seen.pages) > 1 and len(values) > 1 and len(set(values)) == 1):
            continue
        name = "nextpage" if header.endswith("next-page") else "nextcursor"
        parameter = _cursor_parameter(seen.call, name)
        because = f"the header {header} tells what comes next"
        return _cursor(seen, because, parameter, header=header, like="page" if name == "nextpage" else "cursor")
    return None


def _by_number(seen: _Seen) -> Proposal | None:
    """A page or offset that the call takes, where the answer has a list: it says nothing of what comes next itself."""
    wires = _wires(seen.call)
    for kind, words in (("page", _PAGES), ("offset", _OFFSETS)):
        for word in words:
            name = wires.get(word)
            if name is None or not _counts(seen, name):
                continue
            start = _number_given(seen, name)
            if kind == "page":
                first = start if start is not None else _told(seen, _PAGES)
                pagination = Pagination("page", name, seen.items, start=1 if first is None else first)
                return Proposal(pagination, f"the call takes a page number, {name}, and answers with a list")
            step = _size(seen)
            pagination = Pagination("offset", name, seen.items, start=start or 0, step=step)
            return Proposal(pagination, f"the call takes an offset, {name}, and answers with lists of {step}")
    return None


def _cursor(
    seen: _Seen, because: str, parameter: str | None, *, next: str | None = None, header: str | None = None,
    like: str = "cursor",
) -> Proposal:  # fmt: skip
    """A cursor's proposal; a call without a parameter for it would need one, which is proposed too."""
    add: dict[str, Parameter] = {}
    if parameter is None:
        parameter = _new_name(seen.call, like)
        place = "body" if seen.call.body.type in {"json", "form", "graphql"} else "query"
        add[parameter] = Parameter(place, required=False, optional=True)
        because += f"; the call needs a parameter to send it in, such as {parameter}"
    return Proposal(Pagination("cursor", parameter, seen.items, next=next, header=header), because, add)


def _new_name(call: Call, like: str) -> str:
    """The parameter that a cursor of this name is usually sent in."""
    name = _SENT_AS.get(plain(like), "cursor")
    if like != like.lower() or name in {"page", "cursor"}:
        return name if name not in call.parameters else f"next_{name}"
    return re.sub(r"([A-Z])", lambda found: "_" + found[1].lower(), name)


def _cursor_parameter(call: Call, name: str) -> str | None:
    """The call's parameter that takes a cursor whose name in the answer is ``name``; the closest name first."""
    wires = _wires(call)
    bare = name.removeprefix("next").removeprefix("end").removeprefix("last")
    words = [name, *(word for word in (bare, *_CURSORS) if word in _CURSORS and (word != "page" or name == "nextpage"))]
    for word in (*words, *(("page",) if name == "next" else ())):
        found = wires.get(word)
        if found is not None and call.parameters[found].type in {"text", "integer", "number", "json"}:
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
            found.setdefault(plain(name), slots[0])
    for name in call.parameters:
        found.setdefault(plain(name), name)
    return {wire: name for wire, name in found.items() if _is_free(call.parameters[name])}


def _is_free(one: Parameter) -> bool:
    """Whether a caller may send another value each time: what stands in a path names a thing, and no page of it."""
    return not one.private and one.place in {"query", "header", "body"} and one.type != "file"


def _counts(seen: _Seen, name: str) -> bool:
    """Whether a parameter can be counted up: a number, or text that was one."""
    kind = seen.call.parameters[name].type
    return kind in {"integer", "number"} or (kind == "text" and _number_given(seen, name) is not None)


def _number_given(seen: _Seen, name: str) -> int | None:
    """The number that the first answer was asked for with; None where it was asked for without one."""
    given = seen.pages[0].given.get(name, seen.call.parameters[name].default)
    return _whole(given)


def _told(seen: _Seen, words: Sequence[str]) -> int | None:
    """The number that the first answer tells of itself under one of ``words``."""
    for place in places(seen.pages[0].document, words, paths.split(seen.items)[:-1]):
        number = _whole(place[1])
        if number is not None:
            return number
    return None


def _size(seen: _Seen) -> int:
    """How many items a page has: as asked for, as told, else as counted."""
    wires = _wires(seen.call)
    for word in _SIZES:
        name = wires.get(word)
        asked = _number_given(seen, name) if name is not None else None
        if asked:
            return min(asked, _MOST_STEP)
    told = _told(seen, [word for word in _SIZES if word not in {"count", "size", "length", "num", "rows"}])
    return min(told or seen.count or 1, _MOST_STEP)


def _whole(value: Any) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,7}", value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST_START:
        return None
    return value


def _is_cursor(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    return (isinstance(value, str) and 0 < len(value) <= 4096 and not _URL.fullmatch(value)) or isinstance(value, int)


def _moves(seen: _Seen, steps: Steps) -> bool:
    """Whether what stands there is another in each answer: what stays is a name of something else."""
    values = []
    for page in seen.pages:
        found: list[Any] = []
        collect(page.document, steps, found)
        values += [repr(value) for value in found if value is not None]
    return len(set(values)) == len(values)


def _is_echo(seen: _Seen, value: Any) -> bool:
    """Whether an answer only repeats what it was asked for with."""
    return any(given is not None and str(given) == str(value) for page in seen.pages for given in page.given.values())


def _signs(seen: _Seen, words: Sequence[str]) -> Iterator[tuple[Steps, Any]]:
    """What stands under one of ``words`` in any answer, outside its items; the clearest word first."""
    items = paths.split(seen.items)
    found = [place for page in seen.pages for place in places(page.document, words, items[:-1])]
    found.sort(key=lambda place: words.index(plain(naming(place[0]))))
    known: set[Steps] = set()
    for steps, value in found:
        if steps not in known and value is not None and (not items or steps[: len(items)] != items):
            known.add(steps)
            yield steps, value
