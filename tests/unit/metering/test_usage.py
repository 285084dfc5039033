"""Usage as providers tell it, and as others misread it: each case was reported of some gateway or tracer."""

import json
from collections.abc import Iterable
from typing import Any

import pytest

from tests.steps import steps
from tieline.core.quantities import QUANTITIES
from tieline.definitions.model import Usage, UsageSpot
from tieline.metering.reading import UsageReading
from tieline.metering.usage import told
from tieline.metering.usage.reader import UsageReader

OPENAI = UsageReader(Usage("openai"))
ANTHROPIC = UsageReader(Usage("anthropic"))
GEMINI = UsageReader(Usage("gemini"))


def whole(reader: UsageReader, answer: Any, **more: Any) -> UsageReading:
    """What a whole answer tells."""
    reading = reader.of_answer(answer, **more)
    assert reading is not None
    return reading


def counts(reader: UsageReader, answer: Any) -> dict[str, int]:
    """The quantities of a whole answer in which every figure was read."""
    reading = whole(reader, answer)
    assert not reading.unread
    assert not reading.estimated
    return dict(reading.quantities)


def streamed(reader: UsageReader, events: Iterable[Any], *, ended: bool = True, asked_bytes: int = 0) -> UsageReading:
    """What a stream tells."""
    gathered = reader.gather(asked_bytes=asked_bytes)
    for each in events:
        gathered.event(None, each if isinstance(each, bytes) else json.dumps(each).encode())
    reading = gathered.reading(ended=ended)
    assert reading is not None
    return reading


def chunk(text: str | None = None, **more: Any) -> dict[str, Any]:
    """A chunk of a chat stream."""
    choices = [{"index": 0, "delta": {"content": text}}] if text is not None else []
    return {"object": "chat.completion.chunk", "model": "gpt-5", "choices": choices, **more}


USED = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


def test_chat_counts_parts_within_their_whole() -> None:
    """What was cached is part of the input, what was reasoned part of the output; ``n`` multiplies nothing."""
    usage = {
        "prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150,
        "prompt_tokens_details": {"cached_tokens": 80, "audio_tokens": 7},
        "completion_tokens_details": {"reasoning_tokens": 30, "audio_tokens": 0, "accepted_prediction_tokens": 0},
    }  # fmt: skip
    answer = {"model": "gpt-5", "service_tier": "flex", "choices": [{"index": 0}, {"index": 1}], "usage": usage}
    reading = whole(OPENAI, answer)
    assert (reading.model, reading.service_tier) == ("gpt-5", "flex")
    assert reading.quantities == {
        "input_tokens": 100, "cached_input_tokens": 80, "input_audio_tokens": 7,
        "output_tokens": 50, "reasoning_tokens": 30,
    }  # fmt: skip


def test_details_may_be_missing_or_null() -> None:
    """Then the wholes alone are told."""
    usage = {**USED, "prompt_tokens_details": None}
    assert counts(OPENAI, {"usage": usage}) == {"input_tokens": 10, "output_tokens": 5}


def test_responses_count_searches_by_their_items() -> None:
    """Opening a page that was found is no search."""
    items = [
        {"type": "web_search_call", "action": {"type": "search"}},
        {"type": "web_search_call", "action": {"type": "open_page"}},
        {"type": "file_search_call"},
        {"type": "message"},
    ]
    usage = {"input_tokens": 9, "input_tokens_details": {"cached_tokens": 4}, "output_tokens": 2}
    answer = {"object": "response", "status": "completed", "model": "m", "output": items, "usage": usage}
    assert counts(OPENAI, answer) == {
        "input_tokens": 9, "cached_input_tokens": 4, "output_tokens": 2, "searches": 1, "file_searches": 1,
    }  # fmt: skip


def test_a_response_in_the_background_has_used_nothing_yet() -> None:
    """Its usage is null as long as it is queued."""
    assert (
        OPENAI.of_answer({"object": "response", "status": "queued", "model": "m", "output": [], "usage": None}) is None
    )


def test_embeddings_have_no_output() -> None:
    """They tell no completion tokens."""
    assert counts(OPENAI, {"object": "list", "data": [{"embedding": [0.1]}], "usage": {"prompt_tokens": 8}}) == {
        "input_tokens": 8
    }


