"""Learning holds for any answer: it ends in a response that a definition can hold, or in a refusal; twice is once."""

import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.property.test_infer import PLAIN, grown
from tieline.dataplane.answers.streams.recognition import recognise_stream
from tieline.definitions.canonical import call_to_json, pagination_to_json, parameter_to_json
from tieline.definitions.infer.learning import AnswerSample, changes, learn, read_samples
from tieline.definitions.infer.media import kind_of_answer
from tieline.definitions.infer.page_samples import PageSample
from tieline.definitions.infer.pagination import propose
from tieline.definitions.infer.samples import keep_in
from tieline.definitions.infer.unreadable import UnreadableAnswer
from tieline.definitions.model import Call, Response
from tieline.definitions.parse import parse_data
from tieline.definitions.responses import RESPONSE_TYPES

MEDIA = st.sampled_from(
    ["", "application/json", "text/plain", "text/csv", "application/xml", "text/event-stream", "application/x-ndjson",
     "image/png", "application/octet-stream", "text/html", "application/vnd.x+json; charset=utf-8"]
)  # fmt: skip
EVENTS = st.lists(grown(PLAIN), min_size=1, max_size=4).map(
    lambda values: "".join(f"data: {json.dumps(value)}\n\n" for value in values).encode()
)
BODIES = st.one_of(
    st.binary(max_size=60),
    st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace")),
    grown(PLAIN).map(lambda document: json.dumps(document).encode()),
    EVENTS,
)
PAGING_KEYS = st.sampled_from(
    ["next", "links", "href", "data", "items", "next_cursor", "cursor", "page", "meta", "@odata.nextLink", "last_id",
     "nextPageToken", "offset", "limit", "pageInfo", "endCursor", "after"]
)  # fmt: skip
PAGING_TEXTS = st.one_of(PLAIN, st.sampled_from(["https://x.example/?page=2", "/next", "?page=2", "abc"]))


def call_of(content: dict[str, Any]) -> Call:
    """The call in a whole definition."""
    whole = {"tieline": "v1", "api": "x", "base_url": "https://x.example", "calls": {"c": content}}
    return parse_data(whole).calls["c"]


@given(BODIES, MEDIA, MEDIA)
def test_any_answer_teaches_or_is_refused(body: bytes, media: str, disposition: str) -> None:
    """What is learned can be saved as it is, kept in any way; learning it again changes nothing."""
    assert kind_of_answer(body, media, disposition) in RESPONSE_TYPES
    before = Response()
    answer = AnswerSample(body, media, disposition, recognise_stream(body, media, None))
    with suppress(UnreadableAnswer):
        after = learn(before, read_samples(before, [answer]))
        for how in ("none", "masked", "whole"):
            kept = keep_in(after, before, how)
            call = call_of({"path": "/x"})
            assert call_of(call_to_json(replace(call, response=kept))).response == kept
        again = AnswerSample(body, media, disposition, recognise_stream(body, media, after.stream))
        assert changes(after, learn(after, read_samples(after, [again]))) == ()


@given(st.lists(BODIES, min_size=1, max_size=3), MEDIA, st.sampled_from(RESPONSE_TYPES), st.booleans())
def test_a_chosen_type_stays_unless_all_is_learned_anew(bodies: list[bytes], media: str, kind: str, anew: bool) -> None:
    """Or the answers are refused."""
    before = call_of({"path": "/x", "response": {"type": kind}}).response
    answers = [AnswerSample(body, media, "", recognise_stream(body, media, before.stream)) for body in bodies]
    with suppress(UnreadableAnswer):
        after = learn(before, read_samples(before, answers, anew=anew), anew=anew)
        assert anew or kind in {"json", after.type}


@given(
    st.lists(grown(PAGING_TEXTS, PAGING_KEYS), min_size=1, max_size=2),
    st.dictionaries(st.sampled_from(["link", "x-next-page", "x-next-cursor"]), st.text(max_size=30), max_size=2),
    st.lists(st.sampled_from(["page", "cursor", "after", "offset", "limit", "id"]), unique=True, max_size=4),
    st.sampled_from(["text", "integer", "json", "boolean"]),
)
def test_a_proposed_pagination_can_be_saved(
    documents: list[Any], headers: dict[str, str], names: list[str], kind: str
) -> None:
    """Whatever comes, a proposal is one that the definition takes, with the parameter that it adds."""
    parameters = {name: {"in": "query", "type": kind, "optional": True} for name in names}
    content = {"path": "/x", "parameters": parameters}
    found = propose(call_of(content), [PageSample(document, headers) for document in documents])
    if found is not None:
        added = {name: parameter_to_json(each) for name, each in found.add.items()}
        paged = {**content, "parameters": parameters | added, "pagination": pagination_to_json(found.pagination)}
        assert call_of(paged).pagination == found.pagination
