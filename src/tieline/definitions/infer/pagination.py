"""How answers follow each other, proposed from the first of them: for an operator to confirm.

The surest sign wins: a ``Link`` header, a next URL, a cursor, then a page or offset that the call takes. An answer
without a list of items has no pages. Knows no network: what was sent and what came back is passed in.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Final

from tieline.definitions.infer import paths
from tieline.definitions.infer.links import next_link, next_listed
from tieline.definitions.infer.page_fields import (
    HAS_MORE,
    IS_LAST,
    PAGE_COUNTS,
    TOTALS,
    link_lists,
    list_of_items,
    plain_name,
    whole_number,
)
from tieline.definitions.infer.page_numbers import counted
from tieline.definitions.infer.page_samples import (
    PagedCall,
    PageSample,
    flag,
    is_echo,
    moves,
    signs,
    stated_number,
    wires_of,
)
from tieline.definitions.infer.paths import Steps
from tieline.definitions.model import Call, Pagination, Parameter

_CURSORS: Final = (
    "cursor", "nextcursor", "pagetoken", "nextpagetoken", "paginationtoken", "nexttoken", "continuationtoken",
    "continuation", "continue", "after", "aftercursor", "startingafter", "startcursor", "pagecursor", "pageafter",
    "nextkey", "marker", "bookmark", "scrollid", "lastkey", "exclusivestartkey", "next", "searchafter", "sinceid",
    "startafter", "afterid", "lastid", "page",
)  # fmt: skip
_CURSOR_ENDS: Final = ("cursor", "pagetoken", "paginationtoken", "continuationtoken", "nexttoken", "marker", "bookmark")
_AFTER_AN_ID: Final = ("startingafter", "afterid", "startafter", "lastid", "after")
_BEFORE_AN_ID: Final = ("beforeid", "before")
_SORTED_LEAST: Final = 8
"""Characters of ids that begin with the time they were made at, such as those of MongoDB, KSUID and ULID."""
_AT_A_PLACE: Final = ("from", "start", "offset", "since")
"""What is sent under these names may be a cursor too, but only the answer's value can tell."""
_NEXT_CURSORS: Final = (
    "nextcursor", "nextpagetoken", "nexttoken", "nextcontinuationtoken", "continuationtoken", "endcursor", "nextpage",
    "nextpagecursor", "nextkey", "nextmarker", "nextstart", "nextoffset", "scrollid", "cursor", "aftercursor",
    "continuation", "continue", "bookmark", "startingafter", "after", "offset", "lastid", "lastkey", "lastevaluatedkey",
    "nextafter", "next", "nextid",
)  # fmt: skip
_NEXT_URLS: Final = (
    "next", "nexturl", "nextpageurl", "nextlink", "nextpage", "odatanextlink", "nexthref", "nextpagelink", "nexturi",
    "nextpageuri", "nextrecordsurl", "afterurl", "hydranext",
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
_URL: Final = re.compile(r"(?:https?:/)?/[^\s<>\"\\]+|\?[^\s<>\"\\]+=[^\s<>\"\\]*")


@dataclass(frozen=True, slots=True)
class Proposal:
    """How the call seems to be paged, and the sign that speaks for it.

    ``add`` is a parameter that the call lacks and would need, by the name that ``pagination`` gives it.
    """

    pagination: Pagination
    because: str
    add: Mapping[str, Parameter] = field(default_factory=dict)


def propose(call: Call, pages: Sequence[PageSample]) -> Proposal | None:
    """How ``call`` is paged, by its first answers, in their order; None where nothing shows that it is."""
    lists = [list_of_items(page.document) for page in pages]
    found = next((each for each in lists if each is not None), None)
    if found is None or call.method not in {"GET", "POST"}:
        return None
    samples = PagedCall(call, pages, paths.join(found[0]), len(found[1]))
    ways = (_by_link, _by_url, _by_cursor, _by_members, _by_header, _by_last_item, _by_number)
    proposal = next((each for way in ways if (each := way(samples)) is not None), None)
    return None if proposal is None else replace(proposal, pagination=_ended(samples, proposal.pagination))


def _by_link(samples: PagedCall) -> Proposal | None:
    """RFC 8288: ``Link: <…>; rel="next"``."""
    if any(next_link([page.headers.get("link", "")]) is not None for page in samples.pages):
        return Proposal(Pagination("link", items=samples.items), 'the Link header names the next page (rel="next")')
    return None


def _by_url(samples: PagedCall) -> Proposal | None:
    for steps, value in signs(samples, _NEXT_URLS):
        if isinstance(value, str) and _URL.fullmatch(value) and moves(samples, steps):
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


def _by_cursor(samples: PagedCall) -> Proposal | None:
    """A cursor in the body: surely one where the call has a parameter for it, or its name can mean nothing else."""
    for steps, value in signs(samples, _NEXT_CURSORS):
        name = plain_name(str(steps[-1]))
        if not _is_cursor(value, name) or not moves(samples, steps) or is_echo(samples, value):
            continue
        path = paths.join(steps)
        parameter = _cursor_parameter(samples.call, name, structured=isinstance(value, dict))
        if parameter is not None:
            return _cursor(samples, f"{path} holds a cursor for the parameter {parameter}", parameter, next=path)
        if name in _SPEAKING or (name.startswith("next") and name not in {"next", "nextid"}):
            return _cursor(samples, f"{path} holds a cursor", None, next=path, like=str(steps[-1]))
    return None


def _by_members(samples: PagedCall) -> Proposal | None:
    """Several members that are sent back together: those of an object ``continue`` (MediaWiki), or ``vid-offset``.

    The latter are numbers, and cursors only where the call takes them by these names and the answer tells of more.
    """
    wires = wires_of(samples.call)
    for steps, value in signs(samples, ("continue", "continuation", "next")):
        texts = isinstance(value, dict) and value and all(isinstance(each, str | int) for each in value.values())
        if (
            texts
            and all(map(paths.is_expressible, value))
            and ("continue" in value or plain_name(next(iter(value))) in wires)
        ):
            return _together(samples, {name: (*steps, name) for name in value}, f"what {paths.join(steps)} holds")
    if flag(samples, HAS_MORE) is None and flag(samples, IS_LAST) is None:
        return None
    ends = tuple(word for word in wires if word.endswith("offset"))
    found = {word: (steps, value) for steps, value in signs(samples, ends) for word in [plain_name(str(steps[-1]))]}
    told = {
        wires[word]: steps
        for word, (steps, value) in found.items()
        if whole_number(value) and not is_echo(samples, value) and moves(samples, steps)
    }
    return _together(samples, told, f"what {' and '.join(map(paths.join, told.values()))} tells") if told else None


def _together(samples: PagedCall, told: Mapping[str, Steps], what: str) -> Proposal:
    """A cursor of several members, each sent back in the parameter of its name; ``continue`` leads."""
    wires = wires_of(samples.call)
    named = {wires.get(plain_name(name), name): paths.join(steps) for name, steps in told.items()}
    lead = next((name for name in named if plain_name(name) == "continue"), next(iter(named)))
    place = "body" if samples.call.body.type in {"json", "form", "graphql"} else "query"
    add = {
        name: Parameter(place, required=False, optional=True) for name in named if name not in samples.call.parameters
    }
    also = {name: path for name, path in named.items() if name != lead}
    because = f"{what} goes back in {' and '.join(named)}" + (
        f"; the call needs parameters for {' and '.join(add)}" if add else ""
    )
    return Proposal(Pagination("cursor", lead, samples.items, next=named[lead], also=also), because, add)


def _by_header(samples: PagedCall) -> Proposal | None:
    for header in _CURSOR_HEADERS:
        values = [page.headers[header] for page in samples.pages if page.headers.get(header)]
        if not values or (len(samples.pages) > 1 and len(values) > 1 and len(set(values)) == 1):
            continue
        name = "nextpage" if header.endswith("next-page") else "nextcursor"
        parameter = _cursor_parameter(samples.call, name, structured=False)
        because = f"the header {header} tells what comes next"
        return _cursor(samples, because, parameter, header=header, like="page" if name == "nextpage" else "cursor")
    return None


def _by_last_item(samples: PagedCall) -> Proposal | None:
    """What the last item is sorted by, or its id: where a flag says whether there is more, or the order shows it."""
    wires = wires_of(samples.call)
    found = list_of_items(samples.pages[0].document)
    items = found[1] if found is not None else []
    last = items[-1] if items and isinstance(items[-1], dict) else {}
    if "searchafter" in wires and isinstance(last.get("sort"), list):
        because = f"the call takes what the last item is sorted by in {wires['searchafter']}"
        return _cursor(samples, because, wires["searchafter"], next=_of_last(samples, "sort"))
    if not isinstance(last.get("id"), str | int) or isinstance(last["id"], bool):
        return None
    flagged = flag(samples, HAS_MORE) is not None or flag(samples, IS_LAST) is not None
    order = _order([item.get("id") for item in items if isinstance(item, dict)])
    for words, way in ((_AFTER_AN_ID, "up"), (_BEFORE_AN_ID, "down")):
        parameter = next((wires[word] for word in words if word in wires), None)
        if parameter is None or samples.call.parameters[parameter].type in {"date", "datetime"}:
            continue
        if flagged and way == "up":
            because = f"the call takes the last item's id in {parameter}, and the answer says whether there is more"
            return _cursor(samples, because, parameter, next=_of_last(samples, "id"))
        if order == way:
            because = f"the call takes an id in {parameter}, and ids go {way} in the answer"
            return _cursor(samples, because, parameter, next=_of_last(samples, "id"))
    return None


def _of_last(samples: PagedCall, member: str) -> str:
    return paths.join((*paths.split(samples.items), paths.LAST, member))


def _order(ids: Sequence[Any]) -> str | None:
    """Whether ids that tell an order (numbers, longer texts of one length) go ``up`` or ``down``; None for neither."""
    numbers = [number for each in ids if (number := whole_number(each)) is not None]
    texts = [each for each in ids if isinstance(each, str) and len(each) >= _SORTED_LEAST]
    keys: Sequence[Any] = numbers if len(numbers) == len(ids) else texts
    if len(keys) < max(2, len(ids)) or (keys is texts and len({len(each) for each in texts}) > 1):
        return None
    pairs = list(pairwise(keys))
    return "up" if all(a < b for a, b in pairs) else "down" if all(a > b for a, b in pairs) else None


def _by_number(samples: PagedCall) -> Proposal | None:
    """A page or offset: the answer says nothing of what comes next itself."""
    found = counted(samples)
    return Proposal(*found) if found is not None else None


def _ended(samples: PagedCall, paging: Pagination) -> Pagination:
    """``paging`` with what the answers tell of the end: a flag, and where pages are counted the totals."""
    more = flag(samples, HAS_MORE)
    last = None if more is not None else flag(samples, IS_LAST | ({"done"} if paging.kind == "next_url" else set()))
    if paging.kind not in {"page", "offset"}:
        return replace(paging, more=more, last=last)
    total = stated_number(samples, TOTALS)
    pages = stated_number(samples, PAGE_COUNTS) if paging.kind == "page" else None
    is_total = total is not None and total[1] > samples.count
    return replace(
        paging,
        more=more,
        last=last,
        total=total[0] if is_total and total is not None else None,
        pages=pages[0] if pages is not None and pages[1] > 0 else None,
    )


def _cursor(
    samples: PagedCall, because: str, parameter: str | None, *, next: str | None = None, header: str | None = None,
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
    wires = wires_of(call)
    bare = name.removeprefix("next").removeprefix("end").removeprefix("last")
    words = [name, *(word for word in (bare, *_CURSORS) if word in _CURSORS and (word != "page" or name == "nextpage"))]
    words += [word for word in wires if word.endswith(_CURSOR_ENDS)]
    words += _AT_A_PLACE if name == "next" else ()
    if name.startswith("next"):  # next_start, nextOffset: what the call counts by itself
        words.insert(1, bare)
    types = {"json", "object"} if structured else {"text", "integer", "number", "json"}
    for word in (*words, *(("page",) if name == "next" else ())):
        found = wires.get(word)
        if found is not None and call.parameters[found].type in types:
            return found
    return None


def _is_cursor(value: Any, name: str) -> bool:
    """Whether it may be one: text that is no URL, a number, and where the name says so an object (a key)."""
    if isinstance(value, bool):
        return False
    if isinstance(value, dict):
        return bool(value) and name.endswith("key")
    if name == "offset" and (not isinstance(value, str) or value.isdigit()):
        return False
    return (isinstance(value, str) and 0 < len(value) <= 4096 and not _URL.fullmatch(value)) or isinstance(value, int)