def test_images_are_counted_beside_their_tokens() -> None:
    """Models before gpt-image tell no tokens, and are priced by the image."""
    details = {"text_tokens": 10, "image_tokens": 20}
    usage = {"input_tokens": 30, "input_tokens_details": details, "output_tokens": 400, "total_tokens": 430}
    assert counts(OPENAI, {"data": [{"b64_json": "A"}, {"b64_json": "B"}], "usage": usage}) == {
        "input_tokens": 30, "input_text_tokens": 10, "input_image_tokens": 20, "output_tokens": 400, "images": 2,
    }  # fmt: skip
    assert counts(OPENAI, {"data": [{"url": "https://x.example"}]}) == {"images": 1}


def test_transcriptions_are_told_in_tokens_or_in_seconds() -> None:
    """A duration is no count of tokens, and its fractions count; verbose answers have it beside the text."""
    tokens = {"type": "tokens", "input_tokens": 14, "output_tokens": 45, "input_token_details": {"audio_tokens": 14}}
    assert counts(OPENAI, {"text": "a", "usage": tokens}) == {
        "input_tokens": 14, "input_audio_tokens": 14, "output_tokens": 45,
    }  # fmt: skip
    assert counts(OPENAI, {"text": "a", "usage": {"type": "duration", "seconds": 3.4}}) == {"audio_ms": 3400}
    assert counts(OPENAI, {"text": "a", "duration": "8.47"}) == {"audio_ms": 8470}


@pytest.mark.parametrize(("total", "output"), [(15, 5), (22, 12), (None, 5)])
def test_reasoning_beside_the_output_is_added_where_the_total_says_so(total: int | None, output: int) -> None:
    """As xAI tells it; a service that tells it within the output is not counted twice."""
    usage = {**USED, "total_tokens": total, "completion_tokens_details": {"reasoning_tokens": 7}}
    assert whole(OPENAI, {"usage": usage}).quantities["output_tokens"] == output


def test_what_is_cached_beside_the_input_is_added_where_the_total_says_so() -> None:
    """And told as odd where nothing says so and it cannot be part of the input."""
    cached = {"prompt_tokens_details": {"cached_tokens": 90}}
    assert counts(OPENAI, {"usage": {**USED, **cached, "total_tokens": 105}})["input_tokens"] == 100
    assert whole(OPENAI, {"usage": {**USED, **cached}}).unread == {"usage.cached_tokens"}


def test_costs_that_a_service_tells_are_no_quantities() -> None:
    """OpenRouter and Perplexity put them among the tokens."""
    usage = {**USED, "cost": 0.00014, "cost_details": {"upstream_inference_cost": None}, "is_byok": False}
    assert counts(OPENAI, {"usage": usage}) == {"input_tokens": 10, "output_tokens": 5}


def test_caches_of_other_services_are_read() -> None:
    """DeepSeek tells hits beside misses, OpenRouter what was written, Moonshot without details."""
    assert counts(OPENAI, {"usage": {**USED, "prompt_cache_hit_tokens": 6, "prompt_cache_miss_tokens": 4}}) == {
        "input_tokens": 10, "cached_input_tokens": 6, "output_tokens": 5,
    }  # fmt: skip
    assert (
        counts(OPENAI, {"usage": {**USED, "prompt_tokens_details": {"cache_write_tokens": 3}}})["cache_write_tokens"]
        == 3
    )
    assert counts(OPENAI, {"usage": {**USED, "cached_tokens": 2}})["cached_input_tokens"] == 2


@pytest.mark.parametrize("figure", [-5, 1.5, "many", True, [], 10**16, "NaN"])
def test_an_odd_figure_is_said_and_never_0(figure: Any) -> None:
    """The others count."""
    reading = whole(OPENAI, {"usage": {**USED, "completion_tokens": figure}})
    assert reading.quantities == {"input_tokens": 10}
    assert reading.unread == {"usage.completion_tokens"}


def test_a_usage_of_no_known_form_is_said() -> None:
    """Rather than taken for a call that cost nothing."""
    assert whole(OPENAI, {"usage": {"neurons": 3}}).unread == {"usage"}


def test_every_name_that_a_form_is_read_as_is_in_the_table() -> None:
    """Prices, records and people know no others."""

    def names(members: Any) -> Iterable[str]:
        for each in members.values():
            yield from [each] if isinstance(each, str) else names(each)

    assert set(names(told.OPENAI)) | set(names(told.ANTHROPIC)) | set(names(told.GEMINI)) <= QUANTITIES.keys()


# --- streams


def test_null_usage_in_chunks_is_no_usage() -> None:
    """OpenAI sends it with each chunk before the last."""
    events = [chunk("a", usage=None), chunk("b", usage=None), chunk(usage=USED), b"[DONE]"]
    assert streamed(OPENAI, events) == UsageReading("gpt-5", None, {"input_tokens": 10, "output_tokens": 5})


def test_totals_so_far_are_not_added_up() -> None:
    """Services that tell usage with every chunk, next to its content, tell what was used until then."""
    events = [chunk("a", usage={"prompt_tokens": 10, "completion_tokens": each}) for each in range(1, 6)]
    assert streamed(OPENAI, events).quantities == {"input_tokens": 10, "output_tokens": 5}


def test_a_last_chunk_of_zeros_takes_nothing_back() -> None:
    """Some gateways end so."""
    zeros = {"prompt_tokens": 0, "completion_tokens": 0, "prompt_tokens_details": {"cached_tokens": 0}}
    used = {**USED, "prompt_tokens_details": {"cached_tokens": 4}}
    assert streamed(OPENAI, [chunk("a", usage=used), chunk(usage=zeros)]).quantities == {
        "input_tokens": 10, "cached_input_tokens": 4, "output_tokens": 5,
    }  # fmt: skip


def test_a_first_chunk_about_filters_names_no_model() -> None:
    """Azure begins with one whose model is empty."""
    filters = {"choices": [], "model": "", "prompt_filter_results": [{"prompt_index": 0}]}
    assert streamed(OPENAI, [filters, chunk("a"), chunk(usage=USED)]).model == "gpt-5"


@pytest.mark.parametrize("place", ["x_groq", "choice"])
def test_usage_in_other_places_of_a_chunk_is_found(place: str) -> None:
    """Groq and Moonshot have places of their own."""
    last = {"x_groq": {"usage": USED}} if place == "x_groq" else {"choices": [{"index": 0, "delta": {}, "usage": USED}]}
    assert streamed(OPENAI, [chunk("a"), {**chunk(), **last}]).quantities == {"input_tokens": 10, "output_tokens": 5}


def test_a_chat_that_breaks_off_is_estimated() -> None:
    """A token for each event, or for four bytes where events are long; what was asked by its size."""
    short = streamed(OPENAI, [chunk("a"), chunk("b"), chunk("c")], ended=False, asked_bytes=41)
    assert short == UsageReading("gpt-5", None, {"input_tokens": 11, "output_tokens": 3}, estimated=True)
    long = streamed(OPENAI, [chunk("x" * 401)], ended=False)
    assert (long.quantities["output_tokens"], long.estimated) == (101, True)


def test_a_stream_that_never_tells_usage_is_estimated_though_it_is_whole() -> None:
    """Services that do not know ``include_usage`` cost something all the same."""
    assert streamed(OPENAI, [chunk("a"), chunk("b"), b"[DONE]"]).estimated


def test_nothing_of_a_stream_that_tells_nothing_is_made_up() -> None:
    """Such as events about files."""
    gathered = OPENAI.gather(asked_bytes=100)
    gathered.event(None, b'{"type": "file.created"}')
    assert gathered.reading(ended=True) is None


def test_responses_tell_usage_with_their_end() -> None:
    """And with the service tier that was used, not the one that was asked for."""
    begun = {
        "type": "response.created",
        "response": {"id": "r", "model": "gpt-5", "service_tier": "auto", "usage": None},
    }
    delta = {"type": "response.output_text.delta", "delta": "a"}
    end = {"id": "r", "status": "completed", "model": "gpt-5", "service_tier": "default", "output": []}
    done = {"type": "response.completed", "response": {**end, "usage": {"input_tokens": 3, "output_tokens": 2}}}
    reading = streamed(OPENAI, [begun, delta, done])
    assert reading == UsageReading("gpt-5", "default", {"input_tokens": 3, "output_tokens": 2})
    cut = streamed(OPENAI, [begun, delta, delta], ended=False, asked_bytes=8)
    assert cut == UsageReading("gpt-5", "auto", {"input_tokens": 2, "output_tokens": 2}, estimated=True)


def realtime(turn: str, read: int, written: int) -> dict[str, Any]:
    """The end of one answer of a realtime session."""
    usage = {
        "total_tokens": read + written, "input_tokens": read, "output_tokens": written,
        "input_token_details": {
            "text_tokens": read - 4, "audio_tokens": 4, "cached_tokens": 2,
            "cached_tokens_details": {"audio_tokens": 2},
        },
        "output_token_details": {"text_tokens": 1, "audio_tokens": written - 1},
    }  # fmt: skip
    return {"type": "response.done", "response": {"id": turn, "status": "completed", "usage": usage}}


def test_answers_of_a_realtime_session_add_up() -> None:
    """Each tells its own; what wrote down the caller's words is another model's."""
    session = {"type": "session.created", "session": {"model": "gpt-realtime"}}
    heard = {
        "type": "conversation.item.input_audio_transcription.completed",
        "item_id": "i",
        "usage": {"type": "duration", "seconds": 2.5},
    }
    reading = streamed(OPENAI, [session, realtime("a", 10, 5), heard, realtime("b", 20, 6)])
    assert reading.model == "gpt-realtime"
    assert not reading.estimated
    assert reading.quantities == {
        "input_tokens": 30, "input_text_tokens": 22, "input_audio_tokens": 8, "cached_input_tokens": 4,
        "cached_input_audio_tokens": 4, "output_tokens": 11, "output_text_tokens": 2, "output_audio_tokens": 9,
    }  # fmt: skip
    assert [each.quantities for each in reading.others] == [{"audio_ms": 2500}]


def test_a_turn_that_breaks_off_adds_an_estimate_to_those_before() -> None:
    """What was told stays exact."""
    delta = {"type": "response.output_text.delta", "delta": "a"}
    reading = streamed(OPENAI, [realtime("a", 10, 5), delta, delta], ended=False)
    assert (reading.quantities["output_tokens"], reading.estimated) == (7, True)


MESSAGE = {"input_tokens": 5, "cache_creation_input_tokens": 100, "cache_read_input_tokens": 1000, "output_tokens": 7}


def test_anthropic_counts_what_is_cached_beside_the_rest() -> None:
    """So that all input is the sum of three; five minutes and an hour have prices of their own."""
    usage = {
        **MESSAGE,
        "cache_creation": {"ephemeral_5m_input_tokens": 60, "ephemeral_1h_input_tokens": 40},
        "server_tool_use": {"web_search_requests": 2},
        "service_tier": "priority",
    }
    reading = whole(ANTHROPIC, {"type": "message", "model": "claude-opus-4-5", "usage": usage})
    assert (reading.model, reading.service_tier) == ("claude-opus-4-5", "priority")
    assert reading.quantities == {
        "input_tokens": 1105, "cached_input_tokens": 1000, "cache_write_tokens": 100, "cache_write_5m_tokens": 60,
        "cache_write_1h_tokens": 40, "output_tokens": 7, "searches": 2,
    }  # fmt: skip


def test_counting_tokens_uses_none() -> None:
    """Anthropic's and Gemini's questions how long a prompt is are answered without usage."""
    assert ANTHROPIC.of_answer({"input_tokens": 2095}) is None
    assert (
        GEMINI.of_answer({"totalTokens": 31, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 31}]}) is None
    )


def test_what_summed_up_a_conversation_is_counted_too() -> None:
    """Anthropic tells it among the iterations and leaves it out of the figures above."""
    turns = [
        {"type": "compaction", "input_tokens": 180_000, "output_tokens": 3500},
        {"type": "message", "input_tokens": 23_000, "output_tokens": 1000},
    ]
    usage = {"input_tokens": 23_000, "output_tokens": 1000, "cache_read_input_tokens": 0, "iterations": turns}
    assert counts(ANTHROPIC, {"type": "message", "usage": usage}) == {"input_tokens": 203_000, "output_tokens": 4500}


def start(**usage: Any) -> dict[str, Any]:
    """The first event of a stream of Anthropic's."""
    return {"type": "message_start", "message": {"type": "message", "model": "claude", "usage": usage}}


def text(words: str) -> dict[str, Any]:
    """A piece of text in it."""
    return {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": words}}


def delta(**usage: Any) -> dict[str, Any]:
    """The end of it."""
    return {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage}


@pytest.mark.parametrize(
    ("first", "last", "read", "cached"),
    [
        ({"input_tokens": 25}, {}, 25, 0),
        ({"input_tokens": 25}, {"input_tokens": 25, "cache_read_input_tokens": 0}, 25, 0),
        ({"input_tokens": 25}, {"input_tokens": 10_682}, 10_682, 0),
        ({"input_tokens": 25, "cache_read_input_tokens": 50}, {"input_tokens": 0}, 75, 50),
        ({"input_tokens": 25, "cache_read_input_tokens": 50}, {"input_tokens": None}, 75, 50),
        ({"input_tokens": 8834}, {"input_tokens": 18, "cache_read_input_tokens": 8831}, 8849, 8831),
        ({"input_tokens": 8834}, {"input_tokens": 0, "cache_read_input_tokens": 8834}, 8834, 8834),
        ({"input_tokens": 0}, {"input_tokens": 12}, 12, 0),
    ],
    ids=["told once", "repeated", "corrected", "zero", "null", "split late", "all cached", "told late"],
)
def test_the_end_of_a_message_repeats_or_corrects_its_input(
    first: dict[str, Any], last: dict[str, Any], read: int, cached: int
) -> None:
    """Its figures are totals of the message: whoever adds them to those of the start counts twice."""
    reading = streamed(ANTHROPIC, [start(**first, output_tokens=1), text("a"), delta(**last, output_tokens=15)])
    assert (reading.quantities["input_tokens"], reading.quantities["output_tokens"]) == (read, 15)
    assert reading.quantities.get("cached_input_tokens", 0) == cached
    assert not reading.estimated


def test_a_message_that_breaks_off_has_its_input_told_and_its_output_estimated() -> None:
    """The start tells one token of output, which is not what came."""
    reading = streamed(ANTHROPIC, [start(input_tokens=25, output_tokens=1), *[text("word ")] * 9], ended=False)
    assert reading == UsageReading("claude", None, {"input_tokens": 25, "output_tokens": 12}, estimated=True)


def gemini(**usage: Any) -> dict[str, Any]:
    """An answer, or an event of a stream, of Gemini's."""
    return {"candidates": [], "modelVersion": "gemini-3-pro", "usageMetadata": usage}


def test_gemini_counts_thoughts_beside_what_it_wrote() -> None:
    """And what tools read beside the prompt; what was cached is part of it."""
    usage = {
        "promptTokenCount": 200, "cachedContentTokenCount": 50, "candidatesTokenCount": 5, "thoughtsTokenCount": 185,
        "toolUsePromptTokenCount": 20, "totalTokenCount": 410, "trafficType": "ON_DEMAND",
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 150}, {"modality": "AUDIO", "tokenCount": 50}],
        "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 50}],
    }  # fmt: skip
    reading = whole(GEMINI, gemini(**usage))
    assert (reading.model, reading.service_tier) == ("gemini-3-pro", "ON_DEMAND")
    assert reading.quantities == {
        "input_tokens": 220, "cached_input_tokens": 50, "input_text_tokens": 150, "input_audio_tokens": 50,
        "cached_input_audio_tokens": 50, "output_tokens": 190, "reasoning_tokens": 185,
    }  # fmt: skip


def test_thoughts_within_what_gemini_wrote_are_not_added() -> None:
    """Where its total says so."""
    usage = {"promptTokenCount": 10, "candidatesTokenCount": 30, "thoughtsTokenCount": 20, "totalTokenCount": 40}
    assert counts(GEMINI, gemini(**usage))["output_tokens"] == 30


@pytest.mark.parametrize("as_list", [False, True])
def test_gemini_grows_with_every_event(as_list: bool) -> None:
    """The last counts, also of figures that only some events tell, and in the array that streams are without SSE."""
    events = [
        gemini(promptTokenCount=10, totalTokenCount=10),
        gemini(promptTokenCount=10, candidatesTokenCount=4, thoughtsTokenCount=9, totalTokenCount=23),
        gemini(promptTokenCount=10, candidatesTokenCount=8, totalTokenCount=27),
    ]
    reading = whole(GEMINI, events) if as_list else streamed(GEMINI, events)
    assert reading.quantities == {"input_tokens": 10, "output_tokens": 17, "reasoning_tokens": 9}


def test_counts_written_as_text_are_counts() -> None:
    """As JSON of protocol buffers has those of 64 bits."""
    assert counts(GEMINI, gemini(promptTokenCount="12", candidatesTokenCount="3"))["input_tokens"] == 12


# --- declared


def declared(**spots: UsageSpot) -> UsageReader:
    """A reader of these quantities."""
    return UsageReader(Usage("declared", model="model", quantities=spots))


def test_any_api_can_say_where_its_figures_stand() -> None:
    """Cohere's billed units, Deepgram's duration, DeepL's characters, Replicate's time, ElevenLabs' header."""
    cohere = declared(
        input_tokens=UsageSpot(("meta.billed_units.input_tokens",)),
        rerank_searches=UsageSpot(("meta.billed_units.search_units",)),
    )
    assert counts(cohere, {"meta": {"billed_units": {"input_tokens": 3.0}}}) == {"input_tokens": 3}
    assert counts(declared(audio_seconds=UsageSpot(("metadata.duration",))), {"metadata": {"duration": 25.933313}}) == {
        "audio_ms": 25_934
    }
    deepl = declared(characters=UsageSpot(("translations[].billed_characters",)))
    assert counts(deepl, {"translations": [{"billed_characters": 5}, {"billed_characters": 7}]}) == {"characters": 12}
    replicate = declared(
        compute_seconds=UsageSpot(("metrics.predict_time",)), images=UsageSpot(("output",), counts="items")
    )
    answer = {"model": "flux", "metrics": {"predict_time": 1.5}, "output": ["a", "b"]}
    assert counts(replicate, answer) == {"compute_ms": 1500, "images": 2}
    assert whole(replicate, answer).model == "flux"
    elevenlabs = declared(characters=UsageSpot(header="character-cost"))
    assert whole(elevenlabs, None, headers=[(b"Character-Cost", b"42")]).quantities == {"characters": 42}
    assert elevenlabs.of_answer({"detail": "x"}) is None


@pytest.mark.parametrize(("together", "count"), [("last", 2), ("sum", 6), ("highest", 4)])
def test_figures_of_events_are_put_together_as_declared(together: str, count: int) -> None:
    """Of those events alone that are named."""
    reader = declared(credits=UsageSpot(("used",), event="tick", together=together))
    events = [{"type": "tick", "used": 4}, {"type": "other", "used": 100}, {"type": "tick", "used": 2}]
    assert streamed(reader, events).quantities == {"credits": count}


def test_a_declared_figure_that_is_odd_is_said() -> None:
    """By where it stands."""
    reader = declared(characters=UsageSpot(("a", "b")), images=UsageSpot(("c",), counts="items"))
    assert whole(reader, {"b": -1, "c": 3}).unread == {"a", "c"}


# --- whatever comes


@pytest.mark.parametrize("reader", [OPENAI, ANTHROPIC, GEMINI, declared(images=UsageSpot(("a[].b",)))])
@pytest.mark.parametrize(
    "answer",
    [
        None, [], {}, 3, "usage", {"usage": []}, {"usage": "x"}, {"usageMetadata": 3}, {"response": {"usage": {}}},
        [[[]]], {"usage": {str(each): each for each in range(101)}}, {"message": 3, "type": "message_start"},
        {"a": [{"b": {}}]},
    ],
)  # fmt: skip
def test_nothing_that_comes_raises(reader: UsageReader, answer: Any) -> None:
    """Upstreams are outsiders."""
    reader.of_answer(answer)
    gathered = reader.gather()
    for data in (json.dumps(answer).encode(), b'{"usage"', b'"usage"\xff', b""):
        gathered.event("x", data)
    gathered.reading(ended=False)


def test_reading_a_stream_takes_steps_that_grow_with_its_events_alone() -> None:
    """Ten times the events, ten times the steps; a text that is large takes those of being there."""

    def work(events: int, size: int) -> int:
        data = json.dumps(chunk("x\\" * size)).encode()
        return steps(lambda: streamed(OPENAI, [data] * events))

    assert work(1000, 1) < 11 * work(100, 1)
    assert work(10, 100_000) < work(10, 1) + 2 * 300_000 // 16


def test_a_usage_object_of_any_size_takes_bounded_steps() -> None:
    """Lists within it are looked at up to a thousand items."""
    usage = {"promptTokenCount": 1, "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 1}] * 100_000}
    assert steps(lambda: GEMINI.of_answer(gemini(**usage))) < 60_000
    many = {"usage": {str(each): 1 for each in range(100_000)}}
    assert steps(lambda: OPENAI.of_answer(many)) < 1000
    assert whole(OPENAI, many).unread == {"usage"}
